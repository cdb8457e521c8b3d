package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"sync/atomic"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/wal"
)

// Engine is the storage engine: one data directory, opened by one process.
type Engine struct {
	opts    Options
	lock    io.Closer
	catalog *catalog.Catalog
	clock   *clock
	log     *wal.Log

	tables     *tables
	buffers    *share // of the memory pool
	persisting *share
	requests   *admission
	ingesters  *ingesters
	firsts     firsts
	// datasources lets one at a time be created: a database, and then its record.
	datasources sync.Mutex
	reportLog   sync.Once // its failure
	flusher     *flusher
	compactor   *compactor
	rollups     *rollups
	verifier    *verifier
	finders     *finders
	marker      marker
	healer      *healer
	space       space
	metrics     *metrics
	checks      checks
	applied     atomic.Uint64 // the last log position that is in the buffers
	reading     atomic.Int64  // open views
	// applying makes a record's batches one step for freeze: a record may hold several
	// for one partition, and a flushed position says that all of them are in files.
	applying sync.Mutex

	writers struct {
		sync.RWMutex      // read-held by each write
		closing      bool // no further write may start
	}
	closeOnce func() error
}

// Open locks the data directory, recovers what it holds and starts the background
// work. The errors are ErrInUse, ErrDamaged, ErrNewerFormat, *wal.CorruptionError,
// *NoSpaceError, the catalog's, and those of the file system.
func Open(opts Options) (*Engine, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	e := newEngine(opts)
	if err := e.recover(); err != nil {
		return nil, errors.Join(e.noSpace(e.advise(err)), e.releaseAll())
	}
	e.flusher.start()
	e.compactor.start()
	e.marker.start(e, opts.MarkInterval)
	e.healer.start()
	e.metrics.observe(e)
	return e, nil
}

// newEngine makes an engine that has nothing open.
func newEngine(opts Options) *Engine {
	e := &Engine{
		opts:       opts,
		buffers:    newShare(opts.PoolBytes, buffersPercent),
		persisting: newShare(opts.PoolBytes, persistPercent),
		requests:   newAdmission(opts.PoolBytes),
		ingesters:  newIngesters(&opts),
		metrics:    newMetrics(opts.Registerer),
	}
	e.tables = newTables(e.buffers, newLasts(opts.FS, e.buffers))
	e.verifier = newVerifier(e.opts.FS, e.metrics)
	e.finders = newFinders(e.opts.FS)
	e.ingesters.isStored = e.isStored
	e.flusher = newFlusher(e)
	e.healer = newHealer(e)
	e.compactor = newCompactor(e)
	e.rollups = newRollups(e)
	e.closeOnce = sync.OnceValue(e.close)
	return e
}

// Close stops accepting writes, persists the buffers and releases everything. What it
// does is never needed for safety: the log holds every acknowledged row. Views must be
// closed before.
func (e *Engine) Close() error { return e.closeOnce() }

func (e *Engine) close() error {
	e.writers.Lock() // waits for the writes under way
	e.writers.closing = true
	e.writers.Unlock()
	e.checks.stop()
	e.rollups.stop()
	e.compactor.stop()
	e.marker.stop()
	e.healer.stop()
	e.flusher.stop()
	var errs []error
	if e.log.Err() == nil {
		errs = append(errs, e.Flush(context.Background()))
	}
	errs = append(errs, e.releaseAll()) // waits for the writes that did not wait for their sync
	if err := e.log.Err(); errors.Is(err, wal.ErrPoisoned) {
		errs = append(errs, fmt.Errorf("writes were refused, and those with no_sync may be lost, since %w", err))
	}
	return errors.Join(errs...)
}

// releaseAll closes what is open, in the reverse order of opening.
func (e *Engine) releaseAll() error {
	var errs []error
	if e.log != nil {
		errs = append(errs, e.log.Close())
	}
	if e.catalog != nil {
		errs = append(errs, e.catalog.Close())
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	e.metrics.unregister()
	return errors.Join(errs...)
}

// enter lets a write begin; leave ends it.
func (e *Engine) enter() error {
	e.writers.RLock()
	if e.writers.closing {
		e.writers.RUnlock()
		return fmt.Errorf("%w: it is stopping", ErrUnavailable)
	}
	err := e.log.Err()
	if err != nil {
		err = e.unavailable(err)
	} else {
		err = e.belowReserve()
	}
	if err != nil {
		e.writers.RUnlock()
	}
	return err
}

func (e *Engine) leave() { e.writers.RUnlock() }

// Flush persists every row that was accepted before the call.
func (e *Engine) Flush(ctx context.Context) error {
	if err := e.log.Barrier(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return e.noSpace(e.flusher.flush(ctx, flushAll))
}

// Err returns why the engine does not take all writes: *NoSpaceError when the disk is
// full or nearly so, which passes, or the failure of the log or catalog, which does not. It
// is nil while it takes them.
func (e *Engine) Err() error {
	for _, err := range []error{e.log.Err(), e.catalog.Err()} {
		if err != nil {
			return e.noSpace(err)
		}
	}
	return e.belowReserve()
}

// QueryMemoryBytes is the queries' share of the memory pool.
func (e *Engine) QueryMemoryBytes() int64 { return newShare(e.opts.PoolBytes, queriesPercent).limit }

// InstanceID identifies the data directory for ever.
func (e *Engine) InstanceID() string { return e.catalog.InstanceID() }

// path places a name of the data directory.
func (e *Engine) path(name string) string { return path.Join(e.opts.DataDir, name) }
