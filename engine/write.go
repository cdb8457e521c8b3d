package engine

import (
	"context"
	"errors"
	"fmt"

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

// WriteRequest is one body of line protocol.
type WriteRequest struct {
	Database  string
	Body      []byte // not retained, not changed
	Precision lineprotocol.Precision
	// AcceptPartial stores the valid lines of a body that has bad ones; without it
	// one bad line rejects them all.
	AcceptPartial bool
}

// WriteResult says what became of the lines.
type WriteResult struct {
	Accepted int
	Rejected int
	// Errors describes the rejected lines in order, at most MaxReportedErrors of them.
	Errors []LineError
}

// Write stores the points of a body. When it returns without error, every accepted
// point is durable and visible (E1), and the result describes every rejected line.
//
// The errors are ErrEmptyWrite, ErrInvalidDatabaseName, ErrTooLarge, ErrOverloaded,
// ErrUnavailable, *LimitError for a database too many, and the context's; with any of
// them no point of the body was acknowledged.
func (e *Engine) Write(ctx context.Context, req WriteRequest) (WriteResult, error) {
	if err := ValidateDatabaseName(req.Database); err != nil {
		return WriteResult{}, err
	}
	if err := e.enter(); err != nil {
		return WriteResult{}, err
	}
	defer e.leave()
	out := writeSets.Get().(*writeSet)
	defer func() {
		out.reset()
		writeSets.Put(out)
	}()
	result, record, err := e.prepare(&req, out)
	if err != nil || record == nil {
		return result, err
	}
	if err := ctx.Err(); err != nil {
		return WriteResult{}, err
	}
	if err := e.store(record, out); err != nil {
		return WriteResult{}, err
	}
	e.metrics.accepted.Add(float64(result.Accepted))
	e.metrics.rejected.Add(float64(result.Rejected))
	return result, nil
}

// prepare parses the body, defines what it needs, and returns the log record of its
// accepted points, nil when there is none to store.
func (e *Engine) prepare(req *WriteRequest, out *writeSet) (WriteResult, []byte, error) {
	in := e.ingesters.get()
	defer e.ingesters.put(in)
	for {
		in.read(req, e.catalog.Schema(), e.opts.Now().UnixNano(), out)
		result := in.result
		switch {
		case result.Accepted+result.Rejected == 0:
			return result, nil, ErrEmptyWrite
		case result.Accepted == 0, result.Rejected > 0 && !req.AcceptPartial:
			in.abandon()
			result.Rejected += result.Accepted
			result.Accepted = 0
			e.metrics.rejected.Add(float64(result.Rejected))
			return result, nil, nil
		}
		err := e.define(in, req.Database)
		if err == nil {
			record, err := out.seal()
			return result, record, err
		}
		in.abandon()
		if !e.isRetryable(err) {
			return WriteResult{}, nil, err
		}
		// Another writer defined a column first. Read against what it defined, the
		// lines that contradict it are rejected one by one.
		out.reset()
	}
}

// define makes the request's new columns exist, durably.
func (e *Engine) define(in *ingester, database string) error {
	change, ok := in.change(database)
	if !ok {
		return nil
	}
	snapshot, err := e.catalog.Define(change)
	if err != nil {
		if errors.Is(err, catalog.ErrFailed) || errors.Is(err, catalog.ErrClosed) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return err
	}
	return in.settle(snapshot, database)
}

// isRetryable reports whether a definition was refused only because the schema moved
// on since it was read. A limit on databases is final: no line can be blamed for it.
func (e *Engine) isRetryable(err error) bool {
	var conflict *catalog.ConflictError
	var limit *catalog.LimitError
	return errors.As(err, &conflict) || errors.As(err, &limit) && limit.Kind != catalog.LimitDatabases
}

// store logs the record and applies it.
func (e *Engine) store(record []byte, out *writeSet) error {
	size := out.memoryBytes()
	if !e.buffers.reserve(size) {
		e.flusher.kick()
		e.metrics.overloaded.Inc()
		return fmt.Errorf("%w: %d of %d bytes are in use and the request needs about %d", ErrOverloaded, e.buffers.used.Load(), e.buffers.limit, size)
	}
	_, err := e.log.Commit(record, func(seq schema.Seq) { e.apply(out, seq) })
	e.buffers.release(size)
	if errors.Is(err, wal.ErrPayloadTooLarge) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if e.buffers.isUnderPressure() {
		e.flusher.kick()
	}
	return nil
}

// apply makes a durable record visible. The log calls it in order, one at a time.
func (e *Engine) apply(out *writeSet, seq schema.Seq) {
	e.applying.Lock()
	defer e.applying.Unlock()
	for _, b := range out.batches {
		e.tables.findOrCreate(b.Key.Database, b.Key.Table).append(&b.Batch, seq)
	}
	e.applied.Store(uint64(seq))
}
