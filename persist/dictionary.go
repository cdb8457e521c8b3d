package persist

import (
	"encoding/binary"
	"math/bits"
)

// maxDictionary is the number of values of a dictionary of numbers: a dictionary page has
// 1 MiB at most, as readers expect.
const maxDictionary = 128 << 10

// numberDictionary numbers the distinct values of a column in the order of their first
// use. Values are told apart by their bits.
type numberDictionary struct {
	values  []uint64
	indices []uint32 // by value of the column
	// table has 1 + the number of a value at the place that its hash gives, or at the
	// next free one.
	table []uint32
}

// build makes the dictionary of a column; it returns false when that were too large.
func (d *numberDictionary) build(column []uint64) bool {
	d.values, d.indices = d.values[:0], d.indices[:0]
	if len(d.table) == 0 || len(d.table) > 16<<10 {
		d.table = make([]uint32, 4<<10)
	}
	clear(d.table)
	shift, mask := d.place()
	before, index := uint64(0), uint32(0)
	for i, v := range column {
		if i > 0 && v == before {
			d.indices = append(d.indices, index)
			continue
		}
		before = v
		at := v * hashFactor >> shift
		for {
			if index = d.table[at] - 1; index == ^uint32(0) || d.values[index] == v {
				break
			}
			at = (at + 1) & mask
		}
		if index == ^uint32(0) {
			if len(d.values) == maxDictionary {
				return false
			}
			index = uint32(len(d.values))
			d.values = append(d.values, v)
			d.table[at] = index + 1
			if 2*len(d.values) > len(d.table) {
				d.grow()
				shift, mask = d.place()
			}
		}
		d.indices = append(d.indices, index)
	}
	return true
}

// hashFactor spreads the bits of a value over the upper ones of the product: 2^64 divided
// by the golden ratio.
const hashFactor = 0x9e3779b97f4a7c15

// place returns what makes a place in the table of a product.
func (d *numberDictionary) place() (shift uint, mask uint64) {
	return uint(65 - bits.Len(uint(len(d.table)))), uint64(len(d.table) - 1)
}

func (d *numberDictionary) grow() {
	d.table = make([]uint32, 4*len(d.table))
	shift, mask := d.place()
	for i, v := range d.values {
		at := v * hashFactor >> shift
		for d.table[at] != 0 {
			at = (at + 1) & mask
		}
		d.table[at] = uint32(i) + 1
	}
}

// plain returns the values in the encoding of a dictionary page.
func (d *numberDictionary) plain() []byte {
	b := make([]byte, 0, 8*len(d.values))
	for _, v := range d.values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}
