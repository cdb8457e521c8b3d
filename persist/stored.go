package persist

import "encoding/binary"

// Packed differences have few repetitions, so that zstd often gains a tenth at most and takes as much time to be undone as
// all that a query does with the page. A page of them that gains less than an eighth is a zstd frame that
// holds it as it is, in one block. Any reader of zstd knows such frames; ours takes the block where it lies.

// leastGain is the part of a page of differences that zstd must save.
const leastGain = 8

// Pages of fewer bytes than minStored take no time; zstd allows one block up to maxStored.
const (
	minStored = 1 << 10
	maxStored = 128 << 10
)

// storesAs reports whether a page of differences that zstd makes so long is better stored.
func storesAs(compressed, raw int) bool {
	return raw >= minStored && raw <= maxStored && compressed > raw-raw/leastGain
}

// storedHeader is what is in front of the bytes: the magic number of zstd, a descriptor that says that the size of the content
// follows in four bytes, and the header of the last block.
const storedHeader = 4 + 1 + 4 + 3

const (
	storedMagic      = 0xfd2fb528
	storedDescriptor = 2<<6 | 1<<5
	lastRawBlock     = 1
)

// appendStored appends a zstd frame of so many bytes at most maxStored.
func appendStored(dst, raw []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, storedMagic)
	dst = append(dst, storedDescriptor)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(raw)))
	block := lastRawBlock | len(raw)<<3
	dst = append(dst, byte(block), byte(block>>8), byte(block>>16))
	return append(dst, raw...)
}

// storedIn returns the content of a frame that appendStored made of so many bytes; ok is false for all others.
func storedIn(frame []byte, size int) (raw []byte, ok bool) {
	if len(frame) != storedHeader+size || size > maxStored {
		return nil, false
	}
	if binary.LittleEndian.Uint32(frame) != storedMagic || frame[4] != storedDescriptor || binary.LittleEndian.Uint32(frame[5:]) != uint32(size) {
		return nil, false
	}
	block := int(frame[9]) | int(frame[10])<<8 | int(frame[11])<<16
	return frame[storedHeader:], block == lastRawBlock|size<<3
}
