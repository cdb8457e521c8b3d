package engine

import (
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/schema"
)

// clock says what time it is for deleting things and for refusing points as too old (E10).
//
// The machine's clock can be wrong: a board without a battery starts in 1970, a virtual
// machine wakes up next year, somebody mistypes a date. A purge by such a clock cannot be
// taken back. So time is believed only as far as it was seen to pass:
//
//   - What is known is a time that was right, and how much has passed since, by a clock
//     that nobody sets. Their sum is the expected time. It is in the catalog, so that it
//     outlives the process; how long the process was down is not known.
//   - A clock near the expected time is right. Near is clockTolerance; at the first look
//     after a start it is also up to longestDowntime ahead.
//   - A clock that is ahead of it is not believed: what counts is the expected time.
//   - A clock that is behind is believed at once, since nothing is deleted early by it. But
//     from then on being ahead is measured from there, unless the clock comes back to where
//     it was expected: it may have been put right before, and be wrong the next time.
//   - A clock that has stood for clockTrial where it is not believed is right after all, and
//     so is one that was put back. Until then somebody can put it right, and nothing is lost.
//
// A deletion takes effect late because of this, never early.
type clock struct {
	wall    func() time.Time
	elapsed func() time.Duration
	log     *slog.Logger

	// bound is a time up to which the clock is believed without another look: writers
	// need not wait for each other.
	bound atomic.Int64

	mu struct {
		sync.Mutex
		// seen is the expected time when at had elapsed, in nanoseconds.
		seen int64
		at   time.Duration
		// jump is where the clock has been since that had elapsed, from the expected time;
		// 0 while it is right.
		jump  int64
		since time.Duration
		// low is what being ahead is measured from while the clock is behind, as it was when
		// at had elapsed.
		low   int64
		isLow bool
		// isUnsure says that the process has not seen the clock right yet, and isNew that it
		// has not looked at it.
		isUnsure, isNew bool
		saved           time.Duration // when the catalog was told
		isChanged       bool          // and what it should be told at once
	}
}

const (
	// clockTolerance is by how far a clock may run wrong, or be set, without more ado.
	clockTolerance = time.Hour
	// longestDowntime is how much later than when it was last seen a clock may be at a
	// start. A server that was down for longer purges clockTrial late.
	longestDowntime = 7 * 24 * time.Hour
	// clockTrial is how long a clock must stand where it was not expected. It is the time
	// for which deleted data is kept by default: what was deleted by a clock that was wrong
	// is kept as long after it was put right.
	clockTrial = 72 * time.Hour
	// clockSaveInterval is how much of what has passed a crash may forget.
	clockSaveInterval = time.Hour
)

func newClock(o *Options, k catalog.Clock) *clock {
	c := &clock{wall: o.Now, elapsed: o.Elapsed, log: o.Logger}
	c.mu.seen, c.mu.at = k.Seen, c.elapsed()
	c.mu.jump, c.mu.since = k.Jump, c.mu.at-k.Held
	c.mu.isUnsure, c.mu.isNew = true, true
	c.mu.saved = c.mu.at
	c.look()
	return c
}

// now is the time of the machine's clock, whatever it says.
func (c *clock) now() int64 { return schema.Nanoseconds(c.wall()) }

// within returns the time by which a point is too old: a given time of the machine's clock
// as far as that can be believed.
func (c *clock) within(now int64) int64 {
	if now <= c.bound.Load() {
		return now
	}
	return min(now, c.look())
}

// look returns the time by which something may be deleted.
func (c *clock) look() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, at := c.now(), c.elapsed()
	c.passLocked(at)
	believed := c.judgeLocked(now)
	c.mu.isNew = false
	c.bound.Store(plus(believed, int64(clockTolerance)))
	return believed
}

// passLocked lets the time pass that has elapsed. mu is held.
func (c *clock) passLocked(at time.Duration) {
	passed := int64(at - c.mu.at)
	c.mu.seen, c.mu.low, c.mu.at = plus(c.mu.seen, passed), plus(c.mu.low, passed), at
}

