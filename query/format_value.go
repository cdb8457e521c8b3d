package query

import (
	"encoding/hex"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// encoder appends the text of one value, which is not null, of a column.
type encoder func(buf []byte, row int) []byte

// style says whether text is quoted.
type style bool

const (
	jsonStyle  style = true
	plainStyle style = false
)

func newEncoders(batch arrow.RecordBatch, s style) []encoder {
	encoders := make([]encoder, batch.NumCols())
	for i := range encoders {
		encoders[i] = newEncoder(batch.Column(i), s)
	}
	return encoders
}

func newEncoder(column arrow.Array, s style) encoder {
	switch a := column.(type) {
	case *array.String:
		return s.text(a.Value)
	case *array.Float64:
		return func(buf []byte, row int) []byte { return s.appendFloat(buf, a.Value(row), 64) }
	case *array.Int64:
		return integer(a.Value)
	case *array.Timestamp:
		return s.timestamp(a)
	case *array.Boolean:
		return func(buf []byte, row int) []byte { return strconv.AppendBool(buf, a.Value(row)) }
	case *array.Uint64:
		return func(buf []byte, row int) []byte { return strconv.AppendUint(buf, a.Value(row), 10) }
	}
	return newRareEncoder(column, s)
}

// newRareEncoder is for types that no column of ours has, but an expression may.
func newRareEncoder(column arrow.Array, s style) encoder {
	switch a := column.(type) {
	case *array.Int32:
		return integer(a.Value)
	case *array.Int16:
		return integer(a.Value)
	case *array.Int8:
		return integer(a.Value)
	case *array.Uint32:
		return integer(a.Value)
	case *array.Uint16:
		return integer(a.Value)
	case *array.Uint8:
		return integer(a.Value)
	case *array.Float32:
		return func(buf []byte, row int) []byte { return s.appendFloat(buf, float64(a.Value(row)), 32) }
	case *array.Binary:
		return s.quoted(func(buf []byte, row int) []byte { return hex.AppendEncode(buf, a.Value(row)) })
	case *array.Date32:
		return s.quoted(func(buf []byte, row int) []byte {
			return a.Value(row).ToTime().AppendFormat(buf, time.DateOnly)
		})
	case *array.Time64:
		unit := int64(a.DataType().(*arrow.Time64Type).Unit.Multiplier())
		return s.quoted(func(buf []byte, row int) []byte { return appendClock(buf, int64(a.Value(row))*unit) })
	case *array.MonthDayNanoInterval:
		return s.quoted(func(buf []byte, row int) []byte { return appendInterval(buf, a.Value(row)) })
	case *array.Dictionary:
		value := newEncoder(a.Dictionary(), s)
		return func(buf []byte, row int) []byte { return value(buf, a.GetValueIndex(row)) }
	case *array.Map:
		return mapEncoder(a)
	case array.ListLike:
		return listEncoder(a)
	case *array.Struct:
		return structEncoder(a)
	case *array.Decimal128: // within a nested value; others were converted
		return func(buf []byte, row int) []byte { return append(buf, a.ValueStr(row)...) }
	case *array.Null:
		return func(buf []byte, _ int) []byte { return buf }
	}
	return s.text(column.ValueStr)
}

func integer[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](value func(int) T) encoder {
	return func(buf []byte, row int) []byte { return strconv.AppendInt(buf, int64(value(row)), 10) }
}

func (s style) text(value func(int) string) encoder {
	if s == plainStyle {
		return func(buf []byte, row int) []byte { return append(buf, value(row)...) }
	}
	return func(buf []byte, row int) []byte { return appendJSONString(buf, value(row)) }
}

// quoted puts text that needs no escapes in quotes where the style wants them.
func (s style) quoted(e encoder) encoder {
	if s == plainStyle {
		return e
	}
	return func(buf []byte, row int) []byte { return append(e(append(buf, '"'), row), '"') }
}

// appendFloat writes the shortest digits that read back as the same value, always with
// a fraction or an exponent: 50.0, 0.1, 1e16, 1.5e-7.
func (s style) appendFloat(buf []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return s.appendNonFinite(buf, v)
	}
	if size := math.Abs(v); size != 0 && (size < 1e-5 || size >= 1e16) {
		return appendExponent(buf, v, bits)
	}
	if bits == 64 {
		if short, ok := appendShortFloat(buf, v); ok {
			return short
		}
	}
	begin := len(buf)
	buf = strconv.AppendFloat(buf, v, 'f', -1, bits)
	for _, c := range buf[begin:] {
		if c == '.' {
			return buf
		}
	}
	return append(buf, ".0"...)
}

