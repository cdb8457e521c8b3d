package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// Deleting rows
//
// Files are not changed, so rows of files are deleted by a tombstone: it names them by time
// and tags, and the files by its Order, which lies behind those of all files that are there and in
// front of those of all later ones. Views show what it hides (FileRef.Hidden), and compactions
// leave it out. Buffers know no tombstones: those that may have rows to delete are persisted first.
//
// The hard part is that deletions and writes have an order that everybody sees. A row that is
// written while buffers are persisted would stay, although it was seen beside rows that
// are deleted later. So most is persisted in advance, and the rest, what has come since, with
// applying held: until the tombstone is durable, no row becomes visible. One commit of the catalog adds
// these files and the tombstones of all tables, and removes files of which every row is deleted; then
// each table changes under the lock under which views are made.
//
// The log says nothing of deletions. A replay begins behind what was persisted, so it finds
// rows that could not be deleted, and rows that were written later.
//
// Refused: to rewrite the files before answering. It needs nothing of queries, but takes a second of CPU for each
// million rows of all files that the predicate cannot rule out: for one series of many, all of them.

const (
	// maxTombstones bounds those of a table: every query of rows that may be deleted compares with
	// them. Before there would be more, files are rewritten.
	maxTombstones = 64
	// restRows are so few that they are persisted while writes wait, some milliseconds.
	restRows = 20_000
	// maxAdvances is how often buffers are persisted in advance, however fast others write.
	maxAdvances = 4
)

// ErrTooManyDeletions says that rows of a table cannot be deleted until a compaction has removed those
// that were deleted before.
var ErrTooManyDeletions = errors.New("the table has too many deletions that its files still have the rows of")

// DeleteSpec says which rows are deleted.
type DeleteSpec struct {
	Database string
	Tables   []string // nil: all of the database
	Time     schema.TimeRange
	Where    *schema.Predicate // nil: whatever the tags
}

// DeleteRows deletes rows: they are gone for good when it returns without an error. Rows that
// are written afterwards stay. After ErrUnavailable they may be deleted or not, of all tables
// alike. The other errors are ErrDatabaseNotFound, *TableNotFoundError, *RollupRowsError,
// schema.ErrPredicate, ErrTooManyDeletions, *NoSpaceError and that of ctx.
func (e *Engine) DeleteRows(ctx context.Context, spec DeleteSpec) error {
	if err := checkUserDatabase(spec.Database); err != nil {
		return err
	}
	if err := spec.Where.Validate(); err != nil {
		return err
	}
	if err := e.log.Barrier(ctx); err != nil {
		return unsynced(ctx, err)
	}
	before, err := e.deletable(spec)
	if slices.ContainsFunc(before, func(def *schema.Table) bool { return def.Rollup != nil }) {
		// The tombstone of a refresh has its place before it is committed: no later one may come in front of it.
		if err := e.rollups.begins(ctx); err != nil {
			return err
		}
		defer e.rollups.ends()
	}
	if err == nil {
		err = e.makeRoom(ctx, before)
	}
	if err != nil {
		return err
	}
	e.flusher.mu.Lock()
	defer e.flusher.mu.Unlock()
	if err := e.catalog.Err(); err != nil {
		return e.catalogError(err)
	}
	defs, err := e.deletable(spec)
	if err != nil || spec.Time.IsEmpty() {
		return err
	}
	if err := e.advanceDeletion(ctx, spec, defs); err != nil {
		return e.noSpace(err)
	}
	if err := e.bury(spec, defs); err != nil {
		return e.catalogError(e.noSpace(err))
	}
	e.compactor.kick()
	e.rollups.kick()
	return nil
}

// DeletionScope is what a deletion of rows is about, as it is now.
type DeletionScope struct {
	// Files may have rows to delete, and Bytes are theirs; of Whole every row is deleted, so that they go at once.
	Files int    `json:"files"`
	Bytes uint64 `json:"file_bytes"`
	Whole int    `json:"whole_files"`
	// Buffers in memory may have some.
	Buffers int `json:"buffers"`
}

