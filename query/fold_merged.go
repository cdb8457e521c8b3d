package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// Rows that are merged here (merging.go) are folded a unit at a time. The rows that stand alone are folded
// as those of any file. Of a point that has several rows, the newest that has a value of the field is
// added to the cell of the point, so that the pieces of a unit are visited from the newest to the oldest.

// mergedFold is what one worker knows of the rows that are merged.
type mergedFold struct {
	merger   unitMerger
	sets     []int32 // by series: 1 + its set, 0 where that is not known
	segments [][]segment
	cells    []int32 // by point of the unit
	done     []bool  // by point of the unit: its value of the field at hand is found
	values   persist.Numbers
	summed   fieldSums
}

// mergedFolds keep room for the times of units from one query to the next.
var mergedFolds = sync.Pool{New: func() any { return new(mergedFold) }}

// release gives back the room.
func (d *mergedFold) release() {
	d.merger.m = nil
	mergedFolds.Put(d)
}

// openMerging opens what of a plan's rows is merged here: all files, or those alone that overlap or have rows that were
// deleted, or nil.
func (r *running) openMerging(f *fold, p *scanPlan, t *engine.TableView) (m *merging, clean []engine.FileRef, err error) {
	if len(p.clean)+len(p.screened)+len(p.dirty) > maxFooters {
		return nil, p.clean, nil
	}
	files := slices.Concat(p.screenedOutside(), p.dirty)
	open := func(files []engine.FileRef) (*merging, error) {
		return openMerging(r.ctx, t, files, p.rows.dirty, &f.where, cmp.Or(r.querier.opts.unitRows, unitRows))
	}
	m, err = open(slices.Concat(p.clean, files))
	if err != nil && len(p.clean) > 0 && (len(files) > 0 || len(p.rows.dirty) > 0) {
		clean = p.clean
		m, err = open(files)
	}
	if err != nil {
		return nil, p.clean, context.Cause(r.ctx)
	}
	return m, clean, nil
}

// unit folds a unit.
func (w *foldWorker) unit(item *foldItem) error {
	if w.merged.merger.m != item.merging {
		w.merged.merger.m, w.merged.merger.timed = item.merging, w.fold.bin != nil
		w.merged.sets = append(w.merged.sets[:0], make([]int32, len(item.merging.series))...)
	}
	if err := w.foldUnit(item); err != nil {
		return fmt.Errorf("%w: %w", errNoFold, err)
	}
	return nil
}

func (w *foldWorker) foldUnit(item *foldItem) error {
	u, err := w.merged.merger.merge(item.unit)
	if err != nil {
		return err
	}
	if err := w.divideUnit(u, item.unit.time); err != nil {
		return err
	}
	for i := range w.fold.fields {
		if err := w.foldUnitField(u, w.fold.fields[i].column.ID, &w.fields[i]); err != nil {
			return err
		}
	}
	return nil
}

// divideUnit finds the segments of each piece and the cells of the points, and counts their rows.
func (w *foldWorker) divideUnit(u *mergedUnit, within schema.TimeRange) error {
	d := w.merged
	d.segments = slices.Grow(d.segments, len(u.pieces))
	for i := range u.pieces {
		p := &u.pieces[i]
		if len(d.segments) == i {
			d.segments = append(d.segments, nil)
		}
		d.segments[i] = d.segments[i][:0]
		for _, rows := range p.alone {
			set, err := w.setOfSeries(rows.series)
			if err != nil {
				return err
			}
			d.segments[i] = w.cut(d.segments[i], set, rows, p.times)
		}
		any := d.merger.m.sources[p.source].groupTime(p.group).Intersect(within).Min // where times are nil, all are in range
		w.addRows(d.segments[i], p.times, any)
	}
	d.cells = d.cells[:0]
	for _, point := range u.points {
		set, err := w.setOfSeries(point.series)
		if err != nil {
			return err
		}
		cell := w.cell(set, point.at)
		d.cells = append(d.cells, cell)
		w.rows[cell]++
		w.time[cell] = point.at
	}
	return nil
}

// setOfSeries returns the set of a series' tags.
func (w *foldWorker) setOfSeries(series int32) (int32, error) {
	d := w.merged
	if known := d.sets[series]; known > 0 {
		return known - 1, nil
	}
	m := d.merger.m
	tags := make([]foldTag, len(w.fold.tags))
	for k, tag := range w.fold.tags {
		place := slices.IndexFunc(m.tags, func(c schema.Column) bool { return c.ID == tag.ID })
		if index := m.series[series][place]; index > 0 {
			tags[k] = foldTag{m.values[place][index-1], true}
		}
	}
	set, err := w.setOf(tags)
	d.sets[series] = set + 1
	return set, err
}

// cut adds the segments of rows of one set: one for each bin.
func (w *foldWorker) cut(segments []segment, set int32, rows aloneRows, times []int64) []segment {
	if times == nil || w.fold.bin == nil {
		return append(segments, segment{rows.begin, rows.end, set})
	}
	for begin := rows.begin; begin < rows.end; {
		at := times[begin]
		end := rows.end
		if last := saturatingAdd(w.fold.bin.begin(at), w.fold.bin.width-1); last < times[end-1] {
			end = begin + int32(gallop(times[begin:end], last+1))
		}
		segments = append(segments, segment{begin, end, w.cell(set, at)})
		begin = end
	}
	return segments
}

// foldUnitField folds one field of a unit.
func (w *foldWorker) foldUnitField(u *mergedUnit, id schema.ColumnID, field *cellField) error {
	d := w.merged
	d.done = slices.Grow(d.done[:0], len(u.points))[:len(u.points)]
	clear(d.done)
	for i := len(u.pieces) - 1; i >= 0; i-- {
		p := &u.pieces[i]
		source := d.merger.m.sources[p.source]
		if len(p.rows) == 0 || !source.has(id) {
			continue
		}
		if done, err := w.sumPiece(p, d.segments[i], id, field); done || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if err := source.readNumbers(p.group, id, p.rows, &d.values); err != nil {
			return err
		}
		if field.isFloat {
			field.addFloats(d.segments[i], d.values.Floats, d.values.Valid)
		} else if err := field.addInts(d.segments[i], d.values.Ints, d.values.Valid); err != nil {
			return err
		}
		if err := d.addPoints(field, p.twice); err != nil {
			return err
		}
	}
	return nil
}

// addPoints adds the values of points that no newer piece has.
func (d *mergedFold) addPoints(field *cellField, rows []pointRow) error {
	for i := len(rows) - 1; i >= 0; i-- {
		r := rows[i]
		if d.done[r.point] || d.values.Valid != nil && !d.values.Valid[r.row] {
			continue
		}
		d.done[r.point] = true
		if field.isFloat {
			field.addFloat(d.cells[r.point], d.values.Floats[r.row])
		} else if err := field.addInt(d.cells[r.point], d.values.Ints[r.row]); err != nil {
			return err
		}
	}
	return nil
}
