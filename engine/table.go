package engine

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// tables is the set of all tables that hold data.
type tables struct {
	mu struct {
		sync.RWMutex
		byID map[schema.TableID]*table
	}
	buffers *share
	lasts   *lasts
}

func newTables(buffers *share, lasts *lasts) *tables {
	t := &tables{buffers: buffers, lasts: lasts}
	t.mu.byID = make(map[schema.TableID]*table)
	return t
}

func (ts *tables) find(id schema.TableID) *table {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.mu.byID[id]
}

func (ts *tables) findOrCreate(db schema.DatabaseID, id schema.TableID) *table {
	if t := ts.find(id); t != nil {
		return t
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.mu.byID[id]
	if t == nil {
		t = &table{database: db, id: id, buffers: ts.buffers}
		t.last.shelf = ts.lasts
		t.mu.active = make(map[schema.Day]*buffer)
		ts.mu.byID[id] = t
	}
	return t
}

// remove takes a table out of the set and returns it, nil if it was not there.
func (ts *tables) remove(id schema.TableID) *table {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.mu.byID[id]
	delete(ts.mu.byID, id)
	return t
}

// all returns every table, by id.
func (ts *tables) all() []*table {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	all := make([]*table, 0, len(ts.mu.byID))
	for _, t := range ts.mu.byID {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *table) int { return cmp.Compare(a.id, b.id) })
	return all
}

// table is what one table holds: rows in buffers, and files. Under mu the two change
// together (E3).
type table struct {
	database schema.DatabaseID
	id       schema.TableID
	buffers  *share
	last     lastIndex

	shown atomic.Pointer[references]

	mu struct {
		sync.Mutex
		active map[schema.Day]*buffer // where rows of a day go
		// buffered lists active and frozen buffers in the order in which they were made.
		buffered []*buffer
		files    []*schema.File // by Order; replaced, never changed in place
		// tombstones say which rows of the files were deleted; by Order, replaced likewise.
		tombstones []*schema.Tombstone
		views      []uint64 // the numbers of those that have the table pinned, ascending
		lastView   uint64
		// rollup says what is stale, if the table is a rollup whose state was shown.
		rollup *schema.RollupState
		// doomed are files that the catalog has given up and that a view may still read.
		doomed []doomedFile
	}
}

// doomedFile may be read by the views up to a number: those that were there when it was doomed.
type doomedFile struct {
	file *schema.File
	view uint64
}

// pinned is what a view holds of a table.
type pinned struct {
	view    uint64
	buffers []*buffer
}

// pinnedTable is a table as a view sees it.
type pinnedTable struct {
	table      *table
	files      []*schema.File
	tombstones []*schema.Tombstone // of rows of the files
	snapshots  []*partition.Snapshot
	held       pinned
}

// buffer is a partition with its account in the memory pool. Its fields are guarded
// by the table's mutex.
type buffer struct {
	partition *partition.Partition
	bytes     int64
	pins      int // the table, and each view that reads it
	isFrozen  bool
}

// append adds a batch that is durable at seq. The log's order is the caller's.
func (t *table) append(b *partition.Batch, seq schema.Seq) {
	t.mu.Lock()
	defer t.mu.Unlock()
	into := t.mu.active[b.Key.Day]
	if into == nil {
		into = &buffer{partition: partition.New(b.Key), pins: 1}
		into.bytes = into.partition.Bytes()
		t.buffers.add(into.bytes)
		t.mu.active[b.Key.Day] = into
		t.mu.buffered = append(t.mu.buffered, into)
	}
	grown := into.partition.Append(b, seq)
	into.bytes += grown
	t.buffers.add(grown)
}

// days returns the days that have rows in buffers, in order, with their rows.
func (t *table) days() []dayRows {
	t.mu.Lock()
	defer t.mu.Unlock()
	var days []dayRows
	for _, b := range t.mu.buffered {
		days = append(days, dayRows{b.partition.Key().Day, b.partition.Rows(), b.bytes})
	}
	slices.SortStableFunc(days, func(a, b dayRows) int { return cmp.Compare(a.day, b.day) })
	return days
}

