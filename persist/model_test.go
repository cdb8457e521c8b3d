package persist

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cockroachdb/pebble/v2/vfs"
	parquetgo "github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// table is the model that files are compared with: rows of plain values.
type table struct {
	columns []schema.Column
	rows    []row
}

// row has a value for each column: nil, string, int64, uint64, float64 or bool.
type row struct {
	time   int64
	values []any
}

func (r row) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", r.time)
	for _, v := range r.values {
		if f, ok := v.(float64); ok {
			fmt.Fprintf(&b, " %#x", math.Float64bits(f)) // tells every NaN and zero apart
		} else {
			fmt.Fprintf(&b, " %#v", v)
		}
	}
	return b.String()
}

func (t *table) lines() []string {
	lines := make([]string, len(t.rows))
	for i, r := range t.rows {
		lines[i] = r.String()
	}
	return lines
}

// sort puts the rows into the order of a file and drops points that occur twice.
func (t *table) sort() {
	order := func(a, b row) int {
		for i, c := range t.columns {
			if c.Type == schema.Tag {
				if n := compareTags(a.values[i], b.values[i]); n != 0 {
					return n
				}
			}
		}
		return cmp.Compare(a.time, b.time)
	}
	slices.SortStableFunc(t.rows, order)
	t.rows = slices.CompactFunc(t.rows, func(a, b row) bool { return order(a, b) == 0 })
}

func compareTags(a, b any) int {
	if a == nil || b == nil {
		return cmp.Compare(boolInt(a != nil), boolInt(b != nil))
	}
	return cmp.Compare(a.(string), b.(string))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// record makes a record of some rows. The dictionaries hold the values of those rows
// and some that do not occur, in the order that a map happens to have.
func (t *table) record(rows []row) arrow.RecordBatch {
	layout := ArrowSchema(t.columns)
	var tags, fields []arrow.Array
	for i, c := range t.columns {
		column := make([]any, len(rows))
		for r, row := range rows {
			column[r] = row.values[i]
		}
		if c.Type == schema.Tag {
			tags = append(tags, tagArray(column))
		} else {
			fields = append(fields, fieldArray(c.Type, column))
		}
	}
	times := array.NewTimestampBuilder(memory.DefaultAllocator, timeType)
	for _, row := range rows {
		times.Append(arrow.Timestamp(row.time))
	}
	all := append(append(tags, times.NewArray()), fields...)
	return array.NewRecordBatch(layout, all, int64(len(rows)))
}

func tagArray(column []any) arrow.Array {
	position := map[string]int32{"never used": 0, "": 0}
	for _, v := range column {
		if v != nil {
			position[v.(string)] = 0
		}
	}
	values := array.NewStringBuilder(memory.DefaultAllocator)
	for i, v := range slices.Collect(maps.Keys(position)) {
		values.Append(v)
		position[v] = int32(i)
	}
	index := array.NewInt32Builder(memory.DefaultAllocator)
	for _, v := range column {
		if v == nil {
			index.AppendNull()
		} else {
			index.Append(position[v.(string)])
		}
	}
	return array.NewDictionaryArray(tagType, index.NewArray(), values.NewArray())
}

func fieldArray(typ schema.ColumnType, column []any) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, arrowType(typ))
	for _, v := range column {
		switch v := v.(type) {
		case nil:
			b.AppendNull()
		case int64:
			b.(*array.Int64Builder).Append(v)
		case uint64:
			b.(*array.Uint64Builder).Append(v)
		case float64:
			b.(*array.Float64Builder).Append(v)
		case string:
			b.(*array.StringBuilder).Append(v)
		case bool:
			b.(*array.BooleanBuilder).Append(v)
		}
	}
	return b.NewArray()
}

// records yields the rows in records of the given sizes, over and over. Some records
// are slices of longer ones, some have unsigned indices.
func (t *table) records(sizes ...int) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for from, i := 0, 0; from < len(t.rows); i++ {
			to := min(len(t.rows), from+sizes[i%len(sizes)])
			lead := min(from, i%3)
			longer := t.record(t.rows[from-lead : to])
			rec := longer.NewSlice(int64(lead), longer.NumRows())
			longer.Release()
			if i%2 == 1 {
				rec = withUnsignedIndices(rec)
			}
			from = to
			more := yield(rec, nil)
			rec.Release()
			if !more {
				return
			}
		}
	}
}

func withUnsignedIndices(rec arrow.RecordBatch) arrow.RecordBatch {
	defer rec.Release()
	fields := slices.Clone(rec.Schema().Fields())
	columns := slices.Clone(rec.Columns())
	for i, c := range columns {
		if d, ok := c.(*array.Dictionary); ok {
			fields[i].Type = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint32, ValueType: arrow.BinaryTypes.String}
			data := array.NewDataWithDictionary(fields[i].Type, d.Len(), d.Data().Buffers(), d.NullN(), d.Data().Offset(), d.Dictionary().Data().(*array.Data))
			columns[i] = array.NewDictionaryData(data)
		}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rec.NumRows())
}

func (t *table) write(fs vfs.FS, dir, name string, groupRows int, sizes ...int) (schema.File, error) {
	spec := Spec{FS: fs, Dir: dir, Name: name, Database: "db", Table: "tbl", Columns: t.columns, RowGroupRows: groupRows}
	return Write(spec, t.records(sizes...))
}

