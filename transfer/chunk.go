package transfer

import "bytes"

// Chunk is line protocol for one request.
type Chunk struct {
	// Body holds whole lines. It is valid until the next chunk is made.
	Body []byte
	// Places are the lines or rows of the source that each physical line of Body comes
	// from, from 1.
	Places []int
	// Refused are rows of the source that became no line.
	Refused []Refusal
	// Rows are the rows that were read for this chunk, refused ones included.
	Rows int
}

// Refusal is a row that line protocol cannot hold, or that cannot be understood.
type Refusal struct {
	Place  int // line or row of the source, from 1
	Reason string
	Text   string // the beginning of the row, where it is text
}

// Limits bound a chunk.
type Limits struct{ Lines, Bytes int }

// mostRefused bounds the refused rows of a chunk.
const mostRefused = 1_000

// full reports whether a chunk should be sent. A row may exceed the bytes, which is for the
// server to refuse.
func (l Limits) full(c *Chunk) bool {
	return len(c.Places) >= l.Lines || len(c.Body) >= l.Bytes-l.Bytes/8 || len(c.Refused) >= mostRefused
}

// reset makes the chunk empty and keeps its memory.
func (c *Chunk) reset() {
	c.Body, c.Places, c.Refused, c.Rows = c.Body[:0], c.Places[:0], nil, 0
}

// add takes the row that was written behind the first begin bytes of Body, or why it was not.
func (c *Chunk) add(begin, place int, err error, text []byte) {
	c.Rows++
	if err != nil {
		c.Body = c.Body[:begin]
		c.Refused = append(c.Refused, Refusal{Place: place, Reason: err.Error(), Text: excerpt(text)})
		return
	}
	for range bytes.Count(c.Body[begin:], []byte("\n")) {
		c.Places = append(c.Places, place)
	}
}

// excerpt is as much of a row as a message shows.
func excerpt(text []byte) string {
	const most = 120
	text = bytes.TrimRight(text, "\r\n")
	return string(text[:min(len(text), most)])
}
