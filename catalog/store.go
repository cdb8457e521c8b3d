package catalog

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// A catalog is a few megabytes at most times, all of it also in memory, and Pebble
// reads it once, at Open. What matters is that Pebble itself stays small.
const (
	cacheBytes = 8 << 20
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

func pebbleOptions(o *Options, f *fence) *pebble.Options {
	return &pebble.Options{
		FS:                  &fencedFS{FS: o.FS, fence: f},
		Logger:              f,
		EventListener:       f.pebbleEvents(),
		FormatMajorVersion:  pebbleFormat,
		CacheSize:           cacheBytes,
		MemTableSize:        memtableBytes,
		MaxOpenFiles:        maxOpenFiles,
		MaxManifestFileSize: manifestBytes,
		// Statistics steer compactions of stores far larger than this one. Pebble
		// v2.1.7 collects them in a goroutine that outlives an Open that fails, and
		// panics there.
		DisableTableStats: true,
	}
}

// store is Pebble behind its fence.
type store struct {
	db    *pebble.DB
	fence *fence
}

func openStore(o *Options) (*store, error) {
	f := newFence(o.Logger)
	db, err := pebble.Open(o.Dir, pebbleOptions(o, f))
	if failed := f.err(); failed != nil { // Pebble may know nothing of it
		err = failed
		if db != nil {
			err = errors.Join(failed, db.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", o.Dir, err)
	}
	return &store{db: db, fence: f}, nil
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

// commit makes the batch durable and releases it. The caller excludes other commits.
func (s *store) commit(b *batch) error {
	if err := errors.Join(b.err, s.fence.err()); err != nil {
		return errors.Join(err, b.b.Close())
	}
	if err := b.b.Commit(pebble.Sync); err != nil {
		s.fence.fail(err)
		return s.fence.err() // the batch is left to the collector: Pebble may still refer to it
	}
	return errors.Join(s.fence.err(), b.b.Close())
}

func (s *store) close() error { return s.db.Close() }