// readArrow reads a whole file, or some of its columns, with this package.
func readArrow(fs vfs.FS, path string, ids ...schema.ColumnID) (t table, err error) {
	r, err := Open(fs, path)
	if err != nil {
		return table{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if t.columns, err = r.project(ids); err != nil {
		return table{}, err
	}
	layout := ArrowSchema(t.columns)
	for rec, err := range r.Records(ids...) {
		if err != nil {
			return table{}, err
		}
		if !rec.Schema().Equal(layout) {
			return table{}, fmt.Errorf("record has schema %v, not %v", rec.Schema(), layout)
		}
		for i := range int(rec.NumRows()) {
			t.rows = append(t.rows, rowOf(t.columns, rec, i))
		}
	}
	return t, nil
}

func rowOf(columns []schema.Column, rec arrow.RecordBatch, i int) row {
	tags, _ := split(columns)
	r := row{time: int64(rec.Column(len(tags)).(*array.Timestamp).Value(i))}
	tag, field := 0, len(tags)+1
	for _, c := range columns {
		if c.Type == schema.Tag {
			r.values = append(r.values, valueOf(rec.Column(tag), i))
			tag++
		} else {
			r.values = append(r.values, valueOf(rec.Column(field), i))
			field++
		}
	}
	return r
}

func valueOf(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Dictionary:
		return valueOf(a.Dictionary(), a.GetValueIndex(i))
	case *array.Int64:
		return a.Value(i)
	case *array.Uint64:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.String:
		return strings.Clone(a.Value(i))
	case *array.Boolean:
		return a.Value(i)
	}
	panic(fmt.Sprintf("no value of %T", a))
}

// readParquetGo reads a whole file with an independent library.
func readParquetGo(fs vfs.FS, path string, columns []schema.Column) (table, error) {
	raw, err := readFile(fs, path)
	if err != nil {
		return table{}, err
	}
	f, err := parquetgo.OpenFile(strings.NewReader(string(raw)), int64(len(raw)))
	if err != nil {
		return table{}, err
	}
	t := table{columns: columns}
	tags, _ := split(columns)
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		buffer := make([]parquetgo.Row, 100)
		for {
			n, err := rows.ReadRows(buffer)
			for _, r := range buffer[:n] {
				t.rows = append(t.rows, parquetGoRow(columns, len(tags), r))
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return table{}, err
			}
		}
		if err := rows.Close(); err != nil {
			return table{}, err
		}
	}
	return t, nil
}

func parquetGoRow(columns []schema.Column, timeAt int, r parquetgo.Row) row {
	out := row{time: r[timeAt].Int64()}
	tag, field := 0, timeAt+1
	for _, c := range columns {
		at := &field
		if c.Type == schema.Tag {
			at = &tag
		}
		out.values = append(out.values, parquetGoValue(c.Type, r[*at]))
		*at++
	}
	return out
}

func parquetGoValue(typ schema.ColumnType, v parquetgo.Value) any {
	if v.IsNull() {
		return nil
	}
	switch typ {
	case schema.Int64:
		return v.Int64()
	case schema.Uint64:
		return v.Uint64()
	case schema.Float64:
		return v.Double()
	case schema.Bool:
		return v.Boolean()
	}
	return string(v.ByteArray())
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(f)
}

func writeFile(t testing.TB, fs vfs.FS, path string, content []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(slices.Clone(content)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// drawTable draws a table with every type of column and values that are hard to carry.
func drawTable(t *rapid.T) table {
	var tb table
	for i, typ := range rapid.SliceOfN(rapid.SampledFrom(allTypes), 1, 8).Draw(t, "types") {
		id := schema.ColumnID(2*i + rapid.IntRange(1, 2).Draw(t, "id"))
		tb.columns = append(tb.columns, schema.Column{ID: id, Name: fmt.Sprintf("c.%d é", i), Type: typ})
	}
	nullPercent := rapid.SampledFrom([]int{0, 0, 20, 95, 100}).Draw(t, "null percent")
	for range rapid.IntRange(1, 300).Draw(t, "rows") {
		r := row{time: rapid.Int64().Draw(t, "time")}
		for _, c := range tb.columns {
			if rapid.IntRange(0, 99).Draw(t, "null") < nullPercent {
				r.values = append(r.values, nil)
			} else {
				r.values = append(r.values, drawValue(t, c.Type))
			}
		}
		tb.rows = append(tb.rows, r)
	}
	tb.sort()
	return tb
}

var allTypes = []schema.ColumnType{schema.Tag, schema.Float64, schema.Int64, schema.Uint64, schema.String, schema.Bool}

func drawValue(t *rapid.T, typ schema.ColumnType) any {
	switch typ {
	case schema.Tag:
		return rapid.SampledFrom([]string{"", "a", "b", "host-1", "naïve ☃", strings.Repeat("x", 100), "\x00", "z"}).Draw(t, "tag")
	case schema.Int64:
		return rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 3), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64})).Draw(t, "int")
	case schema.Uint64:
		return rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 3), rapid.Just(uint64(math.MaxUint64))).Draw(t, "uint")
	case schema.Float64:
		special := []float64{0, negativeZero, 1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64}
		return rapid.OneOf(rapid.Float64(), rapid.SampledFrom(special)).Draw(t, "float")
	case schema.String:
		return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "on", "off", strings.Repeat("é", 40)})).Draw(t, "string")
	default:
		return rapid.Bool().Draw(t, "bool")
	}
}
