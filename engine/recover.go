package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/wal"
)

// recover brings the engine to the state of its last acknowledged write. Each step
// only removes what no commit names, so that it may be killed anywhere and repeated.
func (e *Engine) recover() error {
	begin := time.Now()
	if err := e.lockDirectory(); err != nil {
		return err
	}
	if err := e.refuseHalfSalvaged(); err != nil {
		return err
	}
	// The catalog notes that it was opened: a log that cannot be read is refused before.
	if err := wal.CheckFormat(e.opts.FS, e.path(walDir)); err != nil {
		return err
	}
	if err := e.openCatalog(); err != nil {
		return err
	}
	if err := e.checkFiles(); err != nil {
		return err
	}
	e.showAllRollups()
	rows, err := e.openLog()
	if err != nil {
		return err
	}
	if err := e.dropHalfRestored(); err != nil {
		return err
	}
	e.openDeletions()
	e.opts.Logger.Info("data directory is open", "dir", e.opts.DataDir, "instance", e.catalog.InstanceID(),
		"files", len(e.catalog.Files()), "replayed_rows", rows, "took", time.Since(begin))
	return nil
}

func (e *Engine) lockDirectory() error {
	fs := e.opts.FS
	if err := durable.MkdirAll(fs, e.opts.DataDir); err != nil {
		return unusable(e.opts.DataDir, err)
	}
	lock, err := lockDir(fs, e.opts.DataDir, "stop it, or choose another directory")
	if err != nil {
		return err
	}
	e.lock = lock
	_ = fs.Remove(e.path(probeName)) // left by a crash; usually not there
	e.removeImages()
	return nil
}

func (e *Engine) openCatalog() error {
	fs := e.opts.FS
	// A new catalog would declare every file an orphan and every log record unknown: data
	// without its catalog must not be touched.
	dataIn := ""
	for _, dir := range []string{filesDir, walDir} {
		names, err := fs.List(e.path(dir))
		if err == nil && slices.ContainsFunc(names, func(n string) bool { return n != lostAndFound }) {
			dataIn = dir
		}
	}
	c, err := catalog.Open(catalog.Options{
		FS: fs, Dir: e.path(catalogDir), Logger: e.opts.Logger, Limits: e.opts.Limits, Now: e.opts.Now, MustExist: dataIn != "",
	})
	if errors.Is(err, catalog.ErrNoCatalog) {
		return fmt.Errorf("%w: %s has data in %s but no %s (%w); restore the catalog from a backup", ErrDamaged, e.opts.DataDir, dataIn, catalogDir, err)
	} else if err != nil {
		if catalog.IsDamage(err) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return fmt.Errorf("opening the catalog: %w", err)
	}
	e.catalog = c
	e.clock = newClock(&e.opts, c.Clock())
	if dataIn == "" {
		return durable.MkdirAll(fs, e.path(filesDir))
	}
	return nil
}

// checkFiles makes sure that every file of the catalog is there in its full length,
// shows it to the tables, and removes files that no commit names: what a crash left
// between writing a file and committing it.
func (e *Engine) checkFiles() error {
	byTable := make(map[schema.TableID][]*schema.File)
	known := make(map[string]*schema.File)
	for _, f := range e.catalog.Files() {
		known[filePath(f)] = f
		byTable[f.Table] = append(byTable[f.Table], f)
	}
	if err := e.eachFile(func(dir, name string) error { return e.checkFile(path.Join(dir, name), known) }); err != nil {
		return err
	}
	e.removeEmptyDirs()
	for name, f := range known {
		return fmt.Errorf("%w: %s (%d rows) is missing; restore it from a backup", ErrDamaged, e.path(name), f.Rows)
	}
	for id, files := range byTable {
		e.showFiles(id, files)
	}
	return nil
}

