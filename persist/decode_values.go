package persist

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
)

// words reads the values of a page of a column of 64-bit numbers, in order. The bits of a
// float64 are a number as well.
type words interface {
	// skip passes over n values.
	skip(n int) error
	// read fills dst with the next values.
	read(dst []uint64) error
}

// newWords returns a reader of values in an encoding that Write uses. The dictionary is the
// column chunk's, where it has one.
func newWords(encoding parquet.Encoding, data []byte, values int, dictionary []uint64) (words, error) {
	switch encoding {
	case parquet.Encodings.Plain:
		return &plainWords{data}, nil
	case parquet.Encodings.DeltaBinaryPacked:
		return newDeltaWords(data)
	case parquet.Encodings.ByteStreamSplit:
		if len(data) < 8*values {
			return nil, errShortPage
		}
		return &splitWords{data: data, values: values}, nil
	case parquet.Encodings.RLEDict, parquet.Encodings.PlainDict:
		h, err := newIndices(data)
		return &dictionaryWords{h, dictionary}, err
	}
	return nil, fmt.Errorf("%w: numbers in encoding %v", ErrNotSupported, encoding)
}

// newIndices returns the indices of a page that is coded by a dictionary.
func newIndices(data []byte) (hybrid, error) {
	if len(data) == 0 {
		return hybrid{}, nil // no values
	}
	if data[0] > 32 {
		return hybrid{}, fmt.Errorf("dictionary indices of %d bits", data[0])
	}
	return newHybrid(data[1:], uint(data[0])), nil
}

type plainWords struct{ data []byte }

func (w *plainWords) skip(n int) error {
	if n*8 > len(w.data) {
		return errShortPage
	}
	w.data = w.data[n*8:]
	return nil
}

func (w *plainWords) read(dst []uint64) error {
	if len(dst)*8 > len(w.data) {
		return errShortPage
	}
	for i := range dst {
		dst[i] = binary.LittleEndian.Uint64(w.data[i*8:])
	}
	return w.skip(len(dst))
}

type splitWords struct {
	data       []byte
	values, at int
}

func (w *splitWords) skip(n int) error {
	w.at += n
	return nil
}

func (w *splitWords) read(dst []uint64) error {
	if w.at+len(dst) > w.values {
		return errShortPage
	}
	clear(dst)
	for plane := range 8 {
		from := plane*w.values + w.at
		for i, b := range w.data[from : from+len(dst)] {
			dst[i] |= uint64(b) << (8 * plane)
		}
	}
	w.at += len(dst)
	return nil
}

type dictionaryWords struct {
	hybrid
	values []uint64
}

func (w *dictionaryWords) read(dst []uint64) error {
	for len(dst) > 0 {
		index, n, err := w.run(len(dst))
		if err != nil {
			return err
		}
		if int(index) >= len(w.values) {
			return fmt.Errorf("index %d in a dictionary of %d values", index, len(w.values))
		}
		for i := range n {
			dst[i] = w.values[index]
		}
		dst = dst[n:]
	}
	return nil
}

// deltaWords reads DELTA_BINARY_PACKED: a first value, and blocks of miniblocks of differences,
// each of which has its own width. To pass over values means to add their differences; where a
// miniblock has the width 0, as those of regular times have, that is one multiplication.
type deltaWords struct {
	data     []byte // from the next miniblock or block on
	minis    int    // in a block
	perMini  int    // differences
	started  bool
	last     uint64
	least    uint64 // of the block
	widths   []byte // of the block's miniblocks to come
	mini     []byte // the current one
	width    uint
	at, left int // differences in it
}

func newDeltaWords(data []byte) (*deltaWords, error) {
	w := &deltaWords{data: data}
	var header [3]uint64
	for i := range header {
		v, n := binary.Uvarint(w.data)
		if n <= 0 {
			return nil, errShortPage
		}
		header[i], w.data = v, w.data[n:]
	}
	first, n := binary.Varint(w.data)
	if n <= 0 {
		return nil, errShortPage
	}
	w.data, w.last = w.data[n:], uint64(first)
	block, minis := header[0], header[1]
	if minis == 0 || minis > block || block > 1<<20 || block%minis != 0 || block/minis%32 != 0 {
		return nil, errors.New("blocks of differences have an impossible size")
	}
	w.minis, w.perMini = int(minis), int(block/minis)
	return w, nil
}

