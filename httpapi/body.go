package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// bodyReader reads request bodies into pooled buffers within two bounds: one for a
// body and one for all of them (H4). A body has to arrive at minBodyRate on average
// once bodyGrace is over, so that slow senders cannot hold buffers for ever.
//
// Nor can they hold much: a buffer grows with what has arrived, whatever Content-Length announces,
// and a body is decompressed when all of it is there. Otherwise some thirty clients that
// announce 10 MiB, or zstd, and send a byte a second would use up the bound of all bodies.
type bodyReader struct {
	maxBytes    int64
	maxBuffered int64

	buffered atomic.Int64                       // capacity of the buffers in use, and what decoders hold
	buffers  [64 - smallestBufferBits]sync.Pool // of *[]byte, by the binary order of their capacity

	startTurns sync.Once
	turns      chan struct{} // of those who decompress
}

const (
	bodyGrace   = 30 * time.Second
	minBodyRate = 16 << 10 // bytes a second

	// smallestBuffer is what every body starts with: 10,000 slow clients hold 40 MB.
	smallestBuffer     = 1 << smallestBufferBits
	smallestBufferBits = 12
	// smallBody is the size of bodies for which a part of the room is kept: a query must find
	// some beside all the writes that a server cannot take.
	smallBody    = 64 << 10
	keptForSmall = 16
	// bufferGrowth is the least factor by which a buffer grows: a body is copied a third of a time.
	bufferGrowth = 4
)

// body is a request's decompressed body. Release returns its buffer to the pool.
type body struct {
	Bytes  []byte
	reader *bodyReader
	held   int64 // what Bytes' capacity takes of maxBuffered
}

// read reads and decompresses the body of r. Its errors are for statusOf.
func (b *bodyReader) read(w http.ResponseWriter, r *http.Request) (*body, error) {
	wait := awaitBody(r)
	defer wait.end()
	out, err := b.readBody(w, r)
	if errors.Is(err, errBodiesFull) {
		b.discard(w, r)
	}
	if err != nil { // what is left of it nobody wants, see unreadBodyGrace
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadBodyGrace))
	}
	return out, err
}

// discard reads what is left of a body for which there is no room. Most clients look for an
// answer when they have sent everything; they would find the connection closed instead of
// the advice to come again. A client that asks before it sends is answered before.
func (b *bodyReader) discard(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Expect") != "" {
		return
	}
	rest := &pacedReader{src: io.LimitReader(r.Body, b.maxBytes), conn: http.NewResponseController(w), start: time.Now()}
	_, _ = io.Copy(io.Discard, rest)
}

func (b *bodyReader) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	if r.ContentLength > b.maxBytes {
		return nil, &http.MaxBytesError{Limit: b.maxBytes}
	}
	limited := r.Body
	if r.ContentLength < 0 { // net/http reads no more than was announced
		limited = http.MaxBytesReader(w, r.Body, b.maxBytes)
	}
	var src io.Reader = &pacedReader{
		src:   limited,
		conn:  http.NewResponseController(w),
		start: time.Now(),
	}
	coding, err := codingOf(r.Header)
	if err != nil {
		return nil, err
	}
	if coding != nil {
		return b.decode(coding, src, r.ContentLength)
	}
	return b.readAll(src, r.ContentLength)
}

// decode reads a compressed body.
func (b *bodyReader) decode(coding *contentCoding, src io.Reader, size int64) (*body, error) {
	compressed, err := b.readAll(src, size)
	if err != nil {
		return nil, err
	}
	defer compressed.Release()
	defer b.turn()()
	defer b.buffered.Add(-coding.memoryBytes)
	if b.buffered.Add(coding.memoryBytes) > b.maxBuffered {
		return nil, errBodiesFull
	}
	decoded, err := coding.open(bytes.NewReader(compressed.Bytes))
	if err != nil {
		return nil, err
	}
	defer decoded.close()
	return b.readAll(decoded, -1)
}

// turn waits until few others decompress, and returns what ends the turn. It bounds the memory of
// decoders, which is not the clients' to give back slowly: all is there already.
func (b *bodyReader) turn() (done func()) {
	b.startTurns.Do(func() { b.turns = make(chan struct{}, 2*runtime.GOMAXPROCS(0)) })
	b.turns <- struct{}{}
	return func() { <-b.turns }
}

// readAll reads src to its end; size is its length, or -1 when that is unknown.
func (b *bodyReader) readAll(src io.Reader, size int64) (*body, error) {
	most := b.maxBytes + 1 // one byte of room to meet the end of the body
	if size >= 0 {
		most = size + 1
	}
	out := &body{reader: b}
	if err := out.grow(min(smallestBuffer, most)); err != nil {
		return nil, err
	}
	for {
		if len(out.Bytes) == cap(out.Bytes) {
			if err := out.grow(max(min(bufferGrowth*int64(cap(out.Bytes)), most), int64(cap(out.Bytes))+1)); err != nil {
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

// capacity returns that of the buffers for n bytes: a power of two, but no more than the
// largest body needs.
func (b *bodyReader) capacity(n int64) int64 {
	return min(max(smallestBuffer, int64(1)<<bits.Len64(uint64(n-1))), b.maxBytes+1)
}

// pool returns the pool of the buffers of a capacity.
func (b *bodyReader) pool(capacity int64) *sync.Pool {
	return &b.buffers[max(0, bits.Len64(uint64(capacity-1))-smallestBufferBits)]
}

// buffer takes an empty buffer from its pool, or makes one.
func (b *bodyReader) buffer(capacity int64) []byte {
	if p, ok := b.pool(capacity).Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, capacity)
}

// grow makes room for a capacity of at least want bytes, or releases the body and
// fails when all bodies together would hold too much.
func (d *body) grow(want int64) error {
	capacity := d.reader.capacity(want)
	if err := d.hold(capacity); err != nil {
		return err
	}
	grown := append(d.reader.buffer(capacity), d.Bytes...)
	d.reuse()
	d.Bytes = grown
	return nil
}

// hold accounts for a buffer of size bytes in place of the one held so far.
func (d *body) hold(size int64) error {
	total := d.reader.buffered.Add(size - d.held)
	d.held = size
	limit := d.reader.maxBuffered
	if size > smallBody {
		limit -= limit / keptForSmall
	}
	if total > limit {
		d.Release()
		return errBodiesFull
	}
	return nil
}

// Release gives the buffer back. Bytes must not be used any more.
func (d *body) Release() {
	d.reader.buffered.Add(-d.held)
	d.held = 0
	d.reuse()
}

// reuse puts the buffer into its pool.
func (d *body) reuse() {
	if buf := d.Bytes; cap(buf) > 0 {
		d.reader.pool(int64(cap(buf))).Put(&buf)
	}
	d.Bytes = nil
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
