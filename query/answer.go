package query

import (
	"github.com/apache/arrow-go/v18/arrow"
)

// Rows is an answer: a stream of Arrow records with one schema. *Result is one. It
// belongs to one goroutine.
type Rows interface {
	// Schema describes the records.
	Schema() *arrow.Schema
	// Next advances to the next record and reports whether there is one.
	Next() bool
	// Record is the current record, valid until the next call of Next unless retained.
	Record() arrow.RecordBatch
	// Err is what ended the stream early, if something did.
	Err() error
	// Close gives back what the answer holds. It may be called more than once.
	Close()
}

// recordRows are rows that are in memory.
type recordRows struct {
	schema  *arrow.Schema
	rest    []arrow.RecordBatch
	current arrow.RecordBatch
}

// NewRows makes an answer of records that all have the given schema. It takes the
// caller's references to them.
func NewRows(schema *arrow.Schema, records ...arrow.RecordBatch) Rows {
	return &recordRows{schema: schema, rest: records}
}

func (r *recordRows) Schema() *arrow.Schema { return r.schema }

func (r *recordRows) Next() bool {
	r.release()
	if len(r.rest) == 0 {
		return false
	}
	r.current, r.rest = r.rest[0], r.rest[1:]
	return true
}

func (r *recordRows) Record() arrow.RecordBatch { return r.current }

func (r *recordRows) Err() error { return nil }

func (r *recordRows) Close() {
	for r.Next() {
	}
}

func (r *recordRows) release() {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
}
