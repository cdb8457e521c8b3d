package httpapi

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
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

	mu struct {
		sync.Mutex
		open     int
		requests int
		silent   list.List // of *limitedConn without any request so far, the oldest in front
		resting  list.List // of *limitedConn between two requests, likewise
		reading  list.List // of *limitedConn that wait for bodies, by when they began to
	}
}

// limitedConn is a connection that its connections know.
type limitedConn struct {
	net.Conn
	owner   *connections
	isSpare bool

	// Guarded by owner.mu.
	requests int
	bodies   int           // requests that wait for more of their bodies
	waiting  *list.List    // what it waits in, if there is nothing to do for it
	place    *list.Element // there
	isClosed bool
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
	for _, other := range []*list.List{&s.mu.resting, &s.mu.reading} {
		if other.Len() > kind.Len() {
			kind = other
		}
	}
	if kind.Len() <= s.max/8 {
		return false
	}
	victim := kind.Front().Value.(*limitedConn)
	s.metrics.evicted.Inc()
	victim.forgetLocked()
	_ = victim.Conn.Close()
	return true
}

// waitLocked puts c at the end of those without a request. The caller holds mu.
func (c *limitedConn) waitLocked(in *list.List) {
	c.waiting, c.place = in, in.PushBack(c)
}

// leaveLocked takes c from where it waits. The caller holds mu.
func (c *limitedConn) leaveLocked() {
	if c.place != nil {
		c.waiting.Remove(c.place)
		c.waiting, c.place = nil, nil
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

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.owner.mu.Lock()
	c.forgetLocked()
	c.owner.mu.Unlock()
	return c.Conn.Close()
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

// awaitBody notes that a request waits for its body, until over is called.
func awaitBody(r *http.Request) (over func()) {
	c, ok := r.Context().Value(connectionKey{}).(*limitedConn)
	if !ok { // of another listener
		return func() {}
	}
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	c.bodies++
	c.awaitLocked()
	return sync.OnceFunc(func() {
		c.owner.mu.Lock()
		defer c.owner.mu.Unlock()
		c.bodies--
		c.leaveLocked()
	})
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
	c, ok := r.Context().Value(connectionKey{}).(*limitedConn)
	if !ok { // of another listener
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
	answer(r)
}

// Limit returns a listener that accepts no more than MaxConnections of l's connections.
func (s *Server) Limit(l net.Listener) net.Listener {
	return &limitedListener{Listener: l, conns: &s.conns}
}
