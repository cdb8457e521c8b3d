package httpapi

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"
)

// writeQuota counts the write requests and the bytes of line protocol of each token in
// fixed windows, as InfluxDB Cloud does. The windows of all tokens begin together, at
// multiples of their length since 1970; a clock that is set begins another. A request that finds its token's quota used up is
// refused before its body is read; one that finds anything left is served, so that a
// token may pass its bytes by the requests it has under way.
type writeQuota struct {
	requests, bytes int64 // a window's; 0 is no bound
	window          time.Duration
	now             func() time.Time

	mu struct {
		sync.Mutex
		window int64 // number of the window that used belongs to
		// used has an entry for each token that wrote in the window: never more than
		// there are tokens. A server that asks for none has one, with an empty name.
		used map[string]usage
	}
}

// usage is what a token has used of its quota.
type usage struct{ requests, bytes int64 }

// isOn reports whether there is a bound.
func (q *writeQuota) isOn() bool { return q.requests > 0 || q.bytes > 0 }

// begin counts a request of a token, or returns a *quotaError.
func (q *writeQuota) begin(token string) error {
	if !q.isOn() {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.turnLocked()
	used := q.mu.used[token]
	switch {
	case q.requests > 0 && used.requests >= q.requests:
		return &quotaError{token, strconv.FormatInt(q.requests, 10) + " write requests", q.window, left}
	case q.bytes > 0 && used.bytes >= q.bytes:
		return &quotaError{token, strconv.FormatInt(q.bytes, 10) + " bytes of line protocol", q.window, left}
	}
	used.requests++
	q.mu.used[token] = used
	return nil
}

// add counts the bytes of a request that begin let through.
func (q *writeQuota) add(token string, bytes int) {
	if !q.isOn() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turnLocked()
	used := q.mu.used[token]
	used.bytes += int64(bytes)
	q.mu.used[token] = used
}

// turnLocked forgets the last window once another has begun, and returns how long the
// present one lasts. The caller holds mu.
func (q *writeQuota) turnLocked() time.Duration {
	at := q.now()
	now := at.Unix()*int64(time.Second) + int64(at.Nanosecond()) // begins anew in 2262, and goes on
	number, in := now/int64(q.window), now%int64(q.window)
	if in < 0 { // the clock is before 1970
		number, in = number-1, in+int64(q.window)
	}
	if number != q.mu.window || q.mu.used == nil {
		q.mu.window, q.mu.used = number, make(map[string]usage)
	}
	return q.window - time.Duration(in)
}

// quotaError says that a token has used up its quota.
type quotaError struct {
	token  string
	what   string // the quota
	window time.Duration
	left   time.Duration // until the window ends
}

func (e *quotaError) Error() string {
	who := fmt.Sprintf("token %q", e.token)
	if e.token == "" {
		who = "this server"
	}
	return fmt.Sprintf("%s is over its quota of %s in %s; retry in %d s", who, e.what, e.window, e.retryAfter())
}

// retryAfter is the time left in whole seconds, rounded up.
func (e *quotaError) retryAfter() int { return int(math.Ceil(e.left.Seconds())) }
