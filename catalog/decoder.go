package catalog

import (
	"encoding/binary"
	"math"

	"github.com/siltstone-db/siltstone/schema"
)

// decoder reads a value from front to back. After the first fault it returns zeros,
// so that a caller checks once, at the end.
type decoder struct {
	rest []byte
	err  error
}

// newDecoder reads the version byte that starts a value.
func newDecoder(value []byte) decoder {
	d := decoder{rest: value}
	d.version(recordVersion)
	return d
}

// version reads a version byte, which must be from 1 to newest.
func (d *decoder) version(newest byte) byte {
	v := d.byte()
	if d.err == nil && (v == 0 || v > newest) {
		d.err = errVersion
	}
	return v
}

// finish reports the first fault; bytes left over are one.
func (d *decoder) finish() error {
	if d.err == nil && len(d.rest) > 0 {
		d.err = errTrailing
	}
	return d.err
}

// take returns the next n bytes; they alias the value.
func (d *decoder) take(n int) []byte {
	if d.err == nil && n > len(d.rest) {
		d.err = errShort
	}
	if d.err != nil {
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// uvarint reads a number that must not exceed limit.
func (d *decoder) uvarint(limit uint64) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.rest)
	switch {
	case n <= 0 || n > 1 && d.rest[n-1] == 0: // cut off, too wide, or not the shortest form
		d.err = errVarint
	case v > limit:
		d.err = errLength
	}
	if d.err != nil {
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// varint reads a zigzag number.
func (d *decoder) varint() int64 {
	u := d.uvarint(math.MaxUint64)
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) seq() schema.Seq { return schema.Seq(d.uvarint(math.MaxUint64)) }

func (d *decoder) day() schema.Day {
	v := d.varint()
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.err = errLength
		return 0
	}
	return schema.Day(v)
}

// flags reads a byte in which only the given bits may be set.
func (d *decoder) flags(all byte) byte {
	v := d.byte()
	if d.err == nil && v&^all != 0 {
		d.err = errFlags
	}
	return v
}

// bytes reads a length, which must not exceed limit, and that many bytes; they alias
// the value.
func (d *decoder) bytes(limit int) []byte {
	return d.take(int(d.uvarint(uint64(limit))))
}

func (d *decoder) stats() schema.ColumnStats {
	s := schema.ColumnStats{
		Column: schema.ColumnID(d.uvarint(math.MaxUint32)),
		Nulls:  d.uvarint(math.MaxUint64),
	}
	flags := d.flags(statAllBits)
	if flags&statHasMin != 0 {
		s.Min = d.bound()
	}
	if flags&statHasMax != 0 {
		s.Max = d.bound()
	}
	return s
}

// bound aliases the value. An empty bound is not nil.
func (d *decoder) bound() []byte { return d.bytes(schema.MaxStatBytes) }
