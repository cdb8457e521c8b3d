package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// View pins what a query reads: for each of its tables, files and buffered rows in
// which every accepted row occurs exactly once, whatever is flushed meanwhile.
// A view sees every write that was acknowledged before it was made.
type View struct {
	Database *schema.Database
	Tables   []*TableView

	release func()
}

// TableView is one table of a View.
type TableView struct {
	Table *schema.Table
	// Files are ordered by Order: of two that hold the same point, the later one wins. They are
	// not to be changed: other views have them too.
	Files []FileRef
	// Buffers are in the order in which their rows were accepted, all of them later
	// than every file that holds rows of the same partition.
	Buffers []*partition.Snapshot
	// Rollup is nil for a table that is no rollup.
	Rollup *RollupView

	verify func(context.Context, FileRef, []schema.ColumnID) error // nil: Verify has nothing to do
	table  *table                                                  // nil: it holds nothing
	files  []*schema.File                                          // as the table has them
	// keptFrom is the first instant within the retention period; nil: all time is.
	keptFrom   *int64
	tombstones []*schema.Tombstone // as the table has them
	find       func(context.Context, *schema.Table, FileRef, *Wanted) (*partition.Snapshot, error)
	fs         vfs.FS // of the files; nil is the machine's

	finders *finders // nil: nothing is kept
}

func (t *TableView) filesystem() vfs.FS {
	if t.fs == nil {
		return vfs.Default
	}
	return t.fs
}

// Columns reads the footer of a file, whose columns may then be read one by one, those
// that were verified. It stays valid as long as the file is in place.
// Those of which rows are hidden are refused with ErrHidden.
func (t *TableView) Columns(f FileRef) (*persist.Columns, error) {
	if len(f.Hidden) > 0 {
		return nil, ErrHidden
	}
	return persist.OpenColumns(t.filesystem(), f.Path)
}

// FileRef is a Parquet file that stays in place as long as the view is open. TableView.Verify
// comes before reading it.
type FileRef struct {
	*schema.File
	Path string // below Options.DataDir as that was given
	// Hidden are rows of the file that nobody is to see: whoever reads it leaves them out
	// before its rows are merged with those of other files.
	Hidden []*schema.Tombstone
}

// ErrHidden says that rows of a file are hidden, so that it cannot be read in this way.
var ErrHidden = errors.New("rows of the file were deleted")

// Close unpins the view. It may be called more than once.
func (v *View) Close() {
	if v.release != nil {
		v.release()
		v.release = nil
	}
}

// View pins the named tables of a database, or all of them when names is nil. The
// errors are ErrDatabaseNotFound and *TableNotFoundError.
func (e *Engine) View(ctx context.Context, database string, names []string) (*View, error) {
	// Writes that were answered before they were synced are to be seen. A log that
	// failed has lost them, and queries go on.
	if err := e.log.Barrier(ctx); err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("waiting for unsynced writes: %w", err)
	}
	db, ok := e.catalog.Schema().Database(database)
	switch {
	case ok:
	case database == InternalDatabase: // is made with the first row, and always there to read
		db = &schema.Database{Name: InternalDatabase}
	default:
		return nil, fmt.Errorf("%w: %s", ErrDatabaseNotFound, database)
	}
	defs, err := tableDefs(db, names)
	if err != nil {
		return nil, err
	}
	v := &View{Database: db}
	var releases []func()
	e.reading.Add(1)
	v.release = sync.OnceFunc(func() {
		e.reading.Add(-1)
		for _, release := range releases {
			release()
		}
	})
	now := e.clock.within(e.clock.now())
	for _, def := range defs {
		tv, release := e.tableView(def)
		tv.keep(db.RetentionOf(tv.Table), now)
		releases = append(releases, release)
		switch isPurged := e.catalog.Schema().IsPurged(def.ID); {
		case !isPurged:
			v.Tables = append(v.Tables, tv)
		case names != nil: // what was pinned may be half of it
			v.Close()
			return nil, &TableNotFoundError{def.Name}
		}
	}
	return v, nil
}

func tableDefs(db *schema.Database, names []string) ([]*schema.Table, error) {
	if names == nil {
		return db.Tables(), nil
	}
	var defs []*schema.Table
	for _, name := range names {
		def, ok := db.Table(name)
		if !ok {
			return nil, &TableNotFoundError{name}
		}
		defs = append(defs, def)
	}
	return defs, nil
}

func (e *Engine) tableView(def *schema.Table) (*TableView, func()) {
	if def.Rollup != nil {
		return e.rollupView(def)
	}
	t := e.tables.find(def.ID)
	if t == nil {
		return e.show(def, pinnedTable{}), func() {}
	}
	p := t.pin()
	return e.show(def, p), func() { e.removeDoomed(t.unpin(p.held)) }
}

// show describes what is pinned of a table.
func (e *Engine) show(def *schema.Table, p pinnedTable) *TableView {
	tv := &TableView{Table: def, verify: e.verifyFile, find: e.findRows, fs: e.opts.FS, finders: e.finders}
	if p.table == nil {
		return tv
	}
	// The definition is read again: what is pinned may have columns that were defined
	// since, and rows that differ in such a tag must not be taken for one point.
	if now, ok := e.catalog.Schema().TableByID(def.ID); ok {
		tv.Table = now
	}
	tv.Files = p.table.references(tv.Table, p.files, p.tombstones, e.path)
	tv.Buffers, tv.table, tv.files, tv.tombstones = p.snapshots, p.table, p.files, p.tombstones
	return tv
}

// Schema returns everything that is defined.
func (e *Engine) Schema() *schema.Snapshot { return e.catalog.Schema() }

// Databases returns the names of all databases, in order.
func (e *Engine) Databases() []string {
	var names []string
	for _, d := range e.catalog.Schema().Databases() {
		names = append(names, d.Name)
	}
	return names
}
