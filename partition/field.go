package partition

import (
	"math/bits"

	"github.com/siltstone-db/siltstone/schema"
)

// The methods below build a Field row by row. Rows that are skipped are null. The
// number of rows is that of the value slice (for strings, len(Offsets)-1).

// Len returns the number of rows the field has.
func (f *Field) Len() int {
	switch f.Type {
	case schema.Int64:
		return len(f.Int64)
	case schema.Uint64:
		return len(f.Uint64)
	case schema.Float64:
		return len(f.Float64)
	case schema.Bool:
		return len(f.Bool)
	}
	return max(len(f.Offsets)-1, 0)
}

// Append sets the value of row, which must not be below Len; rows between are null.
// bits and text are as in lineprotocol.Value.
func (f *Field) Append(row int, bits uint64, text []byte) {
	f.Pad(row)
	if f.Valid != nil {
		f.setValid(row, true)
	}
	switch f.Type {
	case schema.Int64:
		f.Int64 = append(f.Int64, int64(bits))
	case schema.Uint64:
		f.Uint64 = append(f.Uint64, bits)
	case schema.Float64:
		f.Float64 = append(f.Float64, floatFrom(bits))
	case schema.Bool:
		f.Bool = append(f.Bool, uint8(bits))
	default:
		f.Data = append(f.Data, text...)
		f.Offsets = append(f.Offsets, uint32(len(f.Data)))
	}
}

// AppendNumbers appends a value to each of some columns, by their positions; bits are as in
// lineprotocol.Value. It is Append for all columns of a row that holds numbers and booleans.
func (b *Batch) AppendNumbers(columns []int, bits []uint64) {
	row := len(b.Time)
	for i, at := range columns {
		f := &b.Fields[at]
		switch {
		case f.Valid != nil:
			f.Append(row, bits[i], nil)
		case f.Type == schema.Int64 && len(f.Int64) == row:
			f.Int64 = append(f.Int64, int64(bits[i]))
		case f.Type == schema.Float64 && len(f.Float64) == row:
			f.Float64 = append(f.Float64, floatFrom(bits[i]))
		default:
			f.Append(row, bits[i], nil)
		}
	}
}

// Pad makes the field have at least rows rows, the new ones null.
func (f *Field) Pad(rows int) {
	if f.Type == schema.String && len(f.Offsets) == 0 {
		f.Offsets = append(f.Offsets, 0)
	}
	n := f.Len()
	if n >= rows {
		return
	}
	if f.Valid == nil {
		f.Valid = appendOnes(f.Valid, n)
	}
	for r := n; r < rows; r++ {
		f.setValid(r, false)
	}
	f.grow(rows - n)
}

// grow appends n zero values without touching validity.
func (f *Field) grow(n int) {
	switch f.Type {
	case schema.Int64:
		f.Int64 = append(f.Int64, make([]int64, n)...)
	case schema.Uint64:
		f.Uint64 = append(f.Uint64, make([]uint64, n)...)
	case schema.Float64:
		f.Float64 = append(f.Float64, make([]float64, n)...)
	case schema.Bool:
		f.Bool = append(f.Bool, make([]uint8, n)...)
	default:
		end := f.Offsets[len(f.Offsets)-1]
		for range n {
			f.Offsets = append(f.Offsets, end)
		}
	}
}

// Truncate drops all rows from rows on. Their validity bits may stay; Append and Pad
// set both ways.
func (f *Field) Truncate(rows int) {
	if f.Len() <= rows {
		return
	}
	switch f.Type {
	case schema.Int64:
		f.Int64 = f.Int64[:rows]
	case schema.Uint64:
		f.Uint64 = f.Uint64[:rows]
	case schema.Float64:
		f.Float64 = f.Float64[:rows]
	case schema.Bool:
		f.Bool = f.Bool[:rows]
	default:
		f.Offsets = f.Offsets[:rows+1]
		f.Data = f.Data[:f.Offsets[rows]]
	}
}

// reset empties the field, whatever type it had, and keeps its memory.
func (f *Field) reset() {
	f.Valid = nil
	f.Int64, f.Uint64, f.Float64, f.Bool = f.Int64[:0], f.Uint64[:0], f.Float64[:0], f.Bool[:0]
	f.Offsets, f.Data = f.Offsets[:0], f.Data[:0]
}

// reserve makes the field have memory for rows rows. It grows by doubling, up to the
// room of its chunk, so that a column that comes late or ends early takes no more than
// twice what it needs. Values that move leave their old memory to snapshots.
func (f *Field) reserve(rows, room int) {
	switch f.Type {
	case schema.Int64:
		f.Int64 = reserve(f.Int64, rows, room)
	case schema.Uint64:
		f.Uint64 = reserve(f.Uint64, rows, room)
	case schema.Float64:
		f.Float64 = reserve(f.Float64, rows, room)
	case schema.Bool:
		f.Bool = reserve(f.Bool, rows, room)
	default:
		f.Offsets = reserve(f.Offsets, rows+1, room+1)
	}
}

func reserve[T any](v []T, n, room int) []T {
	if n <= cap(v) {
		return v
	}
	return append(make([]T, 0, max(n, min(max(2*n, minChunkRows), room))), v...)
}

// valuesIn counts the rows of [from, to) that are not null.
func (f *Field) valuesIn(from, to int) int {
	if f.Valid == nil {
		return to - from
	}
	n := 0
	for r := from; r < to; {
		word, width := f.Valid[r>>6]>>(r&63), min(64-r&63, to-r)
		n += bits.OnesCount64(word << (64 - width))
		r += width
	}
	return n
}

func (f *Field) setValid(r int, valid bool) {
	for len(f.Valid) <= r>>6 {
		f.Valid = append(f.Valid, 0)
	}
	if valid {
		f.Valid[r>>6] |= 1 << (r & 63)
	} else {
		f.Valid[r>>6] &^= 1 << (r & 63)
	}
}

// appendOnes appends words in which the first n bits are set.
func appendOnes(words []uint64, n int) []uint64 {
	for ; n >= 64; n -= 64 {
		words = append(words, ^uint64(0))
	}
	if n > 0 {
		words = append(words, 1<<n-1)
	}
	return words
}

// appendRange appends rows [from, to) of src, which has the same type, behind the
// rows that f has. Both must have their value slices padded that far.
func (f *Field) appendRange(src *Field, from, to int) {
	at := f.Len()
	f.appendValidity(src, at, from, to)
	switch f.Type {
	case schema.Int64:
		f.Int64 = append(f.Int64, src.Int64[from:to]...)
	case schema.Uint64:
		f.Uint64 = append(f.Uint64, src.Uint64[from:to]...)
	case schema.Float64:
		f.Float64 = append(f.Float64, src.Float64[from:to]...)
	case schema.Bool:
		f.Bool = append(f.Bool, src.Bool[from:to]...)
	default:
		base := uint32(len(f.Data)) - src.Offsets[from]
		f.Data = append(f.Data, src.Data[src.Offsets[from]:src.Offsets[to]]...)
		for _, o := range src.Offsets[from+1 : to+1] {
			f.Offsets = append(f.Offsets, base+o)
		}
	}
}

func (f *Field) appendValidity(src *Field, at, from, to int) {
	if src.Valid == nil && f.Valid == nil {
		return
	}
	if f.Valid == nil {
		f.Valid = appendOnes(make([]uint64, 0, (at+to-from+63)/64), at)
	}
	for r := from; r < to; r++ {
		f.setValid(at+r-from, src.IsValid(r))
	}
}
