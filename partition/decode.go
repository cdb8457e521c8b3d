package partition

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/siltstone-db/siltstone/schema"
)

// Decoder reads log records; it reuses its buffers from call to call.
type Decoder struct {
	body   []byte
	batch  Batch
	tags   []tagDecoder // of the series
	keys   []byte       // that were made of tags
	ends   []uint32     // of keys
	ids    []schema.ColumnID
	scaled []int64 // a column of floats as integers
}

// Decode calls apply for each batch of a record. The batch and all it holds are
// valid during the call only. Errors wrap ErrBadEncoding or
// ErrNewerEncoding, or are apply's own.
func (d *Decoder) Decode(record []byte, apply func(*Batch) error) error {
	body, err := d.unpack(record)
	if err != nil {
		return err
	}
	c := cursor{b: body}
	count := c.uvarint()
	for i := uint64(0); i < count && !c.bad; i++ {
		if err := d.readBatch(&c, record[0]); err != nil {
			return err
		}
		if err := apply(&d.batch); err != nil {
			return err
		}
	}
	if c.bad || len(c.b) != 0 {
		return badEncoding("batches do not end where the record does")
	}
	return nil
}

func (d *Decoder) unpack(record []byte) ([]byte, error) {
	if len(record) < 2 || record[0] == 0 {
		return nil, badEncoding("no version")
	}
	if record[0] > encodingVersion {
		return nil, fmt.Errorf("%w: %d", ErrNewerEncoding, record[0])
	}
	size, n := binary.Uvarint(record[2:])
	if n <= 0 || size > maxBody {
		return nil, badEncoding("length of the body")
	}
	rest := record[2+n:]
	switch record[1] {
	case codecPlain:
		if uint64(len(rest)) != size {
			return nil, badEncoding("length of the body")
		}
		return rest, nil
	case codecS2:
		if got, err := s2.DecodedLen(rest); err != nil || uint64(got) != size {
			return nil, badEncoding("length of the compressed body")
		}
		var err error
		if d.body, err = s2.Decode(d.body[:cap(d.body)], rest); err != nil {
			return nil, badEncoding(err.Error())
		}
		return d.body, nil
	}
	return nil, badEncoding("unknown codec")
}

func (d *Decoder) readBatch(c *cursor, version byte) error {
	b := &d.batch
	db, table, day := c.uvarint(), c.uvarint(), c.varint()
	rows, series := c.uvarint(), c.uvarint()
	if c.bad || db > math.MaxUint32 || table > math.MaxUint32 || day != int64(int32(day)) ||
		rows > MaxBatchCells || series > max(rows, uint64(len(c.b))) {
		return badEncoding("batch header")
	}
	b.Reset(schema.PartitionKey{Database: schema.DatabaseID(db), Table: schema.TableID(table), Day: schema.Day(day)})
	if err := d.readSeries(c, version, int(series), int(rows)); err != nil {
		return err
	}
	b.Index = unpack(c, b.Index, int(rows))
	b.Time = unpack(c, b.Time, int(rows))
	fields := c.uvarint()
	if c.bad || fields > uint64(len(c.b)/minFieldBytes) || rows*(fields+1) > 2*MaxBatchCells {
		return badEncoding("batch columns")
	}
	b.Fields = slices.Grow(b.Fields, int(fields))
	for range fields {
		if err := d.readField(c, int(rows)); err != nil {
			return err
		}
	}
	return d.check()
}

// minFieldBytes is the least that an encoded column takes.
const minFieldBytes = 3

// check makes sure that appending the batch cannot fail: that series numbers point at
// something, times lie in the day, and no column comes twice.
func (d *Decoder) check() error {
	b := &d.batch
	if len(b.Index) > 0 && int(slices.Max(b.Index)) >= len(b.Series) {
		return badEncoding("series number")
	}
	if len(b.Time) > 0 {
		b.Range = schema.TimeRange{Min: slices.Min(b.Time), Max: slices.Max(b.Time)}
		if schema.DayOf(b.Range.Min) != b.Key.Day || schema.DayOf(b.Range.Max) != b.Key.Day {
			return badEncoding("time outside the partition's day")
		}
	}
	d.ids = d.ids[:0]
	for i := range b.Fields {
		d.ids = append(d.ids, b.Fields[i].ID)
	}
	slices.Sort(d.ids)
	for i := 1; i < len(d.ids); i++ {
		if d.ids[i] == d.ids[i-1] {
			return badEncoding("column occurs twice")
		}
	}
	return nil
}

