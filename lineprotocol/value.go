package lineprotocol

import (
	"bytes"
	"math"
	"strconv"
	"unsafe"

	"github.com/siltstone-db/siltstone/schema"
)

// Value is a field's value. Bits holds the int64, the uint64, the IEEE 754 bits of
// the float64, or 0 and 1 for a boolean; Text holds a string.
type Value struct {
	Type schema.ColumnType
	Bits uint64
	Text []byte
}

// Value reads a field's value into v. name is only used to explain an error.
func (r *Reader) Value(v *Value, name []byte) *Error {
	if r.pos >= len(r.buf) {
		return r.missingValue(name)
	}
	switch c := r.buf[r.pos]; {
	case c-'0' <= 9 || c == '-' || c == '+' || c == '.':
		return r.number(v)
	case c == '"':
		return r.text64K(v, name)
	case c == ' ' || c == ',' || c == '\n' || c == '\r' || c == '\t':
		return r.missingValue(name)
	default:
		return r.boolean(v)
	}
}

func (r *Reader) missingValue(name []byte) *Error {
	if r.field == 1 {
		return r.fail(NoFields, nil, r.pos)
	}
	return r.fail(MissingFieldValue, name, r.pos)
}

// number reads an integer (1i), an unsigned integer (1u) or a float. Up to 18 digits
// are accumulated without a check for overflow; what is longer takes strconv's way.
func (r *Reader) number(v *Value) *Error {
	begin := r.pos
	i := begin
	negative := r.buf[i] == '-'
	if negative || r.buf[i] == '+' {
		i++
	}
	var mantissa uint64
	digits := i
	for i < len(r.buf) && r.buf[i]-'0' <= 9 {
		mantissa = mantissa*10 + uint64(r.buf[i]-'0')
		i++
	}
	whole := i - digits
	if i < len(r.buf) && whole > 0 && whole <= 18 {
		switch r.buf[i] {
		case 'i':
			if negative {
				mantissa = -mantissa
			}
			v.Type, v.Bits = schema.Int64, mantissa
			return r.endNumber(begin, i+1, InvalidInteger)
		case 'u':
			if negative {
				return r.endNumberBad(begin, i+1, InvalidUnsigned)
			}
			v.Type, v.Bits = schema.Uint64, mantissa
			return r.endNumber(begin, i+1, InvalidUnsigned)
		case '.':
			return r.fraction(v, begin, i+1, mantissa, negative)
		case ',', ' ', '\n':
			return r.fraction(v, begin, i, mantissa, negative)
		}
	}
	return r.longNumber(v, begin)
}

// pow10 holds the powers of ten that a float64 represents exactly.
var pow10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// fraction reads the digits behind a decimal point. A mantissa below 2^53 divided by
// an exact power of ten is correctly rounded (Clinger's fast path); the rest goes to
// strconv.
func (r *Reader) fraction(v *Value, begin, i int, mantissa uint64, negative bool) *Error {
	point := i
	for i < len(r.buf) && r.buf[i]-'0' <= 9 && mantissa < 1<<53 {
		mantissa = mantissa*10 + uint64(r.buf[i]-'0')
		i++
	}
	if mantissa >= 1<<53 || i-point >= len(pow10) || i == len(r.buf) || !isValueEnd(r.buf[i]) {
		return r.longNumber(v, begin)
	}
	f := float64(mantissa) / pow10[i-point]
	if negative {
		f = -f
	}
	v.Type, v.Bits = schema.Float64, math.Float64bits(f)
	r.pos = i
	return nil
}

