package lineprotocol

import (
	"fmt"
	"slices"
	"strings"
)

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

// PrecisionSet is the set of precisions that one of InfluxDB's write APIs knows.
type PrecisionSet uint8

// The sets: /write, /api/v2/write and /api/v3/write_lp.
const (
	V1Precisions PrecisionSet = 1 << iota
	V2Precisions
	V3Precisions
)

// spellings are the names of each precision, the one for messages first, in
// InfluxDB 3's order. The micro sign and the Greek letter look the same; InfluxDB 1 takes
// the former, and the Go client for InfluxDB 3 sends µs.
var spellings = [...]struct {
	precision Precision
	sets      PrecisionSet
	names     []string
}{
	{Auto, V3Precisions, []string{"auto"}},
	{Second, V1Precisions | V2Precisions | V3Precisions, []string{"second", "s"}},
	{Millisecond, V1Precisions | V2Precisions | V3Precisions, []string{"millisecond", "ms"}},
	{Microsecond, V1Precisions | V2Precisions | V3Precisions, []string{"microsecond", "us", "u", "µs", "μs", "µ", "μ"}},
	{Nanosecond, V1Precisions | V2Precisions | V3Precisions, []string{"nanosecond", "ns", "n"}},
	{Minute, V1Precisions, []string{"minute", "m"}},
	{Hour, V1Precisions, []string{"hour", "h"}},
}

// Default is the precision of a request that names none.
func (s PrecisionSet) Default() Precision {
	if s&V3Precisions != 0 {
		return Auto
	}
	return Nanosecond
}

// ParsePrecision understands the names of a set; an empty name is as good as none. The
// error lists the set in InfluxDB 3's wording.
func ParsePrecision(name string, set PrecisionSet) (Precision, error) {
	if name == "" {
		return set.Default(), nil
	}
	for _, s := range spellings {
		if s.sets&set != 0 && slices.Contains(s.names, name) {
			return s.precision, nil
		}
	}
	return Auto, fmt.Errorf("unknown variant `%s`, expected one of %s", name, set.list())
}

func (s PrecisionSet) list() string {
	var names []string
	for _, known := range spellings {
		if known.sets&s != 0 {
			names = append(names, "`"+known.names[0]+"`")
		}
	}
	return strings.Join(names, ", ")
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
