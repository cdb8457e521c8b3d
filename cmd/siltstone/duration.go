package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// duration is a flag in the notation of InfluxDB 3: numbers with units, such as 10m,
// 1h or "1h 30m". 0 needs no unit.
type duration time.Duration

var durationUnits = map[string]time.Duration{
	"ms": time.Millisecond, "msec": time.Millisecond,
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := parseDuration(string(text))
	*d = duration(v)
	return err
}

func parseDuration(text string) (time.Duration, error) {
	fault := fmt.Errorf("%q is not a duration; write for example 30s, 10m or 1h 30m", text)
	rest := strings.TrimSpace(text)
	switch rest {
	case "":
		return 0, fault
	case "0":
		return 0, nil
	}
	var total time.Duration
	for rest != "" {
		digits := leading(rest, func(c byte) bool { return c >= '0' && c <= '9' })
		rest = strings.TrimLeft(rest[len(digits):], " ")
		name := leading(rest, func(c byte) bool { return c >= 'a' && c <= 'z' })
		rest = strings.TrimLeft(rest[len(name):], " ")
		n, err := strconv.ParseInt(digits, 10, 64)
		unit, ok := durationUnits[name]
		if err != nil || !ok || n > (math.MaxInt64-int64(total))/int64(unit) {
			return 0, fault
		}
		total += time.Duration(n) * unit
	}
	return total, nil
}

// leading returns the longest prefix of s whose bytes satisfy is.
func leading(s string, is func(byte) bool) string {
	i := 0
	for i < len(s) && is(s[i]) {
		i++
	}
	return s[:i]
}
