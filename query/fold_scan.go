package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// folding is the work of folding the rows of a scan that need no merging.
type folding struct {
	fold  *fold
	items []foldItem
	next  atomic.Int64

	merging *merging // nil: what overlaps is not merged here
}

// foldItem is a row group, or a run of buffered rows, or a unit of rows that are merged.
type foldItem struct {
	columns *persist.Columns
	group   int
	allowed []schema.TimeRange // in order, disjoint: the rows that are wanted
	run     *rowRun
	merging *merging
	unit    *mergeUnit
}

// foldRows folds the rows of a plan; errNoFold leaves them to DuckDB. Those that overlap may be among them.
func (r *running) foldRows(f *fold, p *scanPlan, t *engine.TableView) (runs []rowRun, withMerged bool, err error) {
	work, span, err := r.foldItems(f, p, t)
	defer work.close()
	if err != nil {
		return nil, false, err
	}
	cells, err := r.foldCells(work, span)
	for _, c := range cells {
		if s := c.snapshot(); s.Rows > 0 {
			runs = append(runs, rowRun{snapshot: s, chunk: &s.Chunks[0], count: s.Rows})
		}
	}
	return runs, work.merging != nil, err
}

// foldAll folds all rows of a plan, by as many workers as there are cells in the answer. The errors are
// errNoFold, and that of r.ctx.
func (r *running) foldAll(f *fold, p *scanPlan, t *engine.TableView) ([]*foldCells, error) {
	work, span, err := r.foldItems(f, p, t)
	defer work.close()
	if err != nil {
		return nil, err
	}
	if work.merging == nil && len(p.dirty)+len(p.rows.dirty) > 0 {
		return nil, errNoFold
	}
	return r.foldCells(work, span)
}

func (work *folding) close() {
	if work.merging != nil {
		work.merging.close()
	}
}

