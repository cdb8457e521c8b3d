package query

import (
	"encoding/binary"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// inlineBytes is the length up to which DuckDB keeps a string's bytes in its value.
const inlineBytes = 12

// stringValue is a duckdb_string_t: the length in 4 bytes, then up to 12 bytes of string, or
// its first 4 bytes and a pointer to all of it.
type stringValue [16]byte

func inlineString(s []byte) (v stringValue) {
	binary.NativeEndian.PutUint32(v[:], uint32(len(s)))
	copy(v[4:], s)
	return v
}

// pointerString is for strings longer than inlineBytes; at is where the string stays.
func pointerString(s []byte, at uintptr) (v stringValue) {
	binary.NativeEndian.PutUint32(v[:], uint32(len(s)))
	copy(v[4:8], s)
	binary.NativeEndian.PutUint64(v[8:], uint64(at))
	return v
}

// values is the memory of a vector, which DuckDB owns.
func values[T any](vec mapping.Vector, n int) []T {
	return unsafe.Slice((*T)(mapping.VectorGetData(vec)), n)
}

// validity returns the words of a vector's validity, all of whose rows are valid at first.
func validity(vec mapping.Vector) []uint64 {
	mapping.VectorEnsureValidityWritable(vec)
	return unsafe.Slice((*uint64)(mapping.VectorGetValidity(vec)), vectorRows/64)
}

// take copies the piece's rows of a column.
func take[T any](vec mapping.Vector, piece *rowRun, column []T) {
	out := values[T](vec, piece.count)
	if piece.rows == nil {
		copy(out, column[piece.start:])
		return
	}
	for i, r := range piece.rows {
		out[i] = column[r]
	}
}

func fillTime(vec mapping.Vector, piece *rowRun) { take(vec, piece, piece.chunk.Time) }

func fillOrder(vec mapping.Vector, piece *rowRun) {
	out := values[int64](vec, piece.count)
	for i := range out {
		out[i] = piece.order + int64(piece.row(i))
	}
}

// row returns the number within the chunk of the piece's ith row.
func (r *rowRun) row(i int) int {
	if r.rows != nil {
		return int(r.rows[i])
	}
	return r.start + i
}

// fieldData is a field of a chunk; base is where its string data is pinned.
type fieldData struct {
	field *partition.Field // nil where the chunk has no value of it
	base  uintptr
}

func fillField(vec mapping.Vector, piece *rowRun, d fieldData) {
	f := d.field
	if f == nil {
		clear(validity(vec))
		return
	}
	switch f.Type {
	case schema.Int64:
		take(vec, piece, f.Int64)
	case schema.Uint64:
		take(vec, piece, f.Uint64)
	case schema.Float64:
		take(vec, piece, f.Float64)
	case schema.Bool:
		take(vec, piece, f.Bool)
	case schema.String:
		fillStrings(vec, piece, d)
	}
	if f.Valid != nil {
		fillValidity(validity(vec), piece, f.Valid)
	}
}

// fillStrings points into the field's data for all but short strings. The pointers are stored as
// numbers: the garbage collector need not and must not follow DuckDB's memory.
func fillStrings(vec mapping.Vector, piece *rowRun, d fieldData) {
	out := values[stringValue](vec, piece.count)
	for i := range out {
		r := piece.row(i)
		if s := d.field.Bytes(r); len(s) <= inlineBytes {
			out[i] = inlineString(s)
		} else {
			out[i] = pointerString(s, d.base+uintptr(d.field.Offsets[r]))
		}
	}
}

// fillValidity copies the piece's bits.
func fillValidity(out []uint64, piece *rowRun, valid []uint64) {
	if piece.rows == nil && piece.start%64 == 0 {
		copy(out[:(piece.count+63)/64], valid[piece.start/64:])
		return
	}
	for i := range piece.count {
		r := piece.row(i)
		if valid[r>>6]>>(r&63)&1 == 0 {
			out[i>>6] &^= 1 << (i & 63)
		}
	}
}

// tagStrings are the values of one tag in one snapshot as DuckDB stores them; 0 is null.
type tagStrings struct {
	index  []uint32 // by series
	values []stringValue
}

// tagFill prepares a tag: each distinct value is laid out once, so that a row costs
// two look-ups and one store.
func (s *bufferSource) tagFill(id schema.ColumnID) fill {
	tags := make(map[*partition.Snapshot]*tagStrings)
	for i := range s.pieces {
		snapshot := s.pieces[i].snapshot
		if _, ok := tags[snapshot]; !ok {
			tags[snapshot] = s.newTagStrings(snapshot, id)
		}
	}
	return func(vec mapping.Vector, piece *rowRun) { tags[piece.snapshot].fill(vec, piece) }
}

func (s *bufferSource) newTagStrings(snapshot *partition.Snapshot, id schema.ColumnID) *tagStrings {
	t := &tagStrings{values: make([]stringValue, 1)}
	for k := range snapshot.Tags {
		tag := &snapshot.Tags[k]
		if tag.ID != id {
			continue
		}
		t.index = tag.Index
		t.values = append(t.values, s.layOut(tag.Values)...)
	}
	return t
}

// layOut copies the long strings into one block that is pinned.
func (s *bufferSource) layOut(texts []string) []stringValue {
	size := 0
	for _, text := range texts {
		if len(text) > inlineBytes {
			size += len(text)
		}
	}
	block := make([]byte, 0, size)
	var base uintptr
	if size > 0 {
		base = s.pin(&block[:1][0])
	}
	out := make([]stringValue, len(texts))
	for i, text := range texts {
		if len(text) <= inlineBytes {
			out[i] = inlineString([]byte(text))
			continue
		}
		out[i] = pointerString([]byte(text), base+uintptr(len(block)))
		block = append(block, text...)
	}
	return out
}

func (t *tagStrings) fill(vec mapping.Vector, piece *rowRun) {
	out := values[stringValue](vec, piece.count)
	var nulls []uint64
	for i := range out {
		var k uint32
		if s := piece.chunk.Series[piece.row(i)]; int(s) < len(t.index) {
			k = t.index[s]
		}
		if k == 0 {
			if nulls == nil {
				nulls = validity(vec)
			}
			nulls[i>>6] &^= 1 << (i & 63)
			continue
		}
		out[i] = t.values[k]
	}
}
