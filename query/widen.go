package query

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// InfluxDB's integers have 64 bits and its time stamps nanoseconds, also those that a query
// computes: SELECT 1 is an Int64. DuckDB takes the smallest type that does. A column that
// is a cast by its form keeps the type that was asked for.

// isCast holds for each column of a SELECT whether it is a cast; nil where a star or a set
// operation makes it unknown.
func (s *statement) isCast() []bool {
	var casts []bool
	for _, item := range nodes(s.query.list("select_list")) {
		if contains(item, "STAR") {
			return nil
		}
		casts = append(casts, item.str("class") == "CAST")
	}
	return casts
}

// widened returns what a column of a type that InfluxDB does not have becomes, or nil. first is
// the first rows, or nil: a time stamp that nanoseconds do not reach stays what it is.
func widened(t mapping.Type, first arrow.RecordBatch, column int) *change {
	switch t {
	case mapping.TypeTinyInt, mapping.TypeSmallInt, mapping.TypeInteger:
		return &change{arrow.PrimitiveTypes.Int64, widenIntegers}
	case mapping.TypeUTinyInt, mapping.TypeUSmallInt, mapping.TypeUInteger:
		return &change{arrow.PrimitiveTypes.Int64, widenIntegers}
	case mapping.TypeTimestamp:
		if first != nil && !reachable(first.Column(column)) {
			return nil
		}
		return &change{&arrow.TimestampType{Unit: arrow.Nanosecond}, widenInstants}
	}
	return nil
}

func widenIntegers(column arrow.Array) (arrow.Array, error) {
	value, err := integerReader(column)
	if err != nil {
		return nil, err
	}
	builder := array.NewInt64Builder(memory.DefaultAllocator)
	defer builder.Release()
	builder.Reserve(column.Len())
	for i := range column.Len() {
		if column.IsNull(i) {
			builder.UnsafeAppendBoolToBitmap(false)
			continue
		}
		builder.UnsafeAppend(value(i))
	}
	return builder.NewArray(), nil
}

func integerReader(column arrow.Array) (func(i int) int64, error) {
	switch c := column.(type) {
	case *array.Int8:
		return func(i int) int64 { return int64(c.Value(i)) }, nil
	case *array.Int16:
		return func(i int) int64 { return int64(c.Value(i)) }, nil
	case *array.Int32:
		return func(i int) int64 { return int64(c.Value(i)) }, nil
	}
	return unsignedReader(column)
}

func unsignedReader(column arrow.Array) (func(i int) int64, error) {
	switch c := column.(type) {
	case *array.Uint8:
		return func(i int) int64 { return int64(c.Value(i)) }, nil
	case *array.Uint16:
		return func(i int) int64 { return int64(c.Value(i)) }, nil
	case *array.Uint32:
		return func(i int) int64 { return int64(c.Value(i)) }, nil
	}
	return nil, fmt.Errorf("query: duckdb returned %v for an integer", column.DataType())
}

func widenInstants(column arrow.Array) (arrow.Array, error) {
	micros, ok := column.(*array.Timestamp)
	if !ok {
		return nil, fmt.Errorf("query: duckdb returned %v for a time stamp", column.DataType())
	}
	if !reachable(column) {
		return nil, &UserError{Message: "a time stamp is out of the range of nanoseconds, 1677-09-22 to 2262-04-11: cast the column to TIMESTAMP_S"}
	}
	builder := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Nanosecond})
	defer builder.Release()
	builder.Reserve(column.Len())
	for i := range column.Len() {
		if column.IsNull(i) {
			builder.UnsafeAppendBoolToBitmap(false)
			continue
		}
		builder.UnsafeAppend(micros.Value(i) * 1000)
	}
	return builder.NewArray(), nil
}

// reachable reports whether all time stamps of a column of microseconds can be nanoseconds.
func reachable(column arrow.Array) bool {
	micros, ok := column.(*array.Timestamp)
	for i := range column.Len() {
		if ok && column.IsValid(i) && (micros.Value(i) < minLiteral/1000 || micros.Value(i) > maxLiteral/1000) {
			return false
		}
	}
	return ok
}
