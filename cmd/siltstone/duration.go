package main

import (
	"fmt"
	"time"

	"github.com/siltstone-db/siltstone/internal/humantime"
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
	d, err := humantime.Parse(text, durationUnits)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write for example 30s, 10m or 1h 30m", text)
	}
	return d, nil
}
