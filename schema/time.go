package schema

import (
	"cmp"
	"slices"
	"time"
)

// NanosPerDay is the length of a UTC day in nanoseconds; Unix time has no leap seconds.
const NanosPerDay = int64(24 * time.Hour)

// Day counts UTC days since 1970-01-01; days before it are negative.
type Day int32

// DayOf returns the day that holds the instant ns (nanoseconds since the Unix epoch).
func DayOf(ns int64) Day {
	d := ns / NanosPerDay
	if ns%NanosPerDay < 0 {
		d--
	}
	return Day(d)
}

func (d Day) String() string {
	return time.Unix(int64(d)*int64(NanosPerDay/int64(time.Second)), 0).UTC().Format(time.DateOnly)
}

// TimeRange is an inclusive range of instants in nanoseconds since the Unix epoch.
// A range with Min > Max is empty; EmptyTimeRange is the canonical one.
type TimeRange struct{ Min, Max int64 }

// MaxTimeRange holds every instant; EmptyTimeRange holds none.
var (
	MaxTimeRange   = TimeRange{-1 << 63, 1<<63 - 1}
	EmptyTimeRange = TimeRange{1<<63 - 1, -1 << 63}
)

// IsEmpty reports whether r holds no instant.
func (r TimeRange) IsEmpty() bool { return r.Min > r.Max }

// Overlaps reports whether some instant lies in both ranges.
func (r TimeRange) Overlaps(o TimeRange) bool { return r.Min <= o.Max && o.Min <= r.Max }

// Contains reports whether the instant ns lies in r.
func (r TimeRange) Contains(ns int64) bool { return r.Min <= ns && ns <= r.Max }

// Union returns the smallest range that holds both.
func (r TimeRange) Union(o TimeRange) TimeRange {
	return TimeRange{min(r.Min, o.Min), max(r.Max, o.Max)}
}

// Intersect returns the instants that lie in both ranges.
func (r TimeRange) Intersect(o TimeRange) TimeRange {
	return TimeRange{max(r.Min, o.Min), min(r.Max, o.Max)}
}

// Include widens r so that it holds ns.
func (r TimeRange) Include(ns int64) TimeRange {
	return TimeRange{min(r.Min, ns), max(r.Max, ns)}
}

// Nanoseconds returns an instant in nanoseconds since the Unix epoch, and for one that 64
// bits cannot express the nearest that they can: a clock may say anything.
func Nanoseconds(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, MaxTimeRange.Min)):
		return MaxTimeRange.Min
	case t.After(time.Unix(0, MaxTimeRange.Max)):
		return MaxTimeRange.Max
	}
	return t.UnixNano()
}

// compareRanges orders ranges by their first instant.
func compareRanges(a, b TimeRange) int {
	return cmp.Or(cmp.Compare(a.Min, b.Min), cmp.Compare(a.Max, b.Max))
}

// JoinRanges sorts ranges and joins those that touch.
func JoinRanges(all []TimeRange) []TimeRange {
	slices.SortFunc(all, compareRanges)
	var joined []TimeRange
	for _, r := range all {
		last := len(joined) - 1
		if last < 0 || joined[last].Max < r.Min && joined[last].Max+1 < r.Min {
			joined = append(joined, r)
		} else {
			joined[last] = joined[last].Union(r)
		}
	}
	return joined
}
