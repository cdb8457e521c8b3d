package persist

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"
	parquetgo "github.com/parquet-go/parquet-go"

	"github.com/siltstone-db/siltstone/schema"
)

var hostColumn = schema.Column{ID: 1, Name: "host", Type: schema.Tag}

func TestRowsOutOfOrderAreRefused(t *testing.T) {
	columns := []schema.Column{hostColumn, {ID: 2, Name: "rack", Type: schema.Tag}}
	for name, rows := range map[string][]row{
		"time goes back":          {{2, []any{"a", "x"}}, {1, []any{"a", "x"}}},
		"same point":              {{1, []any{"a", "x"}}, {1, []any{"a", "x"}}},
		"same point, null tag":    {{1, []any{"a", nil}}, {1, []any{"a", nil}}},
		"first tag goes back":     {{1, []any{"b", "x"}}, {2, []any{"a", "y"}}},
		"second tag goes back":    {{1, []any{"a", "y"}}, {2, []any{"a", "x"}}},
		"null after a value":      {{1, []any{"a", "x"}}, {2, []any{nil, "x"}}},
		"null after empty string": {{1, []any{"a", ""}}, {2, []any{"a", nil}}},
	} {
		for _, size := range []int{1, 2} { // in two records, in one
			for _, groupRows := range []int{1, 10} { // in two row groups, in one
				fs := vfs.NewMem()
				tb := table{columns: columns, rows: rows}
				if _, err := tb.write(fs, "d", "f", groupRows, size); !errors.Is(err, ErrUnsorted) {
					t.Errorf("%s: got %v, want ErrUnsorted", name, err)
				}
				if left := files(t, fs, ""); len(left) > 0 {
					t.Errorf("%s: %v is left", name, left)
				}
			}
		}
	}
}

func TestTagsOutrankTimeInTheOrder(t *testing.T) {
	columns := []schema.Column{hostColumn, {ID: 3, Name: "v", Type: schema.Int64}, {ID: 4, Name: "rack", Type: schema.Tag}}
	tb := table{columns: columns, rows: []row{
		{9, []any{nil, int64(1), nil}},
		{8, []any{nil, int64(2), ""}},
		{7, []any{"", int64(3), "z"}},
		{6, []any{"a", int64(4), "a"}},
		{5, []any{"a", int64(5), "b"}},
		{6, []any{"a", int64(6), "b"}},
	}}
	fs := vfs.NewMem()
	if _, err := tb.write(fs, "d", "f", 2, 3); err != nil {
		t.Fatal(err)
	}
	got, err := readArrow(fs, "d/f")
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(tb.lines(), got.lines()); diff != "" {
		t.Fatal(diff)
	}
}

func one(rec arrow.RecordBatch, err error) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) { yield(rec, err) }
}

func TestRecordsThatDoNotFitAreRefused(t *testing.T) {
	small := smallTable()
	fewer := table{columns: small.columns[:3]}
	renamed := table{columns: []schema.Column{{ID: 1, Name: "other", Type: schema.Tag}, small.columns[1], small.columns[2]}}
	retyped := table{columns: []schema.Column{small.columns[0], {ID: 2, Name: "c1", Type: schema.Int64}, small.columns[2]}}
	nullTime := nullTimeRecord()
	spec := Spec{FS: vfs.NewMem(), Dir: "d", Name: "f", Columns: fewer.columns}
	for name, rec := range map[string]arrow.RecordBatch{
		"too many columns": small.record(small.rows),
		"another name":     renamed.record(nil),
		"another type":     retyped.record(nil),
	} {
		if _, err := Write(spec, one(rec, nil)); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: got %v, want ErrRecord", name, err)
		}
	}
	spec.Columns = nil
	if _, err := Write(spec, one(nullTime, nil)); !errors.Is(err, ErrRecord) {
		t.Errorf("null in time: got %v, want ErrRecord", err)
	}
}

func nullTimeRecord() arrow.RecordBatch {
	b := array.NewTimestampBuilder(memory.DefaultAllocator, timeType)
	b.AppendNull()
	return array.NewRecordBatch(ArrowSchema(nil), []arrow.Array{b.NewArray()}, 1)
}

func TestIndexOutsideTheDictionaryIsRefused(t *testing.T) {
	index := array.NewUint32Builder(memory.DefaultAllocator)
	index.Append(math.MaxUint32)
	values := array.NewStringBuilder(memory.DefaultAllocator)
	values.Append("only")
	typ := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint32, ValueType: arrow.BinaryTypes.String}
	tag := array.NewData(typ, 1, index.NewArray().Data().Buffers(), nil, 0, 0)
	tag.SetDictionary(values.NewArray().Data())
	times := array.NewTimestampBuilder(memory.DefaultAllocator, timeType)
	times.Append(1)
	layout := arrow.NewSchema([]arrow.Field{{Name: "host", Type: typ}, {Name: "time", Type: timeType}}, nil)
	rec := array.NewRecordBatch(layout, []arrow.Array{array.NewDictionaryData(tag), times.NewArray()}, 1)

	spec := Spec{FS: vfs.NewMem(), Dir: "d", Name: "f", Columns: []schema.Column{hostColumn}}
	if _, err := Write(spec, one(rec, nil)); !errors.Is(err, ErrRecord) {
		t.Fatalf("got %v, want ErrRecord", err)
	}
}

