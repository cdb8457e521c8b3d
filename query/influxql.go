package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/schema"
)

// InfluxQLRequest is one InfluxQL statement that reads.
type InfluxQLRequest struct {
	// Database and RetentionPolicy are what a measurement without its own is in.
	Database, RetentionPolicy string
	Statement                 *influxql.Statement
	// MayRead answers whether the sender may read a database; nil is yes to all.
	MayRead func(database string) bool
	// V1 asks for the columns that InfluxDB 1 gives SHOW statements.
	V1     bool
	Origin Origin
}

// Origin says where a query comes from, for system.queries.
type Origin struct {
	Protocol string // "http", "flight", …
	Token    string // the name of the sender's token; empty without one
	Admin    bool   // the sender may do everything, and so kill every query
}

// InfluxQLResult is the answer to an InfluxQL statement: the rows of the steps of its plan,
// one step after the other. It belongs to one goroutine.
type InfluxQLResult struct {
	job    *job // in which the steps run; nil once it has ended
	plan   *influxql.Plan
	schema *arrow.Schema

	next    int     // index of the step that comes after the running one
	step    *Result // the running step; nil when there is none
	first   bool    // whether current was fetched by InfluxQL and not yet handed out
	current arrow.RecordBatch
	err     error
}

// InfluxQL starts a statement and returns when its first rows are there. The caller must
// close the result. Its errors are those of Query, and *influxql.ForbiddenError.
func (q *Querier) InfluxQL(ctx context.Context, req InfluxQLRequest) (result *InfluxQLResult, err error) {
	about := QueryInfo{Database: req.Database, Language: "influxql", Text: req.Statement.Text()}
	j := q.begin(ctx, about, nil, req.Origin)
	defer func() { // also when something panics: a slot that is lost is lost for ever
		if result == nil {
			j.end(cmp.Or(err, errPanicked))
		}
	}()
	questioned := make(map[string]bool)
	mayRead := func(database string) bool {
		questioned[database] = true
		return req.MayRead == nil || req.MayRead(database)
	}
	env := &influxql.Environment{
		Database: req.Database, RetentionPolicy: req.RetentionPolicy, MayRead: mayRead, Now: q.opts.Now(), V1: req.V1,
		Schema: &schema.Snapshot{}, Stop: func() error { return context.Cause(j.ctx) },
	}
	if q.opts.Schema != nil {
		env.Schema = q.opts.Schema()
	}
	plan, err := req.Statement.Plan(env)
	if err != nil {
		return nil, j.explain(explainPlan(err))
	}
	j.concerns(concerned(plan, questioned, req.Database))
	r := &InfluxQLResult{job: j, plan: plan, schema: influxqlSchema(plan)}
	if r.first = r.Next(); !r.first && r.err != nil {
		r.stop()
		return nil, r.err
	}
	return r, nil
}

// concerned returns the database that a plan reads, which was made with questions for the
// given ones, or none if there are several: those who may read one of them are told nothing
// about the others (Q6).
func concerned(plan *influxql.Plan, questioned map[string]bool, asked string) string {
	reads := func(s influxql.Step) bool { return s.Database != "" }
	if !slices.ContainsFunc(plan.Steps, reads) {
		return asked
	}
	if len(questioned) != 1 {
		return ""
	}
	for database := range questioned {
		asked = database
	}
	return asked
}

// explainPlan gives an error of the compiler the type that callers of this package know.
func explainPlan(err error) error {
	var missing *influxql.DatabaseNotFoundError
	var statement *influxql.StatementError
	switch {
	case errors.As(err, &missing):
		return fmt.Errorf("%w: %s", engine.ErrDatabaseNotFound, missing.Database)
	case errors.As(err, &statement):
		return &UserError{Message: statement.Message, Err: err}
	}
	return err
}

// Columns describes the columns of the records, in their order.
func (r *InfluxQLResult) Columns() []influxql.Column { return r.plan.Columns }

// Empty names the series that are shown although the answer has no rows.
func (r *InfluxQLResult) Empty() []string { return r.plan.Empty }

// Location is the zone in which times are shown as text.
func (r *InfluxQLResult) Location() *time.Location {
	if r.plan.Location == nil {
		return time.UTC
	}
	return r.plan.Location
}

// Schema describes the records, with the metadata that InfluxDB 3 adds.
func (r *InfluxQLResult) Schema() *arrow.Schema { return r.schema }

// Next advances to the next record, of this step or another one, and reports whether
// there is one.
func (r *InfluxQLResult) Next() bool {
	if r.first {
		r.first = false
		return true
	}
	r.release()
	for r.err == nil {
		if r.step == nil && !r.start() {
			return false
		}
		if r.current != nil { // the answer of a step without SQL
			return true
		}
		if r.step.Next() {
			r.current, r.err = r.record(r.step.Record())
			return r.err == nil
		}
		r.err = r.step.Err()
		r.step.Close()
		r.step = nil
	}
	return false
}

// start begins the next step and reports whether there is one. A step without SQL leaves
// its only record in current.
func (r *InfluxQLResult) start() bool {
	for r.next < len(r.plan.Steps) {
		step := &r.plan.Steps[r.next]
		r.next++
		if step.SQL == "" {
			if len(step.Rows) == 0 || len(step.Rows[0]) == 0 {
				continue
			}
			r.current, r.err = listedRecord(r.schema, r.plan.Columns, step)
			return r.err == nil
		}
		var err error
		r.step, err = r.job.sql(Request{Database: step.Database, SQL: step.SQL, compiled: true, newest: step.Newest})
		if isMissing(err) {
			continue // dropped since the plan was made
		}
		r.err = err
		return err == nil
	}
	return false
}

func (r *InfluxQLResult) release() {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
}

// Record is the current record, valid until the next call of Next unless retained.
func (r *InfluxQLResult) Record() arrow.RecordBatch { return r.current }

// Err is what ended the stream early, if something did.
func (r *InfluxQLResult) Err() error { return r.err }

// Close ends the statement. It may be called more than once.
func (r *InfluxQLResult) Close() {
	if r.job == nil {
		return
	}
	err := r.err
	if finished := r.step == nil && r.next == len(r.plan.Steps); err == nil && !finished {
		err = cmp.Or(r.job.explain(errAbandoned), errAbandoned)
	}
	r.stop()
	r.job.end(err)
	r.job = nil
}

// stop gives back what the running step holds.
func (r *InfluxQLResult) stop() {
	r.first = false
	r.release()
	if r.step != nil {
		r.step.Close()
		r.step = nil
	}
	r.next = len(r.plan.Steps)
}