// judgeLocked takes note of what the clock says and returns what is believed. mu is held.
func (c *clock) judgeLocked(now int64) int64 {
	gap := minus(now, c.mu.seen)
	if now == math.MaxInt64 || now == math.MinInt64 {
		gap = now // it stands at the end of what can be expressed, and further away is no jump
	}
	switch {
	case isNear(gap, clockTolerance):
		c.rightLocked(now)
		return now
	case c.isSameLocked(gap):
		if c.mu.isNew { // the downtime has passed too
			c.mu.jump = gap
		}
	case c.mu.isUnsure && isNear(gap, longestDowntime):
		c.rightLocked(now)
		return now
	default:
		c.jumpedLocked(now, gap)
	}
	if held := c.mu.at - c.mu.since; held >= clockTrial {
		c.log.Info("the clock is believed again: it has not jumped any more", "for", held, "clock", instant(now))
		c.mu.jump, c.mu.isChanged = 0, true
		c.rightLocked(now)
		return now
	}
	reference := c.mu.seen
	if c.mu.isLow {
		reference = c.mu.low
	}
	if minus(now, reference) <= int64(clockTolerance) {
		c.mu.low, c.mu.isLow = min(now, reference), true
		return now
	}
	return reference
}

// isNear reports whether a clock that is a gap ahead of what is expected is right.
func isNear(gap int64, ahead time.Duration) bool {
	return gap >= -int64(clockTolerance) && gap <= int64(ahead)
}

// isSameLocked reports whether a gap is the jump that is known. mu is held.
func (c *clock) isSameLocked(gap int64) bool {
	ahead := clockTolerance
	if c.mu.isNew {
		ahead = longestDowntime
	}
	return c.mu.jump != 0 && isNear(minus(gap, c.mu.jump), ahead)
}

// rightLocked notes that the clock is right. What is expected follows it once in a while
// only, so that a clock that is set a little again and again does not get far. mu is held.
func (c *clock) rightLocked(now int64) {
	if c.mu.jump != 0 {
		c.log.Info("the clock is where it was expected again", "clock", instant(now))
	}
	if c.mu.jump != 0 || c.mu.isUnsure || c.mu.at-c.mu.since >= clockTrial {
		c.mu.isChanged = c.mu.isChanged || c.mu.jump != 0
		c.mu.seen, c.mu.jump, c.mu.since = now, 0, c.mu.at
	}
	c.mu.isUnsure, c.mu.isLow = false, false
}

// jumpedLocked notes that the clock is where it was not expected. mu is held.
func (c *clock) jumpedLocked(now, gap int64) {
	c.mu.jump, c.mu.since, c.mu.isChanged = gap, c.mu.at, true
	way := "ahead"
	if gap < 0 {
		way = "back"
	}
	c.log.Warn("the clock went "+way+"; until it is put right, or has stood there for "+clockTrial.String()+
		", nothing is deleted because its time has come. Set the clock if it is wrong; else there is nothing to do",
		"by", time.Duration(gap).Abs().Round(time.Second), "clock", instant(now), "expected", instant(c.mu.seen))
}

// unsaved returns what the catalog should be told, if it is time for that.
func (c *clock) unsaved() (catalog.Clock, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := catalog.Clock{Seen: c.mu.seen, Jump: c.mu.jump}
	if k.Jump != 0 {
		k.Held = max(c.mu.at-c.mu.since, 0)
	}
	return k, c.mu.isChanged || c.mu.at-c.mu.saved >= clockSaveInterval
}

// wasSaved notes that the catalog was told.
func (c *clock) wasSaved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.saved, c.mu.isChanged = c.mu.at, false
}

// lookAtClock returns the time by which something may be deleted, and keeps what was seen.
// If that fails a restart knows less, and is the more careful.
func (e *Engine) lookAtClock() int64 {
	now := e.clock.look()
	if k, ok := e.clock.unsaved(); ok {
		if err := e.catalog.SetClock(k); err == nil {
			e.clock.wasSaved()
		}
	}
	return now
}

func instant(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }

// plus and minus stay within 64 bits: a clock may say anything.
func plus(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	if b < 0 && a < math.MinInt64-b {
		return math.MinInt64
	}
	return a + b
}

func minus(a, b int64) int64 {
	if b == math.MinInt64 {
		return plus(plus(a, math.MaxInt64), 1)
	}
	return plus(a, -b)
}

var processStart = time.Now()

// sinceStart is what has passed since the process started, sleep of the machine not counted.
func sinceStart() time.Duration { return time.Since(processStart) }
