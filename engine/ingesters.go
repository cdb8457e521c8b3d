package engine

import (
	"runtime"
	"sync"

	"github.com/siltstone-db/siltstone/catalog"
)

// ingesters is a stock of ingesters. It keeps as many as can run at once; what they
// remember is worth more the fewer there are, so that the one used last goes first.
type ingesters struct {
	limits       catalog.Limits
	isStored     func(firstKey) (bool, error)
	logsRejected bool

	mu struct {
		sync.Mutex
		idle []*ingester
	}
}

func (s *ingesters) get() *ingester {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.mu.idle)
	if n == 0 {
		return newIngester(s)
	}
	in := s.mu.idle[n-1]
	s.mu.idle = s.mu.idle[:n-1]
	return in
}

func (s *ingesters) put(in *ingester) {
	in.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.idle) < 2*runtime.GOMAXPROCS(0) {
		s.mu.idle = append(s.mu.idle, in)
	}
}
