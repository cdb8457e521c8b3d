package engine

import (
	"errors"
	"testing"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// TestTagSetsEndWithTheirMemory: sets that take more than is left are for a scan; what is left comes back but for what stays.
func TestTagSetsEndWithTheirMemory(t *testing.T) {
	const series = 100
	b := &partition.Snapshot{SeriesCount: series, Tags: []partition.TagColumn{{ID: 1, Values: make([]string, series)}}}
	for range 2 { // the second chunk is too much
		c := partition.Chunk{Rows: series, Range: schema.TimeRange{Min: 0, Max: 0}, Time: make([]int64, series)}
		for n := range uint32(series) {
			c.Series = append(c.Series, n)
		}
		b.Chunks = append(b.Chunks, c)
	}
	for n := range uint32(series) {
		b.Tags[0].Index = append(b.Tags[0].Index, n+1)
	}
	q := &TagSetQuery{Tags: []schema.ColumnID{1}, Wanted: schema.MaxTimeRange, Sure: schema.MaxTimeRange}
	const needed = series * (tagSetMapBytes + 4 + tagSetRowBytes)
	if err := newTagSets(q, needed-1).addBuffer(b); !errors.Is(err, ErrNoTagSets) {
		t.Errorf("with too little memory: %v", err)
	}
	s := newTagSets(q, needed)
	if err := s.addBuffer(b); err != nil || s.snapshot(1).Rows != series {
		t.Errorf("%d rows, %v", s.snapshot(1).Rows, err)
	}
	if got, want := s.rest(), int64(series*tagSetMapBytes); got != want {
		t.Errorf("%d bytes are left, not %d", got, want)
	}
}
