package persist

import (
	"encoding/binary"
	"math/bits"
)

// packSlack is the room that packing needs behind what it writes, since it stores whole words.
const packSlack = 16

// pack8 stores eight values of width bits each, least significant bits first, in width
// bytes at the start of dst, which must have packSlack bytes more. No value may be wider.
func pack8(dst []byte, v *[8]uint64, width uint) {
	w := width & 63
	switch {
	case width <= 8:
		a, b := v[0]|v[1]<<w|(v[2]|v[3]<<w)<<(2*w&63), v[4]|v[5]<<w|(v[6]|v[7]<<w)<<(2*w&63)
		binary.LittleEndian.PutUint64(dst, a|b<<(4*w&63))
	case width <= 16:
		a, b := v[0]|v[1]<<w|(v[2]|v[3]<<w)<<(2*w&63), v[4]|v[5]<<w|(v[6]|v[7]<<w)<<(2*w&63)
		binary.LittleEndian.PutUint64(dst, a|b<<(4*w))
		binary.LittleEndian.PutUint64(dst[8:], b>>(64-4*w))
	default:
		packWide(dst, v, width)
	}
}

// packWide is pack8 for any width from 1 to 64.
func packWide(dst []byte, v *[8]uint64, width uint) {
	word, used, at := uint64(0), uint(0), 0
	for _, x := range v {
		word |= x << used
		used += width
		if used >= 64 {
			binary.LittleEndian.PutUint64(dst[at:], word)
			at += 8
			used -= 64
			word = x >> (width - used) // 0 where nothing of x is left
		}
	}
	binary.LittleEndian.PutUint64(dst[at:], word)
}

// hybridEncoder encodes small numbers as Parquet's hybrid of run lengths and packed bits.
type hybridEncoder struct {
	dst   []byte
	width uint
	// packed are values that wait for their group of eight to be full.
	packed [packedMax]uint64
	n      int
}

// packedMax is the number of values in a run of packed ones whose header takes one byte.
const packedMax = 63 * 8

func (h *hybridEncoder) reset(dst []byte, width uint) { h.dst, h.width, h.n = dst, width, 0 }

// minRun is how often a value repeats for a run to be shorter than packed values.
func (h *hybridEncoder) minRun() int { return 8 + 32/int(h.width) }

// run adds n times v.
func (h *hybridEncoder) run(v uint64, n int) {
	if rest := -h.n & 7; n >= rest+h.minRun() {
		for range rest {
			h.put(v)
		}
		h.flush()
		n -= rest
		h.dst = binary.AppendUvarint(h.dst, uint64(n)<<1)
		for b := uint(0); b < h.width; b += 8 {
			h.dst = append(h.dst, byte(v>>b))
		}
		return
	}
	for range n {
		h.put(v)
	}
}

func (h *hybridEncoder) put(v uint64) {
	h.packed[h.n] = v
	if h.n++; h.n == packedMax {
		h.flush()
	}
}

// flush writes the packed values, filled up with zeros to a full group, which only the
// last ones need.
func (h *hybridEncoder) flush() {
	if h.n == 0 {
		return
	}
	for ; h.n&7 != 0; h.n++ {
		h.packed[h.n] = 0
	}
	h.dst = binary.AppendUvarint(h.dst, uint64(h.n>>3)<<1|1)
	at := len(h.dst)
	h.dst = grownBytes(h.dst, h.n>>3*int(h.width)+packSlack)
	for g := 0; g < h.n; g += 8 {
		pack8(h.dst[at:], (*[8]uint64)(h.packed[g:]), h.width)
		at += int(h.width)
	}
	h.dst, h.n = h.dst[:at], 0
}

// bitWidth is the bits that a number up to most takes, at least one.
func bitWidth(most int) uint { return uint(bits.Len(uint(max(1, most)))) }
