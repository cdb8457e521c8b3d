package textindex

import "hash/maphash"

var seed = maphash.MakeSeed()

// Hash returns the hash of a text. It is another one in each process.
func Hash(text []byte) uint64 { return maphash.Bytes(seed, text) }

// HashString is Hash for a string.
func HashString(text string) uint64 { return maphash.String(seed, text) }

// Index finds the numbers of texts by their hashes. The texts are the owner's. The zero value is
// an empty index.
//
// It is an open hash table, in one part while it is small and in many later, so that no
// addition has to move more than a part.
type Index struct {
	parts []part
	len   int
	bytes int64
}

// part holds the texts whose hashes begin with some bits. A slot has the lower half of the hash
// in its upper half, and 1 + the number in the other; 0 is free. What stands at a place before
// its own was moved there by others.
type part struct {
	slots []uint64
	used  int
	bits  uint // that choose the slot
}

const (
	// manyBits choose the part of a text in a large index. One that has outgrown singleLen is
	// divided: to make a part of it twice as large moves some thousand texts.
	manyBits  = 6
	singleLen = 64 << 10

	minBits = 2
	// A part is never fuller than fullest/8: beyond that, looking for what is not there
	// takes many steps.
	fullest = 6
)

// Len returns the number of texts.
func (x *Index) Len() int { return x.len }

// Bytes returns the memory that the index takes.
func (x *Index) Bytes() int64 { return x.bytes }

// Find returns the number of the text with a hash of which is holds.
func (x *Index) Find(hash uint64, is func(n uint32) bool) (n uint32, ok bool) {
	if x.len == 0 {
		return 0, false
	}
	tag := uint32(hash)
	p, at := x.place(tag)
	for {
		s := p.slots[at]
		if s == 0 {
			return 0, false
		}
		if uint32(s>>32) == tag && is(uint32(s)-1) {
			return uint32(s) - 1, true
		}
		at = (at + 1) & (len(p.slots) - 1)
	}
}

// Touch reads the place of the text with a hash. To touch some places that will be needed, one right
// after the other, has the processor wait for all of them at once.
func (x *Index) Touch(hash uint64) uint64 {
	if x.len == 0 {
		return 0
	}
	p, at := x.place(uint32(hash))
	return p.slots[at]
}

// Add adds the text with number n, which must be below 2^32-1 and not be there yet.
func (x *Index) Add(hash uint64, n uint32) {
	if len(x.parts) == 0 {
		x.parts = []part{x.newPart(minBits)}
	}
	if len(x.parts) == 1 && x.len == singleLen {
		x.divide()
	}
	x.put(hash<<32 | uint64(n+1))
	x.len++
}

// place returns where the text with a hash belongs.
func (x *Index) place(tag uint32) (p *part, at int) {
	if len(x.parts) == 1 {
		p = &x.parts[0]
	} else {
		p = &x.parts[tag>>(32-manyBits)]
		tag <<= manyBits
	}
	return p, int(tag >> (32 - p.bits))
}

func (x *Index) newPart(bits uint) part {
	x.bytes += 8 << bits
	return part{slots: make([]uint64, 1<<bits), bits: bits}
}

// put stores a slot, and makes its part larger if need be.
func (x *Index) put(slot uint64) {
	p, at := x.place(uint32(slot >> 32))
	if 8*(p.used+1) > fullest*len(p.slots) {
		x.grow(p)
		_, at = x.place(uint32(slot >> 32))
	}
	for p.slots[at] != 0 {
		at = (at + 1) & (len(p.slots) - 1)
	}
	p.slots[at] = slot
	p.used++
}

// grow makes a part twice as large.
func (x *Index) grow(p *part) {
	old := p.slots
	x.bytes -= 8 * int64(len(old))
	*p = x.newPart(p.bits + 1)
	x.putAll(old)
}

// divide makes many parts of one.
func (x *Index) divide() {
	old := x.parts[0]
	x.bytes -= 8 * int64(len(old.slots))
	x.parts = make([]part, 1<<manyBits)
	for i := range x.parts {
		x.parts[i] = x.newPart(old.bits - manyBits + 1)
	}
	x.putAll(old.slots)
}

func (x *Index) putAll(slots []uint64) {
	for _, s := range slots {
		if s != 0 {
			x.put(s)
		}
	}
}
