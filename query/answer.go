package query

import "github.com/apache/arrow-go/v18/arrow"

// Rows is an answer: a stream of Arrow records with one schema. *Result is one.
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
