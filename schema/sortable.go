package schema

import (
	"encoding/binary"
	"math"
)

// The Sortable functions encode a value so that bytes.Compare orders the encodings
// as the values are ordered.

// SortableInt64 flips the sign bit and stores big-endian.
func SortableInt64(v int64) []byte { return SortableUint64(uint64(v) ^ 1<<63) }

// SortableUint64 stores big-endian.
func SortableUint64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// SortableFloat64 orders all values but NaN, with -0 before +0 (IEEE 754 totalOrder).
func SortableFloat64(v float64) []byte {
	b := math.Float64bits(v)
	if b>>63 != 0 {
		return SortableUint64(^b)
	}
	return SortableUint64(b | 1<<63)
}

// SortableBool orders false before true.
func SortableBool(v bool) []byte {
	if v {
		return []byte{1}
	}
	return []byte{0}
}

// SortableStringMin returns a lower bound of s of at most MaxStatBytes bytes.
func SortableStringMin(s string) []byte { return []byte(s[:min(len(s), MaxStatBytes)]) }

// SortableStringMax returns an upper bound of s of at most MaxStatBytes bytes, or
// nil where there is none: a cut prefix is incremented at its last byte below 0xff.
func SortableStringMax(s string) []byte {
	if len(s) <= MaxStatBytes {
		return []byte(s)
	}
	b := []byte(s[:MaxStatBytes])
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0xff {
			b[i]++
			return b[:i+1]
		}
	}
	return nil
}
