package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
)

// A database of a backup comes back under a name that is free, while the engine works. Until all
// of it is there it has an internal name, which nobody can write to; then it is renamed in one
// commit. A start deletes what an interrupted restore left.
//
// Files are copied as they are, and get ids and places in the order of this directory. What they say
// of themselves is of their origin: the names of database and table, and log positions. Nothing looks
// at that but a salvage that has lost the catalog, and a merge writes it anew.

// restoringPrefix begins the name of a database that is not complete.
const restoringPrefix = "_restoring-"

// RestoreDatabaseOptions say what is restored. All of it is required.
type RestoreDatabaseOptions struct {
	Image    *catalog.Image
	Database string // in the image
	As       string // the new name
	// File opens one of the files of FilesOf, in that order.
	File func(ctx context.Context, f *schema.File) (io.ReadCloser, error)
}

// RestoredDatabase is what came back.
type RestoredDatabase struct {
	Database string `json:"database"`
	Tables   int    `json:"tables"`
	Files    int    `json:"files"`
	Rows     uint64 `json:"rows"`
	Bytes    int64  `json:"bytes"`
}

// FilesOf returns the files of a database's tables, those of a table by Order. The error is
// ErrDatabaseNotFound.
func FilesOf(image *catalog.Image, database string) ([]*schema.File, error) {
	db, ok := image.Schema.Database(database)
	if !ok {
		return nil, fmt.Errorf("%w in the backup: %s", ErrDatabaseNotFound, database)
	}
	var files []*schema.File
	for _, f := range image.Files {
		if t, ok := image.Schema.TableByID(f.Table); ok && f.Database == db.ID && t.Deleted == nil {
			files = append(files, f)
		}
	}
	slices.SortStableFunc(files, func(a, b *schema.File) int { return cmp.Compare(a.Table, b.Table) })
	return files, nil
}

// RestoreDatabase makes a database of one in a backup. The errors are ErrDatabaseNotFound, ErrExists, ErrInvalidDatabaseName,
// *LimitError, ErrDamaged for files that are not what was written, ErrUnavailable, and those of File.
func (e *Engine) RestoreDatabase(ctx context.Context, o RestoreDatabaseOptions) (done RestoredDatabase, err error) {
	if err := ValidateDatabaseName(o.As); err != nil {
		return done, err
	}
	files, err := FilesOf(o.Image, o.Database)
	if err != nil {
		return done, err
	}
	if _, ok := e.catalog.Schema().Database(o.As); ok {
		return done, fmt.Errorf("database %s: %w", o.As, ErrExists)
	}
	r := &databaseRestore{e: e, RestoreDatabaseOptions: o, temporary: restoringPrefix + o.As, done: RestoredDatabase{Database: o.As}}
	if err := r.define(); err != nil {
		return done, e.catalogError(err)
	}
	if err = r.copyFiles(ctx, files); err == nil {
		err = r.publish()
	}
	if err != nil {
		return done, e.noSpace(errors.Join(err, r.abandon()))
	}
	return r.done, nil
}

// databaseRestore is the state of one RestoreDatabase.
type databaseRestore struct {
	RestoreDatabaseOptions
	e         *Engine
	temporary string
	target    *schema.Database // under its temporary name
	files     []*schema.File
	buried    []*schema.Tombstone
	isPublic  bool // the files are in the catalog
	done      RestoredDatabase
}

// define makes the database and its tables. Columns get the ids that they have in the files.
func (r *databaseRestore) define() error {
	from, _ := r.Image.Schema.Database(r.Database)
	if err := r.e.catalog.CreateDatabase(r.temporary, from.Retention); err != nil {
		return err
	}
	change := catalog.Change{Database: r.temporary, MustExist: true}
	for _, t := range from.Tables() {
		if t.Rollup != nil {
			continue
		}
		change.Tables = append(change.Tables, tableChange(t))
		r.done.Tables++
	}
	snapshot, err := r.e.catalog.Define(change)
	if err != nil {
		return errors.Join(err, r.abandon())
	}
	r.target, _ = snapshot.Database(r.temporary)
	return r.defineRollups(from)
}

// defineRollups makes the rollups of the tables. Their states come with the files.
func (r *databaseRestore) defineRollups(from *schema.Database) error {
	change := catalog.Change{Database: r.temporary, MustExist: true}
	for _, t := range from.Tables() {
		if t.Rollup == nil {
			continue
		}
		old, ok := r.Image.Schema.TableByID(t.Rollup.Source)
		if !ok {
			return errors.Join(fmt.Errorf("%w: the source of rollup %q", ErrDamaged, t.Name), r.abandon())
		}
		source, ok := r.target.Table(old.Name)
		if !ok {
			return errors.Join(fmt.Errorf("%w: the source of rollup %q is no table", ErrDamaged, t.Name), r.abandon())
		}
		def := *t.Rollup
		def.Source = source.ID
		table := tableChange(t)
		table.Rollup, table.FrozenBefore = &def, math.MinInt64
		change.Tables = append(change.Tables, table)
		r.done.Tables++
	}
	snapshot, err := r.e.catalog.Define(change)
	if err != nil {
		return errors.Join(err, r.abandon())
	}
	r.target, _ = snapshot.Database(r.temporary)
	return nil
}

// tableChange defines a table as another one is.
func tableChange(t *schema.Table) catalog.TableChange {
	table := catalog.TableChange{Name: t.Name, Key: t.Key, Retention: t.Retention, Caches: t.Caches, MustBeNew: true}
	for _, c := range t.Columns {
		table.Columns = append(table.Columns, catalog.NewColumn{Name: c.Name, Type: c.Type})
	}
	return table
}