type dayRows struct {
	day   schema.Day
	rows  int
	bytes int64
}

// freeze ends the growth of the buffers of some days, frozen ones that an earlier
// flush could not persist among them, and returns them in the order of their making.
func (t *table) freeze(first, last schema.Day) []*buffer {
	t.mu.Lock()
	defer t.mu.Unlock()
	var frozen []*buffer
	for _, b := range t.mu.buffered {
		day := b.partition.Key().Day
		if day < first || day > last {
			continue
		}
		if !b.isFrozen {
			b.partition.Freeze()
			b.isFrozen = true
			delete(t.mu.active, day)
		}
		frozen = append(frozen, b)
	}
	return frozen
}

// frozen returns the buffers of some days that do not grow any more, in the order of their making.
func (t *table) frozen(first, last schema.Day) []*buffer {
	t.mu.Lock()
	defer t.mu.Unlock()
	var frozen []*buffer
	for _, b := range t.mu.buffered {
		if day := b.partition.Key().Day; b.isFrozen && day >= first && day <= last {
			frozen = append(frozen, b)
		}
	}
	return frozen
}

// replace makes the files that hold the rows of buffers visible in their place.
func (t *table) replace(buffers []*buffer, files []*schema.File) {
	t.last.keep(t, buffers, func() { t.swap(buffers, files) })
}

func (t *table) swap(buffers []*buffer, files []*schema.File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.swapLocked(buffers, files)
}

func (t *table) swapLocked(buffers []*buffer, files []*schema.File) {
	t.mu.buffered = slices.DeleteFunc(slices.Clone(t.mu.buffered), func(b *buffer) bool { return slices.Contains(buffers, b) })
	t.addFilesLocked(files)
	for _, b := range buffers {
		t.unpinLocked(b)
	}
}

func (t *table) addFilesLocked(files []*schema.File) {
	all := append(slices.Clone(t.mu.files), files...)
	slices.SortFunc(all, func(a, b *schema.File) int { return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.ID, b.ID)) })
	t.mu.files = all
}

// pin returns the table's files, which of their rows were deleted, and a snapshot of its
// buffers, which stay accounted for until unpin.
func (t *table) pin() pinnedTable {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pinLocked()
}

func (t *table) pinLocked() pinnedTable {
	p := pinnedTable{table: t, files: t.mu.files, tombstones: t.mu.tombstones, held: pinned{t.newViewLocked(), slices.Clone(t.mu.buffered)}}
	for _, b := range t.mu.buffered {
		b.pins++
		p.snapshots = append(p.snapshots, b.partition.Snapshot())
	}
	return p
}

// pinFiles is pin without the buffers.
func (t *table) pinFiles() ([]*schema.File, []*schema.Tombstone, pinned) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.files, t.mu.tombstones, pinned{view: t.newViewLocked()}
}

func (t *table) newViewLocked() uint64 {
	t.mu.lastView++
	t.mu.views = append(t.mu.views, t.mu.lastView)
	return t.mu.lastView
}

// references are a table's files as views show them. To write a path takes a microsecond, and a
// query that needs one file of 10,000 should not write them all.
type references struct {
	files      []*schema.File
	tombstones []*schema.Tombstone
	refs       []FileRef
}

// references returns files and what hides rows of them, as pin gave both, with their paths below
// the data directory. The definition has all columns of the files.
func (t *table) references(def *schema.Table, files []*schema.File, tombstones []*schema.Tombstone, path func(name string) string) []FileRef {
	if len(files) == 0 {
		return nil
	}
	// The table's list is replaced, never changed, and what is known holds on to its own.
	if known := t.shown.Load(); known != nil && isSame(known.files, files) && isSame(known.tombstones, tombstones) {
		return known.refs
	}
	made := &references{files: files, tombstones: tombstones, refs: make([]FileRef, len(files))}
	for i, f := range files {
		made.refs[i] = FileRef{File: f, Path: path(filePath(f)), Hidden: hiding(def, f, tombstones)}
	}
	t.shown.Store(made)
	return made.refs
}