// ScopeOfDeletion returns what DeleteRows would be about. Its errors are ErrDatabaseNotFound,
// *TableNotFoundError, *RollupRowsError and schema.ErrPredicate.
func (e *Engine) ScopeOfDeletion(spec DeleteSpec) (scope DeletionScope, err error) {
	if err := errors.Join(checkUserDatabase(spec.Database), spec.Where.Validate()); err != nil {
		return scope, err
	}
	defs, err := e.deletable(spec)
	if err != nil {
		return scope, err
	}
	for _, def := range defs {
		t := e.tables.find(def.ID)
		if t == nil {
			continue
		}
		d := &schema.Tombstone{Table: def.ID, Order: math.MaxUint64, Time: spec.Time, Where: spec.Where}
		for _, f := range t.allFiles() {
			if d.MayHide(def, f) {
				scope.Files++
				scope.Bytes += f.Bytes
			}
			if d.HidesAll(f) {
				scope.Whole++
			}
		}
		for _, s := range t.snapshots() {
			if mayHold(def, s, spec) {
				scope.Buffers++
			}
		}
	}
	return scope, nil
}

// unsynced words why the log could not be waited for.
func unsynced(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// deletable returns the tables that a deletion is about. Of rollups those rows can be deleted that do not follow from
// their sources any more, where they are asked for by name.
func (e *Engine) deletable(spec DeleteSpec) ([]*schema.Table, error) {
	db, ok := e.catalog.Schema().Database(spec.Database)
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrDatabaseNotFound, spec.Database)
	}
	defs, err := tableDefs(db, spec.Tables)
	for _, def := range defs {
		if def.Rollup != nil && spec.Tables != nil {
			if frozen := e.catalog.RollupState(def.ID).FrozenBefore; spec.Time.Max >= frozen {
				return nil, &RollupRowsError{def.Name, frozen}
			}
		}
	}
	return slices.DeleteFunc(defs, func(def *schema.Table) bool { return def.Rollup != nil && spec.Tables == nil }), err
}

// makeRoom compacts tables that have as many tombstones as they may have.
func (e *Engine) makeRoom(ctx context.Context, defs []*schema.Table) error {
	for _, def := range defs {
		if len(e.catalog.Tombstones(def.ID)) < maxTombstones {
			continue
		}
		if err := e.compactor.compactTable(ctx, def, compactRun{rests: e.compactor.rests, maySweep: rightNow}, func(Compaction) {}); err != nil {
			return err
		}
		if len(e.catalog.Tombstones(def.ID)) >= maxTombstones {
			return fmt.Errorf("%w: table %q has %d; the next compactions remove them", ErrTooManyDeletions, def.Name, maxTombstones)
		}
	}
	return nil
}

// advanceDeletion persists buffers that may have rows to delete, until few of their rows are left.
func (e *Engine) advanceDeletion(ctx context.Context, spec DeleteSpec, defs []*schema.Table) error {
	for range maxAdvances {
		units, rows := e.unitsHolding(spec, defs)
		if rows <= restRows {
			return nil
		}
		for _, u := range units {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := e.persist(u); err != nil {
				return err
			}
		}
	}
	return nil
}

// unitsHolding returns the buffers that may have rows to delete, as a flush takes them.
func (e *Engine) unitsHolding(spec DeleteSpec, defs []*schema.Table) (units []unit, rows int) {
	for _, def := range defs {
		t := e.tables.find(def.ID)
		if t == nil {
			continue
		}
		days := make(map[schema.Day]bool)
		for _, s := range t.snapshots() {
			if mayHold(def, s, spec) {
				days[s.Key.Day] = true
			}
		}
		for _, u := range planTable(t) {
			holds := false
			for day := range days {
				holds = holds || day >= u.first && day <= u.last
			}
			if holds {
				units = append(units, u)
				rows += u.rows
			}
		}
	}
	return units, rows
}

