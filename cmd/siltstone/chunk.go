package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/siltstone-db/siltstone/transfer"
)

// A chunk is a run of whole lines that goes into one request.
type chunk struct {
	body      []byte
	firstLine int // of the file, 1-based
	// places are the lines or rows of the file that the lines come from; nil where they
	// are those of the file from firstLine on.
	places []int
	// refused are rows of the file that became no line.
	refused []transfer.Refusal
	// database is where the lines go; empty is that of the loader.
	database string
}

// place is where in the file a line of the chunk is, which counts from 1.
func (c chunk) place(line int) int {
	if c.places == nil {
		return c.firstLine + line - 1
	}
	return c.places[min(max(line, 1), len(c.places))-1]
}

const (
	maxChunkLines = 10_000
	// maxChunkBytes leaves room below the server's default limit of 10 MiB.
	maxChunkBytes = 8 << 20
	// maxStringBytes is the longest string value of line protocol. A quoted string
	// that goes on longer is a quote that nobody closed.
	maxStringBytes = 64 << 10
)

// chunker cuts line protocol into chunks at line ends. A line end inside a quoted
// string is a part of the value, so the cut must not be there.
type chunker struct {
	src      io.Reader
	maxLines int
	maxBytes int

	buf  []byte
	pos  int  // first byte of buf that is in no chunk yet
	eof  bool // buf holds all that is left
	line int  // physical lines handed out
}

func newChunker(src io.Reader) *chunker {
	return &chunker{src: src, maxLines: maxChunkLines, maxBytes: maxChunkBytes}
}

// next returns the next chunk, which is valid until the call after, or io.EOF.
func (c *chunker) next() (chunk, error) {
	n, full := c.cut()
	if !full && !c.eof {
		if err := c.fill(); err != nil {
			return chunk{}, err
		}
		n, _ = c.cut()
	}
	switch {
	case n == 0 && c.eof && c.pos == len(c.buf):
		return chunk{}, io.EOF
	case n == 0:
		return chunk{}, fmt.Errorf("line %d is longer than %s", c.line+1, formatBytes(int64(c.maxBytes)))
	}
	out := chunk{body: c.buf[c.pos : c.pos+n], firstLine: c.line + 1}
	c.pos += n
	c.line += bytes.Count(out.body, []byte("\n"))
	return out, nil
}

// fill reads until the buffer holds maxBytes that are in no chunk yet.
func (c *chunker) fill() error {
	rest := copy(c.buf[:cap(c.buf)], c.buf[c.pos:])
	if cap(c.buf) < c.maxBytes {
		c.buf = make([]byte, c.maxBytes)
	}
	c.buf, c.pos = c.buf[:c.maxBytes], 0
	n, err := io.ReadFull(c.src, c.buf[rest:])
	c.buf = c.buf[:rest+n]
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		c.eof, err = true, nil
	}
	return err
}

// cut returns the length of the whole lines at pos that fit into one chunk; full
// says that more input would not make them more.
func (c *chunker) cut() (n int, full bool) {
	rest := c.buf[c.pos:]
	for lines := 0; lines < c.maxLines; {
		end := lineEnd(rest[n:], c.eof)
		if end == 0 {
			return n, false
		}
		lines += bytes.Count(rest[n:n+end], []byte("\n"))
		n += end
		if n == len(rest) && c.eof {
			return n, true
		}
	}
	return n, true
}

// lineEnd returns the length of the first line of text with its end, or 0 when the
// end is not in text. With eof the end of text ends the line too.
func lineEnd(text []byte, eof bool) int {
	first := bytes.IndexByte(text, '\n') + 1
	if first == 0 {
		if eof {
			return len(text)
		}
		return 0
	}
	if bytes.IndexByte(text[:first], '"') < 0 {
		return first
	}
	state, opened := atStart, 0
	for i, c := range text {
		before := state
		state = state.next(c)
		switch {
		case c == '\n' && !state.quoted():
			return i + 1
		case state == inString && before == inFields:
			opened = i
		case state.quoted() && i-opened > maxStringBytes:
			return first
		}
	}
	if eof {
		return first // the string never ends
	}
	return 0
}

// lineState is where in a line of protocol the chunker stands: quotes mean something
// among the fields only, which begin behind the first blank that is not escaped.
type lineState uint8

const (
	atStart lineState = iota
	inComment
	inSeries
	inSeriesEscape
	inFields
	inString
	inStringEscape
)

func (s lineState) quoted() bool { return s == inString || s == inStringEscape }

// next returns the state behind the byte b.
func (s lineState) next(b byte) lineState {
	switch {
	case s == inSeriesEscape:
		return inSeries
	case s == inStringEscape:
		return inString
	case b == '\\' && s == inString:
		return inStringEscape
	case b == '\\' && (s == inSeries || s == atStart):
		return inSeriesEscape
	case b == '"' && s == inFields:
		return inString
	case b == '"' && s == inString:
		return inFields
	case s == atStart && b == '#':
		return inComment
	case s == atStart && !blank(b):
		return inSeries
	case s == inSeries && blank(b):
		return inFields
	}
	return s
}

func blank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' }