// foldCells does the work on several goroutines.
func (r *running) foldCells(work *folding, span schema.TimeRange) ([]*foldCells, error) {
	if told := r.querier.opts.onFold; told != nil {
		told(work)
	}
	workers := max(1, min(r.querier.opts.Threads, len(work.items)))
	cells := make([]*foldCells, workers)
	errs := make([]error, workers)
	for w := range workers {
		var err error
		if cells[w], err = newFoldCells(work.fold, span, workers); err != nil {
			return nil, err
		}
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			defer func() {
				if fault := recover(); fault != nil { // DuckDB answers as well
					errs[w] = fmt.Errorf("%w: %s", errNoFold, withStack(fault))
				}
			}()
			if errs[w] = work.run(r.ctx, cells[w]); errs[w] != nil {
				work.next.Store(int64(len(work.items)))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return cells, nil
}

// foldItems divides the work, and returns the range of time of all rows. The work is never nil.
func (r *running) foldItems(f *fold, p *scanPlan, t *engine.TableView) (work *folding, span schema.TimeRange, err error) {
	work, span = &folding{fold: f}, schema.EmptyTimeRange
	if len(p.clean)+len(p.partial) > maxFooters || p.computed != nil {
		return work, span, errNoFold
	}
	m, clean, err := r.openMerging(f, p, t)
	if err != nil {
		return work, span, err
	}
	if work.merging = m; m == nil && len(p.screened) > 0 {
		return work, span, errNoFold
	}
	if m != nil {
		span = m.span(f.where.time)
		for i := range m.units {
			work.items = append(work.items, foldItem{merging: m, unit: &m.units[i]})
		}
	}
	all := []schema.TimeRange{f.where.time}
	in, err := r.foldGroups(work, clean, all, t)
	if err != nil {
		return work, span, err
	}
	span = span.Union(in)
	if m == nil {
		var outside []schema.TimeRange
		for _, r := range complement(p.windows) {
			if r = r.Intersect(f.where.time); !r.IsEmpty() {
				outside = append(outside, r)
			}
		}
		if in, err = r.foldGroups(work, p.partial, outside, t); err != nil {
			return work, span, err
		}
		span = span.Union(in)
	}
	for i := range p.rows.clean {
		run := &p.rows.clean[i]
		if in := run.chunk.Range.Intersect(f.where.time); !in.IsEmpty() {
			span = span.Union(in)
			work.items = append(work.items, foldItem{run: run, allowed: all})
		}
	}
	if span.IsEmpty() {
		span = schema.TimeRange{}
	}
	return work, span, nil
}

// foldGroups adds the row groups of files, of all series, and returns the range of time of their rows.
func (r *running) foldGroups(work *folding, files []engine.FileRef, allowed []schema.TimeRange, t *engine.TableView) (span schema.TimeRange, err error) {
	span = schema.EmptyTimeRange
	if len(files) > 0 && len(work.fold.where.tags) > 0 {
		return span, errNoFold
	}
	for _, file := range files {
		columns, err := r.querier.columnsOf(t, file)
		if err != nil {
			return span, fmt.Errorf("%w: %w", errNoFold, err)
		}
		for g := range columns.Groups() {
			if in := columns.GroupTime(g).Intersect(work.fold.where.time); !in.IsEmpty() {
				span = span.Union(in)
				work.items = append(work.items, foldItem{columns: columns, group: g, allowed: allowed})
			}
		}
	}
	return span, nil
}

// run takes items until there are none.
func (work *folding) run(ctx context.Context, cells *foldCells) error {
	w := foldWorker{foldCells: cells, merged: mergedFolds.Get().(*mergedFold)}
	defer w.close()
	for {
		i := int(work.next.Add(1)) - 1
		if i >= len(work.items) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		item := &work.items[i]
		var err error
		switch {
		case item.run != nil:
			err = w.buffered(item.run, item.allowed)
		case item.unit != nil:
			err = w.unit(item)
		default:
			err = w.group(item)
		}
		if err != nil {
			return err
		}
	}
}

// foldWorker folds one item after the other.
type foldWorker struct {
	*foldCells

	columns  *persist.Columns // of the reader
	reader   *persist.ColumnReader
	tags     []persist.Runs
	times    persist.Numbers
	values   persist.Numbers
	segments []segment
	seriesOf *partition.Snapshot // whose series have these sets
	series   []int32
	merged   *mergedFold
}

func (w *foldWorker) close() {
	w.closeReader()
	w.merged.release()
}

func (w *foldWorker) closeReader() {
	if w.reader != nil {
		_ = w.reader.Close() // it was only read
		w.reader = nil
	}
}

// group folds a row group. What cannot be read is DuckDB's to say.
func (w *foldWorker) group(item *foldItem) error {
	if w.columns != item.columns {
		w.closeReader()
		reader, err := item.columns.NewReader()
		if err != nil {
			return fmt.Errorf("%w: %w", errNoFold, err)
		}
		w.columns, w.reader = item.columns, reader
	}
	if err := w.foldGroup(item); err != nil {
		return fmt.Errorf("%w: %w", errNoFold, err)
	}
	return nil
}

func (w *foldWorker) foldGroup(item *foldItem) error {
	span := item.columns.GroupTime(item.group)
	var times []int64
	if w.fold.bin != nil || !slices.ContainsFunc(item.allowed, func(r schema.TimeRange) bool { return r.Intersect(span) == span }) {
		if err := w.reader.ReadNumbers(item.group, 0, &w.times); err != nil {
			return err
		}
		times = w.times.Ints
	}
	if err := w.divide(item, times); err != nil || len(w.segments) == 0 {
		return err
	}
	w.addRows(w.segments, times, span.Min)
	for i := range w.fold.fields {
		column, field := w.fold.fields[i].column, &w.fields[i]
		if !item.columns.Has(column.ID) {
			continue
		}
		if err := w.reader.ReadNumbers(item.group, column.ID, &w.values); err != nil {
			return err
		}
		if field.isFloat {
			field.addFloats(w.segments, w.values.Floats, w.values.Valid)
		} else if err := field.addInts(w.segments, w.values.Ints, w.values.Valid); err != nil {
			return err
		}
	}
	return nil
}

// divide finds the segments of a row group.
func (w *foldWorker) divide(item *foldItem, times []int64) error {
	w.segments = w.segments[:0]
	rows := int32(item.columns.GroupRows(item.group))
	w.tags = slices.Grow(w.tags[:0], len(w.fold.tags))[:len(w.fold.tags)]
	for k, tag := range w.fold.tags {
		if !item.columns.Has(tag.ID) {
			w.tags[k] = persist.Runs{Index: []int32{-1}, Lengths: []int32{rows}}
			continue
		}
		if err := w.reader.ReadRuns(item.group, tag.ID, &w.tags[k]); err != nil {
			return err
		}
	}
	at := make([]int, len(w.tags))     // by tag: its current run
	left := make([]int32, len(w.tags)) // and what is left of it
	for k := range w.tags {
		left[k] = w.tags[k].Lengths[0]
	}
	tags := make([]foldTag, len(w.tags))
	for begin := int32(0); begin < rows; {
		length := rows - begin
		for k := range w.tags {
			length = min(length, left[k])
			tags[k] = foldTag{}
			if index := w.tags[k].Index[at[k]]; index >= 0 {
				tags[k] = foldTag{w.tags[k].Values[index], true}
			}
		}
		set, err := w.setOf(tags)
		if err != nil {
			return err
		}
		w.divideSet(set, begin, begin+length, times, item.allowed)
		begin += length
		for k := range w.tags {
			if left[k] -= length; left[k] == 0 && begin < rows {
				at[k]++
				left[k] = w.tags[k].Lengths[at[k]]
			}
		}
	}
	return nil
}

// divideSet cuts rows of one set where their bin changes or they are not wanted.
func (w *foldWorker) divideSet(set, begin, end int32, times []int64, allowed []schema.TimeRange) {
	if times == nil {
		w.segments = append(w.segments, segment{begin, end, set})
		return
	}
	for begin < end {
		span, wanted := w.around(times[begin], allowed)
		next := begin + 1
		for next < end && times[next] >= span.Min && times[next] <= span.Max {
			next++
		}
		if wanted {
			w.segments = append(w.segments, segment{begin, next, w.cell(set, times[begin])})
		}
		begin = next
	}
}

// around returns times around one that have the same cell, or that are not wanted either.
func (w *foldWorker) around(at int64, allowed []schema.TimeRange) (span schema.TimeRange, wanted bool) {
	span = schema.MaxTimeRange
	for _, r := range allowed {
		switch {
		case r.Max < at:
			span.Min = r.Max + 1
		case r.Min > at:
			span.Max = min(span.Max, r.Min-1)
		default:
			wanted = true
			span = r
		}
		if wanted {
			break
		}
	}
	if wanted && w.fold.bin != nil {
		begin := w.fold.bin.begin(at)
		span = span.Intersect(schema.TimeRange{Min: begin, Max: saturatingAdd(begin, w.fold.bin.width-1)})
	}
	return span, wanted
}

// columnsOf returns what is known of a file, and remembers it.
func (q *Querier) columnsOf(t *engine.TableView, f engine.FileRef) (*persist.Columns, error) {
	if len(f.Hidden) > 0 {
		return nil, engine.ErrHidden
	}
	q.footers.Lock()
	known, ok := q.footers.files[f.Path]
	q.footers.Unlock()
	if ok {
		return known, nil
	}
	columns, err := t.Columns(f)
	if err != nil {
		return nil, err
	}
	q.footers.Lock()
	defer q.footers.Unlock()
	if q.footers.files == nil {
		q.footers.files = make(map[string]*persist.Columns)
	}
	for path := range q.footers.files {
		if len(q.footers.files) < maxFooters {
			break
		}
		delete(q.footers.files, path) // any one
	}
	q.footers.files[f.Path] = columns
	return columns, nil
}

// maxFooters bounds the footers that are remembered, and so the files of a query that are
// folded: to read the footer costs more than DuckDB takes for a small file. One of 30 row groups
// and 20 columns takes some 300 KiB.
const maxFooters = 64

// footers are those of files that were folded before, by path. A file is never changed.
type footers struct {
	sync.Mutex
	files map[string]*persist.Columns
}