// mayHold reports whether some row of a buffer may be one to delete.
func mayHold(def *schema.Table, s *partition.Snapshot, spec DeleteSpec) bool {
	if s.Rows == 0 || !s.Time.Overlaps(spec.Time) {
		return false
	}
	if spec.Where == nil {
		return true
	}
	for series := range uint32(s.SeriesCount) {
		holds := spec.Where.Holds(func(tag string) string {
			c, ok := def.Column(tag)
			i := slices.IndexFunc(s.Tags, func(t partition.TagColumn) bool { return t.ID == c.ID })
			if !ok || c.Type != schema.Tag || i < 0 {
				return ""
			}
			value, _ := s.Tags[i].Value(series)
			return value
		})
		if holds {
			return true
		}
	}
	return false
}

// burial is what a deletion changes of one table.
type burial struct {
	table   *table
	def     *schema.Table
	buffers []*buffer         // that become files
	files   []*schema.File    // of them
	gone    []*schema.File    // that had nothing else
	add     *schema.Tombstone // nil: it would hide nothing
	covered []*schema.Tombstone
	rollup  *schema.RollupState // of a rollup that is refreshed
}

// bury persists the rest and commits the tombstones. No row becomes visible meanwhile. The caller
// holds flusher.mu.
func (e *Engine) bury(spec DeleteSpec, defs []*schema.Table) (err error) {
	e.applying.Lock()
	defer e.applying.Unlock()
	edit := catalog.Edit{Flushed: make(map[schema.PartitionKey]schema.Seq)}
	burials, err := e.persistRest(spec, defs, &edit)
	if err != nil {
		return err
	}
	note := &deletionNote{order: uint64(e.catalog.AllocateFileID()), isPending: true}
	for _, b := range burials {
		d := &schema.Tombstone{
			Table: b.def.ID, Order: note.order, Time: spec.Time, Where: spec.Where,
			Seq: schema.Seq(e.applied.Load()), Created: e.clock.now(),
		}
		b.decide(d)
		e.markDeleted(&edit, b.def, d, append(slices.Clone(b.table.allFiles()), b.files...))
		if b.add != nil || len(b.gone) > 0 {
			note.tombstones = append(note.tombstones, d)
		}
		b.put(&edit)
	}
	if len(edit.Add)+len(edit.Bury)+len(edit.Remove) == 0 {
		return nil // there is nothing to delete
	}
	if err := e.noteDeletion(note, &edit); err != nil {
		return errors.Join(err, e.removeFiles(edit.Add))
	}
	if err := e.catalog.Commit(edit); err != nil {
		if errors.Is(err, catalog.ErrFailed) {
			e.flusher.doubt = doubtOf(burials, &edit)
			e.flusher.doubt.note = note
		} else {
			e.withdrawDeletion(note)
			err = errors.Join(err, e.removeFiles(edit.Add))
		}
		return fmt.Errorf("committing the deletion of rows of %d tables: %w", len(edit.Bury), err)
	}
	e.showRollups(edit.Rollups...)
	e.confirmDeletion(note)
	for _, b := range burials {
		e.removeDoomed(b.table.bury(b))
	}
	return nil
}

// persistRest writes the files of buffers that may have rows to delete.
func (e *Engine) persistRest(spec DeleteSpec, defs []*schema.Table, edit *catalog.Edit) (burials []*burial, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, e.removeFiles(edit.Add))
		}
	}()
	units, _ := e.unitsHolding(spec, defs)
	for _, def := range defs {
		t := e.tables.find(def.ID)
		if t == nil {
			continue
		}
		b := &burial{table: t, def: def}
		burials = append(burials, b)
		for _, u := range units {
			if u.table != t {
				continue
			}
			buffers := t.freeze(u.first, u.last)
			var snapshots []*partition.Snapshot
			for _, buffer := range buffers {
				s := buffer.partition.Snapshot()
				snapshots = append(snapshots, s)
				edit.Flushed[s.Key] = max(edit.Flushed[s.Key], s.Seq.Max)
			}
			files, err := e.writeRuns(u, snapshots)
			if err != nil {
				return nil, err
			}
			e.markFlushed(edit, def.ID, snapshots)
			b.buffers, b.files = append(b.buffers, buffers...), append(b.files, files...)
			edit.Add = append(edit.Add, files...)
		}
		if now, ok := e.catalog.Schema().TableByID(def.ID); ok {
			b.def = now // with the columns of all files
		}
	}
	return burials, nil
}

