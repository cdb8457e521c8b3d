package persist

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
)

// The decoders of what Write writes, of which each value goes through one of words, hybrid and
// texts. They trust no length: the bytes may be of another file than the one that was verified.

var (
	errShort = errors.New("persist: a page has fewer values than it says")
	errLong  = errors.New("persist: a page has more values than its row group has rows")
	errCode  = errors.New("persist: a page refers behind its dictionary")
)

// words reads the values of a page of a column of 64-bit numbers, in order. The bits of a
// float64 are a number as well.
type words interface {
	// skip passes over n values.
	skip(n int) error
	// read fills dst with the next values.
	read(dst []uint64) error
}

// newWords returns a reader of so many values of integers, or of floats, in an encoding that
// Write uses for them; of others it says ErrNotSupported. The dictionary is the column
// chunk's, where it has one.
func newWords(encoding parquet.Encoding, floats bool, data []byte, values int, dictionary []uint64) (words, error) {
	switch {
	case values == 0: // of which some writers leave out the header too
		return &plainWords{}, nil
	case encoding == parquet.Encodings.Plain:
		if len(data)/8 < values {
			return nil, errShort
		}
		return &plainWords{data}, nil
	case encoding == parquet.Encodings.DeltaBinaryPacked && !floats:
		return newDeltaWords(data, values)
	case encoding == parquet.Encodings.ByteStreamSplit && floats:
		if len(data)/8 < values {
			return nil, errShort
		}
		return &splitWords{data: data, values: values}, nil
	case isDictionary(encoding):
		h, err := newIndices(data)
		return &dictionaryWords{h, dictionary}, err
	}
	return nil, fmt.Errorf("%w: numbers in encoding %v", ErrNotSupported, encoding)
}

// knowsNumbers reports whether newWords knows an encoding.
func knowsNumbers(e parquet.Encoding, floats bool) bool {
	switch e {
	case parquet.Encodings.DeltaBinaryPacked:
		return !floats
	case parquet.Encodings.ByteStreamSplit:
		return floats
	}
	return e == parquet.Encodings.Plain || isDictionary(e)
}

func isDictionary(e parquet.Encoding) bool {
	return e == parquet.Encodings.RLEDict || e == parquet.Encodings.PlainDict
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
	if n > len(w.data)/8 {
		return errShort
	}
	w.data = w.data[n*8:]
	return nil
}

func (w *plainWords) read(dst []uint64) error {
	if len(dst) > len(w.data)/8 {
		return errShort
	}
	for i := range dst {
		dst[i] = binary.LittleEndian.Uint64(w.data[i*8:])
	}
	return w.skip(len(dst))
}

// splitWords reads BYTE_STREAM_SPLIT: the first bytes of all values, the second ones, and so on.
type splitWords struct {
	data       []byte
	values, at int
}

func (w *splitWords) skip(n int) error {
	if n > w.values-w.at {
		return errShort
	}
	w.at += n
	return nil
}

func (w *splitWords) read(dst []uint64) error {
	n, all := len(dst), w.values
	from := w.data[w.at:]
	if err := w.skip(n); err != nil || n == 0 {
		return err
	}
	p0, p1, p2, p3 := from[:n], from[all:][:n], from[2*all:][:n], from[3*all:][:n]
	p4, p5, p6, p7 := from[4*all:][:n], from[5*all:][:n], from[6*all:][:n], from[7*all:][:n]
	for i := range dst {
		dst[i] = uint64(p0[i]) | uint64(p1[i])<<8 | uint64(p2[i])<<16 | uint64(p3[i])<<24 |
			uint64(p4[i])<<32 | uint64(p5[i])<<40 | uint64(p6[i])<<48 | uint64(p7[i])<<56
	}
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
			return errCode
		}
		value := w.values[index]
		for i := range n {
			dst[i] = value
		}
		dst = dst[n:]
	}
	return nil
}

// wordsOf returns the values of a dictionary of numbers.
func wordsOf(data []byte, n int) ([]uint64, error) {
	if n < 0 || n > len(data)/8 {
		return nil, errShort
	}
	values := make([]uint64, n)
	return values, (&plainWords{data}).read(values)
}

// textsOf returns the values of a dictionary of texts, which are part of data.
func textsOf(data []byte, n int) ([][]byte, error) {
	if n < 0 || n > len(data)/4 {
		return nil, errShort
	}
	texts := make([][]byte, n)
	var err error
	for i := range texts {
		if texts[i], data, err = nextText(data); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// nextText cuts a text off a page of plain ones.
func nextText(data []byte) (text, rest []byte, err error) {
	if len(data) < 4 {
		return nil, nil, errShort
	}
	n := binary.LittleEndian.Uint32(data)
	if uint64(n) > uint64(len(data)-4) {
		return nil, nil, errShort
	}
	return data[4 : 4+n], data[4+n:], nil
}

// bitAt returns bit i of a page of booleans.
func bitAt(data []byte, i int) (uint8, error) {
	if i>>3 >= len(data) {
		return 0, errShort
	}
	return data[i>>3] >> (i & 7) & 1, nil
}
