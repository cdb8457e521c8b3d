package query

import (
	"slices"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// scanReport says what a scan of a table reads, for the log and for EXPLAIN.
type scanReport struct {
	table *schema.Table
	time  schema.TimeRange // the bounds that the WHERE clauses set

	clean  []engine.FileRef // read as they are
	merged []engine.FileRef // rows of which meet rows of other sources
	pruned []prunedFile

	prunedByTime, prunedByTags int
	windows                    []schema.TimeRange // where rows are merged
	cleanRows, mergedRows      int                // from buffers
	newest                     bool               // the newest row of each series was enough: the engine keeps it
	tagSets                    bool               // no row was read: tagsets.go
	foundRows                  int                // of files, if they were read here (few.go)
}

// prunedFile is a file that is left out.
type prunedFile struct {
	engine.FileRef
	byTime bool // its range of time excludes it; else its tags do
}

// report describes the plan of a scan of a table between bounds on time.
func (p *scanPlan) report(t *schema.Table, bounds schema.TimeRange) *scanReport {
	r := &scanReport{
		table: t, time: bounds, clean: slices.Clip(p.clean), merged: p.dirty, pruned: p.pruned, windows: p.windows,
	}
	r.clean = append(r.clean, p.screenedOutside()...)
	for _, f := range p.found.files {
		if cover(p.windows, f.Time) == outside {
			r.clean = append(r.clean, f)
		} else {
			r.merged = append(r.merged, f)
		}
	}
	r.foundRows, r.cleanRows = p.found.count(p.rows.clean)
	found, merged := p.found.count(p.rows.dirty)
	r.foundRows, r.mergedRows = r.foundRows+found, merged
	for _, f := range p.pruned {
		if f.byTime {
			r.prunedByTime++
		} else {
			r.prunedByTags++
		}
	}
	return r
}

// files are those that are read.
func (r *scanReport) files() []engine.FileRef {
	return append(r.clean[:len(r.clean):len(r.clean)], r.merged...)
}

func (r *scanReport) bufferedRows() int { return r.cleanRows + r.mergedRows }
