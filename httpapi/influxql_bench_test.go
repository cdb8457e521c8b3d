package httpapi

import (
	"io"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// BenchmarkV1 writes records of 2048 rows, as DuckDB yields them, of a time, three floats, an
// integer and a text.
func BenchmarkV1(b *testing.B) {
	const rows = 2048
	b.Run("json", func(b *testing.B) { benchV1(b, rows, newV1JSON, 0) })
	b.Run("json, epoch=ns", func(b *testing.B) { benchV1(b, rows, newV1JSON, 1) })
	b.Run("csv", func(b *testing.B) { benchV1(b, rows, newV1CSV, 1) })
}

func benchV1(b *testing.B, rows int, format func(*output, epoch) v1Writer, unit epoch) {
	b.Helper()
	columns := benchColumns(rows)
	a := &v1Answer{out: &output{w: io.Discard}}
	a.writer = format(a.out, unit)
	a.begin()
	a.beginStatement(0)
	series := func() v1Series {
		return v1Series{name: "cpu", columns: []string{"time", "a", "b", "c", "n", "host"}, isTimed: true}
	}
	first := true
	b.ReportAllocs()
	for b.Loop() {
		a.writer.setRecord(columns, time.UTC)
		for row := range rows {
			if err := a.row(row, first, series); err != nil {
				b.Fatal(err)
			}
			first = false
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

func benchColumns(rows int) []arrow.Array {
	at := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Nanosecond})
	number := array.NewInt64Builder(memory.DefaultAllocator)
	text := array.NewStringBuilder(memory.DefaultAllocator)
	floats := array.NewFloat64Builder(memory.DefaultAllocator)
	for i := range rows {
		at.Append(arrow.Timestamp(1_700_000_000_000_000_000 + int64(i)*1_000_000_000))
		number.Append(int64(i))
		text.Append("host-7")
		floats.Append(float64(i) / 7)
	}
	f := floats.NewArray()
	return []arrow.Array{at.NewArray(), f, f, f, number.NewArray(), text.NewArray()}
}
