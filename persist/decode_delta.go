package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// deltaWords reads DELTA_BINARY_PACKED: a first value, and blocks of miniblocks of differences,
// each of which has its own width. To pass over values means to add their differences, and to add up the
// values takes no more than sums of differences (decode_sum.go); where a
// miniblock has the width 0, as those of regular times have, that is one multiplication.
type deltaWords struct {
	data     []byte // the page, in which places are numbers: to set a slice costs more than most miniblocks do
	minis    int    // in a block
	perMini  int    // differences
	started  bool
	last     uint64
	least    uint64 // of the block
	widths   int    // where the width of the next miniblock is
	others   int    // miniblocks of the block to come
	next     int    // where the next miniblock or block is
	mini     int    // where the current one is
	width    uint
	at, left int // differences in it
}

// newDeltaWords reads the header of a page from which so many values will be asked.
func newDeltaWords(data []byte, values int) (*deltaWords, error) {
	w := &deltaWords{data: data}
	var header [3]uint64
	for i := range header {
		v, n := binary.Uvarint(w.data)
		if n <= 0 {
			return nil, errShort
		}
		header[i], w.data = v, w.data[n:]
	}
	first, n := binary.Varint(w.data)
	if n <= 0 {
		return nil, errShort
	}
	w.data, w.last = w.data[n:], uint64(first)
	block, minis, total := header[0], header[1], header[2]
	if minis == 0 || minis > block || block > 1<<20 || block%minis != 0 || block/minis%32 != 0 {
		return nil, errors.New("blocks of differences have an impossible size")
	}
	if total < uint64(values) {
		return nil, errShort
	}
	w.minis, w.perMini = int(minis), int(block/minis)
	return w, nil
}

// load makes sure that there is a current miniblock, which is always a full one. Those of a block that follow each
// other and have the same width are one.
func (w *deltaWords) load() error {
	if w.left > 0 {
		return nil
	}
	if w.others == 0 {
		least, n := binary.Varint(w.data[w.next:])
		if n <= 0 || len(w.data)-w.next < n+w.minis {
			return errShort
		}
		w.least, w.others = uint64(least), w.minis
		w.widths = w.next + n
		w.next = w.widths + w.minis
	}
	width := w.data[w.widths]
	count := 1
	for count < w.others && w.data[w.widths+count] == width {
		count++
	}
	w.width = uint(width)
	w.widths += count
	w.others -= count
	if width > 64 {
		return fmt.Errorf("differences of %d bits", width)
	}
	n := w.perMini * count
	size := n * int(width) / 8
	if size > len(w.data)-w.next { // the last block ends with its values
		n, size = w.perMini, w.perMini*int(width)/8
		w.widths -= count - 1
		w.others += count - 1
		if size > len(w.data)-w.next {
			return errShort
		}
	}
	w.mini, w.next = w.next, w.next+size
	w.at, w.left = 0, n
	return nil
}

func (w *deltaWords) skip(n int) error {
	if n > 0 && !w.started {
		w.started = true
		n--
	}
	for n > 0 {
		if err := w.load(); err != nil {
			return err
		}
		step := min(n, w.left)
		w.pass(step)
		n -= step
	}
	return nil
}

// pass adds the next n differences of the miniblock.
func (w *deltaWords) pass(n int) {
	sum, _ := prefixSums(w.data[w.mini:], w.at, n, w.width)
	w.last += w.least*uint64(n) + sum
	w.at += n
	w.left -= n
}

func (w *deltaWords) read(dst []uint64) error {
	if len(dst) > 0 && !w.started {
		w.started = true
		dst[0], dst = w.last, dst[1:]
	}
	for len(dst) > 0 {
		if err := w.load(); err != nil {
			return err
		}
		n := min(len(dst), w.left)
		w.last = unpackDeltas(dst[:n], w.data[w.mini:], w.at, w.width, w.last, w.least)
		w.at += n
		w.left -= n
		dst = dst[n:]
	}
	return nil
}

// unpackDeltas adds up differences of some bits each, from number at of the packed ones on. Each is
// above the least one, and the first is added to v. It returns the last sum.
func unpackDeltas(out []uint64, packed []byte, at int, width uint, v, least uint64) uint64 {
	if width == 0 {
		for len(out) >= 4 { // which do not wait for each other
			o := (*[4]uint64)(out)
			o[0], o[1], o[2], o[3] = v+least, v+2*least, v+3*least, v+4*least
			v += 4 * least
			out = out[4:]
		}
		for i := range out {
			v += least
			out[i] = v
		}
		return v
	}
	if width > 8 {
		return unpackWide(out, packed, at, width, v, least)
	}
	if at&7 != 0 { // up to the next whole byte
		head := min(8-at&7, len(out))
		v = unpackWide(out[:head], packed, at, width, v, least)
		at, out = at+head, out[head:]
	}
	whole := len(out) &^ 7
	v = unpackNarrow(out[:whole], packed[at*int(width)/8:], width, v, least)
	if whole < len(out) {
		v = unpackWide(out[whole:], packed, at+whole, width, v, least)
	}
	return v
}

// unpackWide is unpackDeltas for any width and place.
func unpackWide(out []uint64, packed []byte, at int, width uint, v, least uint64) uint64 {
	bit := uint(at) * width
	if width <= 56 { // whole words, as far as there are eight bytes
		mask := uint64(1)<<width - 1
		for len(out) > 0 && bit/8+8 <= uint(len(packed)) {
			v += least + binary.LittleEndian.Uint64(packed[bit/8:])>>(bit&7)&mask
			out[0], out = v, out[1:]
			bit += width
		}
	}
	for i := range out {
		v += least + bitsAt(packed, bit, width)
		out[i] = v
		bit += width
	}
	return v
}

// unpackNarrow takes eight differences, which fill whole bytes, from one word.
func unpackNarrow(out []uint64, packed []byte, width uint, v, least uint64) uint64 {
	mask := uint64(1)<<width - 1
	for len(out) >= 8 {
		var w uint64
		if len(packed) >= 8 {
			w = binary.LittleEndian.Uint64(packed)
		} else {
			w = partialWord(packed)
		}
		packed = packed[width:]
		o := (*[8]uint64)(out)
		v += least + w&mask
		o[0] = v
		w >>= width
		v += least + w&mask
		o[1] = v
		w >>= width
		v += least + w&mask
		o[2] = v
		w >>= width
		v += least + w&mask
		o[3] = v
		w >>= width
		v += least + w&mask
		o[4] = v
		w >>= width
		v += least + w&mask
		o[5] = v
		w >>= width
		v += least + w&mask
		o[6] = v
		w >>= width
		v += least + w&mask
		o[7] = v
		out = out[8:]
	}
	return v
}

// partialWord reads the last bytes of a buffer.
func partialWord(b []byte) (w uint64) {
	for i := range min(8, len(b)) {
		w |= uint64(b[i]) << (8 * i)
	}
	return w
}

// bitsAt returns some bits of a buffer, 1 to 64; what is behind its end is zero.
func bitsAt(b []byte, at, width uint) uint64 {
	i, shift := at>>3, at&7
	if i >= uint(len(b)) {
		return 0
	}
	var w uint64
	if i+8 <= uint(len(b)) {
		w = binary.LittleEndian.Uint64(b[i:]) >> shift
	} else {
		w = partialWord(b[i:]) >> shift
	}
	if shift+width > 64 && i+8 < uint(len(b)) {
		w |= uint64(b[i+8]) << (64 - shift)
	}
	return w & (^uint64(0) >> (64 - width))
}