// longNumber parses any number through strconv: exponents, many digits, values at
// the ends of their range, and the explanation of what is no number.
func (r *Reader) longNumber(v *Value, begin int) *Error {
	end := begin
	for end < len(r.buf) && !isValueEnd(r.buf[end]) {
		end++
	}
	text := r.buf[begin:end]
	var err error
	switch text[len(text)-1] {
	case 'i':
		var n int64
		n, err = strconv.ParseInt(unsafeString(text[:len(text)-1]), 10, 64)
		v.Type, v.Bits = schema.Int64, uint64(n)
		if err != nil {
			return r.endNumberBad(begin, end, InvalidInteger)
		}
	case 'u':
		v.Type = schema.Uint64
		digits := bytes.TrimPrefix(text[:len(text)-1], []byte("+"))
		v.Bits, err = strconv.ParseUint(unsafeString(digits), 10, 64)
		if err != nil {
			return r.endNumberBad(begin, end, InvalidUnsigned)
		}
	default:
		f, ok := parseFloat(text)
		if !ok {
			return r.endNumberBad(begin, end, InvalidFloat)
		}
		v.Type, v.Bits = schema.Float64, math.Float64bits(f)
	}
	r.pos = end
	return nil
}

// parseFloat accepts decimal numbers only: strconv's hexadecimal, underscore,
// infinity and NaN forms are no line protocol, and a value too large is an error.
func parseFloat(text []byte) (float64, bool) {
	for _, c := range text {
		if c-'0' > 9 && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(unsafeString(text), 64)
	return f, err == nil
}

func (r *Reader) endNumber(begin, end int, kind Kind) *Error {
	if !r.isValueEndAt(end) {
		return r.endNumberBad(begin, end, kind)
	}
	r.pos = end
	return nil
}

// endNumberBad explains a number with the whole text up to the value's end.
func (r *Reader) endNumberBad(begin, end int, kind Kind) *Error {
	for end < len(r.buf) && !isValueEnd(r.buf[end]) {
		end++
	}
	text := r.buf[begin:end]
	if c := text[len(text)-1]; kind != InvalidFloat && (c == 'i' || c == 'u') {
		text = text[:len(text)-1]
	}
	return r.fail(kind, text, begin)
}

// text64K reads a double-quoted string. Only \" and \\ are escapes; a newline is
// part of the string.
func (r *Reader) text64K(v *Value, name []byte) *Error {
	begin := r.pos + 1
	end, escaped := closingQuote(r.buf, begin)
	if end < 0 {
		// No string ends behind this quote, so no line does either: reading goes on
		// with the next physical line.
		return r.fail(UnterminatedString, name, r.pos)
	}
	text, quote := r.buf[begin:end], r.pos
	r.pos = end + 1
	if bytes.IndexByte(text, '\n') >= 0 {
		r.line += bytes.Count(text, []byte("\n"))
	}
	switch {
	case len(text) > MaxStringBytes:
		return r.fail(StringTooLong, nil, quote)
	case !validText(text):
		return r.fail(InvalidText, nil, quote)
	case !r.isValueEndAt(end + 1):
		return r.trailing(end + 1)
	}
	if escaped {
		r.text = appendUnescaped(r.text[:0], text, isStringEscape)
		text = r.text
	}
	v.Type, v.Text = schema.String, text
	return nil
}

// closingQuote finds the double quote that ends a string which begins at from, and
// whether a backslash comes before it; -1 means that there is none.
func closingQuote(b []byte, from int) (end int, escaped bool) {
	i := bytes.IndexByte(b[from:], '"')
	if i < 0 {
		return -1, false
	}
	j := bytes.IndexByte(b[from:from+i], '\\')
	if j < 0 {
		return from + i, false
	}
	for k := from + j; k < len(b); k++ { // byte by byte: hostile input stays linear
		switch b[k] {
		case '\\':
			k++
		case '"':
			return k, true
		}
	}
	return -1, true
}

func (r *Reader) boolean(v *Value) *Error {
	end := r.pos
	for end < len(r.buf) && !isValueEnd(r.buf[end]) {
		end++
	}
	v.Type = schema.Bool
	switch string(r.buf[r.pos:end]) {
	case "t", "T", "true", "True", "TRUE":
		v.Bits = 1
	case "f", "F", "false", "False", "FALSE":
		v.Bits = 0
	default:
		return r.fail(InvalidFieldValue, r.buf[r.pos:end], r.pos)
	}
	r.pos = end
	return nil
}

func (r *Reader) isValueEndAt(i int) bool { return i >= len(r.buf) || isValueEnd(r.buf[i]) }

func isValueEnd(c byte) bool { return c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// unsafeString views b as a string for the length of a call.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
