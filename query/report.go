package query

import (
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
}

// prunedFile is a file that is left out.
type prunedFile struct {
	engine.FileRef
	byTime bool // its range of time excludes it; else its tags do
}

// report describes the plan of a scan.
func (p *scanPlan) report(t *engine.TableView, c *constraint) *scanReport {
	r := &scanReport{
		table: t.Table, time: c.time, clean: p.clean, merged: p.dirty, windows: p.windows,
		cleanRows: countRows(p.rows.clean), mergedRows: countRows(p.rows.dirty),
	}
	if p.latest != nil {
		c = p.latest.narrow(c)
	}
	for _, f := range t.Files {
		switch {
		case c.allowsFile(f.File):
		case c.time.IsEmpty() || !f.Time.Overlaps(c.time):
			r.pruned = append(r.pruned, prunedFile{f, true})
			r.prunedByTime++
		default:
			r.pruned = append(r.pruned, prunedFile{f, false})
			r.prunedByTags++
		}
	}
	return r
}

func countRows(runs []rowRun) int {
	n := 0
	for i := range runs {
		n += runs[i].count
	}
	return n
}

// files are those that are read.
func (r *scanReport) files() []engine.FileRef {
	return append(r.clean[:len(r.clean):len(r.clean)], r.merged...)
}

func (r *scanReport) bufferedRows() int { return r.cleanRows + r.mergedRows }
