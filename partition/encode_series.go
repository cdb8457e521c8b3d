package partition

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// The keys of a batch's series repeat each other, tag by tag: of ten tags one tells hosts apart, and the
// others have few values. Written key by key they are most of a record whose series come once, and S2 takes
// three times as long to find that out as it takes to number the values of each tag.

const (
	seriesAsKeys    = 0
	seriesAsColumns = 1

	// Series are written by tags where there are enough of them for that to pay, and few and short enough
	// for a reader to bound what it allocates.
	minColumnSeries = 16
	maxColumnSeries = 1 << 20
	maxColumnKeys   = 64 << 20 // bytes of all keys together
	maxMeanKey      = 512      // longer ones are mostly values that do not repeat

	// maxTagValues is how many values of a tag are numbered, in a byte. Those of a tag with more are
	// written one after the other.
	maxTagValues = 256
	// nibbleValues is how many fit in half a byte.
	nibbleValues = 16
)

// fitsColumns reports whether the series of b may be written by tags; whether all have the same tags
// shows later.
func fitsColumns(b *Batch) bool {
	n := len(b.Series)
	if n < minColumnSeries || n > min(len(b.Time), maxColumnSeries) {
		return false
	}
	size := keysLen(b.Series)
	return size <= maxColumnKeys && size/n <= maxMeanKey
}

// appendSeries writes the series in either form.
func (e *Encoder) appendSeries(dst []byte, b *Batch) []byte {
	if fitsColumns(b) && e.splitSeries(b.Series) {
		dst = append(dst, seriesAsColumns)
		dst = binary.AppendUvarint(dst, uint64(len(e.tags)))
		for i := range e.tags {
			dst = e.tags[i].append(dst, len(b.Series))
		}
		return dst
	}
	return appendKeys(append(dst, seriesAsKeys), b.Series)
}

func appendKeys(dst []byte, keys [][]byte) []byte {
	dst = slices.Grow(dst, keysLen(keys))
	for _, key := range keys {
		dst = binary.AppendUvarint(dst, uint64(len(key)))
		dst = append(dst, key...)
	}
	return dst
}

// splitSeries distributes the tags of the keys to e.tags. It returns false where not all have the
// same tags, or they have none.
func (e *Encoder) splitSeries(keys [][]byte) bool {
	n := 0
	for id := range Tags(keys[0]) {
		if n == len(e.tags) && n < cap(e.tags) {
			e.tags = e.tags[:n+1]
		} else if n == len(e.tags) {
			e.tags = append(e.tags, tagEncoder{})
		}
		e.tags[n].begin(id)
		n++
	}
	e.tags = e.tags[:n]
	if n == 0 {
		return false
	}
	for _, key := range keys {
		e.key = append(append(e.key[:0], key...), make([]byte, wordsBytes)...)
		rest := e.key
		for i := range e.tags {
			t := &e.tags[i]
			size := len(rest) - wordsBytes
			if size < 2 || rest[0] != byte(t.id) || rest[1] > wordsBytes || 2+int(rest[1]) > size || t.id >= 0x80 {
				id, value, after, ok := nextTag(rest[:size])
				if !ok || id != t.id {
					return false
				}
				t.addLong(value)
				rest = rest[size-len(after):]
				continue
			}
			n := int(rest[1])
			if t.isPlain {
				t.addPlain(rest[2 : 2+n])
			} else {
				at := len(key) - size + 2
				t.add(wordsOf(rest[2:], n), key[at:at+n])
			}
			rest = rest[2+n:]
		}
		if len(rest) > wordsBytes {
			return false
		}
	}
	return true
}

// words are a value of up to wordsBytes bytes, which compare as numbers.
type words struct {
	low, high uint64
	size      uint64 // and one more, so that no value is a free place
}

const wordsBytes = 16

