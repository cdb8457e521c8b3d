package partition

import (
	"math"
	"slices"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/schema"
)

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

// tag makes a tag column with a dictionary of the values in these rows, in order. The
// dictionary of all rows would be a copy of all tag values for as long as a file is
// written, which may be most of the memory that the buffers hold.
func (g *gatherer) tag(t int, typ arrow.DataType, from, to int) arrow.Array {
	values := g.dictionary(t, from, to)
	defer values.Release()
	column := newColumn[int32](to - from)
	v := newValidity(to - from)
	g.o.runs(from, to, func(rank, start, end int) {
		place := int32(0) // a null has any of the places
		if n := g.o.series[rank*g.o.tags+t]; n != 0 {
			place = g.local[n-1] - 1
		} else {
			for i := start; i < end; i++ {
				v.clear(i)
			}
		}
		fillRun(column.values[start:end], place)
	})
	for _, n := range g.used {
		g.local[n] = 0
	}
	return column.array(typ, v, values)
}

// dictionary makes the dictionary of a tag's values in these rows, and leaves in g.used
// and g.local which they are and where each is.
func (g *gatherer) dictionary(t, from, to int) arrow.Array {
	g.used = g.used[:0]
	g.o.runs(from, to, func(rank, _, _ int) {
		if n := g.o.series[rank*g.o.tags+t]; n != 0 && g.local[n-1] == 0 {
			g.used = append(g.used, n-1)
			g.local[n-1] = 1
		}
	})
	slices.Sort(g.used)
	dict := array.NewStringBuilder(memory.DefaultAllocator)
	defer dict.Release()
	dict.Reserve(len(g.used))
	for place, n := range g.used {
		dict.Append(g.o.dicts[t][n])
		g.local[n] = int32(place) + 1
	}
	return dict.NewArray()
}

// fillRun sets all of v, doubling what is filled: most runs are long.
func fillRun(v []int32, x int32) {
	n := min(len(v), 8)
	for i := range v[:n] {
		v[i] = x
	}
	for ; n < len(v); n *= 2 {
		copy(v[n:], v[:n])
	}
}

func (g *gatherer) times(typ arrow.DataType, from, to int) arrow.Array {
	source := make([][]int64, len(g.o.chunks))
	for c, chunk := range g.o.chunks {
		source[c] = chunk.Time
	}
	column := newColumn[int64](to - from)
	gatherLast(g.o, source, column.values, from)
	return column.array(typ, newValidity(to-from), nil)
}

// gatherLast fills out with what the newest row of each output row from from on has in
// source, by chunk.
func gatherLast[T fixed](o *order, source [][]T, out []T, from int) {
	if o.ends == nil {
		for i, r := range o.rows[from : from+len(out)] {
			out[i] = source[r.chunk()][r.row()]
		}
		return
	}
	for i, end := range o.ends[from : from+len(out)] {
		r := o.rows[end-1]
		out[i] = source[r.chunk()][r.row()]
	}
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

// fixed is the type of a field whose values take the same room each.
type fixed interface{ int64 | uint64 | float64 }

func gatherFixed[T fixed](g *gatherer, f, from, to int, typ arrow.DataType, values func(*Field) []T) arrow.Array {
	source := make([][]T, len(g.o.chunks))
	for c, s := range g.source[f] {
		if s != nil {
			source[c] = values(s)
		}
	}
	column := newColumn[T](to - from)
	v := newValidity(to - from)
	switch {
	case g.whole[f]:
		gatherLast(g.o, source, column.values, from)
	case g.o.ends == nil:
		for i, r := range g.o.rows[from:to] {
			if s := g.source[f][r.chunk()]; s != nil && s.IsValid(r.row()) {
				column.values[i] = source[r.chunk()][r.row()]
			} else {
				column.values[i] = 0
				v.clear(i)
			}
		}
	default:
		for i := range column.values {
			if s, row, ok := g.at(g.source[f], from+i); ok {
				column.values[i] = values(s)[row]
			} else {
				column.values[i] = 0
				v.clear(i)
			}
		}
	}
	return column.array(typ, v, nil)
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
