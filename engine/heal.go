package engine

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/wal"
)

// How the engine goes on after the disk was full
//
// Lack of space passes, so it must not take a restart. Every other failed write, and every
// failed sync that gives another reason, leaves log or catalog failed until the next start.
//
//   - The log gives its file up and goes on in a new segment (wal.Rearm). What it refused
//     is gone for good.
//   - The catalog closes Pebble and opens another one in place (catalog.Reopen). The change
//     that met the failure is there whole or not at all, and nobody was told.
//
// So the engine finds out which, before anything else is committed: the change may have
// been the commit of a flush. Either its files are in the catalog, and take the place of
// their buffers as they would have, or they are not, and go. The same with files and tables
// whose removal was under way (reconcile). flusher.mu is held from before the reopening
// until that is done. Views need none of this: what they see is in the tables, where buffers and
// files change places in one step.
//
// The keys of FirstByTag tables are added to the catalog without a sync, and may be lost
// with the old Pebble while their rows are in the buffers. They are added again from there,
// with applying held, so that no row comes in between; and a look-up that overlaps with this
// is refused, not answered (isStored). Keys of rows in files are safe: the commit of the
// file came behind them in Pebble's log.
//
// A flush that fails for lack of space leaves its rows in the buffers and in the log, and
// is tried again, ever less often, until one succeeds, or at once when space was freed.

// healer is the goroutine that looks at the disk and heals what ran out of space.
type healer struct {
	e       *Engine
	kicked  chan struct{} // something failed
	freed   chan struct{} // space was freed
	quit    chan struct{}
	stopped sync.WaitGroup

	isStarved atomic.Bool // the last flush found no space
	// Of the goroutine alone:
	wait, waited int   // ticks between flushes of a starved flusher, and since the last
	freeThen     int64 // bytes that were free at that one
	isFailing    bool  // log or catalog is out of space, which is reported once
}

const (
	// healInterval is how long a full disk that was given space goes unnoticed.
	healInterval = time.Second
	// maxFlushWait bounds the ticks between two flushes on a full disk.
	maxFlushWait = 32
	// freedBytes that were not there at the last flush are worth another.
	freedBytes = 1 << 20
	// probeBytes are what reopening the catalog takes: a memtable, a manifest and a log.
	// An attempt without them would leave a few files behind each time.
	probeBytes = 5 << 20
)

func newHealer(e *Engine) *healer {
	return &healer{e: e, kicked: make(chan struct{}, 1), freed: make(chan struct{}, 1), quit: make(chan struct{})}
}

// kick asks for healing now; where that has failed before, it waits for the next tick.
func (h *healer) kick() { send(h.kicked) }

// flushed takes note of how a flush ended. One that succeeded may have freed space.
func (h *healer) flushed(err error) {
	h.isStarved.Store(durable.IsNoSpace(err))
	if err == nil {
		send(h.freed)
	}
}