// load makes sure that there is a current miniblock.
func (w *deltaWords) load() error {
	if w.left > 0 {
		return nil
	}
	if len(w.widths) == 0 {
		least, n := binary.Varint(w.data)
		if n <= 0 || len(w.data) < n+w.minis {
			return errShortPage
		}
		w.least = uint64(least)
		w.widths, w.data = w.data[n:n+w.minis], w.data[n+w.minis:]
	}
	w.width, w.widths = uint(w.widths[0]), w.widths[1:]
	if w.width > 64 {
		return fmt.Errorf("differences of %d bits", w.width)
	}
	// Reading eight bytes at once may reach into what follows.
	bytes := min(w.perMini*int(w.width)/8, len(w.data)) // the last ones may be cut short
	w.mini, w.data = w.data[:min(bytes+8, len(w.data))], w.data[bytes:]
	w.at, w.left = 0, w.perMini
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
		if err := w.add(nil, step); err != nil {
			return err
		}
		n -= step
	}
	return nil
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
		step := min(len(dst), w.left)
		if err := w.add(dst[:step], step); err != nil {
			return err
		}
		dst = dst[step:]
	}
	return nil
}

// add adds the next n differences of the miniblock, and notes the sums in dst unless it is nil.
func (w *deltaWords) add(dst []uint64, n int) error {
	end := uint(w.at+n) * w.width
	switch {
	case w.width == 0 && dst == nil:
		w.last += w.least * uint64(n)
	case w.width <= 56 && int(end/8)+8 <= len(w.mini):
		w.addFast(dst, n)
	default:
		for i := range n {
			d, err := w.difference(w.at + i)
			if err != nil {
				return err
			}
			w.last += d
			if dst != nil {
				dst[i] = w.last
			}
		}
	}
	w.at += n
	w.left -= n
	return nil
}

// addFast is add where each difference lies within eight bytes that are there.
func (w *deltaWords) addFast(dst []uint64, n int) {
	mini, width, last := w.mini, w.width, w.last
	mask, bit := uint64(1)<<width-1, uint(w.at)*width
	if dst == nil {
		for range n {
			last += w.least + binary.LittleEndian.Uint64(mini[bit/8:])>>(bit&7)&mask
			bit += width
		}
	}
	for i := range dst {
		last += w.least + binary.LittleEndian.Uint64(mini[bit/8:])>>(bit&7)&mask
		dst[i] = last
		bit += width
	}
	w.last = last
}

// difference returns number i of the miniblock, whatever its width and place.
func (w *deltaWords) difference(i int) (uint64, error) {
	bit := uint(i) * w.width
	if int((bit+w.width+7)/8) > len(w.mini) {
		return 0, errShortPage
	}
	var low, high uint64
	for k, b := range w.mini[bit/8 : (bit+w.width+7)/8] {
		if k < 8 {
			low |= uint64(b) << (8 * k)
		} else {
			high = uint64(b)
		}
	}
	word := low >> (bit & 7)
	if w.width+bit&7 > 64 {
		word |= high << (64 - bit&7)
	}
	if w.width < 64 {
		word &= 1<<w.width - 1
	}
	return w.least + word, nil
}

// bitAt returns bit i of a page of booleans.
func bitAt(data []byte, i int) (uint8, error) {
	if i>>3 >= len(data) {
		return 0, errShortPage
	}
	return data[i>>3] >> (i & 7) & 1, nil
}

// nextText cuts a text off a page of plain ones.
func nextText(data []byte) (text, rest []byte, err error) {
	if len(data) < 4 {
		return nil, nil, errShortPage
	}
	n := int(binary.LittleEndian.Uint32(data))
	if n > len(data)-4 {
		return nil, nil, errShortPage
	}
	return data[4 : 4+n], data[4+n:], nil
}
