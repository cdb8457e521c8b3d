package persist

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/metadata"

	"github.com/siltstone-db/siltstone/schema"
)

// groupStats are the statistics of one row group, from its values. The time column has
// been compared as a whole: the range of the file is the union of those of its row groups.
type groupStats struct {
	columns []schema.Column // tags, then fields
	tags    []*stringStats
	fields  []fieldStats
}

func newGroupStats(w *writer) *groupStats {
	g := new(groupStats)
	tags, fields := split(w.spec.Columns)
	g.columns = append(tags, fields...)
	for _, c := range tags {
		g.tags = append(g.tags, &stringStats{id: c.ID})
	}
	for _, c := range fields {
		g.fields = append(g.fields, newFieldStats(c))
	}
	return g
}

func (g *groupStats) of(i int) schema.ColumnStats {
	if i < len(g.tags) {
		return g.tags[i].result()
	}
	return g.fields[i-len(g.tags)].result()
}

// compareGroup compares the values of a row group with its statistics in the footer, by
// which readers leave out row groups.
func (r *Reader) compareGroup(group int, g *groupStats) (err error) {
	defer recoverTo(&err, r.path)
	meta := r.arrow.ParquetReader().MetaData().RowGroup(group)
	for i, c := range g.columns {
		at := i
		if i >= len(g.tags) {
			at++ // behind the time
		}
		chunk, err := meta.ColumnChunk(at)
		if err != nil {
			return &CorruptError{Path: r.path, Err: err}
		}
		stats, err := chunk.Statistics()
		if err != nil {
			return &CorruptError{Path: r.path, Err: err}
		}
		if stats == nil {
			continue
		}
		want := g.of(i)
		what := fmt.Sprintf("of column %q in row group %d", c.Name, group)
		if stats.HasNullCount() && uint64(stats.NullCount()) != want.Nulls {
			return mismatch(r.path, "number of nulls "+what, want.Nulls, uint64(stats.NullCount()))
		}
		if lo, hi := sortableBounds(c, stats); lo != nil && want.Min != nil && bytes.Compare(lo, want.Min) > 0 {
			return mismatch(r.path, "lower bound "+what, fmt.Sprintf("%x", want.Min), fmt.Sprintf("%x", lo))
		} else if hi != nil && want.Max != nil && bytes.Compare(hi, want.Max) < 0 {
			return mismatch(r.path, "upper bound "+what, fmt.Sprintf("%x", want.Max), fmt.Sprintf("%x", hi))
		}
	}
	return nil
}

// sortableBounds returns Parquet's bounds in the encoding of ours, nil where there are none.
func sortableBounds(c schema.Column, stats metadata.TypedStatistics) (lo, hi []byte) {
	if !stats.HasMinMax() {
		return nil, nil
	}
	switch s := stats.(type) {
	case *metadata.Int64Statistics:
		if c.Type == schema.Uint64 {
			return schema.SortableUint64(uint64(s.Min())), schema.SortableUint64(uint64(s.Max()))
		}
		return schema.SortableInt64(s.Min()), schema.SortableInt64(s.Max())
	case *metadata.Float64Statistics:
		lo, hi = schema.SortableFloat64(s.Min()), schema.SortableFloat64(s.Max())
		if s.Min() == 0 { // zeros compare equal whatever their sign
			lo = schema.SortableFloat64(negativeZero)
		}
		if s.Max() == 0 {
			hi = schema.SortableFloat64(0)
		}
		return lo, hi
	case *metadata.BooleanStatistics:
		return schema.SortableBool(s.Min()), schema.SortableBool(s.Max())
	case *metadata.ByteArrayStatistics:
		return schema.SortableStringMin(string(s.Min())), schema.SortableStringMax(string(s.Max()))
	}
	return nil, nil
}
