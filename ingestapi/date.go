package ingestapi

import "time"

// dateLayouts are the forms of ISO 8601 that are accepted. Fractions of seconds need no
// layout of their own.
var dateLayouts = []string{
	time.RFC3339,
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05Z07",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04:05", // UTC, as are the following
	"2006-01-02T15:04",
	time.DateOnly,
}

// The instants that a row's time can be; see lineprotocol.
var (
	minDate = time.Date(1677, 9, 22, 0, 0, 0, 0, time.UTC)
	maxDate = time.Date(2262, 4, 11, 0, 0, 0, 0, time.UTC)
)

// parseDate reads a date of ISO 8601. One without a zone is UTC.
func parseDate(s string) (time.Time, problem) {
	for _, layout := range dateLayouts {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if t.Before(minDate) || t.After(maxDate) {
			return time.Time{}, "Is out of range: dates from 1677-09-22 to 2262-04-11 can be stored"
		}
		return t, ""
	}
	return time.Time{}, "Invalid format: a date in ISO 8601 is needed, as 2026-11-21T10:00:00Z"
}

// formatDate is how this package writes a date.
func formatDate(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
