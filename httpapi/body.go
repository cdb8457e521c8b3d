package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// bodyReader reads request bodies into pooled buffers within two bounds: one for a
// body and one for all of them (H4). A body has to arrive at minBodyRate on average
// once bodyGrace is over, so that slow senders cannot hold buffers for ever.
type bodyReader struct {
	maxBytes    int64
	maxBuffered int64

	buffered atomic.Int64 // capacity of the buffers in use, and what decoders hold
	buffers  sync.Pool    // of *[]byte
}

const (
	bodyGrace   = 30 * time.Second
	minBodyRate = 16 << 10 // bytes a second
	// firstBuffer is what a body of unknown length starts with.
	firstBuffer = 64 << 10
)

// body is a request's decompressed body. Release returns its buffer to the pool.
type body struct {
	Bytes  []byte
	reader *bodyReader
	held   int64 // what Bytes' capacity takes of maxBuffered
}

// read reads and decompresses the body of r. Its errors are for statusOf.
func (b *bodyReader) read(w http.ResponseWriter, r *http.Request) (*body, error) {
	out, err := b.readBody(w, r)
	if err != nil { // what is left of it nobody wants, see unreadBodyGrace
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadBodyGrace))
	}
	return out, err
}

func (b *bodyReader) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	if r.ContentLength > b.maxBytes {
		return nil, &http.MaxBytesError{Limit: b.maxBytes}
	}
	var src io.Reader = &pacedReader{
		src:   http.MaxBytesReader(w, r.Body, b.maxBytes),
		conn:  http.NewResponseController(w),
		start: time.Now(),
	}
	coding, err := codingOf(r.Header)
	if err != nil {
		return nil, err
	}
	if coding != nil {
		return b.decode(coding, src)
	}
	return b.readAll(src, r.ContentLength)
}

// decode reads a compressed body.
func (b *bodyReader) decode(coding *contentCoding, src io.Reader) (*body, error) {
	defer b.buffered.Add(-coding.memoryBytes)
	if b.buffered.Add(coding.memoryBytes) > b.maxBuffered {
		return nil, errBodiesFull
	}
	decoded, err := coding.open(src)
	if err != nil {
		return nil, err
	}
	defer decoded.close()
	return b.readAll(decoded, -1)
}

// readAll reads src to its end; size is its length, or -1 when that is unknown.
func (b *bodyReader) readAll(src io.Reader, size int64) (*body, error) {
	out := &body{reader: b, Bytes: b.buffer()}
	if err := out.hold(int64(cap(out.Bytes))); err != nil {
		return nil, err
	}
	want := size + 1 // one byte of room to meet the end of the body
	if size < 0 {
		want = firstBuffer
	}
	if err := out.grow(want); err != nil {
		return nil, err
	}
	for {
		if len(out.Bytes) == cap(out.Bytes) {
			if err := out.grow(min(2*int64(cap(out.Bytes)), b.maxBytes+1)); err != nil {
				return nil, err
			}
		}
		n, err := src.Read(out.Bytes[len(out.Bytes):cap(out.Bytes)])
		out.Bytes = out.Bytes[:len(out.Bytes)+n]
		switch {
		case int64(len(out.Bytes)) > b.maxBytes:
			out.Release()
			return nil, &http.MaxBytesError{Limit: b.maxBytes}
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			out.Release()
			return nil, fmt.Errorf("reading the request body: %w", err)
		}
	}
}

// buffer takes an empty buffer from the pool.
func (b *bodyReader) buffer() []byte {
	if p, ok := b.buffers.Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return nil
}

// grow makes room for a capacity of at least want bytes, or releases the body and
// fails when all bodies together would hold too much.
func (d *body) grow(want int64) error {
	if want <= int64(cap(d.Bytes)) {
		return nil
	}
	if err := d.hold(want); err != nil {
		return err
	}
	grown := slices.Grow([]byte(nil), int(want))
	d.Bytes = append(grown, d.Bytes...)
	// Grow rounds up to a size class; the excess is small and counted too.
	return d.hold(int64(cap(d.Bytes)))
}

// hold accounts for a buffer of size bytes in place of the one held so far.
func (d *body) hold(size int64) error {
	total := d.reader.buffered.Add(size - d.held)
	d.held = size
	if total > d.reader.maxBuffered {
		d.Release()
		return errBodiesFull
	}
	return nil
}

// Release gives the buffer back. Bytes must not be used any more.
func (d *body) Release() {
	d.reader.buffered.Add(-d.held)
	d.held = 0
	if buf := d.Bytes; buf != nil {
		d.reader.buffers.Put(&buf)
		d.Bytes = nil
	}
}

// transportError is an error of the connection rather than of what it carried.
type transportError struct{ err error }

func (e *transportError) Error() string { return e.err.Error() }
func (e *transportError) Unwrap() error { return e.err }

// pacedReader moves the connection's read deadline along while a body arrives fast enough.
type pacedReader struct {
	src      io.Reader
	conn     *http.ResponseController
	start    time.Time
	received int64
}

func (p *pacedReader) Read(b []byte) (int, error) {
	allowed := bodyGrace + time.Duration(p.received)*time.Second/minBodyRate
	if err := p.deadline(p.start.Add(allowed)); err != nil {
		return 0, err
	}
	n, err := p.src.Read(b)
	p.received += int64(n)
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		// The deadline must not outlive the body: net/http goes on reading the connection
		// to notice that the client hangs up, and would take the time-out for that.
		if err := p.deadline(time.Time{}); err != nil {
			return n, err
		}
		return n, err
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return n, err
	}
	return n, &transportError{err}
}

// deadline sets the read deadline; a response writer without a connection has none.
func (p *pacedReader) deadline(t time.Time) error {
	err := p.conn.SetReadDeadline(t)
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return &transportError{fmt.Errorf("setting the read deadline: %w", err)}
	}
	return nil
}
