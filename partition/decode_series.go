package partition

import (
	"math"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// tagDecoder is a column of tag values as a record has it.
type tagDecoder struct {
	id    schema.ColumnID
	count int // of values
	// tags are the values as they stand in keys, one after the other, with room behind them. ends says where
	// each begins, and the last one ends.
	tags    []byte
	ends    []uint32
	longest int    // of them
	codes   []byte // numbers of the values by series, a byte each, or half of one
}

// readSeries reads the series of a batch in the form that the record's version has.
func (d *Decoder) readSeries(c *cursor, version byte, series, rows int) error {
	if version > 1 {
		switch c.byte() {
		case seriesAsKeys:
		case seriesAsColumns:
			return d.readColumns(c, series, rows)
		default:
			return badEncoding("form of the series")
		}
	}
	if series > len(c.b) {
		return badEncoding("series")
	}
	b := &d.batch
	b.Series = slices.Grow(b.Series, series)
	for range series {
		key := c.bytes(c.uvarint())
		if !validSeriesKey(key) {
			return badEncoding("series key")
		}
		b.Series = append(b.Series, key)
	}
	return nil
}

// readColumns makes series keys from columns of tag values.
func (d *Decoder) readColumns(c *cursor, series, rows int) error {
	tags := c.uvarint()
	if c.bad || series == 0 || series > min(rows, maxColumnSeries) || tags == 0 || tags > uint64(len(c.b)/minTagBytes) {
		return badEncoding("series")
	}
	last := schema.ColumnID(0)
	d.tags = slices.Grow(d.tags[:0], int(tags))[:tags]
	for i := range d.tags {
		t := &d.tags[i]
		if !t.read(c, series) || t.id <= last {
			return badEncoding("tag of the series")
		}
		last = t.id
	}
	return d.joinSeries(series)
}

// minTagBytes is the least that a column of tag values takes.
const minTagBytes = 3

// read reads a column. It returns false where that is bad.
func (t *tagDecoder) read(c *cursor, series int) bool {
	id, count := c.uvarint(), c.uvarint()
	if c.bad || id == 0 || id > math.MaxUint32 || count == 0 || count > uint64(min(series, len(c.b))) {
		return false
	}
	t.id, t.count, t.longest = schema.ColumnID(id), int(count), 0
	t.tags, t.ends, t.codes = t.tags[:0], t.ends[:0], nil
	t.ends = append(slices.Grow(t.ends, t.count+1), 0)
	total := uint64(0)
	for range t.count {
		size := c.uvarint()
		if total += size; size > maxColumnKeys || total > maxColumnKeys {
			return false
		}
		t.ends = append(t.ends, uint32(total))
	}
	texts := c.bytes(total)
	if c.bad {
		return false
	}
	begin := uint32(0)
	for i, end := range t.ends[1:] {
		t.tags = AppendTag(t.tags, t.id, texts[begin:end])
		begin, t.ends[i+1] = end, uint32(len(t.tags))
		t.longest = max(t.longest, int(t.ends[i+1]-t.ends[i]))
	}
	t.tags = append(t.tags, make([]byte, wordsBytes)...)
	switch {
	case t.count == 1 || t.count == series:
	case t.count > nibbleValues:
		t.codes = c.bytes(uint64(series))
	default:
		t.codes = c.bytes(uint64(series+1) / 2)
	}
	return !c.bad && (t.count <= maxTagValues || t.count == series)
}

// of returns where the tag of a series stands in t.tags. ok is false where the column has a number without a value.
func (t *tagDecoder) of(series int) (begin, end int, ok bool) {
	n := series
	switch {
	case t.codes == nil:
		n = min(n, t.count-1)
	case t.count > nibbleValues:
		n = int(t.codes[series])
	default:
		n = int(t.codes[series/2]>>(series%2*4)) & 0xf
	}
	if n >= t.count {
		return 0, 0, false
	}
	return int(t.ends[n]), int(t.ends[n+1]), true
}

// joinSeries makes the keys of the batch's series of the tags in d.tags.
func (d *Decoder) joinSeries(series int) error {
	most := wordsBytes // that a key takes, with what is written behind it
	for i := range d.tags {
		most += d.tags[i].longest
	}
	keys, ends := d.keys[:0], slices.Grow(d.ends[:0], series)
	for s := range series {
		keys = slices.Grow(keys, most)
		for i := range d.tags {
			t := &d.tags[i]
			begin, end, ok := t.of(s)
			if !ok {
				return badEncoding("number of a tag value")
			}
			at := len(keys)
			if size := end - begin; size <= wordsBytes { // a fixed size is copied without a call
				keys = keys[:at+wordsBytes]
				copy(keys[at:], t.tags[begin:begin+wordsBytes])
				keys = keys[:at+size]
			} else {
				keys = append(keys, t.tags[begin:end]...)
			}
		}
		if len(keys) > maxColumnKeys {
			return badEncoding("length of the series keys")
		}
		ends = append(ends, uint32(len(keys)))
	}
	d.keys, d.ends = keys, ends
	b := &d.batch
	b.Series = slices.Grow(b.Series, series)
	begin := uint32(0)
	for _, end := range ends {
		b.Series = append(b.Series, keys[begin:end:end])
		begin = end
	}
	return nil
}
