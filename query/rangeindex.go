package query

import (
	"cmp"
	"slices"
	"sort"

	"github.com/siltstone-db/siltstone/schema"
)

// rangeIndex finds the ranges that overlap with one of them. A table of sparse days may
// have a buffer for each of 100,000 days, so that comparing all with all would take
// minutes, and their copies gigabytes.
type rangeIndex struct {
	ranges []ownedRange // by Min
	ends   []int64      // the greatest Max up to there
}

// ownedRange is the range of a source with the source's number.
type ownedRange struct {
	schema.TimeRange
	owner int
}

func newRangeIndex(ranges []ownedRange) *rangeIndex {
	slices.SortFunc(ranges, func(a, b ownedRange) int { return cmp.Compare(a.Min, b.Min) })
	x := &rangeIndex{ranges: ranges}
	for i, r := range ranges {
		if i > 0 {
			r.Max = max(r.Max, x.ends[i-1])
		}
		x.ends = append(x.ends, r.Max)
	}
	return x
}

// others returns the ranges of other owners that overlap with r.
func (x *rangeIndex) others(r schema.TimeRange, owner int) []schema.TimeRange {
	var found []schema.TimeRange
	end := sort.Search(len(x.ranges), func(i int) bool { return x.ranges[i].Min > r.Max })
	for i := end - 1; i >= 0 && x.ends[i] >= r.Min; i-- {
		if other := x.ranges[i]; other.owner != owner && other.Overlaps(r) {
			found = append(found, other.TimeRange)
		}
	}
	return found
}
