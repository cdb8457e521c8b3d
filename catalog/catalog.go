package catalog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// Catalog is an open catalog. One process at a time has a directory open.
type Catalog struct {
	store    *store // replaced under mu, events and checking, so either lock is enough to use it
	opts     Options
	limits   Limits
	now      func() time.Time
	instance instanceID
	// fence is the store's, for those who hold no lock.
	fence atomic.Pointer[fence]

	// What readers see. They are replaced only while mu is held, after the change is durable.
	schema      atomic.Pointer[schema.Snapshot]
	files       atomic.Pointer[fileSet]
	tokens      atomic.Pointer[[]*schema.Token]
	datasources atomic.Pointer[[]*schema.Datasource]
	clock       atomic.Pointer[Clock]
	// lastFile is the file id handed out last.
	lastFile atomic.Uint64

	// mu orders changes. It is held during the sync of a commit, so readers never take it.
	mu struct {
		sync.Mutex
		closed    bool                           // changed under events too, so either lock is enough to read it
		databases int                            // the last database id; ids have no gaps
		tables    int                            // the last table id; likewise
		lastToken uint64                         // the last token id
		byID      map[schema.FileID]*schema.File // the files of the current fileSet
	}
	// events is held for reading by those who use the store without mu: Remember and
	// Seen. It is taken after mu, to close the store and to purge.
	events sync.RWMutex
	// checking is held for reading by Check, which takes long: nobody else waits for it. Close
	// takes it before mu; Reopen tries it, with the others held.
	checking sync.RWMutex
}

// fileSet is an immutable picture of the files and of what is in them.
type fileSet struct {
	list     []*schema.File // by compareFiles
	position schema.Seq
	flushed  map[schema.PartitionKey]schema.Seq // entries are above position

	tombstones tombstoneSet
	rollups    rollupStates
}

// A file id is the number of the run, counting how often the directory was opened, and
// below it a counter within the run. Open makes the next run's number durable before
// the first id is handed out, so no id comes twice, whatever became of the file it was
// for, and handing one out needs no I/O. 36 bits are 2,000 files a second for a
// year; the 28 above are an open a second for eight years.
const (
	runShift = 36
	runLimit = 1 << (64 - runShift)
)

// Open opens the catalog in the directory, or makes one. The errors are *VersionError
// for a newer format, *CorruptError for damage (C7), and those of the storage.
func Open(o Options) (*Catalog, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.MustExist {
		if err := mustExist(&o); err != nil {
			return nil, err
		}
	}
	if err := checkAcknowledged(&o); err != nil {
		return nil, err
	}
	s, err := openStore(&o)
	if err != nil {
		return nil, err
	}
	c, err := openCatalog(s, &o)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return c, nil
}

func openCatalog(s *store, o *Options) (*Catalog, error) {
	l, err := load(s, o.Dir)
	if err != nil {
		return nil, err
	}
	if l.empty && o.MustExist {
		return nil, fmt.Errorf("%w in %s: it has no record", ErrNoCatalog, o.Dir)
	}
	if err := startRun(s, l, o.Now()); err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", o.Dir, err)
	}
	return newCatalog(s, o, l), nil
}

func newCatalog(s *store, o *Options, l *loader) *Catalog {
	c := &Catalog{opts: *o, limits: o.Limits, now: o.Now, instance: l.header.instance}
	c.showLocked(s, l)
	return c
}

// showLocked makes the store and what was loaded from it the catalog's. mu and events are
// held, unless nobody else knows the catalog yet.
func (c *Catalog) showLocked(s *store, l *loader) {
	c.store = s
	c.fence.Store(s.fence)
	c.lastFile.Store(l.run << runShift)
	c.mu.databases, c.mu.tables, c.mu.lastToken = len(l.databases), len(l.tables), l.lastToken
	c.mu.byID = make(map[schema.FileID]*schema.File, len(l.files))
	for _, f := range l.files {
		c.mu.byID[f.ID] = f
	}
	c.schema.Store(l.snapshot)
	c.files.Store(&fileSet{list: l.files, position: l.position, flushed: l.flushed, tombstones: l.tombstones, rollups: l.rollups})
	c.tokens.Store(&l.tokens)
	c.datasources.Store(&l.datasources)
	c.clock.Store(l.clock)
}

