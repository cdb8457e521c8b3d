package partition

import (
	"iter"
	"math"
	"slices"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/schema"
)

// Columns returns the ids of all tags and fields that have a value in snapshots.
func Columns(snaps []*Snapshot) map[schema.ColumnID]bool {
	ids := make(map[schema.ColumnID]bool)
	for _, s := range snaps {
		for _, t := range s.Tags {
			ids[t.ID] = true
		}
		for i := range s.Chunks {
			for j := range s.Chunks[i].Fields {
				ids[s.Chunks[i].Fields[j].ID] = true
			}
		}
	}
	return ids
}

// Sorted yields the rows of snapshots, given in arrival order, ordered by tags (in
// column id order, null first) and time. Rows with the same tags and time come out as
// one, in which each field has its last value that is not null. columns are the tags
// and fields wanted, in id order; layout is their Arrow schema: tags as dictionary
// arrays with int32 indices, then time, then fields. Records have at most maxRows
// rows, fewer where their strings and tag values would take more than about maxText
// bytes, 0 being MaxRecordText; the caller releases them.
func Sorted(snaps []*Snapshot, columns []schema.Column, layout *arrow.Schema, maxRows, maxText int) iter.Seq[arrow.RecordBatch] {
	if maxText == 0 {
		maxText = MaxRecordText
	}
	var tags, fields []schema.Column
	for _, c := range columns {
		if c.Type == schema.Tag {
			tags = append(tags, c)
		} else {
			fields = append(fields, c)
		}
	}
	return func(yield func(arrow.RecordBatch) bool) {
		o := sortRows(snaps, tags)
		g := newGatherer(o, fields, min(maxText, MaxRecordText))
		for from := 0; from < o.Len(); {
			to := g.fitText(from, min(from+maxRows, o.Len()))
			if !yield(g.record(layout, from, to)) {
				return
			}
			from = to
		}
	}
}

// gatherer copies rows in their new order into Arrow arrays.
type gatherer struct {
	o       *order
	fields  []schema.Column
	source  [][]*Field // by field, by chunk; nil where the chunk lacks the field
	maxText int        // bytes of text in a record
	texts   []int      // the string fields; nil where all text fits one record
	// local gives, while a tag column is made, 1 + the place that a value has in the
	// record's dictionary, by its place in the dictionary of all.
	local []int32
}

// MaxRecordText bounds the bytes of text in a record: Arrow's offsets have 31 bits, and
// writers hold a record in memory.
const MaxRecordText = 128 << 20

func newGatherer(o *order, fields []schema.Column, maxText int) *gatherer {
	g := &gatherer{o: o, fields: fields, maxText: maxText}
	text, distinct := 0, 0
	for _, dict := range o.dicts {
		distinct = max(distinct, len(dict))
		for _, value := range dict {
			text += len(value)
		}
	}
	g.local = make([]int32, distinct)
	texts := []int{}
	for f, c := range fields {
		by := make([]*Field, len(o.chunks))
		for i, chunk := range o.chunks {
			if at := indexField(chunk.Fields, c.ID, 0); at >= 0 {
				by[i] = &chunk.Fields[at]
				text += len(by[i].Data)
			}
		}
		g.source = append(g.source, by)
		if c.Type == schema.String {
			texts = append(texts, f)
		}
	}
	if text > maxText {
		g.texts = texts
	}
	return g
}

// fitText returns how far a record that begins at from may go up to to.
func (g *gatherer) fitText(from, to int) int {
	if g.texts == nil {
		return to
	}
	room, last := g.maxText, -1
	for i := from; i < to; i++ {
		for _, f := range g.texts {
			if s, row, ok := g.at(g.source[f], i); ok {
				room -= len(s.Bytes(row))
			}
		}
		if rank := g.rank(i); rank != last {
			room -= g.tagText(rank)
			last = rank
		}
		if room < 0 {
			return max(i, from+1)
		}
	}
	return to
}

// tagText is the bytes of a series' tag values.
func (g *gatherer) tagText(rank int) int {
	n := 0
	for t, dict := range g.o.dicts {
		if v := g.o.series[rank*g.o.tags+t]; v != 0 {
			n += len(dict[v-1])
		}
	}
	return n
}

// rank is that of the series of output row i.
func (g *gatherer) rank(i int) int {
	r := g.o.last(i)
	return int(g.o.rankOf(r.chunk(), g.o.chunks[r.chunk()].Series[r.row()]))
}

func (g *gatherer) record(layout *arrow.Schema, from, to int) arrow.RecordBatch {
	var columns []arrow.Array
	for t := range g.o.dicts {
		columns = append(columns, g.tag(t, layout.Field(t).Type, from, to))
	}
	columns = append(columns, g.times(layout.Field(len(g.o.dicts)).Type, from, to))
	for f := range g.fields {
		columns = append(columns, g.field(f, from, to))
	}
	record := array.NewRecordBatch(layout, columns, int64(to-from))
	for _, c := range columns {
		c.Release()
	}
	return record
}

