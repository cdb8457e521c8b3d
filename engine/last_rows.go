package engine

import (
	"math"
	"slices"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// lastBlockRows is the number of series whose rows are copied together for a snapshot, and handed
// to DuckDB together: what did not change since the last snapshot is not copied again.
const lastBlockRows = 2048

// lastRows holds the newest row of each series: the one with the greatest time, in which each
// field has the last value that was written for that time. Rows are given in the order in
// which later ones win.
type lastRows struct {
	series map[string]uint32 // canonical key → number
	tags   []lastTag
	time   []int64 // by series
	fields []lastField
	blocks []lastBlock
	bytes  int64

	// While rows are taken: by series, 1 + the row that is to be stored, and how.
	pending []uint32
	merges  []bool
	touched []uint32
}

type lastTag struct {
	partition.TagColumn
	byValue map[string]uint32 // value → 1 + its position in Values
}

// lastField is one field of all series. Numbers and booleans are kept as bits.
type lastField struct {
	id    schema.ColumnID
	typ   schema.ColumnType
	valid []bool // by series
	bits  []uint64
	text  []string
}

// lastBlock is what the last snapshot said of some series; rows is 0 where it has to be made.
type lastBlock struct{ chunk partition.Chunk }

func newLastRows() *lastRows { return &lastRows{series: make(map[string]uint32)} }

// Estimates of what the Go runtime needs beside the bytes themselves. A row counts twice, as
// snapshots have a copy of it.
const (
	lastSeriesBytes = 64 + 2*(8+4) + 5 // map entry and key; time and number; pending
	lastValueBytes  = 2*8 + 1
	lastTagBytes    = 80
)

// number returns the series with a canonical key, a new one if there is none.
func (l *lastRows) number(key []byte) uint32 {
	if n, ok := l.series[string(key)]; ok {
		return n
	}
	n := uint32(len(l.series))
	l.series[string(key)] = n
	l.bytes += int64(len(key)) + lastSeriesBytes + int64(len(l.fields))*lastValueBytes
	for id, value := range partition.Tags(key) {
		l.addTag(n, id, value)
	}
	l.time = append(l.time, math.MinInt64) // an instant as well: a row of it is merged with no values
	l.pending = append(l.pending, 0)
	l.merges = append(l.merges, false)
	for i := range l.fields {
		l.fields[i].grow(len(l.series))
	}
	if int(n)/lastBlockRows == len(l.blocks) {
		l.blocks = append(l.blocks, lastBlock{})
	}
	l.soil(n)
	return n
}

func (l *lastRows) addTag(series uint32, id schema.ColumnID, value []byte) {
	i := slices.IndexFunc(l.tags, func(t lastTag) bool { return t.ID == id })
	if i < 0 {
		i = len(l.tags)
		l.tags = append(l.tags, lastTag{partition.TagColumn{ID: id}, make(map[string]uint32)})
	}
	t := &l.tags[i]
	v, ok := t.byValue[string(value)]
	if !ok {
		s := string(value)
		t.Values = append(t.Values, s)
		v = uint32(len(t.Values))
		t.byValue[s] = v
		l.bytes += int64(len(s)) + lastTagBytes
	}
	for len(t.Index) < int(series) {
		t.Index = append(t.Index, 0)
	}
	t.Index = append(t.Index, v)
	l.bytes += 4
}

// soil says that the row of a series is another than in the last snapshot.
func (l *lastRows) soil(series uint32) { l.blocks[series/lastBlockRows].chunk.Rows = 0 }

func (f *lastField) grow(series int) {
	f.valid = append(f.valid, make([]bool, series-len(f.valid))...)
	if f.typ == schema.String {
		f.text = append(f.text, make([]string, series-len(f.text))...)
	} else {
		f.bits = append(f.bits, make([]uint64, series-len(f.bits))...)
	}
}

// field returns the place of a column.
func (l *lastRows) field(id schema.ColumnID, typ schema.ColumnType) *lastField {
	i := slices.IndexFunc(l.fields, func(f lastField) bool { return f.id == id })
	if i < 0 {
		i = len(l.fields)
		l.fields = append(l.fields, lastField{id: id, typ: typ})
		l.fields[i].grow(len(l.series))
		l.bytes += int64(len(l.series)) * lastValueBytes
	}
	return &l.fields[i]
}

// take takes the rows from..to-1 of a chunk, whose series have the given numbers here. All
// but the newest rows cost one comparison.
func (l *lastRows) take(c *partition.Chunk, from, to int, numbers []uint32) {
	for r := from; r < to; r++ {
		n, at := numbers[c.Series[r]], c.Time[r]
		if at < l.time[n] {
			continue
		}
		if l.pending[n] == 0 {
			l.touched = append(l.touched, n)
		}
		if at > l.time[n] {
			l.time[n], l.merges[n] = at, false
		} else {
			if l.pending[n] != 0 { // the row that waits comes first
				l.store(c, []uint32{n})
			}
			l.merges[n] = true
		}
		l.pending[n] = uint32(r) + 1
	}
	l.store(c, l.touched)
	for _, n := range l.touched {
		l.pending[n] = 0
		l.soil(n)
	}
	l.touched = l.touched[:0]
}

// store puts the pending rows of some series into their places.
func (l *lastRows) store(c *partition.Chunk, touched []uint32) {
	for i := range l.fields {
		f := &l.fields[i]
		if !slices.ContainsFunc(c.Fields, func(src partition.Field) bool { return src.ID == f.id }) {
			l.clear(f, touched)
		}
	}
	for i := range c.Fields {
		src := &c.Fields[i]
		f := l.field(src.ID, src.Type)
		if f.typ == schema.String {
			l.storeText(f, src, touched)
		} else {
			l.storeBits(f, src, touched)
		}
	}
}

// clear makes a field null in rows that replace others.
func (l *lastRows) clear(f *lastField, touched []uint32) {
	for _, n := range touched {
		if !l.merges[n] {
			l.unset(f, n)
		}
	}
}

func (l *lastRows) unset(f *lastField, series uint32) {
	f.valid[series] = false
	if f.typ == schema.String {
		l.bytes -= 2 * int64(len(f.text[series]))
		f.text[series] = ""
	}
}

func (l *lastRows) storeText(f *lastField, src *partition.Field, touched []uint32) {
	for _, n := range touched {
		r := int(l.pending[n]) - 1
		if !l.merges[n] {
			l.unset(f, n)
		}
		if r < src.Len() && src.IsValid(r) {
			l.bytes -= 2 * int64(len(f.text[n]))
			f.text[n], f.valid[n] = string(src.Bytes(r)), true
			l.bytes += 2 * int64(len(f.text[n]))
		}
	}
}

func (l *lastRows) storeBits(f *lastField, src *partition.Field, touched []uint32) {
	for _, n := range touched {
		r := int(l.pending[n]) - 1
		if r >= src.Len() || !src.IsValid(r) {
			f.valid[n] = f.valid[n] && l.merges[n]
			continue
		}
		f.valid[n] = true
		switch src.Type {
		case schema.Int64:
			f.bits[n] = uint64(src.Int64[r])
		case schema.Uint64:
			f.bits[n] = src.Uint64[r]
		case schema.Float64:
			f.bits[n] = math.Float64bits(src.Float64[r])
		case schema.Bool:
			f.bits[n] = uint64(src.Bool[r])
		}
	}
}

// snapshot returns the rows as those of a buffer, one for each series.
func (l *lastRows) snapshot(key schema.PartitionKey) *partition.Snapshot {
	s := &partition.Snapshot{
		Key: key, Rows: len(l.series), Time: schema.EmptyTimeRange,
		SeriesCount: len(l.series),
		Tags:        make([]partition.TagColumn, len(l.tags)),
		Chunks:      make([]partition.Chunk, len(l.blocks)),
	}
	for i := range l.tags {
		s.Tags[i] = l.tags[i].TagColumn
	}
	for i := range l.blocks {
		if l.blocks[i].chunk.Rows == 0 {
			l.blocks[i].chunk = l.block(i*lastBlockRows, min((i+1)*lastBlockRows, len(l.series)))
		}
		s.Chunks[i] = l.blocks[i].chunk
		s.Time = s.Time.Union(s.Chunks[i].Range)
	}
	return s
}

// block copies the rows of the series from..to-1.
func (l *lastRows) block(from, to int) partition.Chunk {
	c := partition.Chunk{
		Rows: to - from, Time: slices.Clone(l.time[from:to]), Series: make([]uint32, to-from), Range: schema.EmptyTimeRange,
	}
	for i := range c.Series {
		c.Series[i] = uint32(from + i)
		c.Range = c.Range.Include(c.Time[i])
	}
	for i := range l.fields {
		if f := &l.fields[i]; slices.Contains(f.valid[from:to], true) {
			c.Fields = append(c.Fields, f.copy(from, to))
		}
	}
	return c
}

func (f *lastField) copy(from, to int) partition.Field {
	c := partition.Field{ID: f.id, Type: f.typ}
	if slices.Contains(f.valid[from:to], false) {
		c.Valid = make([]uint64, (to-from+63)/64)
		for i, ok := range f.valid[from:to] {
			if ok {
				c.Valid[i>>6] |= 1 << (i & 63)
			}
		}
	}
	switch f.typ {
	case schema.Int64:
		c.Int64 = convert(f.bits[from:to], func(b uint64) int64 { return int64(b) })
	case schema.Uint64:
		c.Uint64 = slices.Clone(f.bits[from:to])
	case schema.Float64:
		c.Float64 = convert(f.bits[from:to], math.Float64frombits)
	case schema.Bool:
		c.Bool = convert(f.bits[from:to], func(b uint64) uint8 { return uint8(b) })
	case schema.String:
		c.Offsets = make([]uint32, 1, to-from+1)
		for _, s := range f.text[from:to] {
			c.Data = append(c.Data, s...)
			c.Offsets = append(c.Offsets, uint32(len(c.Data)))
		}
	}
	return c
}

func convert[T any](bits []uint64, to func(uint64) T) []T {
	all := make([]T, len(bits))
	for i, b := range bits {
		all[i] = to(b)
	}
	return all
}
