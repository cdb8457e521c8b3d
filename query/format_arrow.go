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

// columnTypeKey is the metadata of a field that says which kind of column of a table it
// shows. InfluxDB 3 sends it, and its clients make points of rows by it.
const columnTypeKey = "iox::column::type"

// columnTypeTag is the value of columnTypeKey for a tag.
const columnTypeTag = "iox::column_type::tag"

// arrowRows is how many rows a record has that is sent as Arrow.
const arrowRows = 64 << 10

// ForArrow gives an answer the types and sizes that Arrow clients of InfluxDB 3 know:
// instants are timestamp[ns] without a zone, in UTC, and records are those of Rebatch.
// Tags stay utf8, as InfluxDB 3 sends them. Its error for an instant that 64 bits of
// nanoseconds cannot hold is a *UserError. Closing the new answer closes the old one.
func ForArrow(rows Rows) Rows { return Rebatch(inNanoseconds(rows), arrowRows) }

// ArrowSchema is the schema of ForArrow for an answer with the given one.
func ArrowSchema(schema *arrow.Schema) *arrow.Schema { return inNanoseconds(NewRows(schema)).Schema() }

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

// inNanoseconds converts all instants to timestamp[ns] without a zone.
func inNanoseconds(rows Rows) Rows {
	return mapColumns(rows, func(f arrow.Field) *change {
		t, ok := f.Type.(*arrow.TimestampType)
		if !ok || t.Unit == arrow.Nanosecond && t.TimeZone == "" {
			return nil
		}
		scale := int64(t.Unit.Multiplier())
		return &change{instant, func(column arrow.Array) (arrow.Array, error) { return scaleInstants(column, scale) }}
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
