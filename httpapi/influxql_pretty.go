package httpapi

import "io"

// indenter lays out compact JSON on its way to a writer, with four blanks a level, as
// InfluxDB 1 does where a request says pretty=true.
type indenter struct {
	w     io.Writer
	buf   []byte
	depth int
	state indentState
	// opened says that a bracket was the last that came: an empty list or object stays
	// on its line.
	opened bool
}

// indentState says where in a string the indenter is, if it is in one.
type indentState uint8

const (
	outsideString indentState = iota
	insideString
	behindBackslash
)

// Write implements io.Writer.
func (d *indenter) Write(p []byte) (int, error) {
	d.buf = d.buf[:0]
	for _, c := range p {
		if d.state != outsideString {
			d.buf = append(d.buf, c)
			d.state = d.state.after(c)
			continue
		}
		d.put(c)
	}
	if _, err := d.w.Write(d.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// after is the state behind a character of a string.
func (s indentState) after(c byte) indentState {
	switch {
	case s == behindBackslash:
		return insideString
	case c == '\\':
		return behindBackslash
	case c == '"':
		return outsideString
	}
	return insideString
}

// put writes a character that is not within a string.
func (d *indenter) put(c byte) {
	isClosing := c == ']' || c == '}'
	if isClosing {
		d.depth--
	}
	if d.opened != isClosing && (d.opened || isClosing) {
		d.line()
	}
	d.opened = c == '[' || c == '{'
	d.buf = append(d.buf, c)
	switch c {
	case '[', '{':
		d.depth++
	case ',':
		d.line()
	case ':':
		d.buf = append(d.buf, ' ')
	case '"':
		d.state = insideString
	}
}

func (d *indenter) line() {
	d.buf = append(d.buf, '\n')
	for range d.depth {
		d.buf = append(d.buf, "    "...)
	}
}
