package ingestapi

import (
	"strings"
	"testing"
	"time"
)

func TestEmailAddresses(t *testing.T) {
	for _, s := range []string{
		"ada@example.org", "a@b.co", "first.last+tag@sub.example.com", "o'neil@example.org", "josé@exámple.es",
		strings.Repeat("x", 64) + "@example.org",
	} {
		if p := checkEmail(s); p != "" {
			t.Errorf("%s: %s", s, p)
		}
	}
	for _, s := range []string{
		"", "ada", "@example.org", "ada@", "ada@example", "ada@.org", "ada@example..org", "ada@-example.org", "ada@example-.org",
		"a b@example.org", "ada@exa mple.org", "ada@@example.org", ".ada@example.org", "ada.@example.org", "a..b@example.org",
		"Ada <ada@example.org>", "ada@example.org\n", strings.Repeat("x", 65) + "@example.org",
		"ada@" + strings.Repeat("x", 64) + ".org", "ada@" + strings.Repeat("x.", 130) + "org",
	} {
		if p := checkEmail(s); p != "Invalid format" {
			t.Errorf("%q: %q", s, p)
		}
	}
}

func TestPhoneNumbers(t *testing.T) {
	for _, s := range []string{"+34600000000", "+1234567", "+123456789012345"} {
		if p := checkPhone(s); p != "" {
			t.Errorf("%s: %s", s, p)
		}
	}
	for _, s := range []string{"", "+", "34600000000", "+034600000", "+34 600 000 000", "+123456", "+1234567890123456", "+3460000000x", "+٣٤٦٠٠٠٠٠٠"} {
		if p := checkPhone(s); p == "" {
			t.Errorf("%q is taken for a number", s)
		}
	}
}

func TestDates(t *testing.T) {
	for s, want := range map[string]time.Time{
		"2026-11-21T10:00:00Z":               time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		"2026-11-21T10:00:00.123456789Z":     time.Date(2026, 11, 21, 10, 0, 0, 123456789, time.UTC),
		"2026-11-21T10:00:00+02:00":          time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC),
		"2026-11-21T10:00:00+0200":           time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC),
		"2026-11-21T10:00:00.5-03":           time.Date(2026, 11, 21, 13, 0, 0, 5e8, time.UTC),
		"2026-11-21T10:00Z":                  time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		"2026-11-21T10:00:00":                time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		"2026-11-21T10:00":                   time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		"2026-11-21":                         time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC),
		"1677-09-22":                         minDate,
		"2262-04-11":                         maxDate,
		"1969-12-31T23:59:59.999999999Z":     time.Unix(0, -1),
		"2026-02-28T23:59:59.000000001+0000": time.Date(2026, 2, 28, 23, 59, 59, 1, time.UTC),
	} {
		if got, p := parseDate(s); p != "" || !got.Equal(want) {
			t.Errorf("%s: %v %s, want %v", s, got, p, want)
		}
	}
	for _, s := range []string{
		"", "today", "2026-02-30", "2026-11-21 10:00:00", "1700000000", "2026-11-21T25:00:00Z", "1677-09-21", "2262-04-12", "9999-12-31", "0001-01-01",
	} {
		if _, p := parseDate(s); p == "" {
			t.Errorf("%q is taken for a date", s)
		}
	}
}

func TestNamesOfAttributes(t *testing.T) {
	for _, name := range []string{"plan", "Plan 2", "größe", "a,b=c", `a\b`, "#1", `"quoted"`, "p_x", strings.Repeat("x", MaxNameBytes)} {
		if p := checkAttributeName(name); p != "" {
			t.Errorf("%s: %s", name, p)
		}
	}
	for _, name := range []string{
		"", "time", "Time", "_deleted", "_unknown", "_Email", "a\nb", "a\tb", "a\x00b", "a\ufffdb", `a\`, strings.Repeat("x", MaxNameBytes+1),
	} {
		if p := checkAttributeName(name); p == "" {
			t.Errorf("%q is taken for the name of an attribute", name)
		}
	}
}
