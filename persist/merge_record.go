package persist

import (
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/schema"
)

// mergeRecord collects the rows of a record. Where they come from is noted first; the values
// are copied column by column when the record is complete.
type mergeRecord struct {
	layout *arrow.Schema
	tags   []*mergedTag
	fields []mergedField
	texts  []int // which of the fields are strings

	rows     int
	text     int // bytes of strings
	pieces   []piece
	versions []version
}

// piece is rows of one series that follow each other in a batch, or, where versions is not 0,
// one row that so many cursors have.
type piece struct {
	batch    *mergeBatch
	from, to int
	versions int
}

// version is a row of a point that has several.
type version struct {
	batch *mergeBatch
	row   int
}

func newMergeRecord(columns []schema.Column, tags []*mergedTag) *mergeRecord {
	out := &mergeRecord{layout: ArrowSchema(columns), tags: tags}
	_, fields := split(columns)
	for i, c := range fields {
		out.fields = append(out.fields, newMergedField(c.Type))
		if c.Type == schema.String {
			out.texts = append(out.texts, i)
		}
	}
	return out
}

func (out *mergeRecord) isFull() bool {
	return out.rows >= mergeRecordRows || out.text >= mergeRecordText
}

// add notes the rows from..to-1, as many as there is room for, and returns the first that
// there is not.
func (out *mergeRecord) add(b *mergeBatch, from, to int) int {
	to = min(to, from+mergeRecordRows-out.rows)
	for _, i := range out.texts {
		if s, ok := b.fields[i].(*array.String); ok {
			to = min(to, from+checkRows)
			offsets := s.ValueOffsets()
			out.text += int(offsets[to] - offsets[from])
		}
	}
	out.pieces = append(out.pieces, piece{batch: b, from: from, to: to})
	out.rows += to - from
	return to
}

// addPoint notes versions of a point as one row, of which the later ones win.
func (out *mergeRecord) addPoint(versions []version) {
	for _, v := range versions {
		out.versions = append(out.versions, v)
		for _, i := range out.texts {
			if s, ok := v.batch.fields[i].(*array.String); ok {
				out.text += s.ValueLen(v.row)
			}
		}
	}
	v := versions[0]
	out.pieces = append(out.pieces, piece{batch: v.batch, from: v.row, to: v.row + 1, versions: len(versions)})
	out.rows++
}

// record makes a record of what was noted, and begins the next one.
func (out *mergeRecord) record() arrow.RecordBatch {
	columns := make([]arrow.Array, 0, out.layout.NumFields())
	for i, tag := range out.tags {
		columns = append(columns, out.tagArray(i, tag))
	}
	columns = append(columns, out.timeArray())
	for i, field := range out.fields {
		columns = append(columns, out.fieldArray(i, field))
	}
	rec := array.NewRecordBatch(out.layout, columns, int64(out.rows))
	for _, c := range columns {
		c.Release()
	}
	clear(out.pieces)
	clear(out.versions)
	out.pieces, out.versions, out.rows, out.text = out.pieces[:0], out.versions[:0], 0, 0
	return rec
}

// tagArray makes a column of a tag with a dictionary of the values that occur.
func (out *mergeRecord) tagArray(i int, tag *mergedTag) arrow.Array {
	indices, nulls, values := make([]int32, 0, out.rows), 0, []string(nil)
	for _, p := range out.pieces {
		index := int32(nullIndex)
		if number := p.batch.number(i, p.from, tag); number != nullIndex {
			index = tag.place(number, &values)
		} else {
			nulls += p.to - p.from
		}
		for range p.to - p.from {
			indices = append(indices, index)
		}
	}
	tag.clearPlaces()
	return newTagArray(values, indices, nulls)
}

