package lineprotocol

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/siltstone-db/siltstone/schema"
)

// Expectation is what the lines of a table look like behind their series: which fields
// come, in which order, with which types. Reading by it compares eight bytes at a time and
// branches little; whatever differs is left to Key and Value, which know all there is.
type Expectation struct {
	fields []expectedField
	raws   []byte // the keys of fields, one after the other
}

// expectedField is one field of an Expectation. Its key has the comma in front, but for
// the first one, and the equals sign behind.
type expectedField struct {
	begin, size         int    // of the key in raws
	first, second, last uint64 // the first, second and last eight bytes of the key
	mask                uint64 // of first, where the key is shorter
	kind                schema.ColumnType
}

// Len returns the number of fields.
func (e *Expectation) Len() int { return len(e.fields) }

// Reset empties e and keeps its memory.
func (e *Expectation) Reset() { e.fields, e.raws = e.fields[:0], e.raws[:0] }

// Add makes a field follow those that e has. raw is the key as Key returned it, with the equals
// sign. It reports whether fields of the type can be expected: strings cannot.
func (e *Expectation) Add(raw []byte, kind schema.ColumnType) bool {
	switch kind {
	case schema.Int64, schema.Uint64, schema.Float64, schema.Bool:
	default:
		return false
	}
	begin := len(e.raws)
	if len(e.fields) > 0 {
		e.raws = append(e.raws, ',')
	}
	e.raws = append(e.raws, raw...)
	e.fields = append(e.fields, newExpectedField(e.raws[begin:], kind))
	e.fields[len(e.fields)-1].begin = begin
	return true
}

func newExpectedField(raw []byte, kind schema.ColumnType) expectedField {
	f := expectedField{size: len(raw), kind: kind, mask: ^uint64(0)}
	var padded [16]byte
	copy(padded[:], raw)
	f.first, f.second = load8(padded[:], 0), load8(padded[:], 8)
	if len(raw) < 8 {
		f.mask >>= 8 * (8 - len(raw))
	} else {
		f.last = load8(raw, len(raw)-8)
	}
	return f
}

// load8 loads eight bytes of b.
func load8(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at : at+8]) }

// isAt reports whether the key of f stands in b at pos, behind which are at least eight bytes more
// than the key has.
func (e *Expectation) isAt(f *expectedField, b []byte, pos int) bool {
	n := f.size
	if (load8(b, pos)^f.first)&f.mask != 0 {
		return false
	}
	switch {
	case n <= 8:
		return true
	case n <= 16:
		return load8(b, pos+n-8) == f.last
	case n <= 24:
		return load8(b, pos+8) == f.second && load8(b, pos+n-8) == f.last
	}
	return bytes.Equal(b[pos:pos+n], e.raws[f.begin:f.begin+n])
}

// expectedTail is how much of the body must be left behind a key for its value to be read by an
// Expectation: a sign, sixteen digits and a point, and the eight bytes that are loaded behind
// each, without asking for the end.
const expectedTail = 48

// Expected reads fields as long as they come as e says, and returns how many it read; the bits
// of the values, as in Value, are in dst, which must have room for e.Len. It is to be called
// behind SkipSeries or Series; the next field, if More says that there is one, is for Key.
func (r *Reader) Expected(e *Expectation, dst []uint64) int {
	dst = dst[:len(e.fields)]
	r.skipBlanks()
	for i := range e.fields {
		f := &e.fields[i]
		begin := r.pos
		if begin+f.size+expectedTail > len(r.buf) || !e.isAt(f, r.buf, begin) {
			return i
		}
		r.pos = begin + f.size
		if !r.expectedValue(f.kind, &dst[i]) {
			r.pos = begin
			return i
		}
		r.field++
	}
	return len(e.fields)
}