// wordMasks are the bits of both words of a value, by its size. Values of a tag are of changing sizes, so
// that the processor would guess wrong where a branch asks for them.
var wordMasks = func() (masks [wordsBytes + 1][2]uint64) {
	for n := range masks {
		masks[n] = [2]uint64{1<<(8*min(n, 8)) - 1, 1<<(8*max(n-8, 0)) - 1}
	}
	return masks
}()

// wordsOf returns the first n bytes of b, which has wordsBytes at least.
func wordsOf(b []byte, n int) words {
	b = b[:wordsBytes]
	m := &wordMasks[n]
	return words{binary.LittleEndian.Uint64(b) & m[0], binary.LittleEndian.Uint64(b[8:]) & m[1], uint64(n) + 1}
}

func (w *words) equal(o *words) bool {
	return (w.low^o.low)|(w.high^o.high)|(w.size^o.size) == 0
}

// tagEncoder is the values of a tag, by series: numbered as long as they are few and short.
type tagEncoder struct {
	id      schema.ColumnID
	values  [][]byte                  // by number; parts of keys
	slots   [1 << tagSlotBits]tagSlot // by the hash of the value
	used    []uint16                  // slots
	codes   []byte                    // by series: numbers
	isPlain bool                      // there were too many values, or one was too long; sizes and texts have one for each series
	sizes   []byte                    // uvarints
	texts   []byte
}

// tagSlot is a value with its number.
type tagSlot struct {
	words
	code int
}

const (
	tagSlotBits = 9
	tagProbes   = 16
)

func (t *tagEncoder) begin(id schema.ColumnID) {
	clear(t.values)
	for _, at := range t.used {
		t.slots[at] = tagSlot{}
	}
	t.id, t.isPlain, t.values, t.used = id, false, t.values[:0], t.used[:0]
	t.codes, t.sizes, t.texts = t.codes[:0], t.sizes[:0], t.texts[:0]
}

// add adds the value of the next series.
func (t *tagEncoder) add(w words, value []byte) {
	at := (w.low ^ bits.RotateLeft64(w.high, 29)) * 0x9e3779b97f4a7c15 >> (64 - tagSlotBits)
	for range tagProbes {
		s := &t.slots[at]
		if s.equal(&w) {
			t.codes = append(t.codes, byte(s.code))
			return
		}
		if s.size == 0 && len(t.values) < maxTagValues {
			*s = tagSlot{w, len(t.values)}
			t.used = append(t.used, uint16(at))
			t.codes = append(t.codes, byte(s.code))
			t.values = append(t.values, value)
			return
		}
		at = (at + 1) % (1 << tagSlotBits)
	}
	t.addLong(value)
}

// addLong adds the value of the next series, and numbers none any more.
func (t *tagEncoder) addLong(value []byte) {
	if !t.isPlain {
		t.isPlain = true
		for _, c := range t.codes {
			t.addPlain(t.values[c])
		}
	}
	t.addPlain(value)
}

func (t *tagEncoder) addPlain(value []byte) {
	t.sizes = binary.AppendUvarint(t.sizes, uint64(len(value)))
	t.texts = append(t.texts, value...)
}

// append writes the column of so many series.
func (t *tagEncoder) append(dst []byte, series int) []byte {
	dst = binary.AppendUvarint(dst, uint64(t.id))
	n := len(t.values)
	if t.isPlain {
		n = series
	} else {
		for _, v := range t.values {
			t.addPlain(v)
		}
	}
	clear(t.values) // they are parts of keys, which are others'
	dst = binary.AppendUvarint(dst, uint64(n))
	dst = append(dst, t.sizes...)
	dst = append(dst, t.texts...)
	switch {
	case n == 1 || n == series: // in the order of the series
	case n > nibbleValues:
		dst = append(dst, t.codes...)
	default:
		for i := 1; i < series; i += 2 {
			dst = append(dst, t.codes[i-1]|t.codes[i]<<4)
		}
		if series%2 == 1 {
			dst = append(dst, t.codes[series-1])
		}
	}
	return dst
}
