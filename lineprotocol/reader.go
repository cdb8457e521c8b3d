package lineprotocol

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"
)

// Limits of a line. InfluxDB 1 limits the series key to the same 64 KiB, InfluxDB 3
// strings too.
const (
	MaxKeyBytes    = 64<<10 - 1
	MaxStringBytes = 64 << 10
)

// Reader walks the lines of one body. The zero value reads nothing; call Reset.
type Reader struct {
	buf   []byte
	pos   int // next unread byte
	start int // first byte of the current line's content
	line  int // physical line of pos, 1-based
	first int // physical line of start
	begin int // first byte of the physical line that holds start

	inLine  bool   // a line has been begun and its end not been read
	field   int    // fields read of the current line
	stamp   int    // first byte of the current line's time stamp
	scratch []byte // a field key with its escapes resolved
	text    []byte // a string value with its escapes resolved
}

// Reset starts reading body, which must not change while it is read.
func (r *Reader) Reset(body []byte) {
	*r = Reader{buf: body, line: 1, scratch: r.scratch, text: r.text}
}

// Next moves to the next line that is neither blank nor a comment and reports
// whether there is one. What was left of the line before is skipped.
func (r *Reader) Next() bool {
	r.Skip()
	for r.pos < len(r.buf) {
		r.begin = r.pos
		i := r.pos
		for i < len(r.buf) && isBlank(r.buf[i]) {
			i++
		}
		if i < len(r.buf) && r.buf[i] != '\n' && r.buf[i] != '#' {
			r.pos, r.start, r.stamp, r.first, r.field, r.inLine = i, i, i, r.line, 0, true
			return true
		}
		r.pos = i
		r.endLine()
	}
	return false
}

// Line returns the physical line on which the current line begins, 1-based.
func (r *Reader) Line() int { return r.first }

// Raw returns the current line up to where reading stands or the line ends,
// whichever is later, without the line end.
func (r *Reader) Raw() []byte {
	end := r.newline()
	if r.pos > r.start && r.buf[r.pos-1] == '\n' {
		end = r.pos - 1
	}
	return bytes.TrimSuffix(r.buf[r.start:end], []byte("\r"))
}

// Skip gives the current line up: reading goes on behind its end. It does nothing
// where the line was read to its end. A newline in a string of the line is not its
// end: text that somebody quoted must not be taken for points because of a mistake
// in front of it.
func (r *Reader) Skip() {
	for end := r.pos; r.inLine; {
		if r.pos >= end {
			end = r.newline()
		}
		from := max(r.pos-1, r.start) // the equals sign may have been read
		i := bytes.Index(r.buf[from:end], []byte(`="`))
		if i < 0 {
			r.pos = end
			r.endLine()
			return
		}
		r.pos = from + i + len(`="`)
		if from+i > 0 && r.buf[from+i-1] == '\\' {
			continue // the equals sign is part of a name
		}
		if quote, _ := closingQuote(r.buf, r.pos); quote >= 0 && r.isValueEndAt(quote+1) {
			r.line += bytes.Count(r.buf[r.pos:quote], []byte("\n"))
			r.pos = quote + 1
		}
	}
}

// newline returns the offset of the next newline, or the body's length.
func (r *Reader) newline() int {
	if i := bytes.IndexByte(r.buf[r.pos:], '\n'); i >= 0 {
		return r.pos + i
	}
	return len(r.buf)
}

// endLine moves behind the next newline at or after pos.
func (r *Reader) endLine() {
	r.inLine = false
	i := bytes.IndexByte(r.buf[r.pos:], '\n')
	if i < 0 {
		r.pos = len(r.buf)
		return
	}
	r.pos += i + 1
	r.line++
}

