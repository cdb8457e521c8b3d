package query

import (
	"fmt"
	"io"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// arrowRows is how many rows a record has that is sent as Arrow.
const arrowRows = 64 << 10

// ForArrow gives an answer the types and sizes that Arrow clients of InfluxDB 3 know:
// instants are timestamp[ns] without a zone, in UTC, text is utf8, of which InfluxDB 3 makes
// no dictionary on its way to a client, and records are those of Rebatch. The error for an
// instant that 64 bits of nanoseconds cannot hold is a *UserError. Closing the new answer
// closes the old one.
func ForArrow(rows Rows) Rows { return Rebatch(plainTypes(rows), arrowRows) }

// ArrowSchema is the schema of ForArrow for an answer with the given one.
func ArrowSchema(schema *arrow.Schema) *arrow.Schema { return plainTypes(NewRows(schema)).Schema() }

// WriteArrow writes a stream of Arrow IPC messages. Tags are dictionaries in it.
func WriteArrow(w io.Writer, r Rows) error {
	r = withDictionaries(ForArrow(r), keepValues)
	out := ipc.NewWriter(w, ipc.WithSchema(r.Schema()))
	for r.Next() {
		if err := out.Write(r.Record()); err != nil {
			return fmt.Errorf("query: write arrow: %w", err)
		}
	}
	if err := r.Err(); err != nil {
		return err // without the mark that ends a stream
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("query: write arrow: %w", err)
	}
	return nil
}

// plainTypes converts all instants to timestamp[ns] without a zone, and dictionaries to
// their values.
func plainTypes(rows Rows) Rows {
	return mapColumns(rows, func(f arrow.Field) *change {
		switch t := f.Type.(type) {
		case *arrow.TimestampType:
			if t.Unit == arrow.Nanosecond && t.TimeZone == "" {
				return nil
			}
			scale := int64(t.Unit.Multiplier())
			return &change{instant, func(column arrow.Array) (arrow.Array, error) { return scaleInstants(column, scale) }}
		case *arrow.DictionaryType:
			if t.ValueType.ID() == arrow.STRING {
				return &change{t.ValueType, lookUp}
			}
		}
		return nil
	})
}

// instant is the type of time.
var instant = &arrow.TimestampType{Unit: arrow.Nanosecond}

func scaleInstants(column arrow.Array, scale int64) (arrow.Array, error) {
	from := column.(*array.Timestamp)
	builder := array.NewTimestampBuilder(memory.DefaultAllocator, instant)
	defer builder.Release()
	builder.Reserve(from.Len())
	lowest, highest := math.MinInt64/scale, math.MaxInt64/scale
	for i, v := range from.Values() {
		switch {
		case from.IsNull(i):
			builder.UnsafeAppendBoolToBitmap(false)
		case int64(v) < lowest || int64(v) > highest:
			return nil, &UserError{Message: fmt.Sprintf(
				"the instant %s is out of the range of nanoseconds, 1677 to 2262: cast the column to VARCHAR", from.ValueStr(i))}
		default:
			builder.UnsafeAppend(arrow.Timestamp(int64(v) * scale))
		}
	}
	return builder.NewArray(), nil
}
