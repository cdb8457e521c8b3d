package persist

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/schema"
)

// tagColumn rebuilds one tag column row group by row group, with a dictionary of the
// values that occur in the row group, in order of first use.
//
// The incoming dictionary cannot be used as it is. The Parquet writer puts a whole
// dictionary into each row group that it is given, so that a table of 100,000 hosts
// would carry 100,000 names in every one; and when two records of a row group differ
// in their dictionaries it drops the dictionary encoding. Rebuilding costs one look
// into a table per row and one into a map per value, and makes the bounds of the
// values and the check of the order nearly free.
type tagColumn struct {
	column schema.Column
	stats  stringStats

	// The row group: an index for each row, nullIndex for null.
	indices []int32
	nulls   int
	values  []string         // by index
	known   map[string]int32 // the index of each value
	bytes   int              // of the values

	// translation gives the index in values for each index in the dictionary of the
	// last record; that of the next one is mostly the same.
	translation []int32
	dictionary  arrow.ArrayData

	// The row before the next one.
	last    string
	hasLast bool // last is not null
	started bool // there is such a row
}

const (
	nullIndex    = -1
	unknownIndex = -2
)

func newTagColumn(c schema.Column) *tagColumn {
	return &tagColumn{column: c, stats: stringStats{id: c.ID}, known: make(map[string]int32)}
}

// take appends the rows from..to-1 of a to the row group. It sets later[i] where the
// tag puts the i-th of them after the row before, and fails where it puts it before,
// unless later[i] is set already.
func (t *tagColumn) take(a *array.Dictionary, from, to int, later []bool) error {
	dict, ok := a.Dictionary().(*array.String)
	if !ok {
		return fmt.Errorf("%w: dictionary of column %q holds %v", ErrRecord, t.column.Name, a.Dictionary().DataType())
	}
	t.prepareTranslation(a.Data().Dictionary())
	at := indicesOf(a)
	previous := int32(unknownIndex)
	for r := from; r < to; r++ {
		index := int32(nullIndex)
		if at.valid(r) {
			d := at.index(r)
			if d < 0 || d >= len(t.translation) {
				return fmt.Errorf("%w: column %q has dictionary index %d of %d", ErrRecord, t.column.Name, d, len(t.translation))
			}
			if t.translation[d] == unknownIndex {
				t.translation[d] = t.translate(dict, d)
			}
			index = t.translation[d]
		}
		if index != previous {
			if err := t.step(index, &later[r-from]); err != nil {
				return err
			}
			previous = index
		}
		if index == nullIndex {
			t.nulls++
		}
		t.indices = append(t.indices, index)
	}
	return nil
}

// prepareTranslation forgets the translation unless the dictionary is the one it is for.
func (t *tagColumn) prepareTranslation(dictionary arrow.ArrayData) {
	if t.dictionary == dictionary {
		return
	}
	t.dictionary = dictionary
	t.translation = slices.Grow(t.translation[:0], dictionary.Len())[:dictionary.Len()]
	for i := range t.translation {
		t.translation[i] = unknownIndex
	}
}

// endGroup takes the row group into the statistics and starts the next one. The
// records are released now: nothing may point into them any more.
func (t *tagColumn) endGroup() {
	for _, v := range t.values {
		t.stats.includeValue(v)
	}
	t.stats.nulls += uint64(t.nulls)
	t.last = strings.Clone(t.last)
	t.indices, t.nulls, t.bytes = t.indices[:0], 0, 0
	clear(t.values)
	t.values = t.values[:0]
	clear(t.known)
	t.dictionary = nil
}

// translate returns the index that value d of a record's dictionary has in the row group.
func (t *tagColumn) translate(dict *array.String, d int) int32 {
	if dict.IsNull(d) {
		return nullIndex
	}
	v := dict.Value(d)
	index, ok := t.known[v]
	if !ok {
		index = int32(len(t.values))
		t.values = append(t.values, v)
		t.known[v] = index
		t.bytes += len(v)
	}
	return index
}

// step moves last to the value that the next row has.
func (t *tagColumn) step(index int32, later *bool) error {
	value, has := "", index != nullIndex
	if has {
		value = t.values[index]
	}
	if t.started && !*later && (has != t.hasLast || value != t.last) {
		if !has || t.hasLast && value < t.last {
			return fmt.Errorf("%w: column %q goes from %s to %s", ErrUnsorted, t.column.Name, show(t.last, t.hasLast), show(value, has))
		}
		*later = true
	}
	t.last, t.hasLast, t.started = value, has, true
	return nil
}

func show(value string, has bool) string {
	if !has {
		return "null"
	}
	return fmt.Sprintf("%q", value)
}

// array returns the row group's column. It stays valid until endGroup.
func (t *tagColumn) array() *array.Dictionary {
	values := array.NewStringBuilder(memory.DefaultAllocator)
	defer values.Release()
	values.AppendValues(t.values, nil)
	dict := values.NewArray()
	defer dict.Release()

	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(t.indices))}
	if t.nulls > 0 {
		buffers[0] = memory.NewBufferBytes(t.validity())
	}
	data := array.NewData(arrow.PrimitiveTypes.Int32, len(t.indices), buffers, nil, t.nulls, 0)
	defer data.Release()
	indices := array.NewInt32Data(data)
	defer indices.Release()
	return array.NewDictionaryArray(tagType, indices, dict)
}

func (t *tagColumn) validity() []byte {
	bits := make([]byte, bitutil.BytesForBits(int64(len(t.indices))))
	for r, index := range t.indices {
		if index != nullIndex {
			bitutil.SetBit(bits, r)
		} else {
			t.indices[r] = 0 // an index under a null still has to be within the dictionary
		}
	}
	return bits
}

// indices reads the indices of a dictionary array, signed or not.
type indices struct {
	bits     []byte // nil when all are valid
	offset   int
	signed   []int32
	unsigned []uint32
}

func indicesOf(a *array.Dictionary) indices {
	at := indices{offset: a.Data().Offset()}
	if a.NullN() > 0 {
		at.bits = a.NullBitmapBytes()
	}
	switch x := a.Indices().(type) {
	case *array.Int32:
		at.signed = x.Int32Values()
	case *array.Uint32:
		at.unsigned = x.Uint32Values()
	}
	return at
}

func (x *indices) valid(r int) bool { return x.bits == nil || bitutil.BitIsSet(x.bits, x.offset+r) }

func (x *indices) index(r int) int {
	if x.signed != nil {
		return int(x.signed[r])
	}
	return int(x.unsigned[r])
}

// timeColumn checks and bounds the time column.
type timeColumn struct {
	bounds  schema.TimeRange
	last    arrow.Timestamp // of the row before the next one
	started bool
}

// take takes the rows from..to-1 of a; it fails where the time of the i-th of them is
// not after the row before, unless later[i] says that the tags are.
func (t *timeColumn) take(a *array.Timestamp, from, to int, later []bool) error {
	if a.NullN() > 0 {
		return fmt.Errorf("%w: column %q has nulls", ErrRecord, schema.TimeColumn)
	}
	lo, hi := arrow.Timestamp(t.bounds.Min), arrow.Timestamp(t.bounds.Max)
	for i, v := range a.TimestampValues()[from:to] {
		if v <= t.last && t.started && !later[i] {
			return fmt.Errorf("%w: time goes from %d to %d in one series", ErrUnsorted, t.last, v)
		}
		lo, hi = min(lo, v), max(hi, v)
		t.last, t.started = v, true
	}
	t.bounds = schema.TimeRange{Min: int64(lo), Max: int64(hi)}
	return nil
}
