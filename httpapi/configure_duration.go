package httpapi

import (
	"time"

	"github.com/siltstone-db/siltstone/internal/humantime"
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

// parseDuration reads a sum of whole numbers with units, as in `30d`, `1h 30m` or
// `2 weeks`. A plain 0 needs no unit.
func parseDuration(text string) (time.Duration, error) { return humantime.Parse(text, durationUnits) }
