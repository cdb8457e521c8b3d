package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// someRows is a table with rows, as a server sends it, and what each row should read as.
type someRows struct {
	table Table
	batch arrow.RecordBatch
	model []string
}

var (
	anyName  = rapid.StringMatching(`[a-zA-Z ,="'#é\\]{0,6}[a-zé=, "]`)
	anyText  = rapid.StringMatching(`[a-z ,="'#\\é\n\r\t]{0,8}`)
	anyInt   = rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, 0, -1}))
	anyFloat = rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, 1e21, 0.1, 1 << 53})).
			Filter(func(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) })
	anyTime = rapid.OneOf(rapid.Int64Range(lineprotocol.MinTime, lineprotocol.MaxTime), rapid.SampledFrom([]int64{lineprotocol.MinTime, lineprotocol.MaxTime, -1, 0}))
	tagType = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
)

var arrowTypes = map[schema.ColumnType]arrow.DataType{
	0: &arrow.TimestampType{Unit: arrow.Nanosecond}, schema.Tag: tagType, schema.Float64: arrow.PrimitiveTypes.Float64,
	schema.Int64: arrow.PrimitiveTypes.Int64, schema.Uint64: arrow.PrimitiveTypes.Uint64,
	schema.String: arrow.BinaryTypes.String, schema.Bool: arrow.FixedWidthTypes.Boolean,
}

func drawRows(t *rapid.T) someRows {
	var s someRows
	s.table.Name = anyName.Filter(func(n string) bool { return n[0] != '#' }).Draw(t, "table")
	names := rapid.SliceOfNDistinct(anyName, 1, 6, rapid.ID).Draw(t, "names")
	s.table.Columns = []Column{{Name: schema.TimeColumn}}
	for i, name := range names {
		typ := schema.ColumnType(rapid.IntRange(int(schema.Tag), int(schema.Bool)).Draw(t, "type"))
		if i == 0 {
			typ = schema.Int64 // each row has a value of it
		}
		if name != schema.TimeColumn {
			s.table.Columns = append(s.table.Columns, Column{name, typ})
		}
	}
	var fields []arrow.Field
	for _, c := range s.table.Columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: arrowTypes[c.Type], Nullable: c.Type != 0})
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	for range rapid.IntRange(1, 5).Draw(t, "rows") {
		s.model = append(s.model, s.drawRow(t, b))
	}
	s.batch = b.NewRecordBatch()
	return s
}

// drawRow appends a row and returns what it should read as.
func (s someRows) drawRow(t *rapid.T, b *array.RecordBuilder) string {
	var tags, values []string
	var ns int64
	for i, c := range s.table.Columns {
		if i > 1 && rapid.Bool().Draw(t, "null") {
			b.Field(i).AppendNull()
			continue
		}
		var text string
		switch to := b.Field(i).(type) {
		case *array.TimestampBuilder:
			ns = anyTime.Draw(t, "time")
			to.Append(arrow.Timestamp(ns))
			continue
		case *array.BinaryDictionaryBuilder:
			v := anyName.Draw(t, "tag")
			tags = append(tags, fmt.Sprintf("%q=%q", c.Name, v))
			if err := to.AppendString(v); err != nil {
				t.Fatal(err)
			}
			continue
		case *array.Float64Builder:
			v := anyFloat.Draw(t, "float")
			to.Append(v)
			text = fmt.Sprintf("f%x", math.Float64bits(v))
		case *array.Int64Builder:
			v := anyInt.Draw(t, "int")
			to.Append(v)
			text = fmt.Sprintf("i%d", v)
		case *array.Uint64Builder:
			v := rapid.Uint64().Draw(t, "uint")
			to.Append(v)
			text = fmt.Sprintf("u%d", v)
		case *array.StringBuilder:
			v := anyText.Draw(t, "text")
			to.Append(v)
			text = fmt.Sprintf("s%q", v)
		case *array.BooleanBuilder:
			v := rapid.Bool().Draw(t, "bool")
			to.Append(v)
			text = fmt.Sprintf("b%t", v)
		}
		values = append(values, fmt.Sprintf("%q=%s", c.Name, text))
	}
	slices.Sort(tags)
	return fmt.Sprintf("%q %s %s %d", s.table.Name, tags, values, ns)
}

