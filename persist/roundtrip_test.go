package persist

import (
	"bytes"
	"math"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

func TestFileHoldsTheRowsThatWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawTable(t)
		fs := vfs.NewMem()
		groupRows := rapid.SampledFrom([]int{1, 7, 64, 1000}).Draw(t, "row group")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 90), 1, 4).Draw(t, "record sizes")
		file, err := want.write(fs, "dir", "f.parquet", groupRows, sizes...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readArrow(fs, "dir/f.parquet")
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want.columns, got.columns); diff != "" {
			t.Fatalf("columns: %s", diff)
		}
		if diff := gocmp.Diff(want.lines(), got.lines()); diff != "" {
			t.Fatalf("read by arrow-go: %s", diff)
		}
		other, err := readParquetGo(fs, "dir/f.parquet", want.columns)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want.lines(), other.lines()); diff != "" {
			t.Fatalf("read by parquet-go: %s", diff)
		}
		if diff := gocmp.Diff(describe(want), withoutChecksum(file)); diff != "" {
			t.Fatalf("description: %s", diff)
		}
		if err := Verify(fs, "dir/f.parquet", &file); err != nil {
			t.Fatal(err)
		}
	})
}

func withoutChecksum(f schema.File) schema.File {
	f.Bytes, f.CRC32C, f.FooterBytes, f.FooterCRC32C = 0, 0, 0, 0
	return f
}

// describe computes by brute force what Write should return.
func describe(t table) schema.File {
	f := schema.File{Rows: uint64(len(t.rows)), Time: schema.EmptyTimeRange}
	for _, r := range t.rows {
		f.Time = f.Time.Include(r.time)
	}
	for i, c := range t.columns {
		stats := schema.ColumnStats{Column: c.ID}
		nan := false
		for _, r := range t.rows {
			if r.values[i] == nil {
				stats.Nulls++
				continue
			}
			if v, ok := r.values[i].(float64); ok && math.IsNaN(v) {
				nan = true
			}
			lo, hi := bounds(r.values[i])
			if stats.Min == nil || bytes.Compare(lo, stats.Min) < 0 {
				stats.Min = lo
			}
			if stats.Max == nil || bytes.Compare(hi, stats.Max) > 0 {
				stats.Max = hi
			}
		}
		if nan {
			stats.Min, stats.Max = nil, nil
		}
		f.Columns = append(f.Columns, stats)
	}
	return f
}

func bounds(v any) (lo, hi []byte) {
	switch v := v.(type) {
	case int64:
		return schema.SortableInt64(v), schema.SortableInt64(v)
	case uint64:
		return schema.SortableUint64(v), schema.SortableUint64(v)
	case float64:
		if v == 0 {
			return schema.SortableFloat64(negativeZero), schema.SortableFloat64(0)
		}
		return schema.SortableFloat64(v), schema.SortableFloat64(v)
	case bool:
		return schema.SortableBool(v), schema.SortableBool(v)
	default:
		return schema.SortableStringMin(v.(string)), schema.SortableStringMax(v.(string))
	}
}
