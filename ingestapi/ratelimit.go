package ingestapi

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// endpoint is what a limit counts the requests of, datasource by datasource.
type endpoint uint8

const (
	endpointStream endpoint = iota
	endpointContacts
	endpointEvents
	endpointGetContact
	endpointDeleteContact
	endpointAttributeSpecs
	endpointEventSpecs
	endpointParameterSpecs
	endpointCount
)

// rateWindow is the length of a window. Windows begin with the minutes of the clock.
const rateWindow = time.Minute

// rateLimiter counts the requests to one datasource in fixed windows.
type rateLimiter struct {
	mu struct {
		sync.Mutex
		windows [endpointCount]window
	}
}

type window struct {
	start time.Time
	used  int
}

// allowance is what is left of a window.
type allowance struct {
	limit, remaining int
	reset            time.Time
}

// untouched is the allowance of whoever has not been counted.
func untouched(limit int, now time.Time) allowance {
	return allowance{limit, limit, now.Truncate(rateWindow).Add(rateWindow)}
}

// take counts a request; ok is false when the window's are used up, and then it is not
// counted. A clock that is set back begins another window.
func (l *rateLimiter) take(e endpoint, limit int, now time.Time) (a allowance, ok bool) {
	a = untouched(limit, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &l.mu.windows[e]
	if start := now.Truncate(rateWindow); !start.Equal(w.start) {
		*w = window{start: start}
	}
	if w.used < limit {
		w.used++
		ok = true
	}
	a.remaining = limit - w.used
	return a, ok
}

// The headers of every answer (I5).
const (
	limitHeader     = "X-Ratelimit-Limit"
	remainingHeader = "X-Ratelimit-Remaining"
	resetHeader     = "X-Ratelimit-Reset" // Unix seconds
)

// show puts the allowance into an answer's headers.
func (a allowance) show(h http.Header) {
	h.Set(limitHeader, strconv.Itoa(a.limit))
	h.Set(remainingHeader, strconv.Itoa(a.remaining))
	h.Set(resetHeader, strconv.FormatInt(a.reset.Unix(), 10))
}
