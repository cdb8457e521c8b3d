package flight

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
)

// readParams reads the values of a prepared statement's parameters: a single row. Its
// columns are matched by name if they all have names of parameters, and otherwise by position.
func readParams(reader flight.MessageReader, names []string) ([]value, error) {
	var values []value
	rows := int64(0)
	for reader.Next() {
		record := reader.RecordBatch()
		if rows += record.NumRows(); rows > 1 {
			return nil, invalid("a query takes one row of parameters at a time; bind and execute once for each row")
		}
		if record.NumRows() == 0 {
			continue
		}
		var err error
		if values, err = paramsOf(record, names); err != nil {
			return nil, err
		}
	}
	if err := reader.Err(); err != nil {
		return nil, invalid("the parameters are unreadable: %v", err)
	}
	return values, nil
}

// paramsOf reads a record of one row.
func paramsOf(record arrow.RecordBatch, names []string) ([]value, error) {
	if int(record.NumCols()) != len(names) {
		return nil, invalid("the statement has %d parameters, and %d values were bound", len(names), record.NumCols())
	}
	byName := true
	for _, f := range record.Schema().Fields() {
		byName = byName && slices.Contains(names, paramName(f))
	}
	values := make([]value, 0, len(names))
	for i, column := range record.Columns() {
		name := names[i]
		if byName {
			name = paramName(record.Schema().Field(i))
		}
		v, err := valueOf(column)
		if err != nil {
			return nil, invalid("parameter $%s: %v", name, err)
		}
		bound, err := newValue(name, v)
		if err != nil {
			return nil, invalid("parameter $%s: %v", name, err)
		}
		values = append(values, bound)
	}
	return values, nil
}

func paramName(f arrow.Field) string { return strings.TrimPrefix(f.Name, "$") }

// valueOf returns the first value of a column, as newValue takes it.
func valueOf(column arrow.Array) (any, error) {
	if column.IsNull(0) {
		return nil, nil
	}
	switch c := column.(type) {
	case *array.Null:
		return nil, nil
	case *array.Boolean:
		return c.Value(0), nil
	case *array.Int8:
		return int64(c.Value(0)), nil
	case *array.Int16:
		return int64(c.Value(0)), nil
	case *array.Int32:
		return int64(c.Value(0)), nil
	case *array.Int64:
		return c.Value(0), nil
	case *array.Uint8:
		return int64(c.Value(0)), nil
	case *array.Uint16:
		return int64(c.Value(0)), nil
	case *array.Uint32:
		return int64(c.Value(0)), nil
	case *array.Uint64:
		return c.Value(0), nil
	case *array.Float16:
		return float64(c.Value(0).Float32()), nil
	case *array.Float32:
		return float64(c.Value(0)), nil
	case *array.Float64:
		return c.Value(0), nil
	case array.StringLike:
		return strings.Clone(c.Value(0)), nil
	}
	return otherValueOf(column)
}

// otherValueOf is for what is not one of JSON's types.
func otherValueOf(column arrow.Array) (any, error) {
	switch c := column.(type) {
	case *array.Timestamp:
		return c.Value(0).ToTime(c.DataType().(*arrow.TimestampType).Unit), nil
	case *array.Date32:
		return c.Value(0).ToTime().Format(time.DateOnly), nil
	case *array.Date64:
		return c.Value(0).ToTime().Format(time.DateOnly), nil
	case *array.Decimal128:
		return c.Value(0).ToFloat64(c.DataType().(*arrow.Decimal128Type).Scale), nil
	case *array.Dictionary:
		index := int64(c.GetValueIndex(0))
		value := array.NewSlice(c.Dictionary(), index, index+1)
		defer value.Release()
		return valueOf(value)
	case array.Union:
		child, row := c.Field(c.ChildID(0)), int64(0)
		if dense, ok := c.(*array.DenseUnion); ok {
			row = int64(dense.ValueOffset(0))
		}
		value := array.NewSlice(child, row, row+1)
		defer value.Release()
		return valueOf(value)
	}
	return nil, fmt.Errorf("a value of type %v cannot be bound; use null, a string, a number, a boolean, a date or a timestamp", column.DataType())
}