func validSeriesKey(key []byte) bool {
	last := schema.ColumnID(0)
	for len(key) > 0 {
		if end := shortTag(key); end > 0 {
			if schema.ColumnID(key[0]) <= last {
				return false
			}
			last, key = schema.ColumnID(key[0]), key[end:]
			continue
		}
		id, _, rest, ok := nextTag(key)
		if !ok || id <= last {
			return false
		}
		last, key = id, rest
	}
	return true
}

func (d *Decoder) readField(c *cursor, rows int) error {
	id, t, flag := c.uvarint(), schema.ColumnType(c.byte()), c.byte()
	if c.bad || id == 0 || id > math.MaxUint32 || !t.Valid() || t == schema.Tag || flag > 1 {
		return badEncoding("column header")
	}
	f := &d.batch.Fields[d.batch.AddField(schema.ColumnID(id), t)]
	if flag == 1 {
		words := c.bytes(uint64((rows + 63) / 64 * 8))
		for ; len(words) >= 8; words = words[8:] {
			f.Valid = append(f.Valid, binary.LittleEndian.Uint64(words))
		}
	}
	switch t {
	case schema.Int64:
		f.Int64 = unpack(c, f.Int64, rows)
	case schema.Uint64:
		f.Uint64 = unpack(c, f.Uint64, rows)
	case schema.Float64:
		f.Float64, d.scaled = readFloats(c, f.Float64, rows, d.scaled)
	case schema.Bool:
		f.Bool = append(f.Bool[:0], c.bytes(uint64(rows))...)
		if slices.ContainsFunc(f.Bool, func(v uint8) bool { return v > 1 }) {
			return badEncoding("boolean")
		}
	default:
		readStrings(c, f, rows)
	}
	if c.bad || f.Len() != rows {
		return badEncoding("column values")
	}
	return nil
}

func readStrings(c *cursor, f *Field, rows int) {
	f.Offsets = append(f.Offsets[:0], 0)
	ends := unpack(c, f.Offsets[1:], rows)
	if c.bad {
		return
	}
	f.Offsets = append(f.Offsets[:1], ends...)
	for i := 1; i < len(f.Offsets); i++ {
		if f.Offsets[i] < f.Offsets[i-1] {
			c.bad = true
			return
		}
	}
	f.Data = append(f.Data[:0], c.bytes(uint64(f.Offsets[len(f.Offsets)-1]))...)
}

// unpack is the inverse of appendPacked. What it allocates is bounded by rows, which
// the caller has checked.
func unpack[T int64 | uint64 | uint32](c *cursor, dst []T, rows int) []T {
	if rows == 0 {
		c.bad = c.byte() != 0 || c.bad
		return dst[:0]
	}
	head := c.byte()
	width, scale := int(head&0xf), int(head>>4)
	if c.bad || width > 8 || width&(width-1) != 0 || scale > scaleSecond {
		c.bad = true
		return dst[:0]
	}
	lo, factor := T(c.uint64()), T(scaleFactor[scale])
	raw := c.bytes(uint64(rows) * uint64(width))
	if c.bad {
		return dst[:0]
	}
	dst = slices.Grow(dst[:0], rows)[:rows]
	switch width {
	case 0:
		for i := range dst {
			dst[i] = lo
		}
	case 1:
		for i := range dst {
			dst[i] = lo + T(raw[i])*factor
		}
	case 2:
		for i := range dst {
			dst[i] = lo + T(binary.LittleEndian.Uint16(raw[2*i:]))*factor
		}
	case 4:
		for i := range dst {
			dst[i] = lo + T(binary.LittleEndian.Uint32(raw[4*i:]))*factor
		}
	default:
		for i := range dst {
			dst[i] = lo + T(binary.LittleEndian.Uint64(raw[8*i:]))*factor
		}
	}
	return dst
}

// cursor reads from a buffer; once something does not fit, bad stays set and all
// further reads give zero values.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) byte() byte {
	if b := c.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.bytes(8); len(b) == 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}
