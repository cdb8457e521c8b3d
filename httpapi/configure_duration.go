package httpapi

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// durationUnits are the units of InfluxDB 3's durations, which are those of the Rust
// crate humantime: a month is 30.44 days and a year 365.25.
var durationUnits = map[string]time.Duration{
	"nanos": time.Nanosecond, "nsec": time.Nanosecond, "ns": time.Nanosecond,
	"usec": time.Microsecond, "us": time.Microsecond,
	"millis": time.Millisecond, "msec": time.Millisecond, "ms": time.Millisecond,
	"seconds": time.Second, "second": time.Second, "secs": time.Second, "sec": time.Second, "s": time.Second,
	"minutes": time.Minute, "minute": time.Minute, "mins": time.Minute, "min": time.Minute, "m": time.Minute,
	"hours": time.Hour, "hour": time.Hour, "hrs": time.Hour, "hr": time.Hour, "h": time.Hour,
	"days": day, "day": day, "d": day,
	"weeks": 7 * day, "week": 7 * day, "wks": 7 * day, "wk": 7 * day, "w": 7 * day,
	"months": month, "month": month, "M": month,
	"years": year, "year": year, "yrs": year, "yr": year, "y": year,
}

const (
	day   = 24 * time.Hour
	month = 2_630_016 * time.Second
	year  = 31_557_600 * time.Second
)

var errDurationRange = errors.New("more than 292 years")

// parseDuration reads a sum of whole numbers with units, as in `30d`, `1h 30m` or
// `2 weeks`. A plain 0 needs no unit.
func parseDuration(text string) (time.Duration, error) {
	rest := strings.TrimSpace(text)
	switch rest {
	case "":
		return 0, errors.New("a duration such as 30d or 1h 30m is needed")
	case "0":
		return 0, nil
	}
	var sum time.Duration
	for rest != "" {
		part, after, err := cutPart(rest)
		if err != nil {
			return 0, fmt.Errorf("duration %q: %w", text, err)
		}
		if part > math.MaxInt64-sum {
			return 0, fmt.Errorf("duration %q: %w", text, errDurationRange)
		}
		sum, rest = sum+part, strings.TrimLeft(after, " ")
	}
	return sum, nil
}

// cutPart reads one number with its unit from the start of text.
func cutPart(text string) (part time.Duration, rest string, err error) {
	digits := prefix(text, func(c byte) bool { return c-'0' <= 9 })
	if digits == "" {
		return 0, "", fmt.Errorf("a whole number is needed at %q", text)
	}
	rest = strings.TrimLeft(text[len(digits):], " ")
	name := prefix(rest, func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' })
	unit, ok := durationUnits[name]
	if !ok {
		return 0, "", fmt.Errorf("%q is no unit of time; use one such as s, m, h, d, w, months or y", name)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > int64(math.MaxInt64/unit) {
		return 0, "", errDurationRange
	}
	return time.Duration(n) * unit, rest[len(name):], nil
}

// prefix returns the bytes at the start of text for which in holds.
func prefix(text string, in func(byte) bool) string {
	for i := range len(text) {
		if !in(text[i]) {
			return text[:i]
		}
	}
	return text
}