// newTagArray makes a column of a tag; it changes the indices, of which so many are nullIndex.
func newTagArray(values []string, indices []int32, nulls int) *array.Dictionary {
	builder := array.NewStringBuilder(memory.DefaultAllocator)
	defer builder.Release()
	builder.AppendValues(values, nil)
	dict := builder.NewArray()
	defer dict.Release()

	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(indices))}
	if nulls > 0 {
		bits := make([]byte, bitutil.BytesForBits(int64(len(indices))))
		for r, index := range indices {
			if index != nullIndex {
				bitutil.SetBit(bits, r)
			} else {
				indices[r] = 0 // an index under a null still has to be within the dictionary
			}
		}
		buffers[0] = memory.NewBufferBytes(bits)
	}
	data := array.NewData(arrow.PrimitiveTypes.Int32, len(indices), buffers, nil, nulls, 0)
	defer data.Release()
	places := array.NewInt32Data(data)
	defer places.Release()
	return array.NewDictionaryArray(tagType, places, dict)
}

func (out *mergeRecord) timeArray() arrow.Array {
	times := make([]arrow.Timestamp, 0, out.rows)
	for _, p := range out.pieces {
		times = append(times, p.batch.times[p.from:p.to]...)
	}
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.TimestampTraits.CastToBytes(times))}
	data := array.NewData(timeType, len(times), buffers, nil, 0, 0)
	defer data.Release()
	return array.NewTimestampData(data)
}

func (out *mergeRecord) fieldArray(i int, field mergedField) arrow.Array {
	field.begin(out.rows)
	versions := out.versions
	for _, p := range out.pieces {
		if p.versions == 0 {
			field.take(p.batch.fields[i], p.from, p.to)
			continue
		}
		v := lastValid(versions[:p.versions], i)
		field.take(v.batch.fields[i], v.row, v.row+1)
		versions = versions[p.versions:]
	}
	return field.finish()
}

// lastValid returns the last version in which a field is not null, or any if it is null in
// all.
func lastValid(versions []version, field int) version {
	for i := len(versions) - 1; i > 0; i-- {
		if a := versions[i].batch.fields[field]; a != nil && a.IsValid(versions[i].row) {
			return versions[i]
		}
	}
	return versions[0]
}

// mergedTag numbers the values of a tag in the order in which they are met.
type mergedTag struct {
	numbers map[string]int32
	values  []string
	bytes   int
	// places has, by number, one more than the index in the dictionary of the record that is
	// being made; 0 where it has none.
	places []int32
	placed []int32 // the numbers that have one
}

// maxMergedValues and maxMergedBytes are where the numbers of a tag's values begin anew.
const (
	maxMergedValues = 1 << 16
	maxMergedBytes  = 2 << 20
)

func newMergedTag() *mergedTag { return &mergedTag{numbers: make(map[string]int32)} }

func (t *mergedTag) isLarge() bool {
	return len(t.values) > maxMergedValues || t.bytes > maxMergedBytes
}

func (t *mergedTag) reset() {
	clear(t.numbers)
	clear(t.values)
	t.values, t.places, t.bytes = t.values[:0], t.places[:0], 0
}

func (t *mergedTag) number(value string) int32 {
	n, ok := t.numbers[value]
	if !ok {
		n = int32(len(t.values))
		value = strings.Clone(value) // the batch goes before the number does
		t.numbers[value] = n
		t.values = append(t.values, value)
		t.places = append(t.places, 0)
		t.bytes += len(value)
	}
	return n
}

// place returns the index of a value in the dictionary of a record, to which it is added if
// it is not there.
func (t *mergedTag) place(number int32, dictionary *[]string) int32 {
	if t.places[number] == 0 {
		*dictionary = append(*dictionary, t.values[number])
		t.places[number] = int32(len(*dictionary))
		t.placed = append(t.placed, number)
	}
	return t.places[number] - 1
}

func (t *mergedTag) clearPlaces() {
	for _, n := range t.placed {
		t.places[n] = 0
	}
	t.placed = t.placed[:0]
}

// mergedField collects the values of a field.
type mergedField interface {
	begin(rows int)
	// take appends some values, nulls if the array is nil.
	take(a arrow.Array, from, to int)
	finish() arrow.Array
}

