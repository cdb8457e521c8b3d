package transfer

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// cells reads a column of a record, of one of the types that line protocol has. One of the
// functions is set, by the type; none is called for a null.
type cells struct {
	column  arrow.Array
	integer func(row int) int64
	whole   func(row int) uint64
	float   func(row int) float64
	text    func(row int) string
	boolean func(row int) bool
}

// readCells finds out how to read a column as a type; that of the time is 0. The error
// names what is not supported.
func readCells(column arrow.Array, t schema.ColumnType) (c cells, err error) {
	c.column = column
	known := false
	switch t {
	case schema.Tag, schema.String:
		c.text, known = texts(column)
	case schema.Float64:
		c.float, known = floats(column)
	case schema.Int64:
		c.integer, known = integers(column)
	case schema.Uint64:
		c.whole, known = wholes(column)
	case schema.Bool:
		var a *array.Boolean
		if a, known = column.(*array.Boolean); known {
			c.boolean = a.Value
		}
	default:
		return c, errors.New("the time is read with readInstants")
	}
	if !known {
		return c, fmt.Errorf("values of type %s cannot be read as %s", column.DataType(), t)
	}
	return c, nil
}

func texts(column arrow.Array) (func(int) string, bool) {
	switch a := column.(type) {
	case *array.String:
		return a.Value, true
	case *array.LargeString:
		return a.Value, true
	case *array.Binary:
		return a.ValueString, true
	case *array.StringView:
		return a.Value, true
	case *array.Dictionary:
		values, ok := texts(a.Dictionary())
		return func(row int) string { return values(a.GetValueIndex(row)) }, ok
	}
	return nil, false
}

func floats(column arrow.Array) (func(int) float64, bool) {
	switch a := column.(type) {
	case *array.Float64:
		return a.Value, true
	case *array.Float32:
		return func(row int) float64 { return float64(a.Value(row)) }, true
	}
	if whole, ok := integers(column); ok && column.DataType().ID() != arrow.INT64 {
		return func(row int) float64 { return float64(whole(row)) }, true
	}
	return nil, false
}

func integers(column arrow.Array) (func(int) int64, bool) {
	switch a := column.(type) {
	case *array.Int64:
		return a.Value, true
	case *array.Int32:
		return func(row int) int64 { return int64(a.Value(row)) }, true
	case *array.Int16:
		return func(row int) int64 { return int64(a.Value(row)) }, true
	case *array.Int8:
		return func(row int) int64 { return int64(a.Value(row)) }, true
	case *array.Uint32:
		return func(row int) int64 { return int64(a.Value(row)) }, true
	case *array.Uint16:
		return func(row int) int64 { return int64(a.Value(row)) }, true
	case *array.Uint8:
		return func(row int) int64 { return int64(a.Value(row)) }, true
	}
	return nil, false
}

func wholes(column arrow.Array) (func(int) uint64, bool) {
	switch a := column.(type) {
	case *array.Uint64:
		return a.Value, true
	case *array.Uint32:
		return func(row int) uint64 { return uint64(a.Value(row)) }, true
	case *array.Uint16:
		return func(row int) uint64 { return uint64(a.Value(row)) }, true
	case *array.Uint8:
		return func(row int) uint64 { return uint64(a.Value(row)) }, true
	}
	return nil, false
}

// appendValue writes the value of a row as line protocol has a field's. The error is for a
// value that it cannot say.
func (c *cells) appendValue(dst []byte, row int) ([]byte, error) {
	switch {
	case c.float != nil:
		return appendFloat(dst, c.float(row))
	case c.integer != nil:
		return append(strconv.AppendInt(dst, c.integer(row), 10), 'i'), nil
	case c.whole != nil:
		return append(strconv.AppendUint(dst, c.whole(row), 10), 'u'), nil
	case c.boolean != nil:
		return strconv.AppendBool(dst, c.boolean(row)), nil
	}
	return lineprotocol.AppendString(dst, c.text(row)), nil
}

func appendFloat(dst []byte, v float64) ([]byte, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return dst, fmt.Errorf("%v is not a number that can be stored", v)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64), nil
}

// instants reads the time of a row, in nanoseconds since the Unix epoch.
type instants func(row int) (int64, error)

// readInstants finds out how to read a column as the rows' time. Integers are in units of
// precision.
func readInstants(column arrow.Array, precision lineprotocol.Precision) (instants, error) {
	switch a := column.(type) {
	case *array.Timestamp:
		scale := int64(a.DataType().(*arrow.TimestampType).Unit.Multiplier())
		return scaled(func(row int) int64 { return int64(a.Value(row)) }, scale), nil
	case *array.Date32:
		return scaled(func(row int) int64 { return int64(a.Value(row)) }, schema.NanosPerDay), nil
	case *array.Date64:
		return scaled(func(row int) int64 { return int64(a.Value(row)) }, 1e6), nil
	}
	numbers, ok := integers(column)
	if !ok {
		return nil, fmt.Errorf("values of type %s are no time", column.DataType())
	}
	return func(row int) (int64, error) { return nanoseconds(numbers(row), precision) }, nil
}

// scaled multiplies instants of a unit.
func scaled(value func(int) int64, scale int64) instants {
	return func(row int) (int64, error) {
		v := value(row)
		if v > lineprotocol.MaxTime/scale || v < lineprotocol.MinTime/scale {
			return 0, errors.New("the time is before 1677-09-22 or after 2262-04-11, which nanoseconds cannot express")
		}
		return v * scale, nil
	}
}

// nanoseconds converts a number in units of precision.
func nanoseconds(v int64, precision lineprotocol.Precision) (int64, error) {
	ns, ok := precision.Nanoseconds(v)
	if !ok {
		return 0, fmt.Errorf("the time %d is out of range, taken as a number of unit %s", v, precision)
	}
	return ns, nil
}
