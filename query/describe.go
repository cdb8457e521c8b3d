package query

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/duckdb/duckdb-go/v2/arrowmapping"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// Description says what a query takes and answers.
type Description struct {
	// Schema describes the records.
	Schema *arrow.Schema
	// Exact says that the answer will have just this schema. The type of a column that is
	// computed in 128 bits depends on its values.
	Exact bool
	// Params are the parameters without a value: those by position in their order, those
	// with a name in the order in which they first occur.
	Params []Param
}

// Param is a parameter of a query.
type Param struct {
	Name string // without the dollar sign; a number for one by position
	// Type is what its place in the query suggests: int64, uint64, float64, utf8, bool, date32
	// or timestamp[ns], and utf8 where it suggests none. A value of another type may be given.
	Type arrow.DataType
}

// Describe plans a query without running it. Its errors are those of Query, but for a
// parameter without a value, which is none.
func (q *Querier) Describe(ctx context.Context, req Request) (*Description, error) {
	ctx, _, release := q.bound(ctx)
	defer release()
	if _, isKill, err := killStatement(req.SQL); isKill {
		return killDescription(), err
	}
	if err := q.acquire(ctx); err != nil {
		return nil, err
	}
	defer q.leave()
	d, known, err := q.describe(ctx, req, true)
	if err != nil || known {
		return d, err
	}
	// DuckDB names no column as long as it does not know the type of a parameter. With
	// nulls it does.
	closed, _, err := q.describe(ctx, Request{Database: req.Database, SQL: req.SQL, Params: withNulls(req.Params, d.Params)}, false)
	if err != nil {
		return nil, err
	}
	return &Description{Schema: closed.Schema, Params: d.Params}, nil
}

func killDescription() *Description {
	return &Description{Schema: arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Uint64, Nullable: true},
		{Name: "state", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil), Exact: true}
}

func withNulls(values map[string]any, missing []Param) map[string]any {
	all := make(map[string]any, len(values)+len(missing))
	for name, v := range values {
		all[name] = v
	}
	for _, p := range missing {
		all[p.Name] = nil
	}
	return all
}

// describe plans a query; known says whether the columns are. With open it leaves
// parameters without a value in their places.
func (q *Querier) describe(ctx context.Context, req Request, open bool) (d *Description, known bool, err error) {
	stmt, err := q.gate.parse(ctx, req.SQL)
	if err != nil {
		return nil, false, err
	}
	if stmt.prefix != "" {
		return &Description{Schema: explainSchema(), Exact: true}, true, nil
	}
	if err := q.expandCaches(ctx, req.Database, stmt); err != nil {
		return nil, false, err
	}
	used, err := stmt.rewriteWith(rewriter{ctx: ctx, gate: q.gate, database: req.Database, params: req.Params, open: open, now: q.opts.Now()})
	if err != nil {
		return nil, false, err
	}
	run := &running{querier: q}
	defer run.close()
	text, err := run.plan(ctx, req.Database, stmt, &used)
	if err != nil {
		return nil, false, err
	}
	s := &stream{ctx: ctx, unwatch: func() {}, cancel: func() {}, casts: stmt.isCast()}
	defer s.close()
	if d, known, err = s.prepare(q, text, run.columns); err != nil {
		return nil, false, s.explain(run.withCandidates(ctx, stmt, &used, err))
	}
	return d, known, nil
}

// prepare has DuckDB plan a text and reads what it then knows.
func (s *stream) prepare(q *Querier, text string, columns []shown) (d *Description, known bool, err error) {
	if s.conn, err = connect(q.db); err != nil {
		return nil, false, err
	}
	s.unwatch = interruptWhenDone(s.ctx, s.conn)
	if mapping.Prepare(s.conn, text, &s.stmt) == mapping.StateError {
		return nil, false, s.prepareError(text)
	}
	d, known = &Description{}, true
	for i := mapping.IdxT(1); i <= mapping.NParams(s.stmt); i++ {
		t := mapping.ParamType(s.stmt, i)
		known = known && t != mapping.TypeInvalid
		d.Params = append(d.Params, Param{Name: mapping.ParameterName(s.stmt, i), Type: paramType(t)})
	}
	if !known {
		return d, false, nil
	}
	arrowmapping.ConnectionGetArrowOptions(s.conn, &s.options)
	n := mapping.PreparedStatementColumnCount(s.stmt)
	names := make([]string, n)
	types := make([]mapping.LogicalType, n)
	for i := range n {
		names[i] = mapping.PreparedStatementColumnName(s.stmt, i)
		types[i] = mapping.PreparedStatementColumnLogicalType(s.stmt, i)
		s.types = append(s.types, mapping.PreparedStatementColumnType(s.stmt, i))
	}
	if err := s.setSchema(types, names); err != nil {
		return nil, false, err
	}
	d.Schema, d.Exact = emptyAnswer(s, columns), true
	for _, t := range s.types {
		d.Exact = d.Exact && t != mapping.TypeHugeInt && t != mapping.TypeUHugeInt && t != mapping.TypeTimestamp
	}
	return d, true, nil
}

// emptyAnswer returns the schema of an answer without rows.
func emptyAnswer(s *stream, columns []shown) *arrow.Schema {
	schema, _ := answerSchema(s, nil, columns)
	return schema
}

// paramType is what a client is told of a parameter's type.
func paramType(t mapping.Type) arrow.DataType {
	switch t {
	case mapping.TypeBoolean:
		return arrow.FixedWidthTypes.Boolean
	case mapping.TypeTinyInt, mapping.TypeSmallInt, mapping.TypeInteger, mapping.TypeBigInt,
		mapping.TypeUTinyInt, mapping.TypeUSmallInt, mapping.TypeUInteger:
		return arrow.PrimitiveTypes.Int64
	case mapping.TypeUBigInt:
		return arrow.PrimitiveTypes.Uint64
	case mapping.TypeFloat, mapping.TypeDouble, mapping.TypeDecimal, mapping.TypeHugeInt, mapping.TypeUHugeInt:
		return arrow.PrimitiveTypes.Float64
	case mapping.TypeTimestamp, mapping.TypeTimestampS, mapping.TypeTimestampMS, mapping.TypeTimestampNS, mapping.TypeTimestampTZ:
		return &arrow.TimestampType{Unit: arrow.Nanosecond}
	case mapping.TypeDate:
		return arrow.FixedWidthTypes.Date32
	}
	return arrow.BinaryTypes.String
}
