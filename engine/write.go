package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/wal"
)

// Precision is the unit of a request's time stamps.
type Precision = lineprotocol.Precision

// The precisions; see package lineprotocol.
const (
	Auto        = lineprotocol.Auto
	Nanosecond  = lineprotocol.Nanosecond
	Microsecond = lineprotocol.Microsecond
	Millisecond = lineprotocol.Millisecond
	Second      = lineprotocol.Second
	Minute      = lineprotocol.Minute
	Hour        = lineprotocol.Hour
)

// PrecisionSet is the set of precisions that a write API knows; see package lineprotocol.
type PrecisionSet = lineprotocol.PrecisionSet

// The sets; see package lineprotocol.
const (
	V1Precisions = lineprotocol.V1Precisions
	V2Precisions = lineprotocol.V2Precisions
	V3Precisions = lineprotocol.V3Precisions
)

// ParsePrecision understands the names of a set; see package lineprotocol.
func ParsePrecision(name string, set PrecisionSet) (Precision, error) {
	return lineprotocol.ParsePrecision(name, set)
}

// WriteRequest is one body of line protocol.
type WriteRequest struct {
	Database  string
	Body      []byte // not retained, not changed
	Precision lineprotocol.Precision
	// AcceptPartial stores the valid lines of a body that has bad ones; without it
	// one bad line rejects them all.
	AcceptPartial bool
	// NoSync answers when the record is queued for the log's next sync: a crash right
	// after the answer may lose it. Views wait for what is queued, so that it is
	// queryable at once. Tables with Key.Rule FirstByTag are synced all the same.
	NoSync bool
	// MustExist refuses to create the database.
	MustExist bool
	// Now is the time of points without one, in nanoseconds; 0 is the clock's.
	Now int64
	// NoNewTables rejects lines of tables that do not exist.
	NoNewTables bool
	// RequestID and Token name the request and its sender in the rejected-points log.
	RequestID, Token string

	isRetry bool  // the rejected-points log has the lines already
	clock   int64 // the time that points may be too old by, in nanoseconds
	// isReserved says that the pool has room for what is written.
	isReserved bool
}

// WriteResult says what became of the lines.
type WriteResult struct {
	Accepted int
	// Discarded counts those of Accepted that changed nothing, because a table that
	// keeps the first row of each key has one already.
	Discarded int
	Rejected  int
	// Expired counts those of Rejected whose time is outside the retention period.
	Expired int
	// Errors describes the rejected lines in order, at most MaxReportedErrors of them.
	Errors []LineError
}

// Write stores the points of a body. When it returns without error, every accepted
// point is durable and visible (E1; see NoSync), the result describes every rejected
// line, and the rejected-points log holds them.
//
// The errors are ErrEmptyWrite, ErrInvalidDatabaseName, ErrDatabaseNotFound,
// ErrTooLarge, ErrOverloaded, ErrUnavailable, *NoSpaceError, *LimitError for a database too many, and
// the context's; with any of them no point of the body was acknowledged.
func (e *Engine) Write(ctx context.Context, req WriteRequest) (WriteResult, error) {
	if err := ValidateDatabaseName(req.Database); err != nil {
		return WriteResult{}, err
	}
	now := e.clock.now()
	req.clock = e.clock.within(now)
	if req.Now == 0 {
		req.Now = now
	}
	result, err := e.enterAndWrite(ctx, &req)
	if err != nil {
		if errors.Is(err, ErrNoSpace) {
			e.metrics.noSpace.Inc()
		}
		return WriteResult{}, err
	}
	e.metrics.accepted.Add(float64(result.Accepted))
	e.metrics.rejected.Add(float64(result.Rejected))
	return result, nil
}

func (e *Engine) enterAndWrite(ctx context.Context, req *WriteRequest) (WriteResult, error) {
	if err := e.enter(); err != nil {
		return WriteResult{}, err
	}
	defer e.leave()
	return e.write(ctx, req)
}

