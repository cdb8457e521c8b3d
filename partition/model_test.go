package partition

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

// The model keeps rows as maps. What the package makes of them is read back into the
// same form and compared as text.

// testColumns is the table of the tests: tags and fields of each type, in id order.
var testColumns = []schema.Column{
	{ID: 1, Name: "host", Type: schema.Tag},
	{ID: 2, Name: "f", Type: schema.Float64},
	{ID: 3, Name: "i", Type: schema.Int64},
	{ID: 4, Name: "region", Type: schema.Tag},
	{ID: 5, Name: "u", Type: schema.Uint64},
	{ID: 6, Name: "s", Type: schema.String},
	{ID: 7, Name: "b", Type: schema.Bool},
	{ID: 200, Name: "rack", Type: schema.Tag},
	{ID: 300, Name: "late", Type: schema.Float64},
	{ID: 301, Name: "text", Type: schema.String},
	{ID: 302, Name: "flag", Type: schema.Bool},
}

// testKey is the partition of the tests: 2016-01-01, where testDay begins.
var testKey = schema.PartitionKey{Database: 1, Table: 2, Day: 16801}

const testDay = 16801 * 86400 * int64(1e9)

type value struct {
	typ  schema.ColumnType
	bits uint64
	text string
}

func (v value) String() string {
	switch v.typ {
	case schema.Float64:
		return fmt.Sprintf("%x", v.bits)
	case schema.Int64:
		return strconv.FormatInt(int64(v.bits), 10) + "i"
	case schema.Uint64:
		return strconv.FormatUint(v.bits, 10) + "u"
	case schema.Bool:
		return strconv.FormatBool(v.bits != 0)
	}
	return strconv.Quote(v.text)
}

type row struct {
	tags   map[schema.ColumnID]string
	time   int64
	fields map[schema.ColumnID]value
}

func (r row) String() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(r.tags)) {
		fmt.Fprintf(&b, "%d=%q ", id, r.tags[id])
	}
	fmt.Fprintf(&b, "@%d", r.time)
	for _, id := range slices.Sorted(maps.Keys(r.fields)) {
		fmt.Fprintf(&b, " %d=%s", id, r.fields[id])
	}
	return b.String()
}

func texts(rows []row) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.String()
	}
	return out
}

// diffRows is empty when the rows are the same.
func diffRows(want, got []row) string {
	same := slices.EqualFunc(want, got, func(a, b row) bool {
		return a.time == b.time && maps.Equal(a.tags, b.tags) && maps.Equal(a.fields, b.fields)
	})
	if same {
		return ""
	}
	return cmp.Diff(texts(want), texts(got))
}

func seriesKey(r row) []byte {
	var key []byte
	for _, id := range slices.Sorted(maps.Keys(r.tags)) {
		key = AppendTag(key, id, []byte(r.tags[id]))
	}
	return key
}

// fill makes a batch of rows. A tag set gets one series number unless repeated is set.
func fill(b *Batch, key schema.PartitionKey, rows []row, repeated bool) {
	b.Reset(key)
	series, at := make(map[string]uint32), make(map[schema.ColumnID]int)
	for n, r := range rows {
		k := seriesKey(r)
		number, ok := series[string(k)]
		if !ok || repeated {
			number = uint32(len(b.Series))
			series[string(k)] = number
			b.Series = append(b.Series, k)
		}
		b.Time = append(b.Time, r.time)
		b.Index = append(b.Index, number)
		b.Range = b.Range.Include(r.time)
		for _, id := range slices.Sorted(maps.Keys(r.fields)) {
			v := r.fields[id]
			if _, ok := at[id]; !ok {
				at[id] = b.AddField(id, v.typ)
			}
			b.Fields[at[id]].Append(n, v.bits, []byte(v.text))
		}
	}
	b.Finish()
}

func newBatch(rows ...row) *Batch {
	b := new(Batch)
	fill(b, testKey, rows, false)
	return b
}

func (f *Field) valueOf(r int) value {
	v := value{typ: f.Type}
	switch f.Type {
	case schema.Int64:
		v.bits = uint64(f.Int64[r])
	case schema.Uint64:
		v.bits = f.Uint64[r]
	case schema.Float64:
		v.bits = math.Float64bits(f.Float64[r])
	case schema.Bool:
		v.bits = uint64(f.Bool[r])
	default:
		v.text = string(f.Bytes(r))
	}
	return v
}

func fieldsOf(fields []Field, r int) map[schema.ColumnID]value {
	out := make(map[schema.ColumnID]value)
	for i := range fields {
		if fields[i].IsValid(r) {
			out[fields[i].ID] = fields[i].valueOf(r)
		}
	}
	return out
}

// batchRows reads a batch back.
func batchRows(b *Batch) []row {
	var rows []row
	for r, t := range b.Time {
		tags := make(map[schema.ColumnID]string)
		for key := b.Series[b.Index[r]]; len(key) > 0; {
			id, v, rest, ok := nextTag(key)
			if !ok {
				panic("series key is not canonical")
			}
			tags[id], key = string(v), rest
		}
		rows = append(rows, row{tags, t, fieldsOf(b.Fields, r)})
	}
	return rows
}

// snapshotRows reads a snapshot back.
func snapshotRows(s *Snapshot) []row {
	var rows []row
	for c := range s.Chunks {
		chunk := &s.Chunks[c]
		for r := range chunk.Rows {
			tags := make(map[schema.ColumnID]string)
			for i := range s.Tags {
				if v, ok := s.Tags[i].Value(chunk.Series[r]); ok {
					tags[s.Tags[i].ID] = v
				}
			}
			rows = append(rows, row{tags, chunk.Time[r], fieldsOf(chunk.Fields, r)})
		}
	}
	return rows
}

