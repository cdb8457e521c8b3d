package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Repeated requests
//
// A client that writes single lines sends the same head again and again, and of its work net/http's
// part is a third: reading the head, watching the connection, putting the answer together. So a connection
// remembers, byte by byte, the head of a small write that succeeded, with the request that
// net/http made of it. While net/http waits for the next request, in Read, those that begin with
// the same bytes are answered right there; whatever else comes is handed over to net/http as
// it is, which never learns that there was something between.
//
// Nothing is parsed here but the digits of Content-Length: the same bytes mean the same
// request, and one that is not known, not complete, or has something behind it is net/http's. What
// answers is the server's handler: token, quota, limits, metrics and headers are those of any request.
//
// That the bytes are a request's first must be certain, or a client could have its text taken for
// another's head by a proxy that shares a connection. It is where the connection begins, and where net/http
// is between two requests and was given no byte more than the requests before have.

const (
	// bufferBytes is what net/http reads at once into a buffer that is empty.
	bufferBytes = 4 << 10
	// maxKnownHead is the longest head that is remembered.
	maxKnownHead = 2 << 10
	// maxLengthDigits is that of the lengths of bodies that fit net/http's buffer.
	maxLengthDigits = 4
	// maxLearnt is how many heads in a row are remembered for nothing, before it is given up.
	maxLearnt = 16
)

// repeats is what a connection knows of its requests. It is used by whoever reads from the connection, and
// of HTTP/1 that is its only goroutine.
type repeats struct {
	isDue atomic.Bool // the next bytes are a request's first; of no use to HTTP/2, where many set it
	// given is how many bytes net/http has been given since a request was due, and length how many
	// the request has that it has read; 0 is unknown.
	given  atomic.Int64
	length int64

	head    []byte // of the request that net/http reads, if it is known as it came
	gathers bool   // it is not complete
	mayBe   bool   // the request's kind may be answered here
	known   *knownRequest
	learnt  int // heads since one was repeated
}

// knownRequest is a request that was answered, and its head around the length of its body.
type knownRequest struct {
	before, behind []byte
	request        *http.Request
}

// mayRepeat says of a request that others with its head may be answered without net/http. Its
// handler must need nothing of a ResponseWriter but headers, a status and a short body.
func mayRepeat(r *http.Request) {
	if c := connectionOf(r); c != nil && r.ProtoMajor == 1 {
		c.repeats.mayBe = true
	}
}

// isRequestDue reports whether a read of so many bytes begins with a request.
func (p *repeats) isRequestDue(size int) bool {
	if !p.isDue.Load() {
		return false
	}
	if size > bufferBytes {
		p.learnt = maxLearnt // the buffer is another than is known here
	}
	return size == bufferBytes && p.learnt < maxLearnt
}

// take keeps the head of a request of what net/http reads of it.
func (p *repeats) take(text []byte) {
	if p.isDue.Swap(false) {
		p.length, p.head, p.gathers = 0, p.head[:0], true
		p.given.Store(0)
	}
	p.given.Add(int64(len(text)))
	if !p.gathers {
		return
	}
	p.head = append(p.head, text[:min(len(text), maxKnownHead-len(p.head))]...)
	end := bytes.Index(p.head, []byte("\r\n\r\n"))
	if end >= 0 {
		p.gathers, p.head = false, p.head[:end+4]
	}
	isLong := end < 0 && len(p.head) == maxKnownHead
	if isLong || bytes.Count(p.head, []byte("\n")) != bytes.Count(p.head, []byte("\r\n")) { // to net/http it may end elsewhere
		p.gathers, p.head = false, p.head[:0]
	}
}

// rest says that net/http is between two requests.
func (p *repeats) rest() { p.isDue.Store(p.length > 0 && p.given.Load() == p.length) }

// begin returns the head of the request that net/http has read, nil if that is not known. It
// belongs to one request only, of several that came at once.
func (p *repeats) begin() (head []byte) {
	if p.gathers { // net/http has seen its end elsewhere
		p.gathers, p.head = false, nil
	}
	head, p.head, p.mayBe = p.head, nil, false
	return head
}

// end remembers a request with its head, if others like it may be answered here.
func (p *repeats) end(head []byte, r *http.Request) {
	if len(head) == 0 || r.ContentLength < 0 {
		return
	}
	p.length = int64(len(head)) + r.ContentLength
	if !p.mayBe || !isPlainRequest(r) {
		return
	}
	before, behind, ok := cutLength(head, r.ContentLength)
	if !ok || p.length > bufferBytes {
		return
	}
	// The context ends with the request; as during other small writes, nobody looks whether the
	// client hangs up.
	request := r.WithContext(context.WithoutCancel(r.Context()))
	request.Header = r.Header.Clone()
	request.Body = nil
	p.known = &knownRequest{before: before, behind: behind, request: request}
	p.learnt++
}