// Series returns the text of measurement and tags as it stands in the body, up to
// the first space that is not escaped. ParseSeries takes it apart.
func (r *Reader) Series() ([]byte, *Error) {
	rest := r.buf[r.pos:]
	// The newline comes first: looking for a space in a body that has none must not
	// read the whole rest of it once a line.
	if nl := bytes.IndexByte(rest, '\n'); nl >= 0 {
		rest = rest[:nl]
	}
	n := bytes.IndexByte(rest, ' ')
	if n < 0 {
		n = len(rest)
	}
	if bytes.IndexByte(rest[:n], '\\') >= 0 || bytes.IndexByte(rest[:n], '\t') >= 0 {
		n = unescapedEnd(rest)
	}
	raw := rest[:n]
	r.pos += n
	if n > MaxKeyBytes {
		return nil, r.fail(KeyTooLong, nil, r.start)
	}
	if r.atLineEnd() {
		return nil, r.noFields(raw)
	}
	return raw, nil
}

// SkipSeries advances over raw, a series text with the space behind it, if that comes
// next. It is the fast path of Series. A text that ends in a backslash stood before a
// tab; before the space it would be another one.
func (r *Reader) SkipSeries(raw []byte) bool {
	rest, n := r.buf[r.pos:], len(raw)
	if n > len(rest) || !bytes.Equal(rest[:n], raw) || n > 1 && raw[n-2] == '\\' && raw[n-1] == ' ' {
		return false
	}
	r.pos += n
	return true
}

// noFields explains a line that ends after its series text.
func (r *Reader) noFields(raw []byte) *Error {
	if len(raw) == 0 || raw[0] == ',' {
		return r.fail(InvalidMeasurement, nil, r.start)
	}
	return r.fail(NoFields, nil, r.pos)
}

// unescapedEnd finds the first blank or newline that no backslash precedes.
func unescapedEnd(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			if i+1 < len(b) && isKeyEscape(b[i+1]) {
				i++
			}
		case ' ', '\t', '\n':
			return i
		}
	}
	return len(b)
}

// SkipKey advances over raw, a field key with its equals sign as it stands in the
// body, if that comes next. It is the fast path of Key.
func (r *Reader) SkipKey(raw []byte) bool {
	if r.field == 0 {
		r.skipBlanks()
	}
	if !bytes.HasPrefix(r.buf[r.pos:], raw) {
		return false
	}
	r.pos += len(raw)
	r.field++
	return true
}

// Key reads a field key and its equals sign. raw is the text as it stands, equals
// sign included, for later calls of SkipKey; name is the key with escapes resolved.
func (r *Reader) Key() (name, raw []byte, err *Error) {
	if r.field == 0 {
		r.skipBlanks()
	}
	r.field++
	begin := r.pos
	escaped := false
	for i := begin; i < len(r.buf); i++ {
		switch r.buf[i] {
		case '\\':
			if i+1 < len(r.buf) && isKeyEscape(r.buf[i+1]) {
				escaped = true
				i++
			}
		case '=':
			r.pos = i + 1
			return r.checkKey(r.buf[begin:i], r.buf[begin:i+1], escaped, begin)
		case ' ', ',', '\n', '\r', '\t':
			return nil, nil, r.badKey(begin, i)
		}
	}
	return nil, nil, r.badKey(begin, len(r.buf))
}

func (r *Reader) badKey(begin, end int) *Error {
	if r.field == 1 {
		return r.fail(NoFields, nil, begin)
	}
	return r.fail(InvalidFieldKey, r.buf[begin:end], begin)
}

func (r *Reader) checkKey(name, raw []byte, escaped bool, begin int) ([]byte, []byte, *Error) {
	if len(name) == 0 {
		return nil, nil, r.badKey(begin, begin+1)
	}
	if len(name) > MaxKeyBytes {
		return nil, nil, r.fail(KeyTooLong, nil, begin)
	}
	if !validText(name) {
		return nil, nil, r.fail(InvalidText, nil, begin)
	}
	if escaped {
		r.scratch = appendUnescaped(r.scratch[:0], name, isKeyEscape)
		name = r.scratch
	}
	return name, raw, nil
}