// appendShortFloat writes a value that a decimal of at most 15 digits, four of them behind
// the point, stands for: most of what is measured, at a quarter of the price. If n / 10^4,
// which is rounded correctly since both are exact, is the value again, then that decimal
// reads back as the value. Two different decimals of up to 15 digits never read back
// as the same one, so that no shorter one does.
func appendShortFloat(buf []byte, v float64) ([]byte, bool) {
	const scale, limit = 1e4, 1e15
	size := math.Abs(v)
	scaled := size * scale
	if !(scaled < limit) {
		return buf, false
	}
	n := int64(scaled + 0.5)
	if float64(n)/scale != size || n >= limit {
		return buf, false
	}
	if math.Signbit(v) {
		buf = append(buf, '-')
	}
	buf = append(appendInt(buf, n/scale), '.')
	fraction := n % scale
	buf = append(buf, byte('0'+fraction/1000), byte('0'+fraction/100%10), byte('0'+fraction/10%10), byte('0'+fraction%10))
	for zeros := 0; zeros < 3 && buf[len(buf)-1] == '0'; zeros++ {
		buf = buf[:len(buf)-1]
	}
	return buf, true
}

// appendExponent writes 1e16 and 1.5e-7, where strconv writes 1e+16 and 1.5e-07.
func appendExponent(buf []byte, v float64, bits int) []byte {
	begin := len(buf)
	buf = strconv.AppendFloat(buf, v, 'e', -1, bits)
	for i := begin; i < len(buf); i++ {
		if buf[i] != 'e' {
			continue
		}
		exponent, _ := strconv.Atoi(string(buf[i+1:])) // digits that strconv wrote
		return strconv.AppendInt(buf[:i+1], int64(exponent), 10)
	}
	return buf
}

func (s style) appendNonFinite(buf []byte, v float64) []byte {
	switch {
	case s == jsonStyle:
		return append(buf, "null"...)
	case math.IsNaN(v):
		return append(buf, "NaN"...)
	case v < 0:
		return append(buf, "-inf"...)
	}
	return append(buf, "inf"...)
}

// timestamp writes ISO 8601 without a zone, or with Z where the type has one. Rows next to
// each other are mostly of one day, so its text is kept.
func (s style) timestamp(a *array.Timestamp) encoder {
	t := a.DataType().(*arrow.TimestampType)
	unit := int64(t.Unit.Multiplier())
	perDay := int64(24*time.Hour) / unit
	day, date := int64(math.MinInt64), []byte(nil)
	return s.quoted(func(buf []byte, row int) []byte {
		v := int64(a.Value(row))
		d, rest := v/perDay, v%perDay
		if rest < 0 {
			d, rest = d-1, rest+perDay
		}
		if d != day {
			day, date = d, time.Unix(d*86400, 0).UTC().AppendFormat(date[:0], "2006-01-02T")
		}
		buf = appendClock(append(buf, date...), rest*unit)
		if t.TimeZone != "" {
			buf = append(buf, 'Z')
		}
		return buf
	})
}

// appendClock writes a time of day, given in nanoseconds. A fraction is written in 3, 6 or 9
// digits, and only where it is not zero.
func appendClock(buf []byte, nanos int64) []byte {
	seconds, fraction := nanos/int64(time.Second), nanos%int64(time.Second)
	hour, minute, second := seconds/3600, seconds/60%60, seconds%60
	buf = append(buf, byte('0'+hour/10), byte('0'+hour%10), ':', byte('0'+minute/10), byte('0'+minute%10), ':',
		byte('0'+second/10), byte('0'+second%10))
	switch {
	case fraction == 0:
		return buf
	case fraction%int64(time.Millisecond) == 0:
		return appendDigits(append(buf, '.'), fraction/int64(time.Millisecond), 3)
	case fraction%int64(time.Microsecond) == 0:
		return appendDigits(append(buf, '.'), fraction/int64(time.Microsecond), 6)
	}
	return appendDigits(append(buf, '.'), fraction, 9)
}

