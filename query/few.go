package query

import (
	"context"
	"errors"
	"slices"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// A query for a few series wants a few rows of a file that is sorted by series. DuckDB leaves out
// row groups by their statistics and decodes those that are left from end to end, in two threads
// that are started for it: for one hour of one host of 400, a thousandth of
// a row group, 5 ms, and for eight hosts in eight row groups 30 ms. So where the WHERE clause names
// tag values and the rows are few, they are read here (engine.TableView.Find), and take the way of
// buffered rows from there on: the same merging, the same table function, the same WHERE
// clause in DuckDB.
//
// It is all files of a scan or none, so that the order of files and buffers, which decides
// between rows of one point, is that of the list of sources.

const (
	// maxFewBytes bounds the values that are read so for one scan: they are in our memory, not
	// in DuckDB's, and a scan of more gains little.
	maxFewBytes = 4 << 20
	// maxFewSeriesRows bounds the rows of the wanted series at all times, for which the times
	// must be read.
	maxFewSeriesRows = 256 << 10
	// maxFewFiles bounds the files, each of which costs some 50 µs.
	maxFewFiles = 64
)

// foundRows are rows of files that were read here.
type foundRows struct {
	files []engine.FileRef // nil: DuckDB reads the files
	rows  []*partition.Snapshot
}

// findFew reads the wanted rows of all files, if they are few. The errors are a *engine.FileError
// and that of ctx.
func (p *scanPlan) findFew(ctx context.Context, t *engine.TableView, c *constraint, files []engine.FileRef) error {
	if len(c.tags) == 0 || len(files) == 0 || len(files) > maxFewFiles || p.latest != nil {
		return nil
	}
	w := &engine.Wanted{Time: c.time, Tags: c.tags, MaxSeriesRows: maxFewSeriesRows}
	for _, column := range p.grouped() {
		if column.ID != 0 && column.Type != schema.Tag {
			w.Columns = append(w.Columns, column.ID)
		}
	}
	w.MaxRows = maxFewBytes / (8 * (len(w.Columns) + 2))
	var found []*partition.Snapshot
	for _, f := range files {
		rows, err := t.Find(ctx, f, w)
		if err != nil {
			var damaged *engine.FileError
			if errors.As(err, &damaged) || ctx.Err() != nil {
				return err
			}
			return nil // DuckDB reads what cannot be read here
		}
		w.MaxRows -= rows.Rows
		found = append(found, rows)
	}
	p.found = foundRows{files: files, rows: found}
	return nil
}

// count counts rows of files and of buffers.
func (f *foundRows) count(runs []rowRun) (found, buffered int) {
	for i := range runs {
		if slices.Contains(f.rows, runs[i].snapshot) {
			found += runs[i].count
		} else {
			buffered += runs[i].count
		}
	}
	return found, buffered
}
