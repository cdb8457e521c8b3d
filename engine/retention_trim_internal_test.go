package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/siltstone-db/siltstone/schema"
)

// trimmed is a table of one series: the rows of its files, and of a buffer that came later.
type trimmed struct {
	files  []*schema.File // by Order
	times  map[*schema.File][]int64
	buffer []int64
}

func newTrimmed(rng *rand.Rand) *trimmed {
	m := &trimmed{times: make(map[*schema.File][]int64)}
	for i := range 2 + rng.IntN(5) {
		times := randomTimes(rng)
		f := &schema.File{ID: schema.FileID(i + 1), Order: uint64(i + 1), Time: schema.TimeRange{Min: times[0], Max: times[len(times)-1]}}
		m.files, m.times[f] = append(m.files, f), times
	}
	if rng.IntN(2) == 0 {
		m.buffer = randomTimes(rng)
	}
	return m
}

func randomTimes(rng *rand.Rand) []int64 {
	times := make([]int64, 1+rng.IntN(4))
	for i := range times {
		times[i] = rng.Int64N(20)
	}
	slices.Sort(times)
	return times
}

// values returns for each time the place of the file, or the buffer, whose value is seen if each has
// the rows that keeps allows it.
func (m *trimmed) values(keeps func(f *schema.File, at int64) bool) map[int64]int {
	seen := make(map[int64]int)
	for i, f := range m.files {
		for _, at := range m.times[f] {
			if keeps(f, at) {
				seen[at] = i
			}
		}
	}
	for _, at := range m.buffer {
		seen[at] = len(m.files)
	}
	return seen
}

// expectNothingOlder fails if a period without end would show an older value or version.
func (m *trimmed) expectNothingOlder(t *testing.T, x *expiry, keeps func(f *schema.File, at int64) bool) {
	t.Helper()
	all := m.values(func(*schema.File, int64) bool { return true })
	newest, newestLeft := int64(-1), int64(-1)
	for at := range all {
		newest = max(newest, at)
	}
	for at, from := range m.values(keeps) {
		newestLeft = max(newestLeft, at)
		if from != all[at] {
			t.Fatalf("of %d an older value is seen: %+v", at, m.times)
		}
	}
	for at := range all {
		if _, ok := m.values(keeps)[at]; !ok && at >= x.floor {
			t.Fatalf("%d is gone, which has not expired", at)
		}
	}
	if x.versions && newestLeft >= 0 && newestLeft != newest {
		t.Fatalf("the version of %d is left, written was one of %d: %+v and %v, kept from %d", newestLeft, newest, m.times, m.buffer, x.floor)
	}
}

// TestNothingOlderIsUncovered: whatever is merged, or removed, no older value and no older version is left. That
// much is left out where nothing is in the way.
func TestNothingOlderIsUncovered(t *testing.T) {
	isLeftOut := make(map[string]bool)
	for seed := range uint64(20_000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := newTrimmed(rng)
		x := &expiry{floor: rng.Int64N(20), versions: rng.IntN(2) == 0, buffered: 20}
		if x.versions {
			for _, at := range m.buffer {
				x.buffered = min(x.buffered, at)
			}
		}
		gone := x.expiredFiles(m.files)
		m.expectNothingOlder(t, x, func(f *schema.File, _ int64) bool { return !slices.Contains(gone, f) })

		var inputs []*schema.File
		for _, f := range m.files {
			if rng.IntN(2) == 0 {
				inputs = append(inputs, f)
			}
		}
		limit := x.limit(m.files, inputs)
		m.expectNothingOlder(t, x, func(f *schema.File, at int64) bool { return at >= limit || !slices.Contains(inputs, f) })
		if len(inputs) == len(m.files) && limit != min(x.floor, x.buffered) {
			t.Fatalf("a merge of all leaves out what lies before %d, not before %d", limit, x.floor)
		}
		isLeftOut[fmt.Sprint("removed ", len(gone) > 0, " of versions ", x.versions)] = true
		isLeftOut[fmt.Sprint("left out ", len(inputs) > 0 && limit > 0, " of versions ", x.versions)] = true
	}
	if len(isLeftOut) != 8 {
		t.Errorf("not all happened: %v", isLeftOut)
	}
}