// decide finds out what the tombstone makes of the table's files.
func (b *burial) decide(d *schema.Tombstone) {
	for _, f := range b.table.allFiles() {
		switch {
		case d.HidesAll(f):
			b.gone = append(b.gone, f)
		case d.MayHide(b.def, f):
			b.add = d
		}
	}
	for _, f := range b.files {
		if d.MayHide(b.def, f) {
			b.add = d
		}
	}
	if b.add == nil {
		return
	}
	for _, o := range b.table.allTombstones() {
		if d.Covers(o) {
			b.covered = append(b.covered, o)
		}
	}
}

// put adds what was decided to an edit.
func (b *burial) put(edit *catalog.Edit) {
	if b.add != nil {
		edit.Bury = append(edit.Bury, b.add)
	}
	edit.Exhume = append(edit.Exhume, b.covered...)
	for _, f := range b.gone {
		edit.Remove = append(edit.Remove, f.ID)
	}
}

// doubtOf is what to do when it turns out whether a deletion was committed.
func doubtOf(burials []*burial, edit *catalog.Edit) *inDoubt {
	doubt := &inDoubt{files: edit.Add, burials: burials}
	if len(edit.Bury) > 0 {
		doubt.buried = edit.Bury[0]
	} else if len(edit.Remove) > 0 {
		doubt.removed = edit.Remove[0]
	}
	if len(edit.Rollups) > 0 {
		doubt.rollup = edit.Rollups[0]
	}
	return doubt
}

// isMade reports whether the commit that was in doubt is in the catalog, of whose files committed
// has the ids.
func (d *inDoubt) isMade(c *catalog.Catalog, committed map[schema.FileID]bool) bool {
	switch {
	case len(d.files) > 0:
		return committed[d.files[0].ID]
	case d.buried != nil:
		return isBuried(c, d.buried)
	}
	if d.removed == 0 { // nothing but the state of a rollup
		return isSameState(c.RollupState(d.rollup.Table), d.rollup)
	}
	return !committed[d.removed]
}

// bury makes a deletion visible, and returns the files that nobody reads any more.
func (t *table) bury(b *burial) (unread []*schema.File) {
	t.last.change(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.swapLocked(b.buffers, b.files)
		t.exhumeLocked(b.covered)
		if b.rollup != nil {
			t.mu.rollup = b.rollup
		}
		if b.add != nil {
			t.mu.tombstones = append(t.mu.tombstones, b.add)
		}
		unread = t.doomLocked(b.gone)
	})
	return unread
}

// exhumeLocked takes tombstones out that no file needs. The list is made anew: views have the old one.
func (t *table) exhumeLocked(gone []*schema.Tombstone) {
	t.mu.tombstones = slices.DeleteFunc(slices.Clone(t.mu.tombstones), func(d *schema.Tombstone) bool { return slices.Contains(gone, d) })
}

// keepTombstones drops those that the catalog has given up.
func (t *table) keepTombstones(kept []*schema.Tombstone) {
	t.last.keep(t, nil, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.mu.tombstones = slices.DeleteFunc(slices.Clone(t.mu.tombstones), func(d *schema.Tombstone) bool {
			return !slices.ContainsFunc(kept, func(o *schema.Tombstone) bool { return o.Order == d.Order })
		})
	})
}

// allTombstones returns what was deleted of the files in view.
func (t *table) allTombstones() []*schema.Tombstone {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.tombstones
}