// rollups returns the states of the rollups, which hold for the same files.
func (r *databaseRestore) rollups() (states []*schema.RollupState) {
	from, _ := r.Image.Schema.Database(r.Database)
	for _, t := range from.Tables() {
		if s := r.Image.Rollups[t.ID]; s != nil {
			next := *s
			def, _ := r.target.Table(t.Name)
			next.Table = def.ID
			states = append(states, &next)
		}
	}
	return states
}

// copyFiles copies the files, table by table.
func (r *databaseRestore) copyFiles(ctx context.Context, files []*schema.File) error {
	from, _ := r.Image.Schema.Database(r.Database)
	for id, of := range byTable(files) {
		old, _ := r.Image.Schema.TableByID(id)
		def, ok := r.target.Table(old.Name)
		if !ok || len(def.Columns) != len(old.Columns) {
			return fmt.Errorf("%w: table %q of the backup's database %q", ErrDamaged, old.Name, from.Name)
		}
		placed := r.place(def, of, r.Image.Tombstones[id])
		dir := r.e.path(tableDir(def.Database, def.ID))
		if err := durable.MkdirAll(r.e.opts.FS, dir); err != nil {
			return err
		}
		for i, f := range placed {
			if err := r.copyFile(ctx, def, of[i], f); err != nil {
				return fmt.Errorf("%s of table %q: %w", path.Base(filePath(of[i])), old.Name, err)
			}
		}
		if err := durable.SyncDir(r.e.opts.FS, dir); err != nil {
			return err
		}
	}
	return nil
}

// place gives files and tombstones of a table ids and places in the same order, behind all that
// was given before.
func (r *databaseRestore) place(def *schema.Table, files []*schema.File, tombstones []*schema.Tombstone) []*schema.File {
	placed := make([]*schema.File, 0, len(files))
	bury := func(before uint64) {
		for len(tombstones) > 0 && tombstones[0].Order < before {
			d := *tombstones[0]
			d.Table, d.Order = def.ID, uint64(r.e.catalog.AllocateFileID())
			for i, f := range placed { // those that lack its rows already
				if files[i].Swept >= tombstones[0].Order {
					f.Swept = d.Order
				}
			}
			r.buried = append(r.buried, &d)
			tombstones = tombstones[1:]
		}
	}
	for _, f := range files {
		bury(f.Order)
		next := *f
		next.ID, next.Database, next.Table, next.Swept = r.e.catalog.AllocateFileID(), def.Database, def.ID, 0
		next.Order = uint64(next.ID)
		placed = append(placed, &next)
	}
	bury(1<<64 - 1)
	return placed
}

// copyFile copies a file, and has its keys remembered.
func (r *databaseRestore) copyFile(ctx context.Context, def *schema.Table, from, to *schema.File) error {
	in, err := r.File(ctx, from)
	if err != nil {
		return err
	}
	r.files = append(r.files, to)
	file := r.e.path(filePath(to))
	err = storeFile(r.e.opts.FS, file, to, &progressReader{ctx: ctx, r: in, read: func(n int) { r.done.Bytes += int64(n) }})
	if err = errors.Join(err, in.Close()); err != nil {
		return err
	}
	r.done.Files++
	r.done.Rows += to.Rows
	if tag, ok := def.Column(def.Key.Tag); ok && def.Key.Rule == schema.FirstByTag {
		return r.e.rememberKeysOf(def, tag.ID, file)
	}
	return nil
}

// publish makes the files visible, and then the database under its name.
func (r *databaseRestore) publish() error {
	e := r.e
	e.flusher.mu.Lock()
	defer e.flusher.mu.Unlock()
	position := e.catalog.Position() // no record of this log has these rows
	for _, f := range r.files {
		f.Seq = schema.SeqRange{Min: position, Max: position}
	}
	for _, d := range r.buried {
		d.Seq = position
	}
	err := e.catalog.Commit(catalog.Edit{Add: r.files, Bury: r.buried, Rollups: r.rollups()})
	r.isPublic = err == nil || errors.Is(err, catalog.ErrFailed) // which leaves it open
	if err != nil {
		return err
	}
	e.showAllRollups()
	for id, files := range byTable(r.files) {
		e.showFiles(id, files)
	}
	e.completeDeletions()
	return e.catalog.RenameDatabase(r.temporary, r.As)
}

// showFiles makes files of a table that nobody knows yet visible.
func (e *Engine) showFiles(id schema.TableID, files []*schema.File) {
	t := e.tables.findOrCreate(files[0].Database, id)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addFilesLocked(files)
	t.mu.tombstones = slices.Clone(e.catalog.Tombstones(id))
}

// abandon gives up what was made. If that fails, the next start does it.
func (r *databaseRestore) abandon() error {
	var errs []error
	if !r.isPublic {
		for _, f := range r.files {
			_ = r.e.opts.FS.Remove(r.e.path(filePath(f))) // the one that failed may not be there
		}
	}
	errs = append(errs, r.e.catalog.DeleteDatabase(r.temporary, 1))
	r.e.purgeNow()
	return errors.Join(errs...)
}

// dropHalfRestored deletes what restores of databases left that were interrupted. The first purge does the rest.
func (e *Engine) dropHalfRestored() error {
	for _, d := range e.catalog.Schema().Databases() {
		if strings.HasPrefix(d.Name, restoringPrefix) {
			if err := e.catalog.DeleteDatabase(d.Name, 1); err != nil {
				return fmt.Errorf("deleting the half-restored database %q: %w", d.Name, err)
			}
		}
	}
	return nil
}