// isSame reports whether two lists are the same one.
func isSame[T any](a, b []T) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// hiding returns those of the tombstones that may hide rows of a file.
func hiding(def *schema.Table, f *schema.File, tombstones []*schema.Tombstone) (some []*schema.Tombstone) {
	for _, d := range tombstones {
		if d.MayHide(def, f) {
			some = append(some, d)
		}
	}
	return some
}

// snapshots returns the rows that are buffered. They stay readable, but are accounted for
// only while they are buffered.
func (t *table) snapshots() []*partition.Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*partition.Snapshot
	for _, b := range t.mu.buffered {
		all = append(all, b.partition.Snapshot())
	}
	return all
}

// unpin ends a view and returns the files that nobody reads any more.
func (t *table) unpin(held pinned) (unread []*schema.File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range held.buffers {
		t.unpinLocked(b)
	}
	i, ok := slices.BinarySearch(t.mu.views, held.view)
	if !ok {
		panic(fmt.Sprintf("engine: view %d of table %d ended twice", held.view, t.id))
	}
	t.mu.views = slices.Delete(t.mu.views, i, i+1)
	return t.takeDoomedLocked()
}

// doom takes files that the catalog has given up out of view, and returns those that
// nobody reads any more; the others follow when the last view that may read them ends.
func (t *table) doom(files []*schema.File) (unread []*schema.File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.doomLocked(files)
}

func (t *table) doomLocked(files []*schema.File) (unread []*schema.File) {
	t.mu.files = slices.DeleteFunc(slices.Clone(t.mu.files), func(f *schema.File) bool { return slices.Contains(files, f) })
	for _, f := range files {
		t.mu.doomed = append(t.mu.doomed, doomedFile{f, t.mu.lastView})
	}
	return t.takeDoomedLocked()
}

// hasDoomed reports whether files that the catalog has given up are still there.
func (t *table) hasDoomed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.mu.doomed) > 0
}

// replaceFiles makes files visible in the place of others that show the same rows, but for those before an instant that have
// expired, and dooms these. Tombstones that no file needs any more go with them.
func (t *table) replaceFiles(files, by []*schema.File, needless []*schema.Tombstone, before int64) (unread []*schema.File) {
	t.last.keepFrom(t, before, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.addFilesLocked(by)
		t.exhumeLocked(needless)
		unread = t.doomLocked(files)
	})
	return unread
}

func (t *table) takeDoomedLocked() []*schema.File {
	var unread []*schema.File
	t.mu.doomed = slices.DeleteFunc(t.mu.doomed, func(d doomedFile) bool {
		if len(t.mu.views) > 0 && t.mu.views[0] <= d.view {
			return false
		}
		unread = append(unread, d.file)
		return true
	})
	return unread
}

// discard drops all that the table holds, and returns the files that nobody reads.
func (t *table) discard() (unread []*schema.File) {
	t.last.forget()
	t.mu.Lock()
	defer t.mu.Unlock()
	buffered := t.mu.buffered
	t.mu.buffered = nil
	clear(t.mu.active)
	for _, b := range buffered {
		t.unpinLocked(b)
	}
	return t.doomLocked(t.mu.files)
}

// allFiles returns the files in view.
func (t *table) allFiles() []*schema.File {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.files
}

func (t *table) unpinLocked(b *buffer) {
	b.pins--
	switch {
	case b.pins == 0:
		t.buffers.release(b.bytes)
	case b.pins < 0:
		panic(fmt.Sprintf("engine: buffer of %s released twice", b.partition.Key()))
	}
}

// oldestBuffered returns the smallest log position of a row that is in no file; ok is
// false when there is none.
func (t *table) oldestBuffered() (oldest schema.Seq, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.mu.buffered {
		if seq := b.partition.Seq(); !ok || seq.Min < oldest {
			oldest, ok = seq.Min, true
		}
	}
	return oldest, ok
}

// counts returns the number of files and of buffered rows.
func (t *table) counts() (files int, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.mu.buffered {
		rows += b.partition.Rows()
	}
	return len(t.mu.files), rows
}
