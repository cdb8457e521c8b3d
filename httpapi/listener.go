package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A connection costs a descriptor and memory whether it says something or not, so that there is
// a bound on them, and on the requests at once, of which an HTTP/2 connection can have many.
//
// A bound alone would let anybody who opens that many keep all others out. So the newest
// always comes in, and another goes that the server does nothing for at the moment: it has made no
// request yet, rests between two, or all its requests still wait for their bodies. Whoever
// floods the server makes one of these three kinds large, so the one that goes is the oldest of
// the largest kind; honest clients of the other kinds stay, and those of the same kind have the
// time in which the kind is renewed. (Time-outs instead, a second for the first request, let a flood
// of the young ones drive out all that rested.) A connection with a request that the server
// works on is never closed for another; where all have one, the newest is told so with 503.

// spareConnections may come in beyond the bound, to be told that it is reached. More are closed
// without a word.
const spareConnections = 64

// errBusy: the connections, or the requests of all HTTP/2 connections, are at their bound.
var errBusy = errors.New("the server answers as many requests as it may at once; retry soon")

// connections are those of a limitedListener.
type connections struct {
	max     int
	metrics *metrics
	handler http.Handler // of repeated requests
	answers sync.RWMutex // held for reading by whoever answers one

	mu struct {
		sync.Mutex
		open     int
		requests int
		silent   connQueue // without any request so far, the oldest in front
		resting  connQueue // between two requests, likewise
		reading  connQueue // that wait for bodies, by when they began to
	}
}

// limitedConn is a connection that its connections know.
type limitedConn struct {
	net.Conn
	owner   *connections
	isSpare bool

	reads, writes deadline
	looksAway     atomic.Bool // see lookAway

	repeats     repeats
	isAnswering atomic.Bool // a request that net/http does not see
	isToClose   atomic.Bool

	// Guarded by owner.mu.
	requests   int
	bodies     int          // requests that wait for more of their bodies
	waiting    *connQueue   // what it waits in, if there is nothing to do for it
	prev, next *limitedConn // there
	isClosed   bool
}

// Read implements net.Conn.
func (c *limitedConn) Read(p []byte) (int, error) {
	if len(p) == 1 { // a look-out, beside the handler
		if c.looksAway.CompareAndSwap(true, false) {
			return 0, nil
		}
		n, err := c.read(p)
		c.repeats.given.Add(int64(n))
		return n, err
	}
	if c.repeats.isRequestDue(len(p)) {
		return c.readRequest(p)
	}
	n, err := c.read(p)
	c.repeats.take(p[:n])
	return n, err
}

// read is Read of the connection itself, until the deadline that is wanted.
func (c *limitedConn) read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 || err == nil || !c.reads.isEarly(err) {
			return n, err
		}
	}
}

// Write implements net.Conn.
func (c *limitedConn) Write(p []byte) (n int, err error) {
	for {
		m, err := c.Conn.Write(p[n:])
		n += m
		if err == nil || !c.writes.isEarly(err) {
			return n, err
		}
	}
}

// SetReadDeadline implements net.Conn.
func (c *limitedConn) SetReadDeadline(t time.Time) error { return c.reads.want(t) }

// SetWriteDeadline implements net.Conn.
func (c *limitedConn) SetWriteDeadline(t time.Time) error { return c.writes.want(t) }

// SetDeadline implements net.Conn.
func (c *limitedConn) SetDeadline(t time.Time) error {
	return errors.Join(c.reads.want(t), c.writes.want(t))
}

// maxUnwatched is the largest body during whose storing nobody looks whether the client is there.
const maxUnwatched = 64 << 10

// lookAway says of a request that it is answered in a moment and whether its client waits for
// that or not. While a handler works, and once the body is there, net/http reads a byte of the
// connection in a goroutine of its own, to notice when a client hangs up. Starting, parking
// and waking that costs a tenth of a small write, and interrupts what stores it. So the byte is not
// waited for, and net/http's look-out ends at once, even if the request is answered before it begins.
//
// Over TLS and HTTP/2, where what is read of the connection is no request's, nothing changes.
func lookAway(r *http.Request) {
	if r.ProtoMajor != 1 || r.ContentLength <= 0 || r.ContentLength > maxUnwatched {
		return
	}
	if c := connectionOf(r); c != nil {
		c.looksAway.Store(true)
	}
}

// connectionOf returns the connection of a request; nil for one of another listener.
func connectionOf(r *http.Request) *limitedConn {
	c, _ := r.Context().Value(connectionKey{}).(*limitedConn)
	return c
}

// connQueue is a list of connections, the oldest in front. A connection is in one at most.
type connQueue struct {
	front, back *limitedConn
	length      int
}

func (q *connQueue) push(c *limitedConn) {
	c.prev, c.next = q.back, nil
	if q.back == nil {
		q.front = c
	} else {
		q.back.next = c
	}
	q.back = c
	q.length++
}

func (q *connQueue) remove(c *limitedConn) {
	if c.prev == nil {
		q.front = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		q.back = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	q.length--
}

// limitedListener accepts what its connections admit.
type limitedListener struct {
	net.Listener
	conns *connections
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.conns.admit(c); admitted != nil {
			return admitted, nil
		}
		_ = c.Close()
	}
}

