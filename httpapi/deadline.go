package httpapi

import (
	"errors"
	"os"
	"sync"
	"time"
)

// deadline is a deadline of a connection, for reading or for writing.
//
// Around each request some nine of them are set, most by net/http: for the headers, for the body, for
// the rest of it, for the next request, or none. Each would lock the connection and change a timer of
// the runtime, and nearly all are later than the one before. So a connection keeps the earliest;
// when that is reached before its time, the one that is wanted by then is set, and the reading or
// writing goes on. What callers see is the same.
type deadline struct {
	set func(time.Time) error // the connection's

	mu struct {
		sync.Mutex
		wanted time.Time // zero is none
		armed  time.Time // what the connection has; zero is none
	}
}

// want makes t the deadline.
func (d *deadline) want(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.wanted = t
	isNone, isArmed := t.IsZero(), !d.mu.armed.IsZero()
	if isNone || isArmed && !t.Before(d.mu.armed) {
		return nil // what is armed, if anything, is early
	}
	return d.armLocked()
}

// armLocked hands the deadline that is wanted to the connection. The caller holds mu.
func (d *deadline) armLocked() error {
	d.mu.armed = d.mu.wanted
	return d.set(d.mu.wanted)
}

// isEarly reports whether reading or writing failed only because the connection's deadline
// was earlier than the one that is wanted. It has that one now, and the caller goes on.
func (d *deadline) isEarly(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.mu.wanted.IsZero() && !time.Now().Before(d.mu.wanted) {
		return false
	}
	return d.armLocked() == nil
}