// tag makes a tag column with a dictionary of the values in these rows, in order. The dictionary of all rows would be a copy of all tag values for as long as a file
// is written, which may be most of the memory that the buffers hold.
func (g *gatherer) tag(t int, typ arrow.DataType, from, to int) arrow.Array {
	index := make([]int32, to-from)
	v := newValidity(to - from)
	var used []uint32
	for i := range index {
		n := g.o.series[g.rank(from+i)*g.o.tags+t]
		if n == 0 {
			v.clear(i)
			continue
		}
		if g.local[n-1] == 0 {
			used = append(used, n-1)
			g.local[n-1] = 1
		}
		index[i] = int32(n - 1)
	}
	slices.Sort(used)
	dict := array.NewStringBuilder(memory.DefaultAllocator)
	defer dict.Release()
	dict.Reserve(len(used))
	for place, n := range used {
		dict.Append(g.o.dicts[t][n])
		g.local[n] = int32(place)
	}
	if len(used) > 0 { // a null has any of their places
		for i, n := range index {
			index[i] = g.local[n]
		}
	}
	for _, n := range used {
		g.local[n] = 0
	}
	values := dict.NewArray()
	defer values.Release()
	return makeArray(typ, asBytes(index), v, to-from, values)
}

func (g *gatherer) times(typ arrow.DataType, from, to int) arrow.Array {
	times := make([]int64, to-from)
	for i := range times {
		times[i] = g.o.timeOf(g.o.last(from + i))
	}
	return makeArray(typ, asBytes(times), newValidity(len(times)), len(times), nil)
}

func (g *gatherer) field(f, from, to int) arrow.Array {
	switch g.fields[f].Type {
	case schema.Int64:
		return gatherFixed(g, f, from, to, arrow.PrimitiveTypes.Int64, func(s *Field) []int64 { return s.Int64 })
	case schema.Uint64:
		return gatherFixed(g, f, from, to, arrow.PrimitiveTypes.Uint64, func(s *Field) []uint64 { return s.Uint64 })
	case schema.Float64:
		return gatherFixed(g, f, from, to, arrow.PrimitiveTypes.Float64, func(s *Field) []float64 { return s.Float64 })
	case schema.Bool:
		return g.bools(f, from, to)
	}
	return g.strings(f, from, to)
}

// at finds the row that gives output row i its value of a field: the newest version
// in which the field is not null.
func (g *gatherer) at(source []*Field, i int) (*Field, int, bool) {
	r := g.o.last(i)
	if s := source[r.chunk()]; s != nil && s.IsValid(r.row()) {
		return s, r.row(), true
	}
	if g.o.ends == nil {
		return nil, 0, false
	}
	for _, r := range slices.Backward(g.o.versions(i)) {
		if s := source[r.chunk()]; s != nil && s.IsValid(r.row()) {
			return s, r.row(), true
		}
	}
	return nil, 0, false
}

func gatherFixed[T int64 | uint64 | float64](g *gatherer, f, from, to int, typ arrow.DataType, values func(*Field) []T) arrow.Array {
	source := g.source[f]
	out := make([]T, to-from)
	v := newValidity(to - from)
	for i := range out {
		if s, row, ok := g.at(source, from+i); ok {
			out[i] = values(s)[row]
		} else {
			v.clear(i)
		}
	}
	return makeArray(typ, asBytes(out), v, len(out), nil)
}

func (g *gatherer) bools(f, from, to int) arrow.Array {
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(to - from)
	for i := from; i < to; i++ {
		if s, row, ok := g.at(g.source[f], i); ok {
			b.UnsafeAppend(s.Bool[row] != 0)
		} else {
			b.UnsafeAppendBoolToBitmap(false)
		}
	}
	return b.NewArray()
}

func (g *gatherer) strings(f, from, to int) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(to - from)
	for i := from; i < to; i++ {
		if s, row, ok := g.at(g.source[f], i); ok {
			text := s.Bytes(row)
			b.Append(unsafe.String(unsafe.SliceData(text), len(text)))
		} else {
			b.AppendNull()
		}
	}
	return b.NewArray()
}

// validity is a bitmap that is only made when something is null.
type validity struct {
	bits  []byte
	rows  int
	nulls int
}

func newValidity(rows int) *validity { return &validity{rows: rows} }

func (v *validity) clear(i int) {
	if v.bits == nil {
		v.bits = slices.Repeat([]byte{math.MaxUint8}, (v.rows+7)/8)
	}
	v.bits[i>>3] &^= 1 << (i & 7)
	v.nulls++
}

// makeArray wraps values that are already in Arrow's layout.
func makeArray(typ arrow.DataType, values []byte, v *validity, rows int, dict arrow.Array) arrow.Array {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(values)}
	if v.bits != nil {
		buffers[0] = memory.NewBufferBytes(v.bits)
	}
	var data *array.Data
	if dict != nil {
		data = array.NewDataWithDictionary(typ, rows, buffers, v.nulls, 0, dict.Data().(*array.Data))
	} else {
		data = array.NewData(typ, rows, buffers, nil, v.nulls, 0)
	}
	defer data.Release()
	return array.MakeFromData(data)
}

// asBytes views numbers as their little-endian bytes.
func asBytes[T int32 | int64 | uint64 | float64](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(v[0])))
}
