package engine

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// admission lets requests under way hold memory up to a limit, in bytes: what was read
// of their bodies, until it is in the log and in the buffers. A request says at its
// beginning what it will probably need, and may wait for that, first come, first
// served, because reading takes moments. Of those that have begun to read and need more
// than there is, one waits, in front of all others, and the rest are refused: if all
// waited they would wait for each other, and if none did, all might be refused for
// ever. Methods may be called concurrently.
type admission struct {
	limit int64

	mu struct {
		sync.Mutex
		used    int64
		waiting list.List // of *waiter
		growing bool      // the first of them has begun to read
	}
}

// waiter wants room. Its channel is closed when it has got it.
type waiter struct {
	bytes int64
	ready chan struct{}
}

// admissionPatience is how long a request waits before it is refused. It is the time
// after which the client is told to come again.
const admissionPatience = time.Second

func newAdmission(pool int64) *admission {
	return &admission{limit: max(pool/100*requestsPercent, minRequestsBytes)}
}

// acquire takes n bytes, or all there are where n is more, and returns how many. ok is
// false when there was no room for admissionPatience, or ctx ended.
func (a *admission) acquire(ctx context.Context, n int64) (taken int64, ok bool) {
	n = min(n, a.limit)
	a.mu.Lock()
	if a.mu.waiting.Len() == 0 && a.mu.used+n <= a.limit {
		a.mu.used += n
		a.mu.Unlock()
		return n, true
	}
	w := &waiter{bytes: n, ready: make(chan struct{})}
	place := a.mu.waiting.PushBack(w)
	a.mu.Unlock()
	if !a.await(ctx, w, place) {
		return 0, false
	}
	return n, true
}

// await returns when w got its room, or gives its place up.
func (a *admission) await(ctx context.Context, w *waiter, place *list.Element) (ok bool) {
	patience := time.NewTimer(admissionPatience)
	defer patience.Stop()
	select {
	case <-w.ready:
		return true
	case <-ctx.Done():
	case <-patience.C:
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-w.ready: // in the last moment
		return true
	default:
	}
	a.mu.waiting.Remove(place)
	a.wakeLocked() // those behind it may want less
	return false
}

// grow takes n more bytes for a request that holds some. ok is false when they are not
// there and another one waits for that, or as for acquire.
func (a *admission) grow(ctx context.Context, n int64) (ok bool) {
	a.mu.Lock()
	switch {
	case a.mu.used+n <= a.limit:
		a.mu.used += n
		a.mu.Unlock()
		return true
	case a.mu.growing:
		a.mu.Unlock()
		return false
	}
	a.mu.growing = true
	w := &waiter{bytes: n, ready: make(chan struct{})}
	place := a.mu.waiting.PushFront(w)
	a.mu.Unlock()
	ok = a.await(ctx, w, place)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.growing = false
	return ok
}

// add takes n bytes, there or not, for a part of a request that was let in.
func (a *admission) add(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.used += n
}

// release gives n bytes back.
func (a *admission) release(n int64) {
	if n == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.used -= n
	a.wakeLocked()
}

// wakeLocked lets those in who wait, in their order, as far as there is room.
func (a *admission) wakeLocked() {
	for first := a.mu.waiting.Front(); first != nil; first = a.mu.waiting.Front() {
		w := first.Value.(*waiter)
		if a.mu.used+w.bytes > a.limit {
			return
		}
		a.mu.used += w.bytes
		a.mu.waiting.Remove(first)
		close(w.ready)
	}
}

func (a *admission) inUse() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.used
}