// readLines reads line protocol as the model has it.
func readLines(t interface{ Fatalf(string, ...any) }, body []byte) (all []string) {
	var r lineprotocol.Reader
	r.Reset(body)
	for r.Next() {
		line, err := readLine(&r)
		if err != nil {
			t.Fatalf("%s\n%v", body, err)
		}
		all = append(all, line)
	}
	return all
}

func readLine(r *lineprotocol.Reader) (string, error) {
	var series lineprotocol.Series
	raw, fault := r.Series()
	if fault == nil {
		fault = r.ParseSeries(raw, &series)
	}
	if fault != nil {
		return "", fault
	}
	name := string(series.Measurement)
	var tags, values []string
	for _, tag := range series.Tags {
		tags = append(tags, fmt.Sprintf("%q=%q", tag.Key, tag.Value))
	}
	slices.Sort(tags)
	for more := true; more; more = r.More() {
		var v lineprotocol.Value
		key, _, fault := r.Key()
		if fault == nil {
			key = bytes.Clone(key)
			fault = r.Value(&v, key)
		}
		if fault != nil {
			return "", fault
		}
		text := map[schema.ColumnType]string{
			schema.Float64: fmt.Sprintf("f%x", v.Bits), schema.Int64: fmt.Sprintf("i%d", int64(v.Bits)),
			schema.Uint64: fmt.Sprintf("u%d", v.Bits), schema.String: fmt.Sprintf("s%q", v.Text), schema.Bool: fmt.Sprintf("b%t", v.Bits != 0),
		}[v.Type]
		values = append(values, fmt.Sprintf("%q=%s", key, text))
	}
	ns, _, fault := r.Time()
	if fault != nil {
		return "", fault
	}
	return fmt.Sprintf("%q %s %s %d", name, tags, values, ns), nil
}

// chunker is what reads files.
type chunker interface{ Next() (*Chunk, error) }

// readAll reads everything as one body, and fails on a refused row.
func readAll(t interface{ Fatalf(string, ...any) }, from chunker) []byte {
	var body []byte
	for {
		c, err := from.Next()
		if errors.Is(err, io.EOF) {
			return body
		}
		if err != nil || len(c.Refused) > 0 {
			t.Fatalf("%v, refused: %v", err, c)
		}
		if bytes.Count(c.Body, []byte("\n")) != len(c.Places) {
			t.Fatalf("%d places for %q", len(c.Places), c.Body)
		}
		body = append(body, c.Body...)
	}
}

var smallChunks = Limits{Lines: 2, Bytes: 1 << 10}

// TestEveryFormatHoldsEveryRow (X1): rows of a server are written as line protocol, CSV and
// Parquet, and each reads back as what they were.
func TestEveryFormatHoldsEveryRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawRows(t)
		expect := func(format string, body []byte) {
			got := readLines(t, body)
			if !slices.Equal(got, s.model) {
				t.Fatalf("%s: %q\nreads as %q\nshould be %q", format, body, got, s.model)
			}
		}
		lines, err := NewLines(s.table, 0)
		if err == nil {
			err = lines.Read(s.batch)
		}
		if err != nil {
			t.Fatal(err)
		}
		rows := NewCSVRows(s.table)
		csv := rows.AppendHeader(nil)
		if err := rows.Read(s.batch); err != nil {
			t.Fatal(err)
		}
		var text []byte
		for row := range int(s.batch.NumRows()) {
			var err1, err2 error
			text, err1 = lines.Append(text, row)
			csv, err2 = rows.Append(csv, row)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
		}
		expect("line protocol", text)
		expect(string(csv), readAll(t, NewCSV(bytes.NewReader(csv), Options{Limits: smallChunks})))
		p, err := OpenParquet(t.Context(), bytes.NewReader(asParquet(t, s.batch)), s.table.Name, Options{Limits: smallChunks})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		expect("Parquet", readAll(t, p))
	})
}

// asParquet writes a record as an answer of the server is.
func asParquet(t interface{ Fatal(...any) }, batch arrow.RecordBatch) []byte {
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(batch.Schema(), &out, parquet.NewWriterProperties(parquet.WithCreatedBy(creator)),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err == nil {
		err = errors.Join(w.Write(batch), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
