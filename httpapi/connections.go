package httpapi

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// silentConns are the connections that have not sent a byte yet. http.Server.Shutdown
// takes them for busy and waits seconds for each, so that one client which only
// connected would hold up the stop; they are closed instead.
type silentConns struct {
	count atomic.Int64 // of mu.conns: without any, most changes of state need no lock
	mu    struct {
		sync.Mutex
		conns   map[net.Conn]struct{}
		stopped bool
	}
}

// track is told of each change of a connection's state.
func (s *silentConns) track(c net.Conn, state http.ConnState) {
	if state != http.StateNew && s.count.Load() == 0 {
		return // a connection's states come one after the other
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.count.Store(int64(len(s.mu.conns))) }()
	switch {
	case state != http.StateNew:
		delete(s.mu.conns, c)
	case s.mu.stopped:
		_ = c.Close()
	default:
		if s.mu.conns == nil {
			s.mu.conns = make(map[net.Conn]struct{})
		}
		s.mu.conns[c] = struct{}{}
	}
}

// stop closes the silent connections, and each that comes later.
func (s *silentConns) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.stopped = true
	for c := range s.mu.conns {
		_ = c.Close()
	}
}
