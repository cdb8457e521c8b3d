//go:build unix

package persist

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// BenchmarkMerge merges files that follow each other in time, each with all hosts, and files
// whose rows alternate.
func BenchmarkMerge(b *testing.B) {
	for _, shape := range []struct {
		name                  string
		files, hosts, perFile int
		alternate             bool
	}{
		{"hours", 4, 400, 360, false}, {"minutes", 16, 4000, 6, false}, {"alternating", 4, 40, 360, true},
	} {
		b.Run(shape.name, func(b *testing.B) {
			fs := vfs.NewMem()
			columns, records := tsbs("integer walk", shape.hosts, shape.files*shape.perFile)
			spec := MergeSpec{FS: fs, Columns: columns}
			for n := range shape.files {
				f, err := Write(Spec{FS: fs, Dir: "d", Name: fmt.Sprint(n), Columns: columns}, sliced(records, n, shape.files, shape.alternate))
				if err != nil {
					b.Fatal(err)
				}
				spec.Inputs = append(spec.Inputs, MergeInput{Path: fmt.Sprint("d/", n), File: &f})
			}
			for name, write := range map[string]bool{"read": false, "write": true} {
				b.Run(name, func(b *testing.B) {
					rows, before := uint64(0), cpuTime(b)
					for b.Loop() {
						rows = benchMerge(b, spec, write)
					}
					reportRows(b, rows, cpuTime(b)-before)
				})
			}
		})
	}
}

// sliced yields the n-th part of each host's rows: every parts-th row, or consecutive ones.
func sliced(records []arrow.RecordBatch, n, parts int, alternate bool) func(yield func(arrow.RecordBatch, error) bool) {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, rec := range records {
			per := rec.NumRows() / int64(parts)
			if !alternate {
				if !yield(rec.NewSlice(int64(n)*per, int64(n+1)*per), nil) {
					return
				}
				continue
			}
			for i := int64(n); i < rec.NumRows(); i += int64(parts) {
				if !yield(rec.NewSlice(i, i+1), nil) {
					return
				}
			}
		}
	}
}

// benchMerge merges files to a file, or to nothing.
func benchMerge(b *testing.B, spec MergeSpec, write bool) (rows uint64) {
	m, err := OpenMerge(context.Background(), spec)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	if write {
		f, err := Write(Spec{FS: vfs.NewMem(), Dir: "d", Name: "m", Columns: m.Columns()}, m.Records(schema.MaxTimeRange))
		if err != nil {
			b.Fatal(err)
		}
		return f.Rows
	}
	for rec, err := range m.Records(schema.MaxTimeRange) {
		if err != nil {
			b.Fatal(err)
		}
		rows += uint64(rec.NumRows())
	}
	return rows
}
