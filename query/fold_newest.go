package query

import (
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// The newest or oldest bins of a long table are most often all that ORDER BY and LIMIT leave of it. If bins come first
// in the order, their rows are all rows of the answer's range of time, so that a short range at its end is folded first, and a
// longer one only where that has too few rows.

// longerBins is how many times longer the next range is. One that was too short costs as much as to find the pages that hold it.
const longerBins = 16

// foldEnough folds the rows of a plan, at least those that have a part in the answer, and returns the cells and which
// of them are the answer's rows. The errors are those of foldAll.
func (r *running) foldEnough(f *fold, end *foldEnd, p *scanPlan, t *engine.TableView) (*foldCells, []int32, error) {
	for _, within := range end.ranges(f, p.hull()) {
		narrowed := *f
		narrowed.where.time = within
		all, err := r.foldAll(&narrowed, p, t)
		if err != nil {
			return nil, nil, err
		}
		if err := all[0].mergeAll(all[1:]); err != nil {
			return nil, nil, err
		}
		if rows := end.rows(all[0]); within == f.where.time || len(rows) == end.limit {
			return all[0], rows, nil
		}
	}
	return nil, nil, errNoFold // not reached: the last range is the whole one
}

// ranges returns the ranges of time to be folded in turn, of which the last is all that is wanted; hull is where there are rows.
func (end *foldEnd) ranges(f *fold, hull schema.TimeRange) (all []schema.TimeRange) {
	whole := f.where.time
	hull = hull.Intersect(whole)
	if f.bin == nil || end.limit <= 0 || len(end.orders) == 0 || end.orders[0].call != nil || end.orders[0].tag >= 0 || hull.IsEmpty() {
		return []schema.TimeRange{whole}
	}
	if hull.Min < minLiteral+2*f.bin.width || hull.Max > maxLiteral {
		return []schema.TimeRange{whole}
	}
	total := (f.bin.begin(hull.Max)-f.bin.begin(hull.Min))/f.bin.width + 1
	for bins := int64(end.limit) + int64(end.offset); bins <= total/4; bins *= longerBins {
		within := whole
		if end.orders[0].descending {
			within.Min = f.bin.begin(hull.Max) - (bins-1)*f.bin.width
		} else {
			within.Max = f.bin.begin(hull.Min) + bins*f.bin.width - 1
		}
		all = append(all, within)
	}
	return append(all, whole)
}

// hull is a range of time that has all rows of a plan, and may have others.
func (p *scanPlan) hull() schema.TimeRange {
	hull := schema.EmptyTimeRange
	for _, files := range [][]engine.FileRef{p.clean, p.partial, p.screened, p.dirty} {
		for _, file := range files {
			hull = hull.Union(file.File.Time)
		}
	}
	for _, rows := range [][]rowRun{p.rows.clean, p.rows.dirty} {
		for i := range rows {
			hull = hull.Union(rows[i].chunk.Range)
		}
	}
	return hull
}