// admit finds a place for a new connection, or returns nil.
func (s *connections) admit(c net.Conn) *limitedConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := &limitedConn{Conn: c, owner: s}
	made.repeats.isDue.Store(true)
	made.reads.set, made.writes.set = c.SetReadDeadline, c.SetWriteDeadline
	if s.mu.open >= s.max && !s.evictLocked() && s.mu.open >= s.max+spareConnections {
		s.metrics.refused.Inc()
		return nil
	}
	made.isSpare = s.mu.open >= s.max
	s.mu.open++
	s.metrics.connections.Inc()
	made.waitLocked(&s.mu.silent)
	return made
}

// evictLocked closes the connection that needs its place least; false if all are in use, save
// few that may have only just come. The caller holds mu.
func (s *connections) evictLocked() bool {
	kind := &s.mu.silent
	for _, other := range []*connQueue{&s.mu.resting, &s.mu.reading} {
		if other.length > kind.length {
			kind = other
		}
	}
	if kind.length <= s.max/8 {
		return false
	}
	victim := kind.front
	s.metrics.evicted.Inc()
	victim.forgetLocked()
	_ = victim.Conn.Close()
	return true
}

// waitLocked puts c at the end of those without a request. The caller holds mu.
func (c *limitedConn) waitLocked(in *connQueue) {
	c.leaveLocked()
	c.waiting = in
	in.push(c)
}

// leaveLocked takes c from where it waits. The caller holds mu.
func (c *limitedConn) leaveLocked() {
	if c.waiting != nil {
		c.waiting.remove(c)
		c.waiting = nil
	}
}

// forgetLocked counts c as closed. The caller holds mu.
func (c *limitedConn) forgetLocked() {
	if c.isClosed {
		return
	}
	c.isClosed = true
	c.leaveLocked()
	c.owner.mu.open--
	c.owner.mu.requests -= c.requests // nobody takes their answers
	c.owner.metrics.connections.Dec()
}

// CloseWrite lets net/http end an answer before it closes the connection.
func (c *limitedConn) CloseWrite() error {
	if tcp, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return tcp.CloseWrite()
	}
	return errors.ErrUnsupported
}

// begin counts a request on c. Every begin, refused or not, has an end.
func (s *connections) begin(c *limitedConn) error {
	c.looksAway.Store(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.requests++
	if c.isClosed {
		return nil
	}
	s.mu.requests++
	c.leaveLocked()
	if c.isSpare || s.mu.requests > s.max {
		s.metrics.refused.Inc()
		return errBusy
	}
	return nil
}

// end is for a request that was answered.
func (s *connections) end(c *limitedConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.requests--
	if c.isClosed {
		return
	}
	s.mu.requests--
	if c.requests > 0 {
		c.awaitLocked()
		return
	}
	c.waitLocked(&s.mu.resting)
}

// awaitLocked lets c wait for bodies if that is all there is to do for it. The caller holds mu.
func (c *limitedConn) awaitLocked() {
	if c.bodies == c.requests && !c.isClosed {
		c.waitLocked(&c.owner.mu.reading)
	}
}

// bodyWait is the time in which a request waits for its body.
type bodyWait struct {
	conn   *limitedConn // nil for one of another listener
	isOver bool         // guarded by conn.owner.mu
}

// awaitBody notes that a request waits for its body, until the end of the wait.
func awaitBody(r *http.Request) bodyWait {
	c := connectionOf(r)
	if c == nil {
		return bodyWait{}
	}
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	c.bodies++
	c.awaitLocked()
	return bodyWait{conn: c}
}

// end may be called more than once.
func (b *bodyWait) end() {
	if b.conn == nil {
		return
	}
	b.conn.owner.mu.Lock()
	defer b.conn.owner.mu.Unlock()
	if b.isOver {
		return
	}
	b.isOver = true
	b.conn.bodies--
	b.conn.leaveLocked()
}

// connectionKey finds a request's connection in its context.
type connectionKey struct{}

// nameConnection is an http.Server's ConnContext.
func nameConnection(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = secure.NetConn()
	}
	if limited, ok := c.(*limitedConn); ok {
		return context.WithValue(ctx, connectionKey{}, limited)
	}
	return ctx
}

// refusalKey finds why a request is refused, if it is.
type refusalKey struct{}

// refusedFor returns why a request cannot be answered now; nil if it can.
func refusedFor(r *http.Request) error {
	err, _ := r.Context().Value(refusalKey{}).(error)
	return err
}

// counted runs answer with the request's place among all requests. One for which there is none
// is refused by admit, in the words of its route.
func (s *connections) counted(w http.ResponseWriter, r *http.Request, answer func(*http.Request)) {
	c := connectionOf(r)
	if c == nil {
		answer(r)
		return
	}
	err := s.begin(c)
	defer s.end(c)
	if err != nil {
		if c.isSpare {
			w.Header().Set("Connection", "close")
		}
		r = r.WithContext(context.WithValue(r.Context(), refusalKey{}, err))
	}
	if r.ProtoMajor > 1 { // others of the connection are under way
		answer(r)
		return
	}
	head := c.repeats.begin()
	answer(r)
	c.repeats.end(head, r)
}

// Limit returns a listener that accepts no more than MaxConnections of l's connections.
func (s *Server) Limit(l net.Listener) net.Listener {
	return &limitedListener{Listener: l, conns: &s.conns}
}
