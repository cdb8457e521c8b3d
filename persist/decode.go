package persist

import (
	"encoding/binary"
	"errors"
	"math"
)

// The decoders of what Write writes. They trust no length: the bytes may be of another
// file than the one that was verified.

var (
	errShort = errors.New("persist: a page has fewer values than it says")
	errLong  = errors.New("persist: a page has more values than its row group has rows")
	errCode  = errors.New("persist: a page refers behind its dictionary")
)

func plainInts(out []int64, data []byte) error {
	if len(data) < 8*len(out) {
		return errShort
	}
	for i := range out {
		out[i] = int64(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return nil
}

func plainFloats(out []float64, data []byte) error {
	if len(data) < 8*len(out) {
		return errShort
	}
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return nil
}

func plainStrings(data []byte, n int) ([]string, error) {
	values := make([]string, 0, min(n, len(data)/4+1))
	for range n {
		if len(data) < 4 {
			return nil, errShort
		}
		length := binary.LittleEndian.Uint32(data)
		if uint64(length) > uint64(len(data)-4) {
			return nil, errShort
		}
		values = append(values, string(data[4:4+length]))
		data = data[4+length:]
	}
	return values, nil
}

// splitFloats reads BYTE_STREAM_SPLIT: the first bytes of all values, the second ones, and so on.
func splitFloats(out []float64, data []byte) error {
	n := len(out)
	if len(data) < 8*n {
		return errShort
	}
	p0, p1, p2, p3 := data[:n], data[n:][:n], data[2*n:][:n], data[3*n:][:n]
	p4, p5, p6, p7 := data[4*n:][:n], data[5*n:][:n], data[6*n:][:n], data[7*n:][:n]
	for i := range out {
		out[i] = math.Float64frombits(uint64(p0[i]) | uint64(p1[i])<<8 | uint64(p2[i])<<16 | uint64(p3[i])<<24 |
			uint64(p4[i])<<32 | uint64(p5[i])<<40 | uint64(p6[i])<<48 | uint64(p7[i])<<56)
	}
	return nil
}

// deltaInts reads DELTA_BINARY_PACKED.
func deltaInts(out []int64, data []byte) error {
	header := varints{data: data}
	block, minis, total := header.next(), header.next(), header.next()
	v := header.zigzag()
	if header.failed || minis == 0 || block%minis != 0 || block/minis%32 != 0 || block > 1<<20 || total < uint64(len(out)) {
		return errShort
	}
	if len(out) == 0 {
		return nil
	}
	size := int(block / minis)
	out[0] = v
	out = out[1:]
	for len(out) > 0 {
		least := header.zigzag()
		widths := header.bytes(int(minis))
		if header.failed {
			return errShort
		}
		for _, width := range widths {
			if len(out) == 0 {
				break
			}
			if width > 64 {
				return errShort
			}
			packed := header.bytes(size * int(width) / 8)
			if header.failed {
				return errShort
			}
			n := min(size, len(out))
			v = unpackDeltas(out[:n], packed, uint(width), v, least)
			out = out[n:]
		}
	}
	return nil
}

// unpackDeltas adds up deltas of some bits each, above the least one, from v on. There are
// bytes for a multiple of 32 of them.
func unpackDeltas(out []int64, packed []byte, width uint, v, least int64) int64 {
	switch {
	case width == 0:
		for i := range out {
			v += least
			out[i] = v
		}
		return v
	case width <= 8:
		return unpackNarrow(out, packed, width, v, least)
	}
	for i := range out {
		v += least + int64(bitsAt(packed, uint(i)*width, width))
		out[i] = v
	}
	return v
}

// unpackNarrow takes eight deltas, which fill whole bytes, from one word.
func unpackNarrow(out []int64, packed []byte, width uint, v, least int64) int64 {
	mask := uint64(1)<<width - 1
	for len(out) >= 8 {
		var w uint64
		if len(packed) >= 8 {
			w = binary.LittleEndian.Uint64(packed)
		} else {
			w = partialWord(packed)
		}
		packed = packed[width:]
		o := (*[8]int64)(out)
		v += least + int64(w&mask)
		o[0] = v
		w >>= width
		v += least + int64(w&mask)
		o[1] = v
		w >>= width
		v += least + int64(w&mask)
		o[2] = v
		w >>= width
		v += least + int64(w&mask)
		o[3] = v
		w >>= width
		v += least + int64(w&mask)
		o[4] = v
		w >>= width
		v += least + int64(w&mask)
		o[5] = v
		w >>= width
		v += least + int64(w&mask)
		o[6] = v
		w >>= width
		v += least + int64(w&mask)
		o[7] = v
		out = out[8:]
	}
	for i := range out {
		v += least + int64(bitsAt(packed, uint(i)*width, width))
		out[i] = v
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

// bitsAt returns some bits of a buffer; what is behind its end is zero.
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

// varints reads the numbers at the front of a buffer.
type varints struct {
	data   []byte
	failed bool
}

func (r *varints) next() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.failed, r.data = true, nil
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *varints) zigzag() int64 {
	v := r.next()
	return int64(v>>1) ^ -int64(v&1)
}

// bytes takes so many bytes.
func (r *varints) bytes(n int) []byte {
	if n > len(r.data) {
		r.failed = true
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

// run is a value that occurs so many times in a row.
type run struct {
	value  uint32
	length int32
}

// levelRuns reads the definition levels in front of a page's values, which it returns too.
func levelRuns(dst []run, data []byte, n int) ([]run, []byte, error) {
	if len(data) < 4 {
		return dst, nil, errShort
	}
	length := binary.LittleEndian.Uint32(data)
	if uint64(length) > uint64(len(data)-4) {
		return dst, nil, errShort
	}
	dst, err := hybridRuns(dst, data[4:4+length], 1, n)
	return dst, data[4+length:], err
}

// codeRuns reads indices of a dictionary.
func codeRuns(dst []run, data []byte, n, values int) ([]run, error) {
	if len(data) == 0 || data[0] > 32 {
		return dst, errShort
	}
	dst, err := hybridRuns(dst, data[1:], uint(data[0]), n)
	for _, r := range dst {
		if int64(r.value) >= int64(values) {
			return dst, errCode
		}
	}
	return dst, err
}

// hybridRuns reads n values in Parquet's mixture of runs and packed bits.
func hybridRuns(dst []run, data []byte, width uint, n int) ([]run, error) {
	r := varints{data: data}
	for n > 0 {
		header := r.next()
		if r.failed || header>>1 == 0 {
			return dst, errShort
		}
		if header&1 == 0 {
			length := int32(min(header>>1, uint64(n)))
			value := uint32(partialWord(r.bytes(int(width+7) / 8)))
			if r.failed {
				return dst, errShort
			}
			dst = addRun(dst, value, length)
			n -= int(length)
			continue
		}
		groups := header >> 1
		if groups > uint64(len(data)) {
			groups = uint64(len(data)) + 1
		}
		packed := r.bytes(min(int(groups)*int(width), len(r.data)))
		values := min(int(groups)*8, n)
		if len(packed)*8 < values*int(width) {
			return dst, errShort
		}
		if width == 0 {
			dst = addRun(dst, 0, int32(values))
		} else {
			for i := range values {
				dst = addRun(dst, uint32(bitsAt(packed, uint(i)*width, width)), 1)
			}
		}
		n -= values
	}
	return dst, nil
}

func addRun(dst []run, value uint32, length int32) []run {
	if last := len(dst) - 1; last >= 0 && dst[last].value == value {
		dst[last].length += length
		return dst
	}
	return append(dst, run{value, length})
}

func lookUpInts(out []int64, words []uint64, data []byte) error {
	return lookUpWords(len(out), words, data, func(i int, w uint64) { out[i] = int64(w) })
}

func lookUpFloats(out []float64, words []uint64, data []byte) error {
	return lookUpWords(len(out), words, data, func(i int, w uint64) { out[i] = math.Float64frombits(w) })
}

// lookUpWords reads indices of a dictionary and sets the values that they stand for.
func lookUpWords(n int, words []uint64, data []byte, set func(i int, w uint64)) error {
	if n == 0 {
		return nil
	}
	codes, err := codeRuns(nil, data, n, len(words))
	if err != nil {
		return err
	}
	i := 0
	for _, c := range codes {
		w := words[c.value]
		for range c.length {
			set(i, w)
			i++
		}
	}
	return nil
}