// More reads what stands between fields and reports whether another field follows.
func (r *Reader) More() bool {
	if r.pos < len(r.buf) && r.buf[r.pos] == ',' {
		r.pos++
		return true
	}
	return false
}

// Time reads the time stamp, which may be missing, and the end of the line.
// digits is the value in the body's unit.
func (r *Reader) Time() (digits int64, present bool, err *Error) {
	if digits, ok := r.plainTime(); ok {
		return digits, true, nil
	}
	if r.pos < len(r.buf) && !isBlank(r.buf[r.pos]) && r.buf[r.pos] != '\n' {
		return 0, false, r.trailing(r.pos)
	}
	gap := r.pos
	r.skipBlanks()
	if r.atLineEnd() {
		r.endLine()
		return 0, false, nil
	}
	digits, err = r.timestamp(gap)
	if err != nil {
		return 0, false, err
	}
	end := r.pos
	r.skipBlanks()
	if !r.atLineEnd() {
		return 0, false, r.trailing(end)
	}
	r.endLine()
	return digits, true, nil
}

// timestamp reads an optionally signed integer. gap is where the blanks before it
// begin: InfluxDB repeats them when the text is no number at all.
func (r *Reader) timestamp(gap int) (int64, *Error) {
	begin := r.pos
	i := begin
	negative := r.buf[i] == '-'
	if negative {
		i++
	}
	var v uint64 // of up to 19 digits; what is longer takes strconv's way
	digits := i
	for ; i < len(r.buf) && r.buf[i]-'0' <= 9; i++ {
		v = v*10 + uint64(r.buf[i]-'0')
	}
	if i == digits {
		return 0, r.trailing(gap)
	}
	r.stamp = begin
	if i-digits > 19 || v > math.MaxInt64 {
		n, err := strconv.ParseInt(unsafeString(r.buf[begin:i]), 10, 64)
		if err != nil {
			return 0, r.fail(InvalidTimestamp, r.buf[begin:i], begin)
		}
		r.pos = i
		return n, nil
	}
	r.pos = i
	if negative {
		return -int64(v), nil
	}
	return int64(v), nil
}

// trailingBytes is how much of the unread rest InfluxDB 3 repeats.
const trailingBytes = 10

func (r *Reader) trailing(at int) *Error {
	rest := r.buf[at:]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	rest = bytes.TrimSuffix(rest, []byte("\r"))
	e := r.fail(TrailingContent, rest, at)
	if len(rest) > trailingBytes {
		e.Value = string(cutText(rest, trailingBytes)) + "..."
	}
	return e
}

func (r *Reader) skipBlanks() {
	for r.pos < len(r.buf) && isBlank(r.buf[r.pos]) {
		r.pos++
	}
}

func (r *Reader) atLineEnd() bool {
	i := r.pos
	for i < len(r.buf) && isBlank(r.buf[i]) {
		i++
	}
	return i == len(r.buf) || r.buf[i] == '\n'
}

// fail describes a fault at an offset of the body, in the current line.
func (r *Reader) fail(kind Kind, value []byte, at int) *Error {
	begin, line := r.begin, r.first
	if nl := bytes.Count(r.buf[begin:at], []byte("\n")); nl > 0 { // inside a quoted string
		begin, line = begin+bytes.LastIndexByte(r.buf[begin:at], '\n')+1, line+nl
	}
	return &Error{Kind: kind, Value: string(cutText(value, maxErrorValue)), Line: line, Column: at - begin + 1}
}

// Column returns the 1-based byte at which reading stands, counted from the beginning
// of the physical line that Line names, newlines in strings included.
func (r *Reader) Column() int { return r.pos - r.begin + 1 }

// isBlank holds for what may stand between the parts of a line: a carriage return
// counts, so that CRLF line ends work.
func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// validText reports whether b can be stored as text anywhere: UTF-8 and no NUL,
// which SQL identifiers and C strings cannot hold.
func validText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// cutText cuts b to at most n bytes, at a UTF-8 boundary.
func cutText(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}
