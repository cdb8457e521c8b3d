package httpapi

import (
	"net"
	"net/http"
	"sync"
)

// silentConns are the connections that have not sent a byte yet. http.Server.Shutdown
// takes them for busy and waits seconds for each, so that one client which only
// connected would hold up the stop; they are closed instead.
type silentConns struct {
	mu struct {
		sync.Mutex
		conns   map[net.Conn]struct{}
		stopped bool
	}
}

// track is an http.Server's ConnState.
func (s *silentConns) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
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