// write stores the accepted points of a body, and then the rejected ones in their log.
// The pool has room for both before either is stored: what was stored is not refused
// because of its companions.
func (e *Engine) write(ctx context.Context, req *WriteRequest) (WriteResult, error) {
	w := writing{engine: e, req: req, set: newWriteSet(len(req.Body)), room: room{ctx: ctx, admission: e.requests, isGranted: req.isReserved}}
	defer w.end()
	if err := w.room.enter(len(req.Body)); err != nil {
		e.metrics.overloaded.Inc()
		return WriteResult{}, err
	}
	result, err := w.prepare()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && len(w.set.batches) > 0 {
		err = w.store()
	}
	if err != nil {
		return WriteResult{}, err
	}
	w.unlock()
	return result, e.keepRejected(ctx, w.rejected)
}

// writing is one call of write.
type writing struct {
	engine *Engine
	req    *WriteRequest
	set    *writeSet
	record []byte
	room   room // for body, batches and record
	// rejected has the rejected lines for their log, empty where that is off.
	rejected rejectedText
	size     int64       // what the accepted points take of the pool
	reserved int64       // held of the pool until the call ends
	firsts   *sync.Mutex // held from reading the keys of FirstByTag tables to applying them
}

// end gives back what the call holds. A set that is queued is given back by whoever
// applies it.
func (w *writing) end() {
	w.unlock()
	w.engine.buffers.release(w.reserved)
	w.room.leave()
	if w.set != nil {
		w.set.release()
	}
}

// unlock lets others write to the database's FirstByTag tables.
func (w *writing) unlock() {
	if w.firsts != nil {
		w.firsts.Unlock()
		w.firsts = nil
	}
}

// reserve makes sure of room in the pool for all that the request brings.
func (w *writing) reserve() error {
	e := w.engine
	w.size = w.set.memoryBytes()
	if w.req.isReserved {
		return nil
	}
	need := w.size + w.rejected.memoryBytes()
	if need > e.buffers.limit {
		return fmt.Errorf("%w: they need about %d bytes of memory, and the buffers have %d; split the request, or start the server with a larger --exec-mem-pool-bytes", ErrTooLarge, need, e.buffers.limit)
	}
	if !e.buffers.reserve(need) {
		e.flusher.kick()
		e.metrics.overloaded.Inc()
		return fmt.Errorf("%w: %d of %d bytes are in use and the request needs about %d", ErrOverloaded, e.buffers.used.Load(), e.buffers.limit, need)
	}
	w.reserved = need
	return nil
}

// prepare parses the body, reserves memory, defines what it needs, and makes the log
// record of its accepted points; the set has no batches when there is none to store.
func (w *writing) prepare() (WriteResult, error) {
	e := w.engine
	in := e.ingesters.get()
	defer e.ingesters.put(in)
	for range maxReadings {
		snapshot := e.catalog.Schema()
		if _, ok := snapshot.Database(w.req.Database); !ok && w.req.MustExist {
			return WriteResult{}, fmt.Errorf("%w: %s", ErrDatabaseNotFound, w.req.Database)
		}
		in.read(w.req, snapshot, w.set, &w.room)
		result := in.result
		w.rejected = in.rejected.text()
		if in.failure != nil {
			in.abandon()
			return WriteResult{}, w.refusal(in.failure)
		}
		switch {
		case result.Accepted+result.Rejected == 0:
			return result, ErrEmptyWrite
		case result.Accepted == 0, result.Rejected > 0 && !w.req.AcceptPartial:
			in.abandon()
			w.set.reset()
			result.Rejected += result.Accepted
			result.Accepted, result.Discarded = 0, 0
			return result, w.reserve()
		case len(w.set.keys) > 0 && w.firsts == nil:
			// Read again under the lock, so that no other request stores one of the keys
			// between the look-up and the record.
			in.abandon()
			w.set.reset()
			w.firsts = e.firsts.lock(w.req.Database)
			continue
		}
		err := w.reserve()
		if err == nil {
			err = e.define(in, w.req)
		}
		if err == nil {
			w.record, err = w.set.seal()
			return result, err
		}
		in.abandon()
		if !e.isRetryable(err) {
			return WriteResult{}, err
		}
		e.buffers.release(w.reserved)
		w.reserved = 0
		// Another writer defined a column first, or the table was deleted and made anew.
		// Read against what there is now, lines that contradict it are rejected one by one.
		w.set.reset()
	}
	return WriteResult{}, fmt.Errorf("%w: what is written to changed %d times while the request was read", ErrOverloaded, maxReadings)
}