func TestNoRowsMakeNoFile(t *testing.T) {
	tb := smallTable()
	fs := vfs.NewMem()
	spec := Spec{FS: fs, Dir: "d", Name: "f", Columns: tb.columns}
	if _, err := Write(spec, one(tb.record(nil), nil)); !errors.Is(err, ErrNoRows) {
		t.Fatalf("got %v, want ErrNoRows", err)
	}
	if left := files(t, fs, ""); len(left) > 0 {
		t.Fatalf("%v is left", left)
	}
}

func TestErrorOfTheRecordsIsReturned(t *testing.T) {
	fs := vfs.NewMem()
	spec := Spec{FS: fs, Dir: "d", Name: "f"}
	cause := errors.New("cause")
	if _, err := Write(spec, one(nil, cause)); !errors.Is(err, cause) {
		t.Fatalf("got %v, want the cause", err)
	}
	if left := files(t, fs, ""); len(left) > 0 {
		t.Fatalf("%v is left", left)
	}
}

func TestWriteReleasesWhatItRetains(t *testing.T) {
	tb := smallTable()
	for _, last := range []error{nil, errors.New("no more records")} {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		records := func(yield func(arrow.RecordBatch, error) bool) {
			for rec := range tb.records(7) {
				owned := copyRecord(mem, rec)
				more := yield(owned, nil)
				owned.Release()
				if !more {
					return
				}
			}
			if last != nil {
				yield(nil, last)
			}
		}
		_, err := Write(Spec{FS: vfs.NewMem(), Dir: "d", Name: "f", Columns: tb.columns, RowGroupRows: 6}, records)
		if !errors.Is(err, last) {
			t.Fatalf("got %v, want %v", err, last)
		}
		mem.AssertSize(t, 0)
	}
}

// copyRecord copies the column of integers only into the allocator.
func copyRecord(mem memory.Allocator, rec arrow.RecordBatch) arrow.RecordBatch {
	columns := make([]arrow.Array, rec.NumCols())
	for i, c := range rec.Columns() {
		if ints, ok := c.(*array.Int64); ok {
			b := array.NewInt64Builder(mem)
			defer b.Release()
			b.AppendValues(ints.Int64Values(), nil)
			copied := b.NewArray()
			defer copied.Release()
			c = copied
		}
		columns[i] = c
	}
	return array.NewRecordBatch(rec.Schema(), columns, rec.NumRows())
}

func TestInvalidSpecIsReportedAtOnce(t *testing.T) {
	err := (&Spec{RowGroupRows: -1, Columns: []schema.Column{
		{ID: 0, Name: "a", Type: schema.Tag}, {ID: 2, Name: "time", Type: schema.Bool}, {ID: 2, Name: "a", Type: 99},
	}}).Validate()
	for _, part := range []string{
		"FS", "Dir", "Name", "RowGroupRows", `"a" has id 0`, `two columns are named "time"`,
		`two columns are named "a"`, "ColumnType(99)", "id 2 after id 2",
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in: %v", part, err)
		}
	}
}

// TestRowGroupHoldsOnlyItsOwnTagValues guards the size of files of many series whose
// records share one large dictionary.
func TestRowGroupHoldsOnlyItsOwnTagValues(t *testing.T) {
	const rows, groupRows = 3000, 100
	tb := table{columns: []schema.Column{hostColumn}}
	for i := range rows {
		tb.rows = append(tb.rows, row{1, []any{fmt.Sprintf("host-%06d", i)}})
	}
	fs := vfs.NewMem()
	if _, err := tb.write(fs, "d", "f", groupRows, rows); err != nil {
		t.Fatal(err)
	}
	for i, group := range openParquetGo(t, fs, "d/f").Metadata().RowGroups {
		if size := group.Columns[0].MetaData.TotalUncompressedSize; size > groupRows*20 {
			t.Fatalf("row group %d: %d bytes for %d values", i, size, groupRows)
		}
	}
}

func TestRowGroupOfLongStringsEndsEarly(t *testing.T) {
	tb := table{columns: []schema.Column{hostColumn, {ID: 2, Name: "text", Type: schema.String}}}
	text := strings.Repeat("x", 32<<10)
	for i := range 5 * checkRows {
		tb.rows = append(tb.rows, row{int64(i), []any{"a", text}})
	}
	fs := vfs.NewMem()
	if _, err := tb.write(fs, "d", "f", 0, 777); err != nil {
		t.Fatal(err)
	}
	if n := len(openParquetGo(t, fs, "d/f").RowGroups()); n != 3 {
		t.Fatalf("got %d row groups, want 3 of 64 MiB at most", n)
	}
}

func openParquetGo(t *testing.T, fs vfs.FS, path string) *parquetgo.File {
	t.Helper()
	raw, err := readFile(fs, path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquetgo.OpenFile(strings.NewReader(string(raw)), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
