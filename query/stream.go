package query

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	bindings "github.com/duckdb/duckdb-go-bindings"
	"github.com/duckdb/duckdb-go/v2/arrowmapping"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// stream is a running statement on a connection of its own.
type stream struct {
	ctx     context.Context // done with the query's or when the Querier closes
	cancel  func()
	unwatch func()
	conn    mapping.Connection
	stmt    mapping.PreparedStatement
	res     mapping.Result
	options arrowmapping.ArrowOptions
	schema  *arrow.Schema
	types   []mapping.Type
	casts   []bool // by column: is a cast by its form
}

// interruptInterval is the time between interrupts of a cancelled query. One is not
// enough: DuckDB forgets it when a statement starts.
const interruptInterval = 5 * time.Millisecond

// openStream starts a text.
func openStream(ctx context.Context, q *Querier, text string) (*stream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(q.closing, func() { cancel(ErrClosed) })
	s := &stream{ctx: ctx, unwatch: func() {}, cancel: func() { stop(); cancel(nil) }}
	if err := s.open(q, text); err != nil {
		err = s.explain(err)
		s.close()
		return nil, err
	}
	return s, nil
}

// explain prefers the reason why the context is done to the error that it led to.
func (s *stream) explain(err error) error {
	if s.ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("query: %w", context.Cause(s.ctx))
}

func (s *stream) open(q *Querier, text string) error {
	var err error
	if s.conn, err = connect(q.db); err != nil {
		return err
	}
	s.unwatch = interruptWhenDone(s.ctx, s.conn)
	if mapping.Prepare(s.conn, text, &s.stmt) == mapping.StateError {
		return s.prepareError(text)
	}
	// The streaming variant is the only one that does not first collect the whole answer. It
	// is not among the functions that the driver's mapping passes on.
	var pending mapping.PendingResult
	state := bindings.PendingPreparedStreaming(s.stmt, &pending)
	defer mapping.DestroyPending(&pending)
	if state == mapping.StateError {
		return s.prepareError(text)
	}
	if mapping.ExecutePending(pending, &s.res) == mapping.StateError {
		return s.resultError()
	}
	return s.describe()
}

// prepareError finds the type of an error of Prepare, which gives only a text: planning once
// more as a query gives a result, and that has one.
func (s *stream) prepareError(text string) error {
	message := cutContext(mapping.PrepareError(s.stmt))
	text = cutExplainJSON(text)
	if err := exec(s.conn, "EXPLAIN "+text); err != nil {
		return err
	}
	return &ResourceError{Message: message}
}

// resultError returns why there are no more rows. When a thread of DuckDB fails, it interrupts
// the others before it is asked why, so that now and then all that is left to see of
// an error behind the first rows is the interruption.
func (s *stream) resultError() error {
	if mapping.ResultErrorType(&s.res) == mapping.ErrorTypeInterrupt && s.ctx.Err() == nil {
		return &UserError{Message: "the query failed behind its first rows, and DuckDB did not say why: " +
			"a value cannot be cast or computed, or the query needs more memory than it may have"}
	}
	return classify(mapping.ResultErrorType(&s.res), cutContext(mapping.ResultError(&s.res)))
}

// describe reads the answer's schema.
func (s *stream) describe() error {
	s.options = arrowmapping.ResultGetArrowOptions(&s.res)
	n := mapping.ColumnCount(&s.res)
	names := make([]string, n)
	types := make([]mapping.LogicalType, n)
	for i := range n {
		names[i] = mapping.ColumnName(&s.res, i)
		types[i] = mapping.ColumnLogicalType(&s.res, i)
		s.types = append(s.types, mapping.ColumnType(&s.res, i))
	}
	return s.setSchema(types, names)
}

// setSchema makes an Arrow schema of columns, and destroys their types.
func (s *stream) setSchema(types []mapping.LogicalType, names []string) error {
	var fault mapping.ErrorData
	s.schema, fault = arrowmapping.NewArrowSchema(s.options, types, names)
	for i := range types {
		mapping.DestroyLogicalType(&types[i])
	}
	return dataError("schema of the answer", fault)
}

func dataError(what string, fault mapping.ErrorData) error {
	defer mapping.DestroyErrorData(&fault)
	if !mapping.ErrorDataHasError(fault) {
		return nil
	}
	return fmt.Errorf("query: %s: %s", what, mapping.ErrorDataMessage(fault))
}

// next returns the next rows, or nil at the end.
func (s *stream) next() (arrow.RecordBatch, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	chunk := mapping.FetchChunk(s.res)
	if chunk.Ptr == nil {
		if mapping.ResultError(&s.res) != "" {
			return nil, s.resultError()
		}
		return nil, s.ctx.Err()
	}
	defer mapping.DestroyDataChunk(&chunk)
	if mapping.DataChunkGetSize(chunk) == 0 {
		return nil, nil
	}
	batch, fault := arrowmapping.DataChunkToArrowArray(s.options, s.schema, chunk)
	return batch, dataError("rows of the answer", fault)
}

// close ends the statement, running or not, and its connection.
func (s *stream) close() {
	s.cancel()
	s.unwatch()
	arrowmapping.DestroyArrowOptions(&s.options)
	mapping.DestroyResult(&s.res)
	mapping.DestroyPrepare(&s.stmt)
	if s.conn.Ptr != nil {
		mapping.Disconnect(&s.conn)
	}
}

// interruptWhenDone interrupts what the connection does from when the context is done until
// the returned function is called. The driver's own way notices the end up to 500 ms late.
func interruptWhenDone(ctx context.Context, conn mapping.Connection) (unwatch func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		ticker := time.NewTicker(interruptInterval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			default:
				mapping.Interrupt(conn)
			}
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	})
	return func() {
		if !stop() {
			close(done)
			<-ended
		}
	}
}
