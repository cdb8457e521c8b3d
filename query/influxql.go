package query

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/influxql"
)

// InfluxQLRequest is one InfluxQL statement that reads.
type InfluxQLRequest struct {
	// Database and RetentionPolicy are what a measurement without its own is in.
	Database, RetentionPolicy string
	Statement                 *influxql.Statement
	// MayRead answers whether the sender may read a database; nil is yes to all.
	MayRead func(database string) bool
	Origin  Origin
}

// Origin says where a query comes from, for system.queries.
type Origin struct {
	Protocol string // "http", "flight", …
	Token    string // the name of the sender's token; empty without one
}

// InfluxQLResult is the answer to an InfluxQL statement.
type InfluxQLResult struct {
	plan *influxql.Plan
}

// InfluxQL starts a statement and returns when its first rows are there. The caller must
// close the result. Its errors are those of Query.
func (q *Querier) InfluxQL(ctx context.Context, req InfluxQLRequest) (*InfluxQLResult, error) {
	return nil, errors.New("not built")
}

// Columns describes the columns of the records, in their order.
func (r *InfluxQLResult) Columns() []influxql.Column { return r.plan.Columns }

// Schema describes the records, with the metadata that InfluxDB 3 adds.
func (r *InfluxQLResult) Schema() *arrow.Schema { return nil }

// Next advances to the next record and reports whether there is one.
func (r *InfluxQLResult) Next() bool { return false }

// Record is the current record, valid until the next call of Next unless retained.
func (r *InfluxQLResult) Record() arrow.RecordBatch { return nil }

// Err is what ended the stream early, if something did.
func (r *InfluxQLResult) Err() error { return nil }

// Close ends the statement. It may be called more than once.
func (r *InfluxQLResult) Close() {}
