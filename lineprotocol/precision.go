package lineprotocol

import "fmt"

// Precision is the unit of a body's time stamps.
type Precision uint8

// The precisions. Auto guesses the unit of each time stamp by its size, as
// InfluxDB 3 does.
const (
	Auto Precision = iota
	Nanosecond
	Microsecond
	Millisecond
	Second
	Minute
	Hour
)

var precisionNames = [...]string{"Auto", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"}

func (p Precision) String() string { return precisionNames[p] }

// unit is the length of each precision in nanoseconds.
var unit = [...]int64{0, 1, 1e3, 1e6, 1e9, 60e9, 3600e9}

// ParsePrecision understands the names that InfluxDB's APIs use.
func ParsePrecision(name string) (Precision, error) {
	switch name {
	case "auto":
		return Auto, nil
	case "ns", "n", "nanosecond", "nanoseconds":
		return Nanosecond, nil
	case "us", "u", "µ", "microsecond", "microseconds":
		return Microsecond, nil
	case "ms", "millisecond", "milliseconds":
		return Millisecond, nil
	case "s", "second", "seconds":
		return Second, nil
	case "m", "minute", "minutes":
		return Minute, nil
	case "h", "hour", "hours":
		return Hour, nil
	}
	return Auto, fmt.Errorf("unknown precision %q: use auto, ns, us, ms or s", name)
}

// The instants that can be stored: within them every consumer of the files (DuckDB's
// TIMESTAMP_NS reserves the ends of int64, InfluxDB 1 does too) shows a date.
const (
	MinTime int64 = -9223286400000000000 // 1677-09-22T00:00:00Z
	MaxTime int64 = 1<<63 - 2            // 2262-04-11T23:47:16.854775806Z
)

// Nanoseconds converts a time stamp to nanoseconds since the Unix epoch; ok is
// false when the instant cannot be stored.
func (p Precision) Nanoseconds(ts int64) (ns int64, ok bool) {
	if p == Auto {
		p = guess(ts)
	}
	u := unit[p]
	if ts > MaxTime/u || ts < MinTime/u {
		return 0, false
	}
	return ts * u, true
}

// Truncate drops what the precision cannot express: a point without a time stamp
// gets the server's clock in the request's unit.
func (p Precision) Truncate(ns int64) int64 {
	if p == Auto {
		return ns
	}
	return ns - ns%unit[p]
}

// guess takes a time stamp for seconds, milliseconds or microseconds as long as it is
// below the year 2128 in that unit.
func guess(ts int64) Precision {
	q := ts / 1e9
	if q < 0 {
		q = -q
	}
	switch {
	case q < 5:
		return Second
	case q < 5_000:
		return Millisecond
	case q < 5_000_000:
		return Microsecond
	}
	return Nanosecond
}

// OutOfRange is the error for a time stamp of the current line that Nanoseconds
// refused.
func (r *Reader) OutOfRange(ts int64, p Precision) *Error {
	e := r.fail(TimestampOutOfRange, nil, r.stamp)
	e.Value = fmt.Sprintf("%d, out of range for precision: %s", ts, p)
	return e
}
