package query

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/siltstone-db/siltstone/schema"
)

func TestRangeIndexFindsWhatComparingAllFinds(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 2000 {
		var ranges []ownedRange
		for i := range rng.IntN(12) {
			from := rng.Int64N(40)
			ranges = append(ranges, ownedRange{schema.TimeRange{Min: from, Max: from + rng.Int64N(10)}, i})
		}
		given := slices.Clone(ranges)
		x := newRangeIndex(ranges)
		for _, r := range given {
			var want []schema.TimeRange
			for _, other := range given {
				if other.owner != r.owner && other.Overlaps(r.TimeRange) {
					want = append(want, other.TimeRange)
				}
			}
			got := x.others(r.TimeRange, r.owner)
			byBounds := func(a, b schema.TimeRange) int { return cmp.Or(cmp.Compare(a.Min, b.Min), cmp.Compare(a.Max, b.Max)) }
			slices.SortFunc(got, byBounds)
			slices.SortFunc(want, byBounds)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: of %v, %v overlap with %v, not %v", seed, given, want, r, got)
			}
		}
	}
}

// TestRangeIndexOfManyDays would take a hundred gigabytes of copies if each day were
// compared with all.
func TestRangeIndexOfManyDays(t *testing.T) {
	const days = 100_000
	var ranges []ownedRange
	for i := range days {
		ranges = append(ranges, ownedRange{schema.TimeRange{Min: int64(i) * 10, Max: int64(i)*10 + 9}, i})
	}
	ranges = append(ranges, ownedRange{schema.TimeRange{Min: 0, Max: days * 10}, -1})
	x := newRangeIndex(slices.Clone(ranges))
	for _, r := range ranges[:days] {
		if got := x.others(r.TimeRange, r.owner); len(got) != 1 {
			t.Fatalf("%d ranges overlap with %v, not 1", len(got), r)
		}
	}
}
