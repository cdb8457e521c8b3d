//go:build unix

package persist

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// tsbs makes the shape of the TSBS cpu table: ten tags, of which the first names the
// host, and ten fields, for so many hosts with so many points each, a record a host.
func tsbs(kind string, hosts, points int) ([]schema.Column, []arrow.RecordBatch) {
	var columns []schema.Column
	for i := range 20 {
		c := schema.Column{ID: schema.ColumnID(i + 1), Name: fmt.Sprintf("column%d", i), Type: schema.Tag}
		if i >= 10 {
			c.Type = series[kind].typ
		}
		columns = append(columns, c)
	}
	dictionaries := make([]arrow.Array, 10)
	for i := range dictionaries {
		values := array.NewStringBuilder(memory.DefaultAllocator)
		for v := range []int{hosts, 9, 27, 100, 3, 2, 4, 20, 2, 3}[i] {
			values.Append(fmt.Sprintf("value-%05d", v))
		}
		dictionaries[i] = values.NewArray()
	}
	rng := rand.New(rand.NewPCG(1, 2))
	records := make([]arrow.RecordBatch, hosts)
	for host := range records {
		records[host] = tsbsHost(columns, dictionaries, kind, host, points, rng)
	}
	return columns, records
}

func tsbsHost(columns []schema.Column, dictionaries []arrow.Array, kind string, host, points int, rng *rand.Rand) arrow.RecordBatch {
	var all []arrow.Array
	for i, dictionary := range dictionaries {
		value := int32(rng.IntN(dictionary.Len()))
		if i == 0 {
			value = int32(host)
		}
		index := array.NewInt32Builder(memory.DefaultAllocator)
		for range points {
			index.Append(value)
		}
		all = append(all, array.NewDictionaryArray(tagType, index.NewArray(), dictionary))
	}
	times := array.NewTimestampBuilder(memory.DefaultAllocator, timeType)
	for p := range points {
		times.Append(arrow.Timestamp(1451606400e9 + int64(p)*10e9))
	}
	all = append(all, times.NewArray())
	for range 10 {
		next := series[kind].make(rng)
		column := make([]any, points)
		for p := range column {
			column[p] = next()
		}
		all = append(all, fieldArray(series[kind].typ, column))
	}
	return array.NewRecordBatch(ArrowSchema(columns), all, int64(points))
}

func all(records []arrow.RecordBatch) func(yield func(arrow.RecordBatch, error) bool) {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, rec := range records {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

var benchShapes = []struct {
	kind          string
	hosts, points int
}{
	{"integer walk", 100, 8640},
	{"integer walk", 2000, 360},
	{"all digits walk", 100, 4320},
	{"two decimals walk", 100, 4320},
}

func BenchmarkWrite(b *testing.B) {
	for _, shape := range benchShapes {
		b.Run(fmt.Sprintf("%s/%dx%d", shape.kind, shape.hosts, shape.points), func(b *testing.B) {
			columns, records := tsbs(shape.kind, shape.hosts, shape.points)
			var file schema.File
			before := cpuTime(b)
			for b.Loop() {
				var err error
				file, err = Write(Spec{FS: vfs.NewMem(), Dir: "d", Name: "f", Columns: columns}, all(records))
				if err != nil {
					b.Fatal(err)
				}
			}
			reportRows(b, file.Rows, cpuTime(b)-before)
			b.ReportMetric(float64(file.Bytes)/float64(file.Rows), "B/row")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	columns, records := tsbs("integer walk", 100, 4320)
	fs := vfs.NewMem()
	file, err := Write(Spec{FS: fs, Dir: "d", Name: "f", Columns: columns}, all(records))
	if err != nil {
		b.Fatal(err)
	}
	for name, ids := range map[string][]schema.ColumnID{"all": nil, "one tag and field": {1, 11}} {
		b.Run(name, func(b *testing.B) {
			before := cpuTime(b)
			for b.Loop() {
				readAll(b, fs, "d/f", file.Rows, ids)
			}
			reportRows(b, file.Rows, cpuTime(b)-before)
		})
	}
}

func readAll(b *testing.B, fs vfs.FS, path string, want uint64, ids []schema.ColumnID) {
	r, err := Open(fs, path)
	if err != nil {
		b.Fatal(err)
	}
	rows := uint64(0)
	for rec, err := range r.Records(ids...) {
		if err != nil {
			b.Fatal(err)
		}
		rows += uint64(rec.NumRows())
	}
	if err := r.Close(); err != nil || rows != want {
		b.Fatal(rows, err)
	}
}

func BenchmarkVerify(b *testing.B) {
	columns, records := tsbs("integer walk", 100, 4320)
	fs := vfs.NewMem()
	file, err := Write(Spec{FS: fs, Dir: "d", Name: "f", Columns: columns}, all(records))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Bytes))
	for b.Loop() {
		if err := Verify(fs, "d/f", &file); err != nil {
			b.Fatal(err)
		}
	}
}

// reportRows reports the speed and the processor time, garbage collection included.
func reportRows(b *testing.B, rows uint64, cpu time.Duration) {
	total := float64(rows) * float64(b.N)
	b.ReportMetric(total/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(cpu.Seconds()/total*1e6, "cpu-s/Mrow")
}

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkVerifyColumns verifies a file on a real file system: all columns, one, and
// the footer alone.
func BenchmarkVerifyColumns(b *testing.B) {
	columns, records := tsbs("all digits walk", 100, 8640)
	dir := b.TempDir()
	file, err := Write(Spec{FS: vfs.Default, Dir: dir, Name: "f", Columns: columns}, all(records))
	if err != nil {
		b.Fatal(err)
	}
	path := vfs.Default.PathJoin(dir, "f")
	for name, ids := range map[string][]schema.ColumnID{"all": allIDs(&file), "one": {11}, "none": nil} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(file.Bytes))
			for b.Loop() {
				f, err := vfs.Default.Open(path)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := VerifyColumns(b.Context(), f, path, &file, ids); err != nil {
					b.Fatal(err)
				}
				if err := f.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