// appendDigits writes a number with leading zeros.
func appendDigits(buf []byte, n int64, digits int) []byte {
	for range digits {
		buf = append(buf, '0')
	}
	for i := len(buf) - 1; n > 0; i-- {
		buf[i] = byte('0' + n%10)
		n /= 10
	}
	return buf
}

// appendInterval writes the parts of an interval that are not zero.
func appendInterval(buf []byte, v arrow.MonthDayNanoInterval) []byte {
	begin := len(buf)
	part := func(n int64, unit string) {
		if n != 0 {
			if len(buf) > begin {
				buf = append(buf, ' ')
			}
			buf = append(strconv.AppendInt(buf, n, 10), unit...)
		}
	}
	part(int64(v.Months), " mons")
	part(int64(v.Days), " days")
	part(v.Nanoseconds/int64(time.Hour), " hours")
	part(v.Nanoseconds%int64(time.Hour)/int64(time.Minute), " mins")
	if rest := v.Nanoseconds % int64(time.Minute); rest != 0 || len(buf) == begin {
		if len(buf) > begin {
			buf = append(buf, ' ')
		}
		buf = strconv.AppendFloat(buf, float64(rest)/float64(time.Second), 'f', 9, 64)
		buf = append(buf, " secs"...)
	}
	return buf
}

// Nested values are written as JSON in every format.

func appendNested(buf []byte, e encoder, values arrow.Array, row int) []byte {
	if values.IsNull(row) {
		return append(buf, "null"...)
	}
	return e(buf, row)
}

func listEncoder(a array.ListLike) encoder {
	values := a.ListValues()
	element := newEncoder(values, jsonStyle)
	return func(buf []byte, row int) []byte {
		begin, end := a.ValueOffsets(row)
		buf = append(buf, '[')
		for i := begin; i < end; i++ {
			if i > begin {
				buf = append(buf, ',')
			}
			buf = appendNested(buf, element, values, int(i))
		}
		return append(buf, ']')
	}
}

func structEncoder(a *array.Struct) encoder {
	t := a.DataType().(*arrow.StructType)
	members := make([]encoder, a.NumField())
	for k := range members {
		members[k] = newEncoder(a.Field(k), jsonStyle)
	}
	return func(buf []byte, row int) []byte {
		buf = append(buf, '{')
		for k, member := range members {
			if k > 0 {
				buf = append(buf, ',')
			}
			buf = append(appendJSONString(buf, t.Field(k).Name), ':')
			buf = appendNested(buf, member, a.Field(k), row)
		}
		return append(buf, '}')
	}
}

// mapEncoder writes keys that are not text as their text.
func mapEncoder(a *array.Map) encoder {
	key, item := newEncoder(a.Keys(), plainStyle), newEncoder(a.Items(), jsonStyle)
	return func(buf []byte, row int) []byte {
		begin, end := a.ValueOffsets(row)
		buf = append(buf, '{')
		for i := begin; i < end; i++ {
			if i > begin {
				buf = append(buf, ',')
			}
			buf = append(appendJSONString(buf, string(key(nil, int(i)))), ':')
			buf = appendNested(buf, item, a.Items(), int(i))
		}
		return append(buf, '}')
	}
}

// AppendJSONString quotes text for JSON.
func AppendJSONString(buf []byte, text string) []byte { return appendJSONString(buf, text) }

// appendJSONString quotes text. Bytes that are not UTF-8 become U+FFFD.
func appendJSONString(buf []byte, text string) []byte { return appendJSONBytes(buf, text) }

func appendJSONBytes[T string | []byte](buf []byte, text T) []byte {
	buf = append(buf, '"')
	begin := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, size := decodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				buf = append(append(buf, text[begin:i]...), "\uFFFD"...)
				begin = i + 1
			}
			i += size
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			buf = append(buf, text[begin:i]...)
			buf = appendEscape(buf, c)
			begin = i + 1
		}
		i++
	}
	return append(append(buf, text[begin:]...), '"')
}

func decodeRune[T string | []byte](text T) (rune, int) {
	return utf8.DecodeRuneInString(string(text[:min(len(text), utf8.UTFMax)]))
}

func appendEscape(buf []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(buf, '\\', c)
	case '\b':
		return append(buf, `\b`...)
	case '\f':
		return append(buf, `\f`...)
	case '\n':
		return append(buf, `\n`...)
	case '\r':
		return append(buf, `\r`...)
	case '\t':
		return append(buf, `\t`...)
	}
	return append(buf, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

const hexDigits = "0123456789abcdef"
