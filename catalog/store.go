package catalog

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/internal/durable"
)

// Event ids apart, a catalog is a few megabytes at most times, all of it also in memory,
// and Pebble reads it once, at Open. Event ids may be many millions, of which lookups
// read the filters. What matters is that Pebble itself stays small.
const (
	// cacheBytes has room for the filters of some 20 million event ids. It is taken as
	// blocks are read.
	cacheBytes = 32 << 20
	// filterBits a key let one lookup in a hundred of an unknown id read a block in vain.
	filterBits = 10
	// tableBytes bounds a table of any level, and so the filter of one, which is read
	// as a whole: some half megabyte.
	tableBytes = 16 << 20
	// memtableBytes bounds the log that Open replays: at most a few of these.
	memtableBytes = 4 << 20
	maxOpenFiles  = 100
	// manifestBytes is when the manifest is rewritten; Open reads all of it.
	manifestBytes = 1 << 20
)

// pebbleFormat is pinned, so that a new Pebble does not silently make directories that
// an older release cannot open. This one tells a torn log tail from damage
// (FormatWALSyncChunks) and has a checksum in table footers.
const pebbleFormat = pebble.FormatTableFormatV6

// neverStopWrites is a number of sublevels of L0 that is not reached. Otherwise, where a
// compaction fails again and again because a table cannot be read, Pebble would make
// Remember wait for ever, and with it whoever holds a lock.
const neverStopWrites = 1 << 20

func pebbleOptions(o *Options, f *fence) *pebble.Options {
	opts := &pebble.Options{
		FS:                    &fencedFS{FS: o.FS, fence: f},
		Logger:                f,
		EventListener:         f.pebbleEvents(),
		FormatMajorVersion:    pebbleFormat,
		CacheSize:             cacheBytes,
		MemTableSize:          memtableBytes,
		MaxOpenFiles:          maxOpenFiles,
		MaxManifestFileSize:   manifestBytes,
		L0StopWritesThreshold: neverStopWrites,
		// Statistics steer compactions of stores far larger than this one. Pebble
		// v2.1.7 collects them in a goroutine that outlives an Open that fails, and
		// panics there.
		DisableTableStats: true,
	}
	for level := range opts.Levels {
		opts.Levels[level].FilterPolicy = bloom.FilterPolicy(filterBits)
		opts.TargetFileSizes[level] = tableBytes
	}
	return opts
}

// store is Pebble behind its fence.
type store struct {
	db    *pebble.DB
	fence *fence
	fs    vfs.FS // without the fence
	dir   string

	isClosed bool // changed under mu and events of the catalog
	// commits is the number of the last one; acknowledged says so beside Pebble's files.
	commits      uint64
	acknowledged *durable.Note // nil once it failed
}

func openStore(o *Options) (*store, error) {
	f := newFence(o.Logger)
	return openStoreWith(o, f, pebbleOptions(o, f))
}

func openStoreWith(o *Options, f *fence, opts *pebble.Options) (*store, error) {
	db, err := pebble.Open(o.Dir, opts)
	if failed := f.err(); failed != nil { // Pebble may know nothing of it
		err = failed
		if db != nil {
			err = errors.Join(failed, db.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", o.Dir, err)
	}
	return &store{db: db, fence: f, fs: o.FS, dir: o.Dir, acknowledged: acknowledgedNote(o.FS, o.Dir)}, nil
}

// batch collects records that become durable together.
type batch struct {
	b   *pebble.Batch
	err error // the first fault, for commit to return
}

func (s *store) newBatch() *batch { return &batch{b: s.db.NewBatch()} }

// put seals the value and sets the record.
func (b *batch) put(key, value []byte) {
	if b.err == nil {
		b.err = b.b.Set(key, seal(key, value), nil)
	}
}

func (b *batch) remove(key []byte) {
	if b.err == nil {
		b.err = b.b.Delete(key, nil)
	}
}

// removePrefix removes every record whose key starts with the prefix.
func (b *batch) removePrefix(prefix []byte) {
	if b.err == nil {
		b.err = b.b.DeleteRange(prefix, prefixEnd(prefix), nil)
	}
}

// commit makes the batch durable, and all that was added before, and releases it.
// Calls are made one at a time.
func (s *store) commit(b *batch) error {
	if b.b.Empty() { // nothing is written
		return s.apply(b, pebble.Sync)
	}
	b.put(commitsKey, appendNumber(nil, s.commits+1))
	if err := s.apply(b, pebble.Sync); err != nil {
		return err
	}
	s.commits++
	s.noteAcknowledged()
	return nil
}

// add writes the batch to the log without waiting for the disk, and releases it. Pebble's
// log is one sequence, so the next commit cannot be durable without it.
func (s *store) add(b *batch) error { return s.apply(b, pebble.NoSync) }

// apply may be called concurrently. The fence closes before Pebble reports the write or
// sync that failed, so whose batch it was does not matter: a fence that is open
// afterwards has let through everything that this batch's promise depends on.
func (s *store) apply(b *batch, sync *pebble.WriteOptions) error {
	if err := errors.Join(b.err, s.fence.err()); err != nil {
		return errors.Join(err, b.b.Close())
	}
	if err := b.b.Commit(sync); err != nil {
		s.fence.fail(err)
		return s.fence.err() // the batch is left to the collector: Pebble may still refer to it
	}
	return errors.Join(s.fence.err(), b.b.Close())
}

// hasEvent looks up the key of an event id. An iterator does it, because Pebble's Get
// does not ask the filters of the last level, where nearly all ids are.
func (s *store) hasEvent(key []byte) (bool, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return false, err
	}
	found := it.SeekPrefixGE(key)
	if found {
		if fault := checkEvent(key, it.Value()); fault != nil {
			err = &CorruptError{Dir: s.dir, Key: key, Err: fault}
		}
	}
	return found, errors.Join(err, it.Close()) // Close reports a failed read too
}

// close may be called again, after a Reopen that came no further.
func (s *store) close() error {
	if s.isClosed {
		return nil
	}
	s.isClosed = true
	if s.acknowledged != nil {
		s.acknowledged.Close()
	}
	return s.db.Close()
}
