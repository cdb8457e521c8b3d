package query

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// plainObjects and plainCSV write as the formats are described, value by value.
func plainObjects(w io.Writer, r Rows, begin, between, end string) {
	io.WriteString(w, begin)
	first := true
	for r.Next() {
		rec := r.Record()
		encoders := newEncoders(rec, jsonStyle)
		for row := range int(rec.NumRows()) {
			if !first {
				io.WriteString(w, between)
			}
			first = false
			line := []byte{'{'}
			for k, column := range rec.Columns() {
				if column.IsNull(row) || column.DataType().ID() == arrow.NULL {
					continue
				}
				if len(line) > 1 {
					line = append(line, ',')
				}
				line = append(appendJSONString(line, rec.ColumnName(k)), ':')
				line = encoders[k](line, row)
			}
			w.Write(append(line, '}'))
			if begin == "" {
				io.WriteString(w, "\n")
			}
		}
	}
	io.WriteString(w, end)
}

func plainCSV(w io.Writer, r Rows) {
	header := true
	for r.Next() {
		rec := r.Record()
		if header {
			w.Write(appendCSVHeader(nil, r.Schema().Fields()))
			header = false
		}
		encoders := newEncoders(rec, plainStyle)
		for row := range int(rec.NumRows()) {
			var line []byte
			for k, column := range rec.Columns() {
				if k > 0 {
					line = append(line, ',')
				}
				var field []byte
				if column.IsValid(row) && column.DataType().ID() != arrow.NULL {
					field = encoders[k](nil, row)
				}
				line = appendCSVField(line, field, int(rec.NumCols()))
			}
			w.Write(append(line, '\n'))
		}
	}
}

var cellTypes = []arrow.DataType{
	arrow.BinaryTypes.String, arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float64,
	arrow.PrimitiveTypes.Uint64, arrow.FixedWidthTypes.Boolean, &arrow.TimestampType{Unit: arrow.Nanosecond},
	&arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Float32,
	arrow.BinaryTypes.Binary, arrow.ListOf(arrow.BinaryTypes.String), arrow.Null,
}

// randomCells makes records with values from the edges of every type.
func randomCells(rng *rand.Rand) (*arrow.Schema, []arrow.RecordBatch) {
	fields := make([]arrow.Field, 1+rng.IntN(6))
	for k := range fields {
		fields[k] = arrow.Field{Name: fmt.Sprintf("c%d \"é", k), Type: cellTypes[rng.IntN(len(cellTypes))], Nullable: true}
	}
	s := arrow.NewSchema(fields, nil)
	var records []arrow.RecordBatch
	for range rng.IntN(5) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, s)
		nulls := rng.IntN(3)
		for range 1 + rng.IntN(40) {
			for k := range fields {
				if nulls > 0 && rng.IntN(3) < nulls {
					b.Field(k).AppendNull()
				} else {
					appendRandomCell(b.Field(k), rng)
				}
			}
		}
		rec := b.NewRecordBatch()
		begin := rng.Int64N(rec.NumRows())
		records = append(records, rec.NewSlice(begin, begin+rng.Int64N(rec.NumRows()-begin+1)))
		rec.Release()
		b.Release()
	}
	return s, records
}

func appendRandomCell(b array.Builder, rng *rand.Rand) {
	texts := []string{"", "a", "a", "a", "host_1", "with, comma", "q\"uote", "new\nline", "\x01\x1f", "gr\u00fc\u00dfe \u4e16\u754c", "bad\xff", string(bytes.Repeat([]byte("long"), 60))}
	ints := []int64{0, 7, -1, 42, 999, 1000, 9999, 10000, math.MaxInt64, math.MinInt64, rng.Int64N(2000), 1451606400000000000, 1500000}
	n, text := ints[rng.IntN(len(ints))], texts[rng.IntN(len(texts))]
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(text)
	case *array.BinaryBuilder:
		b.Append([]byte(text))
	case *array.Int64Builder:
		b.Append(n)
	case *array.Uint64Builder:
		b.Append(uint64(n))
	case *array.Int32Builder:
		b.Append(int32(n))
	case *array.Float64Builder:
		b.Append(randomFloat(rng))
	case *array.Float32Builder:
		b.Append(float32(randomFloat(rng)))
	case *array.BooleanBuilder:
		b.Append(n%2 == 0)
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(n))
	case *array.ListBuilder:
		b.Append(true)
		b.ValueBuilder().(*array.StringBuilder).Append(text)
	case *array.NullBuilder:
		b.AppendNull()
	}
}

