package query

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// Aggregate computes rows of a rollup as a query for them would: it is the engine.Aggregator of a server. It waits for its
// turn among the queries, whose memory and spill it shares. The errors are those of Query.
func (q *Querier) Aggregate(ctx context.Context, job engine.RollupJob) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if err := q.aggregate(ctx, job, func(rows arrow.RecordBatch) bool { return yield(rows, nil) }); err != nil {
			yield(nil, fmt.Errorf("aggregates of %s for %s: %w", job.Source.Table.Name, job.Rollup.Name, err))
		}
	}
}

// aggregate gives the rows to yield until that returns false.
func (q *Querier) aggregate(ctx context.Context, job engine.RollupJob, yield func(arrow.RecordBatch) bool) error {
	if len(job.Ranges) == 0 {
		return nil
	}
	if err := q.acquire(ctx); err != nil {
		return err
	}
	defer q.leave()
	r := &running{querier: q, ctx: ctx}
	q.attempts.add(r)
	defer r.close()
	text, err := r.aggregateText(job)
	if err != nil {
		return err
	}
	if r.stream, err = openStream(ctx, q, text); err != nil {
		return errors.Join(r.fault(), err)
	}
	layout, err := aggregateLayout(job.Rollup, r.stream.schema)
	if err != nil {
		return err
	}
	for {
		rows, err := r.stream.next()
		if err != nil {
			return errors.Join(r.fault(), r.stream.explain(err))
		}
		if rows == nil {
			return nil
		}
		named := array.NewRecordBatch(layout, rows.Columns(), rows.NumRows())
		rows.Release()
		if !yield(named) {
			return nil
		}
	}
}

// aggregateText writes the query, whose columns are those of persist.ArrowSchema.
func (r *running) aggregateText(job engine.RollupJob) (string, error) {
	view := &engine.TableView{Table: job.Rollup, Rollup: &engine.RollupView{Source: job.Source, Stale: job.Ranges}}
	plan := &scanPlan{}
	if err := plan.compute(r.ctx, view, &constraint{time: schema.MaxTimeRange}, job.Ranges); err != nil {
		return "", err
	}
	d := plan.computed
	if err := d.plan.verify(r.ctx, d.source); err != nil {
		return "", err
	}
	r.mergeHere(d.plan, d.source, d.where)
	var order, names []string
	columns := job.Rollup.Tags()
	for _, c := range columns {
		order = append(order, columnName(c)+" NULLS FIRST")
	}
	order = append(order, columnName(schema.Column{}))
	columns = append(columns, schema.Column{Name: schema.TimeColumn})
	for _, c := range job.Rollup.Columns {
		if c.Type != schema.Tag {
			columns = append(columns, c)
		}
	}
	for _, c := range columns {
		names = append(names, columnName(c))
	}
	return fmt.Sprintf("SELECT %s FROM (%s) ORDER BY %s", strings.Join(names, ", "), d.sql(columns, r.register), strings.Join(order, ", ")), nil
}

// aggregateLayout is that of the records, which are as DuckDB's but for metadata: tags are plain strings.
func aggregateLayout(rollup *schema.Table, found *arrow.Schema) (*arrow.Schema, error) {
	fields := persist.ArrowSchema(rollup.Columns).Fields()
	for i := range fields {
		if i < len(rollup.Tags()) {
			fields[i].Type = arrow.BinaryTypes.String
		}
		if !arrow.TypeEqual(fields[i].Type, found.Field(i).Type) {
			return nil, fmt.Errorf("query: duckdb returned %v for column %q of type %v", found.Field(i).Type, fields[i].Name, fields[i].Type)
		}
	}
	return arrow.NewSchema(fields, nil), nil
}
