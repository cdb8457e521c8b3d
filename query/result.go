package query

import (
	"cmp"
	"fmt"
	"math"
	"math/big"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// Result is the answer to a query, a stream of Arrow records. Tags and strings are utf8, time
// is timestamp[ns] without zone; the fields of those that are columns of a table have
// metadata that says of which kind (lineage.go); what DuckDB computes in 128 bits (sums of integers) is
// int64, or where the first record holds a value beyond it, uint64 or float64, and decimals
// are float64.
type Result struct {
	run        *running
	schema     *arrow.Schema
	converters []converter       // by column; nil for those that stay
	direct     *directAnswer     // where the rows come from; nil: the run's stream
	selected   *selected         // likewise
	first      arrow.RecordBatch // fetched by Query, not yet handed out
	current    arrow.RecordBatch
	err        error
	finished   bool
	ends       bool // the job ends with this result
}

// target is what a column of DuckDB's answer becomes.
type target uint8

const (
	asIs target = iota
	toInt64
	toUint64
	toFloat64
)

var targetTypes = [...]arrow.DataType{
	toInt64: arrow.PrimitiveTypes.Int64, toUint64: arrow.PrimitiveTypes.Uint64, toFloat64: arrow.PrimitiveTypes.Float64,
}

// newResult fetches the first rows: most errors of execution occur before them.
func newResult(run *running) (*Result, error) {
	r := &Result{run: run}
	batch, err := run.stream.next()
	if err != nil {
		return nil, r.explain(err)
	}
	r.schema, r.converters = answerSchema(run.stream, batch, run.columns)
	if batch == nil {
		r.finished = true
		return r, nil
	}
	if r.first, err = r.convert(batch); err != nil {
		return nil, err
	}
	return r, nil
}

// answerSchema returns what the columns of a statement become, which depends on its first
// rows; nil is none. What is known of the columns' lineage becomes metadata.
func answerSchema(s *stream, first arrow.RecordBatch, columns []shown) (*arrow.Schema, []converter) {
	fields := append([]arrow.Field(nil), s.schema.Fields()...)
	converters := make([]converter, len(fields))
	for i := range fields {
		if to := chooseTarget(s.types[i], first, i); to != asIs {
			fields[i].Type = targetTypes[to]
			converters[i] = func(column arrow.Array) (arrow.Array, error) { return narrow(column, to) }
		} else if i >= len(s.casts) || !s.casts[i] {
			if c := widened(s.types[i], first, i); c != nil {
				fields[i].Type, converters[i] = c.typ, c.convert
			}
		}
	}
	return describeColumns(arrow.NewSchema(fields, nil), columns), converters
}

// explain gives the cause of an error: a fault in a callback or a cancellation comes first.
func (r *Result) explain(err error) error {
	if fault := r.run.fault(); fault != nil {
		return fault
	}
	return r.run.job.explain(r.run.stream.explain(err))
}

// Schema describes the records.
func (r *Result) Schema() *arrow.Schema { return r.schema }

// Next advances to the next record and reports whether there is one.
func (r *Result) Next() bool {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
	if r.first != nil {
		r.current, r.first = r.first, nil
		r.run.job.answeredRecord(r.current)
		return true
	}
	if r.finished || r.err != nil {
		return false
	}
	batch, err := r.fetch()
	if err != nil {
		r.err = err
		return false
	}
	if batch == nil {
		r.finished = true
		return false
	}
	if r.current, r.err = r.convert(batch); r.err != nil {
		return false
	}
	r.run.job.answeredRecord(r.current)
	return true
}

// fetch returns the next rows, or nil at the end.
func (r *Result) fetch() (arrow.RecordBatch, error) {
	if r.direct != nil {
		if err := r.run.job.ctx.Err(); err != nil {
			return nil, r.run.job.explain(err)
		}
		return r.direct.next(), nil
	}
	if r.selected != nil {
		return r.selected.next()
	}
	batch, err := r.run.stream.next()
	if err != nil {
		return nil, r.explain(err)
	}
	return batch, nil
}

// Record is the current record. It is valid until the next call of Next, unless retained.
func (r *Result) Record() arrow.RecordBatch { return r.current }

// Err is what ended the stream early, if something did.
func (r *Result) Err() error { return r.err }

// abandon ends the query while Next may be running; what Next then returns does not count.
func (r *Result) abandon() { r.run.job.cancel(errAbandoned) }

// Close ends the query, unpins its view and makes room for another one. It may be called
// more than once.
func (r *Result) Close() {
	if r.run == nil {
		return
	}
	for _, batch := range []arrow.RecordBatch{r.first, r.current} {
		if batch != nil {
			batch.Release()
		}
	}
	finished := r.finished
	r.first, r.current, r.finished = nil, nil, true
	r.run.close()
	if r.ends {
		r.run.job.end(r.outcome(finished))
	}
	r.run = nil
}

// outcome is how the query ended when its result is closed.
func (r *Result) outcome(finished bool) error {
	if r.err == nil && !finished {
		return cmp.Or(r.run.job.explain(errAbandoned), errAbandoned)
	}
	return r.err
}

// chooseTarget decides from a column's type and its first values.
func chooseTarget(t mapping.Type, first arrow.RecordBatch, column int) target {
	switch t {
	case mapping.TypeDecimal:
		return toFloat64
	case mapping.TypeHugeInt, mapping.TypeUHugeInt:
	default:
		return asIs
	}
	if first == nil {
		return toInt64
	}
	values := first.Column(column).(*array.Decimal128)
	var negative, beyondInt64, beyondUint64 bool
	for i := range values.Len() {
		if v := values.Value(i); values.IsValid(i) {
			negative = negative || v.Sign() < 0
			beyondInt64 = beyondInt64 || !fitsInt64(v)
			beyondUint64 = beyondUint64 || v.HighBits() != 0
		}
	}
	switch {
	case !beyondInt64:
		return toInt64
	case !negative && !beyondUint64:
		return toUint64
	}
	return toFloat64
}

func fitsInt64(v decimal128.Num) bool { return v.HighBits() == int64(v.LowBits())>>63 }

// convert gives a record the result's schema. It consumes the batch.
func (r *Result) convert(batch arrow.RecordBatch) (arrow.RecordBatch, error) {
	defer batch.Release()
	return convertColumns(batch, r.schema, r.converters)
}

// narrow converts a column of decimals, whatever width DuckDB gave them.
func narrow(column arrow.Array, to target) (arrow.Array, error) {
	decimals, ok := column.(*array.Decimal128)
	if !ok {
		return nil, fmt.Errorf("query: duckdb returned %v for a decimal", column.DataType())
	}
	scale := column.DataType().(*arrow.Decimal128Type).Scale
	builder := array.NewBuilder(memory.DefaultAllocator, targetTypes[to])
	defer builder.Release()
	builder.Reserve(column.Len())
	for i := range column.Len() {
		if decimals.IsNull(i) {
			builder.AppendNull()
			continue
		}
		v := decimals.Value(i)
		switch b := builder.(type) {
		case *array.Int64Builder:
			if !fitsInt64(v) {
				return nil, outOfRange(v, "BIGINT")
			}
			b.UnsafeAppend(int64(v.LowBits()))
		case *array.Uint64Builder:
			if v.HighBits() != 0 {
				return nil, outOfRange(v, "UBIGINT")
			}
			b.UnsafeAppend(v.LowBits())
		case *array.Float64Builder:
			b.UnsafeAppend(decimalFloat(v, scale))
		}
	}
	return builder.NewArray(), nil
}

// outOfRange occurs when a later record exceeds the type that the first one suggested.
func outOfRange(v decimal128.Num, typ string) error {
	return &UserError{Message: fmt.Sprintf("value %s is out of range for %s: cast the column to DOUBLE", v.BigInt(), typ)}
}

// decimalFloat returns the nearest float. Up to 2^53 and 10^22 the operands of the division
// are exact, so its result is correctly rounded; beyond, decimal digits are parsed.
func decimalFloat(v decimal128.Num, scale int32) float64 {
	const exact = 1 << 53
	if n := int64(v.LowBits()); fitsInt64(v) && n > -exact && n < exact && scale <= 22 {
		return float64(n) / math.Pow10(int(scale))
	}
	ratio := new(big.Rat).SetFrac(v.BigInt(), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
	f, _ := ratio.Float64()
	return f
}
