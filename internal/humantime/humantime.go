// Package humantime reads and writes durations as people and InfluxDB 3 write them: sums of whole
// numbers with units, as in 30d or "1h 30m". Which units there are is the caller's choice.
//
// Functions may be called concurrently. They own no bytes.
package humantime

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var errRange = errors.New("more than 292 years")

// Parse reads a duration in the given units, whose names are letters. A plain 0 needs none.
func Parse(text string, units map[string]time.Duration) (time.Duration, error) {
	rest := strings.TrimSpace(text)
	switch rest {
	case "":
		return 0, errors.New("a duration such as 30d or 1h 30m is needed")
	case "0":
		return 0, nil
	}
	var sum time.Duration
	for rest != "" {
		part, after, err := cutPart(rest, units)
		if err != nil {
			return 0, fmt.Errorf("duration %q: %w", text, err)
		}
		if part > math.MaxInt64-sum {
			return 0, fmt.Errorf("duration %q: %w", text, errRange)
		}
		sum, rest = sum+part, strings.TrimLeft(after, " ")
	}
	return sum, nil
}

// cutPart reads one number with its unit from the start of text.
func cutPart(text string, units map[string]time.Duration) (part time.Duration, rest string, err error) {
	digits := prefix(text, func(c byte) bool { return c-'0' <= 9 })
	if digits == "" {
		return 0, "", fmt.Errorf("a whole number is needed at %q", text)
	}
	rest = strings.TrimLeft(text[len(digits):], " ")
	name := prefix(rest, func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' })
	unit, ok := units[name]
	if !ok {
		return 0, "", fmt.Errorf("%q is no unit of time; use one such as s, m, h, d, w, months or y", name)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > int64(math.MaxInt64/unit) {
		return 0, "", errRange
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

// Format writes a duration that is not negative so that it can be read again: 1d 12h.
func Format(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	var words []string
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", 1}} {
		if n := d / unit.length; n > 0 {
			words = append(words, strconv.FormatInt(int64(n), 10)+unit.name)
			d -= n * unit.length
		}
	}
	return strings.Join(words, " ")
}
