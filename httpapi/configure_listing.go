package httpapi

import (
	"bytes"
	"net/http"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/query"
)

// listing is a table of configuration, small enough to be built in memory.
type listing struct{ builder *array.RecordBuilder }

func newListing(columns ...arrow.Field) *listing {
	return &listing{array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(columns, nil))}
}

// The columns of listings.

func textColumn(name string) arrow.Field {
	return arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true}
}

func boolColumn(name string) arrow.Field {
	return arrow.Field{Name: name, Type: arrow.FixedWidthTypes.Boolean, Nullable: true}
}

func countColumn(name string) arrow.Field {
	return arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Uint64, Nullable: true}
}

// cell appends a value to its column.
type cell func(array.Builder)

func textCell(s string) cell { return func(b array.Builder) { b.(*array.StringBuilder).Append(s) } }

func boolCell(v bool) cell { return func(b array.Builder) { b.(*array.BooleanBuilder).Append(v) } }

func countCell(n uint64) cell { return func(b array.Builder) { b.(*array.Uint64Builder).Append(n) } }

// timeCell is a time in nanoseconds since the epoch, in a column of text; 0 is null.
func timeCell(ns int64) cell {
	if ns == 0 {
		return array.Builder.AppendNull
	}
	return textCell(formatTime(ns))
}

// formatTime writes a time as InfluxDB 3 writes those of its configuration: UTC, to the
// millisecond, which is left out when it is zero.
func formatTime(ns int64) string {
	t := time.Unix(0, ns).UTC().Truncate(time.Millisecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}

// add appends a row, a cell for each column.
func (l *listing) add(row ...cell) {
	for i, appendTo := range row {
		appendTo(l.builder.Field(i))
	}
}

// answer sends the listing in one of the formats of query results.
func (l *listing) answer(w http.ResponseWriter, format string) error {
	f, ok := formats[format]
	if !ok {
		return unknownFormat(format)
	}
	rows := query.NewRows(l.builder.Schema(), l.builder.NewRecordBatch())
	defer rows.Close()
	var body bytes.Buffer
	if err := f.write(&body, rows); err != nil {
		return err
	}
	w.Header().Set("Content-Type", f.contentType)
	_, err := w.Write(body.Bytes())
	return err
}
