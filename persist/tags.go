package persist

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"

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

	// The row group.
	runs   []tagRun
	rows   int
	nulls  int
	values []string         // by index
	known  map[string]int32 // the index of each value, once some value was not greater than the one before
	bytes  int              // of the values

	// translation gives the index in values for each index in the dictionary of the
	// last record; that of the next one is mostly the same.
	translation []int32
	dictionary  arrow.ArrayData

	// The row before the next one.
	last    string
	hasLast bool // last is not null
	started bool // there is such a row
}

// tagRun is rows one after the other that have the same value: since the rows are sorted,
// mostly all rows of a series.
type tagRun struct {
	index int32 // nullIndex for null
	rows  int32
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
	for r := from; r < to; {
		index, next := int32(nullIndex), at.endOfRun(r, to)
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
		if err := t.step(index, &later[r-from]); err != nil {
			return err
		}
		t.append(index, next-r)
		r = next
	}
	return nil
}

// append adds rows of the same value to the row group.
func (t *tagColumn) append(index int32, rows int) {
	t.rows += rows
	if index == nullIndex {
		t.nulls += rows
	}
	if n := len(t.runs); n > 0 && t.runs[n-1].index == index {
		t.runs[n-1].rows += int32(rows)
		return
	}
	t.runs = append(t.runs, tagRun{index, int32(rows)})
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
	t.runs, t.rows, t.nulls, t.bytes = t.runs[:0], 0, 0, 0
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
	v, n := dict.Value(d), len(t.values)
	if n > 0 && v == t.values[n-1] {
		return int32(n - 1)
	}
	// Of the tag that rows are sorted by first, each value is greater than all before.
	isGreatest := len(t.known) == 0 && (n == 0 || v > t.values[n-1])
	if !isGreatest {
		if index, ok := t.knownValues()[v]; ok {
			return index
		}
		t.known[v] = int32(n)
	}
	t.values = append(t.values, v)
	t.bytes += len(v)
	return int32(n)
}

// knownValues returns known, of all values.
func (t *tagColumn) knownValues() map[string]int32 {
	if len(t.known) == 0 {
		for i, v := range t.values {
			t.known[v] = int32(i)
		}
	}
	return t.known
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

// encode encodes the row group's column. The statistics are those of its values, each of
// which occurs. Its page is one: its indices take two bytes a row at most.
func (t *tagColumn) encode(e *numberEncoder) {
	c := &e.chunk
	c.reset(parquet.Encodings.RLEDict)
	c.dictionary, c.entries = make([]byte, 0, t.bytes+4*len(t.values)), len(t.values)
	for _, v := range t.values {
		c.dictionary = append(binary.LittleEndian.AppendUint32(c.dictionary, uint32(len(v))), v...)
	}
	e.raw = appendLevels(e.raw[:0], t.validity(e), 0, t.rows, t.rows-t.nulls)
	width := bitWidth(len(t.values) - 1)
	e.hybrid.reset(append(e.raw, byte(width)), width)
	for _, r := range t.runs {
		if r.index != nullIndex {
			e.hybrid.run(uint64(r.index), int(r.rows))
		}
	}
	e.hybrid.flush()
	e.raw = e.hybrid.dst
	c.stats = t.bounds()
	c.add(e.raw, 0, t.rows, c.stats)
}

// validity returns a bit for each row, nil when none is null.
func (t *tagColumn) validity(e *numberEncoder) []byte {
	if t.nulls == 0 {
		return nil
	}
	e.valid = append(e.valid[:0], make([]byte, bitutil.BytesForBits(int64(t.rows)))...)
	row := int64(0)
	for _, r := range t.runs {
		bitutil.SetBitsTo(e.valid, row, int64(r.rows), r.index != nullIndex)
		row += int64(r.rows)
	}
	return e.valid
}

func (t *tagColumn) bounds() metadata.EncodedStatistics {
	s := metadata.EncodedStatistics{HasNullCount: true, NullCount: int64(t.nulls), AllNullValue: t.nulls == t.rows}
	if len(t.values) > 0 {
		s.SetMin([]byte(slices.Min(t.values)))
		s.SetMax([]byte(slices.Max(t.values)))
	}
	return s
}

// indices reads the indices of a dictionary array.
type indices struct {
	bits   []byte // nil when all are valid
	offset int
	values []int32 // unsigned ones above the largest signed one are negative
}

func indicesOf(a *array.Dictionary) indices {
	at := indices{offset: a.Data().Offset()}
	if a.NullN() > 0 {
		at.bits = a.NullBitmapBytes()
	}
	switch x := a.Indices().(type) {
	case *array.Int32:
		at.values = x.Int32Values()
	case *array.Uint32:
		at.values = arrow.Int32Traits.CastFromBytes(arrow.Uint32Traits.CastToBytes(x.Uint32Values()))
	}
	return at
}

func (x *indices) valid(r int) bool { return x.bits == nil || bitutil.BitIsSet(x.bits, x.offset+r) }

func (x *indices) index(r int) int { return int(x.values[r]) }

// endOfRun returns the first row behind r, to at most, that has another value than r.
func (x *indices) endOfRun(r, to int) int {
	next := r + 1
	if x.bits == nil {
		for v := x.values[r]; next < to && x.values[next] == v; {
			next++
		}
		return next
	}
	for valid := x.valid(r); next < to && x.valid(next) == valid && (!valid || x.values[next] == x.values[r]); {
		next++
	}
	return next
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
