package persist

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// deltaBlock is the number of values of a block of DELTA_BINARY_PACKED, and miniblock that
// of those in it that share a width.
const deltaBlock = 128

// appendDelta appends the values, as signed numbers, in the encoding DELTA_BINARY_PACKED.
// Differences that overflow wrap around, in readers too.
func appendDelta(dst []byte, values []uint64) []byte {
	dst = binary.AppendUvarint(dst, deltaBlock)
	dst = binary.AppendUvarint(dst, deltaBlock/miniblock)
	dst = binary.AppendUvarint(dst, uint64(len(values)))
	if len(values) == 0 {
		return binary.AppendVarint(dst, 0)
	}
	before := values[0]
	dst = binary.AppendVarint(dst, int64(before))
	var deltas [deltaBlock]uint64
	for rest := values[1:]; len(rest) > 0; {
		n := min(deltaBlock, len(rest))
		least := int64(math.MaxInt64)
		for i, v := range rest[:n] {
			d := v - before
			before = v
			deltas[i] = d
			least = min(least, int64(d))
		}
		rest = rest[n:]
		dst = appendDeltaBlock(dst, &deltas, n, least)
	}
	return dst
}

// appendDeltaBlock appends a block of n differences, which it changes.
func appendDeltaBlock(dst []byte, deltas *[deltaBlock]uint64, n int, least int64) []byte {
	dst = binary.AppendVarint(dst, least)
	widths := len(dst)
	dst = append(dst, make([]byte, deltaBlock/miniblock)...)
	for m := 0; m*miniblock < n; m++ {
		mini := (*[miniblock]uint64)(deltas[m*miniblock:])
		clear(mini[min(n-m*miniblock, miniblock):])
		all := uint64(0)
		for i := range mini[:min(n-m*miniblock, miniblock)] {
			mini[i] -= uint64(least)
			all |= mini[i]
		}
		width := uint(bits.Len64(all))
		dst[widths+m] = byte(width)
		if width == 0 {
			continue
		}
		at := len(dst)
		dst = grownBytes(dst, miniblock/8*int(width)+packSlack)
		for g := 0; g < miniblock; g += 8 {
			pack8(dst[at:], (*[8]uint64)(mini[g:]), width)
			at += int(width)
		}
		dst = dst[:at]
	}
	return dst
}

// grownBytes returns dst with n bytes more, which are not zero.
func grownBytes(dst []byte, n int) []byte { return slices.Grow(dst, n)[:len(dst)+n] }

// appendSplit appends the values in the encoding BYTE_STREAM_SPLIT: all their first bytes,
// all their second ones, and so on.
func appendSplit(dst []byte, values []uint64) []byte {
	at, n := len(dst), len(values)
	dst = grownBytes(dst, 8*n)
	out := dst[at:]
	i := 0
	for ; i+8 <= n; i += 8 {
		planes := transpose((*[8]uint64)(values[i:]))
		for p, plane := range planes {
			binary.LittleEndian.PutUint64(out[p*n+i:], plane)
		}
	}
	for ; i < n; i++ {
		for p := range 8 {
			out[p*n+i] = byte(values[i] >> (8 * p))
		}
	}
	return dst
}

// transpose makes byte j of word i byte i of word j, by exchanging blocks of one, two and
// four bytes.
func transpose(v *[8]uint64) [8]uint64 {
	x := *v
	for i := 0; i < 8; i += 2 {
		t := (x[i]>>8 ^ x[i+1]) & 0x00ff00ff00ff00ff
		x[i], x[i+1] = x[i]^t<<8, x[i+1]^t
	}
	for _, i := range [...]int{0, 1, 4, 5} {
		t := (x[i]>>16 ^ x[i+2]) & 0x0000ffff0000ffff
		x[i], x[i+2] = x[i]^t<<16, x[i+2]^t
	}
	for i := range 4 {
		t := (x[i]>>32 ^ x[i+4]) & 0x00000000ffffffff
		x[i], x[i+4] = x[i]^t<<32, x[i+4]^t
	}
	return x
}
