package query

import (
	"cmp"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// maxWindows bounds the windows of a scan, because each row of a file that is partly
// inside is compared with all of them. The windows with the smallest gaps between them
// are joined, which costs merging rows that need none, and never an answer.
const maxWindows = 16

// overlapWindows returns the disjoint windows of time, in order, that at least two sources
// cover. Each source is given by the disjoint ranges in which it has rows.
func overlapWindows(sources [][]schema.TimeRange) []schema.TimeRange {
	type event struct {
		at    int64
		delta int
	}
	var events []event
	for _, ranges := range sources {
		for _, r := range ranges {
			events = append(events, event{r.Min, 1}, event{r.Max, -1})
		}
	}
	// Ranges are closed: of two that share one instant, the second begins before the first ends.
	slices.SortFunc(events, func(a, b event) int { return cmp.Or(cmp.Compare(a.at, b.at), b.delta-a.delta) })
	var windows []schema.TimeRange
	depth, begin := 0, int64(0)
	for _, e := range events {
		depth += e.delta
		if depth == 2 && e.delta > 0 {
			begin = e.at
		}
		if depth == 1 && e.delta < 0 {
			windows = append(windows, schema.TimeRange{Min: begin, Max: e.at})
		}
	}
	return joinNearest(mergeRanges(windows), maxWindows)
}

// mergeRanges sorts ranges and joins those that overlap or touch.
func mergeRanges(ranges []schema.TimeRange) []schema.TimeRange {
	slices.SortFunc(ranges, func(a, b schema.TimeRange) int { return cmp.Compare(a.Min, b.Min) })
	merged := ranges[:0]
	for _, r := range ranges {
		if n := len(merged); n > 0 && r.Min <= saturatingAdd(merged[n-1].Max, 1) {
			merged[n-1].Max = max(merged[n-1].Max, r.Max)
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}

// joinNearest joins neighbours until at most limit ranges are left.
func joinNearest(ranges []schema.TimeRange, limit int) []schema.TimeRange {
	if len(ranges) <= limit {
		return ranges
	}
	gaps := make([]uint64, 0, len(ranges)-1)
	for i := 1; i < len(ranges); i++ {
		gaps = append(gaps, gapBefore(ranges, i))
	}
	slices.Sort(gaps)
	widest := gaps[len(gaps)-limit] // gaps up to this one are closed
	joined := ranges[:1]
	for i := 1; i < len(ranges); i++ {
		if r := ranges[i]; gapBefore(ranges, i) > widest {
			joined = append(joined, r)
		} else {
			joined[len(joined)-1].Max = r.Max
		}
	}
	return joined
}

// gapBefore is the distance between range i and the one before it.
func gapBefore(ranges []schema.TimeRange, i int) uint64 {
	return uint64(ranges[i].Min) - uint64(ranges[i-1].Max)
}

// complement returns the ranges outside disjoint windows in order.
func complement(windows []schema.TimeRange) []schema.TimeRange {
	var gaps []schema.TimeRange
	next := schema.MaxTimeRange.Min
	for _, w := range windows {
		if w.Min > next {
			gaps = append(gaps, schema.TimeRange{Min: next, Max: w.Min - 1})
		}
		if w.Max == schema.MaxTimeRange.Max {
			return gaps
		}
		next = w.Max + 1
	}
	return append(gaps, schema.TimeRange{Min: next, Max: schema.MaxTimeRange.Max})
}

// coverage says how a range lies to the windows.
type coverage uint8

const (
	outside coverage = iota
	partly
	inside
)

// cover compares a range with disjoint windows in order.
func cover(windows []schema.TimeRange, r schema.TimeRange) coverage {
	for _, w := range windows {
		if w.Min <= r.Min && r.Max <= w.Max {
			return inside
		}
		if w.Overlaps(r) {
			return partly
		}
	}
	return outside
}

// inWindow reports whether an instant lies in one of the windows.
func inWindow(windows []schema.TimeRange, at int64) bool {
	for _, w := range windows {
		if w.Contains(at) {
			return true
		}
	}
	return false
}