// expectedValue reads a value of a known type. When it returns false, what is there is of another
// type, or is no value.
func (r *Reader) expectedValue(kind schema.ColumnType, dst *uint64) bool {
	pos := r.pos
	negative := r.buf[pos] == '-'
	if negative {
		pos++
	}
	v, n := digits16(r.buf, pos)
	if n == 0 || n == 16 {
		return r.anyValue(kind, dst)
	}
	pos += n
	switch c := r.buf[pos]; {
	case c == 'i' && kind == schema.Int64:
		if negative {
			v = -v
		}
		pos++
	case c == 'u' && kind == schema.Uint64 && !negative:
		pos++
	case kind == schema.Float64:
		decimals := 0
		if c == '.' {
			w := load8(r.buf, pos+1) ^ zeros
			decimals = digitsIn(w)
			v = v*tens[decimals] + decimalOf(w, decimals)
			pos += 1 + decimals
		}
		// Eight digits and seven decimals are below 2^53, so that the division is the only
		// rounding; and behind eight decimals there may be more.
		if n > 8 || decimals == 8 {
			return r.anyValue(kind, dst)
		}
		v = math.Float64bits(float64(v) / pow10[decimals])
		if negative {
			v ^= 1 << 63
		}
	default:
		return r.anyValue(kind, dst)
	}
	if !isValueEnd(r.buf[pos]) {
		return r.anyValue(kind, dst)
	}
	*dst, r.pos = v, pos
	return true
}

// anyValue reads a value in any of its forms.
func (r *Reader) anyValue(kind schema.ColumnType, dst *uint64) bool {
	if r.buf[r.pos] == '"' {
		return false
	}
	var v Value
	if err := r.Value(&v, nil); err != nil || v.Type != kind {
		return false
	}
	*dst = v.Bits
	return true
}

const (
	zeros = 0x3030303030303030 // "00000000"
	highs = 0x8080808080808080
)

// tens are the powers of ten by which numbers of up to eight digits are put together.
var tens = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}

// digitsIn counts the digits at the beginning of eight bytes, given as their difference from
// zeros. A byte that is no digit may carry into those behind it, which do not count.
func digitsIn(w uint64) int { return bits.TrailingZeros64((w+0x7676767676767676|w)&highs) >> 3 }

// decimalOf returns what the first n bytes say as a decimal number; w is as in digitsIn.
func decimalOf(w uint64, n int) uint64 {
	w <<= uint(64 - 8*n) // leading zeros
	w = w*10 + w>>8      // pairs
	return ((w&0x000000FF000000FF)*0x000F424000000064 + (w>>16&0x000000FF000000FF)*0x0000271000000001) >> 32
}

// digits16 reads up to 16 digits of b at pos, behind which there are 24 bytes at least, and
// returns how many they are.
func digits16(b []byte, pos int) (v uint64, n int) {
	w := load8(b, pos) ^ zeros
	if n = digitsIn(w); n < 8 {
		return decimalOf(w, n), n
	}
	v = decimalOf(w, 8)
	w = load8(b, pos+8) ^ zeros
	n = digitsIn(w)
	return v*tens[n] + decimalOf(w, n), 8 + n
}

// plainTime reads a time stamp as most lines have it: behind one blank, without a sign, and with
// the line's end right behind it. Otherwise it reads nothing.
func (r *Reader) plainTime() (digits int64, ok bool) {
	pos := r.pos
	if pos+expectedTail > len(r.buf) || r.buf[pos] != ' ' {
		return 0, false
	}
	v, n := digits16(r.buf, pos+1)
	end := pos + 1 + n
	if n == 16 {
		w := load8(r.buf, end) ^ zeros
		more := digitsIn(w)
		if more > 3 {
			return 0, false
		}
		v = v*tens[more] + decimalOf(w, more)
		end += more
	}
	if n == 0 || r.buf[end] != '\n' || v > math.MaxInt64 {
		return 0, false
	}
	r.stamp, r.pos, r.inLine = pos+1, end+1, false
	r.line++
	return int64(v), true
}