func newMergedField(t schema.ColumnType) mergedField {
	switch t {
	case schema.Int64:
		return &mergedNumbers[int64]{typ: arrowType(t), bytes: arrow.Int64Traits.CastToBytes}
	case schema.Uint64:
		return &mergedNumbers[uint64]{typ: arrowType(t), bytes: arrow.Uint64Traits.CastToBytes}
	case schema.Float64:
		return &mergedNumbers[float64]{typ: arrowType(t), bytes: arrow.Float64Traits.CastToBytes}
	case schema.Bool:
		return new(mergedBools)
	case schema.String:
		return new(mergedStrings)
	}
	panic("persist: " + t.String() + " is not the type of a field")
}

// validity is which of the rows are not null; bits is nil while all are.
type validity struct {
	rows, room, nulls int
	bits              []byte
}

func (v *validity) begin(rows int) { *v = validity{room: rows} }

func (v *validity) take(a arrow.Array, from, to int) {
	n := to - from
	if a != nil && a.NullN() == 0 {
		if v.bits != nil {
			bitutil.SetBitsTo(v.bits, int64(v.rows), int64(n), true)
		}
		v.rows += n
		return
	}
	if v.bits == nil {
		v.bits = make([]byte, bitutil.BytesForBits(int64(v.room)))
		bitutil.SetBitsTo(v.bits, 0, int64(v.rows), true)
	}
	if a == nil {
		v.nulls += n
	} else {
		offset := a.Data().Offset() + from
		bitutil.CopyBitmap(a.NullBitmapBytes(), offset, n, v.bits, v.rows)
		v.nulls += n - bitutil.CountSetBits(a.NullBitmapBytes(), offset, n)
	}
	v.rows += n
}

// array makes an array of the rows, whose values lie in the given buffers.
func (v *validity) array(typ arrow.DataType, values ...[]byte) arrow.Array {
	buffers := []*memory.Buffer{nil}
	if v.nulls > 0 {
		buffers[0] = memory.NewBufferBytes(v.bits)
	}
	for _, b := range values {
		buffers = append(buffers, memory.NewBufferBytes(b))
	}
	data := array.NewData(typ, v.rows, buffers, nil, v.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

type mergedNumbers[T int64 | uint64 | float64] struct {
	validity
	typ    arrow.DataType
	bytes  func([]T) []byte
	values []T
}

func (c *mergedNumbers[T]) begin(rows int) {
	c.validity.begin(rows)
	c.values = make([]T, 0, rows)
}

func (c *mergedNumbers[T]) take(a arrow.Array, from, to int) {
	c.validity.take(a, from, to)
	if v, ok := a.(values[T]); ok {
		c.values = append(c.values, v.Values()[from:to]...)
	} else {
		c.values = c.values[:len(c.values)+to-from]
	}
}

func (c *mergedNumbers[T]) finish() arrow.Array {
	defer func() { c.values = nil }()
	return c.array(c.typ, c.bytes(c.values))
}

type mergedBools struct {
	validity
	values []byte
}

func (c *mergedBools) begin(rows int) {
	c.validity.begin(rows)
	c.values = make([]byte, bitutil.BytesForBits(int64(rows)))
}

func (c *mergedBools) take(a arrow.Array, from, to int) {
	if a != nil {
		bitutil.CopyBitmap(a.Data().Buffers()[1].Bytes(), a.Data().Offset()+from, to-from, c.values, c.rows)
	}
	c.validity.take(a, from, to)
}

func (c *mergedBools) finish() arrow.Array {
	defer func() { c.values = nil }()
	return c.array(arrow.FixedWidthTypes.Boolean, c.values)
}

type mergedStrings struct {
	validity
	offsets []int32
	text    []byte
}

func (c *mergedStrings) begin(rows int) {
	c.validity.begin(rows)
	c.offsets, c.text = append(make([]int32, 0, rows+1), 0), nil
}

func (c *mergedStrings) take(a arrow.Array, from, to int) {
	c.validity.take(a, from, to)
	s, ok := a.(*array.String)
	for i := from; i < to; i++ {
		if ok && s.IsValid(i) {
			c.text = append(c.text, s.Value(i)...)
		}
		c.offsets = append(c.offsets, int32(len(c.text)))
	}
}

func (c *mergedStrings) finish() arrow.Array {
	defer func() { c.offsets, c.text = nil, nil }()
	return c.array(arrow.BinaryTypes.String, arrow.Int32Traits.CastToBytes(c.offsets), c.text)
}