// isPlainRequest reports whether nothing in a request changes how its connection is used.
func isPlainRequest(r *http.Request) bool {
	connection := r.Header["Connection"]
	return r.Method == http.MethodPost && r.ProtoMajor == 1 && r.ProtoMinor == 1 && r.TLS == nil &&
		!r.Close && len(r.TransferEncoding) == 0 && len(r.Trailer) == 0 && r.Header["Expect"] == nil && r.Header["Upgrade"] == nil &&
		(len(connection) == 0 || len(connection) == 1 && strings.EqualFold(connection[0], "keep-alive"))
}

// cutLength finds the only Content-Length of a head, and returns what is around its digits.
func cutLength(head []byte, length int64) (before, behind []byte, ok bool) {
	const name = "\r\ncontent-length:"
	lower := bytes.ToLower(head)
	at := bytes.Index(lower, []byte(name))
	if at < 0 || len(lower) != len(head) || bytes.LastIndex(lower, []byte(name)) != at {
		return nil, nil, false
	}
	at += len(name)
	for head[at] == ' ' { // the head ends with \r\n\r\n
		at++
	}
	digits := strconv.FormatInt(length, 10)
	if length <= 0 || len(digits) > maxLengthDigits || !bytes.HasPrefix(head[at:], []byte(digits+"\r\n")) {
		return nil, nil, false
	}
	return head[:at:at], head[at+len(digits):], true
}

// match says what a text that begins with a request is.
type match uint8

const (
	isOther match = iota // for net/http
	isPart               // all as known so far
	isKnown              // the known head, and its body
)

// match compares a text with the head; body is that of a known one. A request that does not fit
// in room bytes is another.
func (k *knownRequest) match(text []byte, room int) (body []byte, m match) {
	rest, m := cutPrefix(text, k.before)
	if m != isKnown {
		return nil, m
	}
	size, digits := 0, 0
	for digits < len(rest) && digits < maxLengthDigits && rest[digits]-'0' <= 9 {
		size = 10*size + int(rest[digits]-'0')
		digits++
	}
	switch {
	case len(rest) == digits && digits < maxLengthDigits:
		return nil, isPart
	case size == 0, rest[0] == '0', len(k.before)+digits+len(k.behind)+size > room:
		return nil, isOther
	}
	body, m = cutPrefix(rest[digits:], k.behind)
	switch {
	case m != isKnown:
		return nil, m
	case len(body) < size:
		return nil, isPart
	case len(body) > size:
		return nil, isOther
	}
	return body, isKnown
}

// cutPrefix compares the beginning of a text with what it should be, and returns what is behind.
func cutPrefix(text, prefix []byte) (rest []byte, m match) {
	n := min(len(text), len(prefix))
	switch {
	case !bytes.Equal(text[:n], prefix[:n]):
		return nil, isOther
	case n < len(prefix):
		return nil, isPart
	}
	return text[n:], isKnown
}

// readRequest is Read where a request begins. It answers those that repeat the known one, and returns
// the first that does not.
func (c *limitedConn) readRequest(p []byte) (n int, err error) {
	for {
		body, n, err := c.readKnown(p)
		if body == nil {
			c.repeats.take(p[:n])
			return n, err
		}
		if err := c.answerKnown(body); err != nil {
			return 0, err
		}
		c.repeats.learnt = 0
		_ = c.SetReadDeadline(time.Now().Add(idleTimeout))
	}
}

// readKnown reads what comes. body is nil unless that is the known request.
func (c *limitedConn) readKnown(p []byte) (body []byte, n int, err error) {
	for {
		more, err := c.read(p[n:])
		n += more
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, n, nil // net/http knows how long to wait for the rest
		}
		if err != nil || c.repeats.known == nil {
			return nil, n, err
		}
		body, m := c.repeats.known.match(p[:n], len(p))
		if m != isPart || n == len(p) {
			return body, n, nil
		}
		_ = c.SetReadDeadline(time.Now().Add(unreadBodyGrace))
	}
}

// answerKnown answers the known request with another body. The error ends the connection.
func (c *limitedConn) answerKnown(body []byte) error {
	// To net/http the connection is idle, and is closed when the server is shut down.
	c.owner.metrics.repeated.Inc()
	c.owner.answers.RLock()
	defer c.owner.answers.RUnlock()
	c.isAnswering.Store(true)
	defer func() {
		c.isAnswering.Store(false)
		if c.isToClose.Load() {
			_ = c.Conn.Close()
		}
	}()
	w := plainWriters.Get().(*plainWriter)
	w.begin(c, c.repeats.known.request, body)
	c.owner.handler.ServeHTTP(w, &w.request)
	err := w.send()
	w.end()
	plainWriters.Put(w)
	return err
}

// Close implements net.Conn. An answer that net/http does not know of goes out first.
func (c *limitedConn) Close() error {
	c.owner.mu.Lock()
	c.forgetLocked()
	c.owner.mu.Unlock()
	c.isToClose.Store(true)
	if c.isAnswering.Load() {
		return nil // whoever answers closes it
	}
	return c.Conn.Close()
}

// AwaitAnswers waits until the requests have their answers that http.Server.Shutdown did not wait for.
// The error is that of ctx.
func (s *Server) AwaitAnswers(ctx context.Context) error {
	all := make(chan struct{})
	go func() {
		defer close(all)
		s.conns.answers.Lock()
		defer s.conns.answers.Unlock()
	}()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
