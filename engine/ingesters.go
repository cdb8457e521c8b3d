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
	maxCached    int64 // bytes that one may remember
	isStored     func(firstKey) (bool, error)
	logsRejected bool

	mu struct {
		sync.Mutex
		idle []*ingester
	}
}

func newIngesters(opts *Options) *ingesters {
	return &ingesters{
		limits: opts.Limits, logsRejected: opts.RejectedRetention > 0,
		maxCached: min(maxCachedBytes, opts.PoolBytes/100*cachesPercent/int64(maxIdleIngesters())),
	}
}

// maxIdleIngesters is as many as can run at once, and as many that wait for the disk.
func maxIdleIngesters() int { return 2 * runtime.GOMAXPROCS(0) }

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
	if len(s.mu.idle) < maxIdleIngesters() {
		s.mu.idle = append(s.mu.idle, in)
	}
}
