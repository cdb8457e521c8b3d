package query

import (
	"slices"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// buffered folds buffered rows, which are in order of arrival, or found ones, in order of series and time.
func (w *foldWorker) buffered(run *rowRun, allowed []schema.TimeRange) error {
	sets, err := w.seriesSets(run.snapshot)
	if err != nil {
		return err
	}
	w.segments = w.segments[:0]
	var span schema.TimeRange
	wanted, bin := false, int32(0)
	for i := range run.count {
		k := run.start + i
		if run.rows != nil {
			k = int(run.rows[i])
		}
		at := run.chunk.Time[k]
		if i == 0 || at < span.Min || at > span.Max {
			if span, wanted = w.around(at, allowed); wanted {
				bin = w.cell(0, at)
			}
		}
		if wanted {
			w.addRow(int32(k), sets[run.chunk.Series[k]]*int32(w.bins)+bin)
		}
	}
	w.addRows(w.segments, run.chunk.Time, 0)
	for i := range w.fold.fields {
		id := w.fold.fields[i].column.ID
		k := slices.IndexFunc(run.chunk.Fields, func(f partition.Field) bool { return f.ID == id })
		if k < 0 {
			continue
		}
		if err := w.fields[i].addField(w.segments, &run.chunk.Fields[k]); err != nil {
			return err
		}
	}
	return nil
}

// addRow adds a row to the last segment, if it is the next one of its cell, or begins another.
func (w *foldWorker) addRow(row, cell int32) {
	if n := len(w.segments); n > 0 && w.segments[n-1].end == row && w.segments[n-1].cell == cell {
		w.segments[n-1].end++
		return
	}
	w.segments = append(w.segments, segment{row, row + 1, cell})
}

// addField adds the rows of segments.
func (f *cellField) addField(segments []segment, values *partition.Field) error {
	if len(segments) == 0 {
		return nil
	}
	const long = 4 // rows of a segment that make up for what it costs
	isLong := int(segments[len(segments)-1].end-segments[0].begin) >= long*len(segments)
	switch {
	case values.Valid == nil && isLong && f.isFloat:
		f.addFloats(segments, values.Float64, nil)
		return nil
	case values.Valid == nil && isLong:
		return f.addInts(segments, values.Int64, nil)
	}
	for _, s := range segments {
		for row := s.begin; row < s.end; row++ {
			if !values.IsValid(int(row)) {
				continue
			}
			if f.isFloat {
				f.addFloat(s.cell, values.Float64[row])
			} else if err := f.addInt(s.cell, values.Int64[row]); err != nil {
				return err
			}
		}
	}
	return nil
}

// seriesSets returns the set of each series of a snapshot.
func (w *foldWorker) seriesSets(s *partition.Snapshot) ([]int32, error) {
	if w.seriesOf == s {
		return w.series, nil
	}
	w.seriesOf = nil
	w.series = slices.Grow(w.series[:0], s.SeriesCount)[:s.SeriesCount]
	tags := make([]foldTag, len(w.fold.tags))
	columns := make([]*partition.TagColumn, len(tags))
	for k, tag := range w.fold.tags {
		if i := slices.IndexFunc(s.Tags, func(t partition.TagColumn) bool { return t.ID == tag.ID }); i >= 0 {
			columns[k] = &s.Tags[i]
		}
	}
	for series := range s.SeriesCount {
		for k, column := range columns {
			tags[k] = foldTag{}
			if column != nil {
				tags[k].value, tags[k].valid = column.Value(uint32(series))
			}
		}
		set, err := w.setOf(tags)
		if err != nil {
			return nil, err
		}
		w.series[series] = set
	}
	w.seriesOf = s
	return w.series, nil
}