func send(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

func (h *healer) start() {
	h.e.look()
	h.stopped.Add(1)
	go h.run()
}

func (h *healer) stop() {
	close(h.quit)
	h.stopped.Wait()
}

func (h *healer) run() {
	defer h.stopped.Done()
	ticker := time.NewTicker(healInterval)
	defer ticker.Stop()
	for {
		select {
		case <-h.quit:
			return
		case <-ticker.C:
			h.tick()
		case <-h.kicked:
			if !h.isFailing {
				h.heal()
			}
		case <-h.freed:
			h.heal()
		}
	}
}

// tick makes room where it is short, and heals.
func (h *healer) tick() {
	if h.e.look() {
		h.e.flusher.kickAll() // and so the log is trimmed
	}
	if h.e.space.isLow.Load() {
		h.e.log.FreeSpares()
	}
	h.heal()
	h.retryFlush()
}

// isOutOfSpace reports whether there is something to heal.
func (e *Engine) isOutOfSpace() bool {
	return errors.Is(e.log.Err(), wal.ErrNoSpace) || errors.Is(e.catalog.Err(), catalog.ErrNoSpace)
}

func (h *healer) heal() {
	if !h.e.isOutOfSpace() {
		h.isFailing = false
		return
	}
	err := h.e.heal()
	switch {
	case err == nil:
		h.isFailing, h.wait = false, 1
		h.e.opts.Logger.Info("there was space: log and catalog take writes again")
	case !h.isFailing:
		h.isFailing = true
		h.e.opts.Logger.Error("no space left: writes are refused until there is, queries go on", "dir", h.e.opts.DataDir, "error", err)
		h.e.flusher.kickAll()
	}
}

// retryFlush repeats a flush that found no space.
func (h *healer) retryFlush() {
	if !h.isStarved.Load() {
		h.wait, h.waited = 1, 0
		return
	}
	h.waited++
	free := h.e.space.free.Load()
	if h.waited < h.wait && free < h.freeThen+freedBytes {
		return
	}
	h.wait, h.waited, h.freeThen = min(2*h.wait, maxFlushWait), 0, free
	h.e.flusher.kickAll()
}

// errBusy says that a flush is under way, behind which the catalog is reopened.
var errBusy = errors.New("a flush is under way")

// errReopening is for a look-up of a key that falls into the reopening of the catalog. It is
// one of space, because that is why it happens, and it passes at once.
var errReopening = fmt.Errorf("%w: the catalog is being opened again", catalog.ErrNoSpace)

// heal makes log and catalog take writes again, if there is space.
func (e *Engine) heal() error {
	err := e.log.Rearm()
	if errors.Is(err, wal.ErrPoisoned) {
		err = e.logFailed(err)
	}
	if errors.Is(e.catalog.Err(), catalog.ErrNoSpace) {
		err = errors.Join(err, e.reopenCatalog())
	}
	return err
}

// inDoubt is what a commit would have made visible whose outcome is unknown, in the place of
// buffers or of other files.
type inDoubt struct {
	table   *table
	buffers []*buffer
	merged  []*schema.File
	files   []*schema.File

	needless []*schema.Tombstone // go with merged
	before   int64               // of which rows before it were left out
	// A deletion of rows: what it changes of tables, and what its commit is known by if it adds
	// no file.
	burials []*burial
	buried  *schema.Tombstone
	removed schema.FileID
	rollup  *schema.RollupState // likewise
	note    *deletionNote
}

func (e *Engine) reopenCatalog() error {
	if !e.flusher.mu.TryLock() { // it fails soon, as it cannot commit
		return errBusy
	}
	defer e.flusher.mu.Unlock()
	if err := e.probe(); err != nil {
		return err
	}
	if err := e.reopenWithKeys(); err != nil {
		return fmt.Errorf("opening the catalog again: %w", err)
	}
	return e.reconcile()
}

// reopenWithKeys reopens the catalog and gives it the keys of all buffered rows.
func (e *Engine) reopenWithKeys() error {
	e.applying.Lock()
	defer e.applying.Unlock()
	if e.firsts.reopenings.Load()%2 == 0 {
		e.firsts.reopenings.Add(1)
	}
	if err := e.catalog.Reopen(); err != nil {
		return err
	}
	for _, t := range e.tables.all() {
		if err := e.rememberBuffered(t); err != nil {
			return err // the catalog has failed again, and is reopened again
		}
	}
	e.firsts.reopenings.Add(1)
	return nil
}

// rememberBuffered adds the keys of a table's buffered rows to the catalog's set.
func (e *Engine) rememberBuffered(t *table) error {
	def, ok := e.catalog.Schema().TableByID(t.id)
	if !ok || def.Key.Rule != schema.FirstByTag {
		return nil
	}
	tag, ok := def.Column(def.Key.Tag)
	if !ok {
		return nil
	}
	for _, s := range t.snapshots() {
		for _, column := range s.Tags {
			if column.ID != tag.ID {
				continue
			}
			hashes := make([][16]byte, 0, len(column.Values))
			for _, value := range column.Values {
				hashes = append(hashes, hashKey(t.id, []byte(value)).hash)
			}
			if err := e.catalog.Remember(t.id, hashes); err != nil {
				return err
			}
		}
	}
	return nil
}

// reconcile brings the tables to what the catalog has turned out to say: the last change
// may have been made or not. flusher.mu is held, since before the catalog was reopened.
func (e *Engine) reconcile() error {
	committed := make(map[schema.FileID]bool)
	for _, f := range e.catalog.Files() {
		committed[f.ID] = true
	}
	e.resolveDoubt(committed) // first: merged files and their merge change places in one step
	snapshot := e.catalog.Schema()
	for _, t := range e.tables.all() {
		if snapshot.IsPurged(t.id) {
			e.discardTable(t.id)
			continue
		}
		gone := slices.DeleteFunc(slices.Clone(t.allFiles()), func(f *schema.File) bool { return committed[f.ID] })
		e.removeDoomed(t.doom(gone))
		t.keepTombstones(e.catalog.Tombstones(t.id))
	}
	return nil
}

// resolveDoubt finishes the commit that was in doubt, or takes it back.
func (e *Engine) resolveDoubt(committed map[schema.FileID]bool) {
	doubt := e.flusher.doubt
	e.flusher.doubt = nil
	if doubt == nil || !slices.ContainsFunc(doubt.burials, func(b *burial) bool { return b.rollup != nil }) {
		e.showAllRollups() // in front of the files of their sources
	}
	switch {
	case doubt == nil:
	case !doubt.isMade(e.catalog, committed):
		e.removeDoomed(doubt.files)
		if doubt.note != nil {
			e.withdrawDeletion(doubt.note)
		}
	case doubt.merged != nil:
		e.removeDoomed(doubt.table.replaceFiles(doubt.merged, doubt.files, doubt.needless, doubt.before))
	case doubt.burials != nil:
		e.confirmDeletion(doubt.note)
		for _, b := range doubt.burials {
			e.removeDoomed(b.table.bury(b))
		}
		e.showAllRollups()
	default:
		doubt.table.replace(doubt.buffers, doubt.files)
	}
}

// probe reports whether there is room for what reopening the catalog takes.
func (e *Engine) probe() error {
	path := e.path(probeName)
	f, err := e.opts.FS.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("looking for space: %w", err)
	}
	zeros := make([]byte, 1<<20)
	for n := 0; err == nil && n < probeBytes; n += len(zeros) {
		_, err = f.Write(zeros)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close(), e.opts.FS.Remove(path))
	if err != nil {
		return fmt.Errorf("looking for space: %w", err)
	}
	return nil
}