// project keeps the given columns of a row.
func project(r row, columns []schema.Column) row {
	out := row{make(map[schema.ColumnID]string), r.time, make(map[schema.ColumnID]value)}
	for _, c := range columns {
		if v, ok := r.tags[c.ID]; ok {
			out.tags[c.ID] = v
		}
		if v, ok := r.fields[c.ID]; ok {
			out.fields[c.ID] = v
		}
	}
	return out
}

// sortedModel is what Sorted promises: rows by tags in id order, null first, then by
// time; rows alike in both become one, in which later values win.
func sortedModel(rows []row, columns []schema.Column) []row {
	var all []row
	for _, r := range rows {
		all = append(all, project(r, columns))
	}
	compare := func(a, b row) int {
		for _, c := range columns {
			if c.Type != schema.Tag {
				continue
			}
			x, inA := a.tags[c.ID]
			y, inB := b.tags[c.ID]
			switch {
			case inA != inB && inB:
				return -1
			case inA != inB:
				return 1
			case x != y:
				return strings.Compare(x, y)
			}
		}
		return int(min(max(a.time-b.time, -1), 1))
	}
	slices.SortStableFunc(all, compare)
	var out []row
	for _, r := range all {
		if n := len(out); n > 0 && compare(out[n-1], r) == 0 {
			maps.Copy(out[n-1].fields, r.fields)
			continue
		}
		out = append(out, r)
	}
	return out
}

// arrowLayout is the schema that Sorted asks for.
func arrowLayout(columns []schema.Column) *arrow.Schema {
	types := map[schema.ColumnType]arrow.DataType{
		schema.Tag:     &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String},
		schema.Int64:   arrow.PrimitiveTypes.Int64,
		schema.Uint64:  arrow.PrimitiveTypes.Uint64,
		schema.Float64: arrow.PrimitiveTypes.Float64,
		schema.Bool:    arrow.FixedWidthTypes.Boolean,
		schema.String:  arrow.BinaryTypes.String,
	}
	var tags, fields []arrow.Field
	for _, c := range columns {
		f := arrow.Field{Name: c.Name, Type: types[c.Type], Nullable: true}
		if c.Type == schema.Tag {
			tags = append(tags, f)
		} else {
			fields = append(fields, f)
		}
	}
	tags = append(tags, arrow.Field{Name: schema.TimeColumn, Type: &arrow.TimestampType{Unit: arrow.Nanosecond}})
	return arrow.NewSchema(append(tags, fields...), nil)
}

// recordRows reads a record of Sorted back; it reports dictionaries that are no good.
func recordRows(record arrow.RecordBatch, columns []schema.Column) (rows []row, err error) {
	byName := make(map[string]schema.Column)
	for _, c := range columns {
		byName[c.Name] = c
	}
	for range record.NumRows() {
		rows = append(rows, row{make(map[schema.ColumnID]string), 0, make(map[schema.ColumnID]value)})
	}
	for i, f := range record.Schema().Fields() {
		a, c := record.Column(i), byName[f.Name]
		if a.Len() != len(rows) || !arrow.TypeEqual(a.DataType(), f.Type) {
			return nil, fmt.Errorf("column %s has %d rows of %s", f.Name, a.Len(), a.DataType())
		}
		if d, ok := a.(*array.Dictionary); ok {
			if err := checkDictionary(d); err != nil {
				return nil, fmt.Errorf("column %s: %w", f.Name, err)
			}
		}
		nulls := 0
		for r := range rows {
			if a.IsNull(r) {
				nulls++
				continue
			}
			rows[r].set(c.ID, a, r)
		}
		if nulls != a.NullN() {
			return nil, fmt.Errorf("column %s has %d nulls and says %d", f.Name, nulls, a.NullN())
		}
	}
	return rows, nil
}

func (r *row) set(id schema.ColumnID, a arrow.Array, i int) {
	switch a := a.(type) {
	case *array.Dictionary:
		r.tags[id] = a.Dictionary().(*array.String).Value(a.GetValueIndex(i))
	case *array.Timestamp:
		r.time = int64(a.Value(i))
	case *array.Int64:
		r.fields[id] = value{typ: schema.Int64, bits: uint64(a.Value(i))}
	case *array.Uint64:
		r.fields[id] = value{typ: schema.Uint64, bits: a.Value(i)}
	case *array.Float64:
		r.fields[id] = value{typ: schema.Float64, bits: math.Float64bits(a.Value(i))}
	case *array.Boolean:
		bit := uint64(0)
		if a.Value(i) {
			bit = 1
		}
		r.fields[id] = value{typ: schema.Bool, bits: bit}
	case *array.String:
		r.fields[id] = value{typ: schema.String, text: a.Value(i)}
	default:
		panic(fmt.Sprintf("unexpected array %T", a))
	}
}

// checkDictionary makes sure that indices lie in the dictionary, which is sorted and
// has each value once.
func checkDictionary(d *array.Dictionary) error {
	values := d.Dictionary().(*array.String)
	for i := 1; i < values.Len(); i++ {
		if values.Value(i-1) >= values.Value(i) {
			return fmt.Errorf("dictionary has %q before %q", values.Value(i-1), values.Value(i))
		}
	}
	for i := range d.Len() {
		if d.IsValid(i) && (d.GetValueIndex(i) < 0 || d.GetValueIndex(i) >= values.Len()) {
			return fmt.Errorf("row %d has index %d of %d values", i, d.GetValueIndex(i), values.Len())
		}
	}
	return nil
}

func floatValue(v float64) value { return value{typ: schema.Float64, bits: math.Float64bits(v)} }
