package query

import (
	"fmt"
	"testing"

	"github.com/siltstone-db/siltstone/partition"
)

// BenchmarkAddField folds a field of rows that were found, in order of series and time, and of buffered
// ones, in order of arrival.
func BenchmarkAddField(b *testing.B) {
	const rows = 1 << 14
	values := partition.Field{Int64: make([]int64, rows)}
	for _, run := range []int32{1, 6, 360} {
		var w foldWorker
		for row := range int32(rows) {
			w.addRow(row, row/run%64)
		}
		f := cellField{count: make([]int64, 64), sum: make([]int64, 64), highest: make([]int64, 64), wantsSum: true, wantsHi: true}
		b.Run(fmt.Sprintf("%d rows a cell", run), func(b *testing.B) {
			for b.Loop() {
				if err := f.addField(w.segments, &values); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/value")
		})
	}
}