// refusal says of a body that was not read to its end why not.
func (w *writing) refusal(err error) error {
	switch {
	case errors.Is(err, ErrOverloaded):
		w.engine.metrics.overloaded.Inc()
		return err
	case errors.Is(err, ErrTooLarge):
		return err
	}
	return w.engine.unavailable(err)
}

// maxReadings bounds how often a request is read against a schema that goes on changing.
const maxReadings = 100

// define makes the request's new columns exist, durably.
func (e *Engine) define(in *ingester, req *WriteRequest) error {
	change, ok := in.change(req.Database)
	if !ok {
		return nil
	}
	change.MustExist = req.MustExist
	snapshot, err := e.catalog.Define(change)
	if err != nil {
		return e.catalogError(err)
	}
	return in.settle(snapshot, req.Database)
}

// catalogError says of a failed catalog that writes are not accepted.
func (e *Engine) catalogError(err error) error {
	if errors.Is(err, catalog.ErrFailed) || errors.Is(err, catalog.ErrClosed) {
		return e.unavailable(err)
	}
	return err
}

// isRetryable reports whether a definition was refused only because the schema moved
// on since it was read. A limit on databases is final: no line can be blamed for it.
func (e *Engine) isRetryable(err error) bool {
	var conflict *catalog.ConflictError
	var limit *catalog.LimitError
	return errors.Is(err, errTableReplaced) || errors.Is(err, catalog.ErrReadOnlyRollup) || errors.Is(err, catalog.ErrNotFound) || errors.As(err, &conflict) ||
		errors.As(err, &limit) && limit.Kind != catalog.LimitDatabases
}

// store logs the record and applies it.
func (w *writing) store() error {
	e, set := w.engine, w.set
	apply := func(seq schema.Seq) { e.apply(set, seq) }
	size := min(w.size, w.reserved) // nothing is reserved for a request with isReserved
	var err error
	if w.req.NoSync && w.firsts == nil {
		held := w.room.taken
		err = e.log.CommitAsync(w.record, apply, func(error) {
			e.buffers.release(size)
			e.requests.release(held)
			set.release()
		})
		if err == nil { // they are the log's from here on
			w.set, w.reserved, w.room.taken = nil, w.reserved-size, 0
		}
	} else {
		_, err = e.log.Commit(w.record, apply)
	}
	if errors.Is(err, wal.ErrPayloadTooLarge) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if err != nil {
		return e.logFailed(err)
	}
	if w.set != nil { // the rows are in the buffers, and counted there
		e.buffers.release(size)
		w.reserved -= size
	}
	if e.buffers.isUnderPressure() {
		e.flusher.kick()
	}
	return nil
}

// apply makes a durable record visible. The log calls it in order, one at a time.
func (e *Engine) apply(set *writeSet, seq schema.Seq) {
	e.applying.Lock()
	defer e.applying.Unlock()
	snapshot := e.catalog.Schema()
	for _, b := range set.batches {
		if !snapshot.IsPurged(b.Key.Table) {
			e.tables.findOrCreate(b.Key.Database, b.Key.Table).append(&b.Batch, seq)
		}
	}
	e.rememberKeys(set.keys)
	e.applied.Store(uint64(seq))
}

// logFailed logs once why writes are refused until the next start. If the log is only out
// of space, the healer does the rest.
func (e *Engine) logFailed(err error) error {
	if errors.Is(err, wal.ErrPoisoned) {
		e.reportLog.Do(func() {
			e.opts.Logger.Error("the log failed: writes are refused until the next start, queries go on", "error", err)
		})
	}
	return e.unavailable(err)
}