// eachFile calls f with what is in the directories of tables, in the order of names.
func (e *Engine) eachFile(f func(dir, name string) error) error {
	dirs, err := e.tableDirs()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		names, err := e.list(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := f(dir, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// tableDirs returns what is where tables have their files.
func (e *Engine) tableDirs() (dirs []string, err error) {
	databases, err := e.list(filesDir)
	if err != nil {
		return nil, err
	}
	for _, db := range databases {
		tables, err := e.list(path.Join(filesDir, db))
		if err != nil {
			return nil, err
		}
		for _, table := range tables {
			dirs = append(dirs, path.Join(filesDir, db, table))
		}
	}
	return dirs, nil
}

// checkFile checks what lies below files/ against known, from which it removes what it has
// found.
func (e *Engine) checkFile(name string, known map[string]*schema.File) error {
	f, ok := known[name]
	if !ok {
		if !isOurFile(path.Base(name)) {
			return nil
		}
		if place, ok := parseFilePath(path.Dir(name), path.Base(name)); ok && e.catalog.FileIDAge(place.ID) == catalog.FileIDUnknown {
			return fmt.Errorf("%w: the catalog is older than %s: it has never given a file that number", ErrDamaged, e.path(name))
		}
		e.opts.Logger.Info("removing a file that was never committed", "file", e.path(name))
		return e.opts.FS.Remove(e.path(name))
	}
	delete(known, name)
	info, err := e.opts.FS.Stat(e.path(name))
	if err != nil {
		return fmt.Errorf("reading the size of %s: %w", e.path(name), err)
	}
	if uint64(info.Size()) != f.Bytes {
		return fmt.Errorf("%w: %s has %d bytes, the catalog says %d; restore it from a backup", ErrDamaged, e.path(name), info.Size(), f.Bytes)
	}
	return nil
}

// list returns the names in a directory of the data directory, none if it is missing
// or no directory.
func (e *Engine) list(name string) ([]string, error) {
	info, err := e.opts.FS.Stat(e.path(name))
	if errors.Is(err, os.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", e.path(name), err)
	}
	names, err := e.opts.FS.List(e.path(name))
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", e.path(name), err)
	}
	return names, nil
}

// openLog replays the records that are not in files yet.
func (e *Engine) openLog() (rows int, err error) {
	position, flushed := e.catalog.Position(), e.catalog.Flushed()
	durable := max(position, readReached(e.opts.FS, e.path(reachedName), e.catalog.InstanceID()))
	for _, seq := range flushed {
		durable = max(durable, seq)
	}
	e.applied.Store(uint64(position))
	var decoder partition.Decoder
	replay := func(seq schema.Seq, record []byte) error {
		err := decoder.Decode(record, func(b *partition.Batch) error {
			if seq <= flushed[b.Key] || e.catalog.Schema().IsPurged(b.Key.Table) {
				return nil
			}
			rows += b.Rows()
			return e.replayBatch(b, seq)
		})
		if err != nil {
			return fmt.Errorf("log record %d: %w", seq, err)
		}
		e.applied.Store(uint64(seq))
		return e.relieve()
	}
	e.log, err = wal.Open(wal.Options{
		FS: e.opts.FS, Dir: e.path(walDir), SegmentBytes: e.opts.WALSegmentBytes,
		DurableThrough: durable, Logger: e.opts.Logger, Metrics: e.metrics.log(),
	}, position, replay)
	if err != nil {
		return rows, fmt.Errorf("opening the log: %w", err)
	}
	return rows, nil
}

// replayBatch puts a batch of the log back into its buffer. The catalog defined its
// table and columns before it was logged; if they are not there, something is lost.
func (e *Engine) replayBatch(b *partition.Batch, seq schema.Seq) error {
	def, ok := e.catalog.Schema().TableByID(b.Key.Table)
	if !ok || def.Database != b.Key.Database {
		return fmt.Errorf("%w: the log has rows for %s, which the catalog does not know", ErrDamaged, b.Key)
	}
	for i := range b.Fields {
		c, ok := def.ColumnByID(b.Fields[i].ID)
		if !ok || c.Type != b.Fields[i].Type {
			return fmt.Errorf("%w: the log has column %d of table %q, which the catalog does not know", ErrDamaged, b.Fields[i].ID, def.Name)
		}
	}
	e.tables.findOrCreate(b.Key.Database, b.Key.Table).append(b, seq)
	e.rememberKeys(keysOf(def, b))
	return nil
}

// relieve persists buffers in the middle of a replay that needs more memory than the
// pool has: it may have been larger when the log was written.
func (e *Engine) relieve() error {
	if e.buffers.used.Load() <= e.buffers.limit {
		return nil
	}
	return e.flusher.flush(context.Background(), flushLargest)
}