// Err returns nil, or why every change fails: it matches ErrFailed, and ErrNoSpace if
// Reopen can help. It takes no lock.
func (c *Catalog) Err() error { return c.fence.Load().err() }

// startRun records that run number l.run is taken; the first run is 0. In a new
// catalog, and in one of an older format, it writes the header too, in the same batch, and
// the time where none is known.
func startRun(s *store, l *loader, now time.Time) error {
	if l.run >= runLimit {
		return fmt.Errorf("file ids are used up after %d openings", l.run)
	}
	if err := compareAcknowledged(s.dir, l.commits, lastAcknowledged(s.fs, s.dir)); err != nil {
		return err
	}
	s.commits = l.commits
	b := s.newBatch()
	if l.empty {
		l.header.instance = newInstanceID()
	}
	if l.header.format != formatVersion {
		l.header.format = formatVersion
		b.put(headerKey, appendHeader(nil, l.header))
	}
	b.put(runKey, appendNumber(nil, l.run+1))
	if l.clock == nil {
		l.clock = &Clock{Seen: schema.Nanoseconds(now)}
		b.put(clockKey, appendClock(nil, *l.clock))
	}
	return s.commit(b)
}

func newInstanceID() instanceID {
	var id instanceID
	rand.Read(id[:])             // never fails
	id[6] = id[6]&0x0f | 4<<4    // version 4: random
	id[8] = id[8]&0x3f | 0b10<<6 // the variant of RFC 9562
	return id
}

// Schema returns everything that is defined.
func (c *Catalog) Schema() *schema.Snapshot { return c.schema.Load() }

// Files returns the live files by Order, and by id where that is equal. The slice is
// shared and must not be changed.
func (c *Catalog) Files() []*schema.File { return c.files.Load().list }

// Position returns the global flushed position: every record of the log at or before
// it is in files.
func (c *Catalog) Position() schema.Seq { return c.files.Load().position }

// Flushed returns the partitions that are flushed further than Position, and how far.
func (c *Catalog) Flushed() map[schema.PartitionKey]schema.Seq {
	return maps.Clone(c.files.Load().flushed)
}

// InstanceID returns the UUID that was made with the catalog.
func (c *Catalog) InstanceID() string { return c.instance.String() }

// AllocateFileID returns an id that was never handed out before and is greater than
// all that were, in this run and in those before it (C3).
func (c *Catalog) AllocateFileID() schema.FileID {
	id := c.lastFile.Add(1)
	if id&(1<<runShift-1) == 0 {
		panic("catalog: the file ids of this run are used up")
	}
	return schema.FileID(id)
}

// FileIDAge says when a file id was handed out: in this run, in an earlier one, or never.
func (c *Catalog) FileIDAge(id schema.FileID) FileIDAge {
	last := schema.FileID(c.lastFile.Load())
	switch {
	case id == 0 || id > last:
		return FileIDUnknown
	case id>>runShift == last>>runShift:
		return FileIDNew
	}
	return FileIDOld
}

// FileIDAge is what FileIDAge returns.
type FileIDAge uint8

// The ages of file ids.
const (
	FileIDUnknown FileIDAge = iota // was never handed out
	FileIDNew                      // in this run
	FileIDOld                      // in an earlier one
)

// Close releases the directory. Closing again does nothing; readers keep working on
// what was read last.
func (c *Catalog) Close() error {
	c.checking.Lock()
	defer c.checking.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return nil
	}
	c.events.Lock()
	defer c.events.Unlock()
	c.mu.closed = true
	if err := c.store.close(); err != nil {
		return fmt.Errorf("close catalog: %w", err)
	}
	return nil
}

// usableLocked says whether the store may be used; mu is held, or events.
func (c *Catalog) usableLocked() error {
	if c.mu.closed {
		return ErrClosed
	}
	return c.store.fence.err()
}

// commitLocked makes the batch durable, or says what could not be done; mu is held.
func (c *Catalog) commitLocked(b *batch, what string, args ...any) error {
	if err := c.store.commit(b); err != nil {
		return fmt.Errorf(what+": %w", append(args, err)...)
	}
	return nil
}
