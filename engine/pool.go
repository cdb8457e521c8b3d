package engine

import (
	"context"
	"sync/atomic"
)

// The shares of the memory pool. Buffers hold what is not in files yet and are the
// largest; queries need room for joins and sorts and can spill; persisting works a row
// group at a time.
const (
	buffersPercent = 50
	persistPercent = 15
	queriesPercent = 35

	// requestsPercent of the pool is what requests under way may hold besides it, from
	// reading their bodies to having them in the buffers. minRequestsBytes lets a body of
	// 10 MiB through where the pool is small.
	requestsPercent  = 50
	minRequestsBytes = 32 << 20

	// cachesPercent of the pool is what idle ingesters may remember together besides it.
	cachesPercent = 10

	// pressurePercent of the buffers' share starts a flush ahead of the timer, so
	// that writes go on into the rest while it runs.
	pressurePercent = 50
)

// share is one part of the memory pool, counted in bytes. Methods may be called
// concurrently.
type share struct {
	limit int64
	used  atomic.Int64
}

func newShare(pool int64, percent int64) *share { return &share{limit: pool / 100 * percent} }

// reserve takes n bytes if they are there.
func (s *share) reserve(n int64) bool {
	if s.used.Add(n) > s.limit {
		s.used.Add(-n)
		return false
	}
	return true
}

// await takes n bytes as soon as they are there.
func (s *share) await(ctx context.Context, n int64) error {
	for !s.reserve(n) {
		if err := sleep(ctx, compactPause); err != nil {
			return err
		}
	}
	return nil
}

// add takes n bytes, there or not: for memory that is already held.
func (s *share) add(n int64) { s.used.Add(n) }

func (s *share) release(n int64) { s.used.Add(-n) }

// isUnderPressure reports whether it is time to make room.
func (s *share) isUnderPressure() bool { return s.used.Load() > s.limit/100*pressurePercent }
