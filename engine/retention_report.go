package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// ExpiredOptions choose what Engine.Expired tells of.
type ExpiredOptions struct {
	// Database and Table are the only ones; empty is all.
	Database, Table string
	// Period is taken for that of the table, or of databases if no table is given, to see what
	// it would do; 0 is what each has.
	Period time.Duration
}

// ExpiredTable says what the retention period of a table removes, and when.
type ExpiredTable struct {
	Database, Table string
	Period          time.Duration
	// Before is the instant before which no query sees rows.
	Before time.Time
	// Files, with their rows and bytes, are removed within a minute. Oldest is their first time.
	Files       int
	Rows, Bytes uint64
	Oldest      time.Time
	// Partly are files of which some rows have expired, or all, but that hide older values of others.
	// Their rows go with a merge or with the file.
	Partly int
	// Trimmed are those of Partly that the next compactions write again without the rows that have expired.
	Trimmed int
	// Next is when all rows of a further file will have expired; zero without such a file.
	Next time.Time
}

// PeriodWords writes the period as one sets it.
func (x *ExpiredTable) PeriodWords() string { return formatRetention(x.Period) }

// Expired returns, for each table with a retention period and files, what goes because of it. It
// goes by the clock as far as that is believed. The errors are ErrDatabaseNotFound and *TableNotFoundError.
func (e *Engine) Expired(opts ExpiredOptions) ([]ExpiredTable, error) {
	if err := e.mustHave(opts.Database, opts.Table); err != nil {
		return nil, err
	}
	now := e.clock.look()
	var all []ExpiredTable
	for _, r := range e.retainedTables(opts.periodOf) {
		files := r.table.allFiles()
		isOther := opts.Database != "" && opts.Database != r.database.Name || opts.Table != "" && opts.Table != r.def.Name
		if len(files) > 0 && !isOther {
			x := r.describe(files, now)
			x.Trimmed = e.countTrimmed(&r, files, now)
			all = append(all, x)
		}
	}
	return all, nil
}

// periodOf is the retention period of a table, with that of the options in its place.
func (opts *ExpiredOptions) periodOf(d *schema.Database, t *schema.Table) time.Duration {
	if opts.Period > 0 && (opts.Table != "" || t.Retention == 0) {
		return opts.Period
	}
	return d.RetentionOf(t)
}

// mustHave makes sure of a database and a table of it; an empty name is none.
func (e *Engine) mustHave(database, table string) error {
	db, ok := e.catalog.Schema().Database(database)
	if database != "" && !ok {
		return fmt.Errorf("%w: %s", ErrDatabaseNotFound, database)
	}
	if table == "" {
		return nil
	}
	if ok {
		_, ok = db.Table(table)
	}
	if !ok {
		return &TableNotFoundError{table}
	}
	return nil
}

func (r *retained) describe(files []*schema.File, now int64) ExpiredTable {
	floor := floorOf(r.period, now)
	x := ExpiredTable{Database: r.database.Name, Table: r.def.Name, Period: r.period, Before: time.Unix(0, floor).UTC()}
	gone := expiryOf(r.def, r.table, floor, now).expiredFiles(files)
	for _, f := range gone {
		x.Files++
		x.Rows += f.Rows
		x.Bytes += f.Bytes
		if first := time.Unix(0, f.Time.Min).UTC(); x.Oldest.IsZero() || first.Before(x.Oldest) {
			x.Oldest = first
		}
	}
	for _, f := range files {
		switch {
		case slices.Contains(gone, f):
		case f.Time.Min < floor:
			x.Partly++
		}
		if f.Time.Max >= floor {
			if at := time.Unix(0, f.Time.Max).UTC().Add(r.period); x.Next.IsZero() || at.Before(x.Next) {
				x.Next = at
			}
		}
	}
	return x
}

// countTrimmed counts the files of which compactions would leave out rows for nothing but that.
func (e *Engine) countTrimmed(r *retained, files []*schema.File, now int64) int {
	p := e.compactor.policy(forEver)
	p.expiry = expiryOf(r.def, r.table, floorOf(r.period, now), now)
	gone := p.expiry.expiredFiles(files)
	x := p.among(slices.DeleteFunc(slices.Clone(files), func(f *schema.File) bool { return slices.Contains(gone, f) }))
	trimmed := make(map[*schema.File]bool)
	for _, f := range x.files {
		if c := x.trim(f); c != nil {
			for _, f := range c.inputs {
				trimmed[f] = true
			}
		}
	}
	return len(trimmed)
}