func randomFloat(rng *rand.Rand) float64 {
	switch rng.IntN(8) {
	case 0:
		return math.Float64frombits(rng.Uint64())
	case 1:
		return float64(rng.Int64N(200)) - 100
	case 2:
		return []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e16, 1e15, 1e11, 99999999999.9999, 1e-5, 9.9e-6, 0.0001, 0.00001, math.MaxFloat64, 5e-324}[rng.IntN(14)]
	case 3:
		return rng.NormFloat64()
	}
	scale := math.Pow10(rng.IntN(8))
	return math.Round(rng.NormFloat64()*1e4*scale) / scale
}

func TestRowsAreWrittenAsTheirValuesAre(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 7))
		s, records := randomCells(rng)
		for format, model := range map[string]func(io.Writer, Rows){
			"json":  func(w io.Writer, r Rows) { plainObjects(w, r, "[", ",", "]") },
			"jsonl": func(w io.Writer, r Rows) { plainObjects(w, r, "", "", "") },
			"csv":   plainCSV,
		} {
			for _, rec := range records {
				rec.Retain()
				rec.Retain()
			}
			var got, want bytes.Buffer
			model(&want, NewRows(s, records...))
			if err := writers[format](&got, NewRows(s, records...)); err != nil {
				t.Fatal(err)
			}
			if got.String() != want.String() {
				t.Fatalf("seed %d as %s:\n%s\nwant\n%s", seed, format, got.String(), want.String())
			}
		}
		for _, rec := range records {
			rec.Release()
		}
	}
}

func TestShortFloatsAreThoseOfStrconv(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500_000 {
		v := randomFloat(rng)
		if math.IsNaN(v) || math.IsInf(v, 0) || v != 0 && (math.Abs(v) < 1e-5 || math.Abs(v) >= 1e16) {
			continue
		}
		want := strconv.FormatFloat(v, 'f', -1, 64)
		if !bytes.ContainsRune([]byte(want), '.') {
			want += ".0"
		}
		if got := string(jsonStyle.appendFloat(nil, v, 64)); got != want {
			t.Fatalf("%v is written %s, want %s", v, got, want)
		}
	}
}

// panickingRows panics at the second record.
type panickingRows struct {
	Rows
	calls int
}

func (r *panickingRows) Next() bool {
	if r.calls++; r.calls > 1 {
		panic("second record")
	}
	return r.Rows.Next()
}

func TestAPanicBehindTheFirstRecordReachesTheWriter(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	s, records := randomCells(rng)
	for len(records) < 2 {
		s, records = randomCells(rng)
	}
	defer func() {
		if got := recover(); got != "second record" {
			t.Errorf("recovered %v", got)
		}
	}()
	_ = WriteJSON(io.Discard, &panickingRows{Rows: NewRows(s, records...)})
	t.Error("there was no panic")
}

func TestAWriterThatFailsEndsTheQueryAtOnce(t *testing.T) {
	q := formatStore(t).querier()
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: "SELECT a.range, b.range FROM range(100000000) a, range(1000) b WHERE a.range < 3000 OR hash(a.range + b.range) = 7"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	begin := time.Now()
	if err := WriteJSON(&brokenWriter{left: 70 << 10}, r); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
	t.Logf("ended after %v", time.Since(begin))
}
