package wal

import (
	"errors"
	"fmt"
	"sync"

	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
)

const (
	// maxGroupRecords and maxGroupBytes bound a group, and with it how long a record
	// waits for its companions. One record may be larger.
	maxGroupRecords = 1024
	maxGroupBytes   = 4 << 20
)

// How a record is committed
//
// The simple way is to take a lock, write, sync, call the callback and release. It
// costs one sync for each record, and the disk idles during callbacks. Instead:
//
//  1. Commit puts its record at the end of the queue, which gives it its number.
//     Whoever finds that nobody leads becomes the leader; everybody else waits for a
//     signal.
//  2. The leader takes the queue, up to the bounds of a group, and writes and syncs
//     the records at once. The next group gathers while the disk works:
//     the slower the disk, the larger the groups. There is no timer, and a lone writer
//     meets nobody, wakes nobody and waits only for the disk.
//  3. The leader makes the first committer in the queue the next leader, so that
//     the disk is busy again, and only then runs the callbacks of its own group.
//  4. Groups pass a turnstile on the way to their callbacks. They enter it in step 3
//     under the same lock as the handover, hence in the order of their records, and
//     go through one at a time. Each committer is released when its callback has run.
//
// So two groups at most are on their way to the disk, one written and one gathering,
// and any number of durable ones may wait at the turnstile: each holds its committers
// back, and so the callers are the bound of every queue here. They block; nothing is dropped.
//
// The records of CommitAsync are detached: nobody waits for them. They take the same
// steps in the same order, only that a goroutine leads where their caller would have,
// and that done is called where their caller would have been released. Their bound is
// Options.MaxQueuedBytes, from the queue to the callback; a call that finds it reached
// waits as Commit does.
//
// Leadership is a token: it is passed on through mu or a channel, and owns active,
// next and sealed without a lock. The turn at the turnstile is another: it owns broken.
//
// When a write or a sync fails, nobody knows what the file holds. The kernel may have
// dropped the pages and call the next sync a success. The leader therefore fails its
// group and the queue, nobody leads again, and commits fail before they are queued.
// Groups at the turnstile are durable and go on. Where the reason is that the disk is
// full, Rearm takes the leadership that nobody has, and goes on in another file.
//
// Refused: a goroutine that writes for all (two switches of context for a lone
// writer, which then waits longer than for the disk); leaving the callbacks to each
// committer (they must run in order, so all would queue at a lock); applying before
// handing over (larger groups, but the disk waits for the slowest callback); a file opened
// with O_DSYNC, or pwritev2 with RWF_DSYNC, in place of write and fdatasync (one system call less of
// 150 µs that a sync of 288 bytes takes, of which nothing could be measured, and the file system
// seam has neither); a leader that yields before it takes its group, so that those who are ready
// to run join it (29 records a sync in place of 26 with 64 clients, but beside large requests
// the scheduler may come back to it only after dozens of others).

// commit is one record on its way. It is reused.
type commit struct {
	payload    []byte
	payloadCRC uint32
	apply      func(schema.Seq)
	seq        schema.Seq
	err        error

	detached bool // nobody waits: payload is a copy, and done is called at the end
	done     func(error)

	next     *commit     // in the queue, then in the group
	nextTurn *commit     // the leader of the group behind at the turnstile
	signal   chan signal // holds one
}

// signal is what a waiting committer is woken for.
type signal uint8

const (
	finished signal = iota // seq or err is set
	lead                   // it leads the next group
	turn                   // it led a group, whose callbacks may run now
)

var commits = sync.Pool{New: func() any { return &commit{signal: make(chan signal, 1)} }}

// Commit appends a record and returns its position once it is durable and apply has
// run. apply may be nil. It must not panic, nor call Commit or Close; other records
// wait for it. After an error apply does not run, and unless the error is ErrClosed
// or ErrPayloadTooLarge the record may or may not be found by the next Open.
func (l *Log) Commit(payload []byte, apply func(schema.Seq)) (schema.Seq, error) {
	c, err := newCommit(payload, apply)
	if err != nil {
		return 0, err
	}
	leads, err := l.enqueue(c)
	if err != nil {
		c.recycle()
		return 0, err
	}
	return l.await(c, leads)
}

func newCommit(payload []byte, apply func(schema.Seq)) (*commit, error) {
	if len(payload) > MaxPayloadBytes {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrPayloadTooLarge, len(payload), MaxPayloadBytes)
	}
	c := commits.Get().(*commit)
	c.payload, c.payloadCRC, c.apply = payload, payloadChecksum(payload), apply
	return c, nil
}

// size is what the record takes in the file.
func (c *commit) size() int64 { return recordHeaderSize + int64(padded(len(c.payload))) }

// await sees a queued record through on behalf of its committer.
func (l *Log) await(c *commit, leads bool) (schema.Seq, error) {
	defer l.inflight.Done()
	if leads || <-c.signal == lead {
		l.lead(c)
	}
	seq, err := c.seq, c.err
	c.recycle()
	return seq, err
}

func (c *commit) recycle() {
	*c = commit{signal: c.signal}
	commits.Put(c)
}

// enqueue numbers the record and reports whether its committer leads; if not, a
// signal will come, or a goroutine will see to a detached record.
func (l *Log) enqueue(c *commit) (leads bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mu.closed:
		return false, ErrClosed
	case l.mu.err != nil:
		return false, l.mu.err
	}
	l.inflight.Add(1)
	l.mu.lastSeq++
	c.seq = l.mu.lastSeq
	if c.detached {
		l.lastDetached.Store(uint64(c.seq))
	}
	if l.mu.queueTail == nil {
		l.mu.queue = c
	} else {
		l.mu.queueTail.next = c
	}
	l.mu.queueTail = c
	leads = !l.mu.leading
	l.mu.leading = true
	return leads, nil
}

// lead takes a group, of which c is the first, through all its steps.
func (l *Log) lead(c *commit) {
	g := l.takeGroup()
	mustWait, err := l.handOver(g, l.writeGroup(g))
	if err != nil {
		l.fail(g.first, c, err)
		return
	}
	if mustWait {
		<-c.signal
	}
	l.applyGroup(g)
}

// group is a run of records that share a write and a sync.
type group struct {
	first   *commit // the leader; linked by next
	last    *commit
	records int
	bytes   int64
}

// takeGroup takes a prefix of the queue.
func (l *Log) takeGroup() group {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := group{first: l.mu.queue}
	for c := l.mu.queue; c != nil; c = c.next {
		size := c.size()
		if g.records == maxGroupRecords || g.records > 0 && g.bytes+size > maxGroupBytes {
			break
		}
		g.records++
		g.bytes += size
		g.last = c
	}
	l.mu.queue, g.last.next = g.last.next, nil
	if l.mu.queue == nil {
		l.mu.queueTail = nil
	}
	return g
}

// writeGroup makes the group durable.
func (l *Log) writeGroup(g group) error {
	if l.active.records > 0 && l.active.next+g.bytes > l.opts.SegmentBytes {
		if err := l.switchSegment(g.first.seq); err != nil {
			return err
		}
	}
	s := l.active
	s.begin()
	for c := g.first; c != nil; c = c.next {
		s.add(kindData, c.seq, c.payload, c.payloadCRC)
	}
	written, err := s.write(l.opts.PreallocBytes)
	if err != nil {
		return err
	}
	took, err := s.sync()
	if err != nil {
		return err
	}
	if l.next == nil && s.next > l.opts.SegmentBytes/2 {
		l.prepareNext()
	}
	l.opts.Metrics.record(took, g.records, int64(written))
	return nil
}

// handOver ends the leadership over a group that was written with the given result.
// On success the group has a place at the turnstile, where it may have to wait. On
// failure the queue has become a part of it.
func (l *Log) handOver(g group, result error) (mustWait bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if result != nil {
		l.refuseLocked(result)
	}
	if l.mu.err != nil {
		g.last.next = l.mu.queue
		l.mu.queue, l.mu.queueTail, l.mu.leading = nil, nil, false
		return false, l.mu.err
	}
	l.mu.durableSeq = g.last.seq
	l.mu.activeBytes = l.active.next
	if l.sealed != nil { // the new segment is durable: the old one may be trimmed
		l.mu.sealed = append(l.mu.sealed, *l.sealed)
		l.mu.activeFirst = l.sealed.lastSeq + 1
		l.sealed = nil
	}
	mustWait = l.enterTurnstileLocked(g.first)
	l.mu.leading = l.mu.queue != nil
	if l.mu.leading {
		l.appoint(l.mu.queue)
	}
	return mustWait, nil
}

// appoint makes the first committer in the queue the leader.
func (l *Log) appoint(c *commit) {
	if c.detached {
		go l.leadDetached(c)
		return
	}
	c.signal <- lead
}

// refuseLocked refuses all further commits: until Rearm when the cause is lack of space,
// else for good. The caller holds mu.
func (l *Log) refuseLocked(cause error) {
	switch {
	case l.mu.err == nil && durable.IsNoSpace(cause):
		l.mu.err = fmt.Errorf("%w: %w", ErrNoSpace, cause)
	case l.mu.err == nil, errors.Is(l.mu.err, ErrNoSpace) && !durable.IsNoSpace(cause):
		l.mu.err = fmt.Errorf("%w: %w", ErrPoisoned, cause)
	}
	l.wakeBarriersLocked()
}

// fail ends commits without success. The leader among them is not waiting.
func (l *Log) fail(first, leader *commit, err error) {
	for c := first; c != nil; {
		next := c.next // c is another's again once it is finished
		c.seq, c.err = 0, err
		if c != leader {
			l.finish(c)
		}
		c = next
	}
}

// finish ends a commit, which is another's again afterwards.
func (l *Log) finish(c *commit) {
	if c.detached {
		l.settle(c)
		return
	}
	c.signal <- finished
}

// enterTurnstileLocked reports whether the group has to wait for its turn. The
// caller holds mu.
func (l *Log) enterTurnstileLocked(leader *commit) (mustWait bool) {
	if !l.mu.turning {
		l.mu.turning = true
		return false
	}
	if l.mu.turnsTail == nil {
		l.mu.turns = leader
	} else {
		l.mu.turnsTail.nextTurn = leader
	}
	l.mu.turnsTail = leader
	return true
}

func (l *Log) leaveTurnstile() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakeBarriersLocked()
	next := l.mu.turns
	if next == nil {
		l.mu.turning = false
		return
	}
	l.mu.turns = next.nextTurn
	if l.mu.turns == nil {
		l.mu.turnsTail = nil
	}
	next.signal <- turn
}

var errCallbackPanicked = errors.New("a callback of Commit panicked")

// applyGroup runs the callbacks and releases the committers; the caller has the turn.
// A panic of a callback goes to the leader's caller, who may well recover from it:
// then no later callback may run, or the order would have a gap.
func (l *Log) applyGroup(g group) {
	rest := g.first
	defer func() {
		if rest != nil {
			l.broken = true
			l.fail(rest, g.first, l.poison(errCallbackPanicked))
		}
		l.leaveTurnstile()
	}()
	for rest != nil && !l.broken {
		c, next := rest, rest.next // c is another's again once it is finished
		if c.apply != nil {
			c.apply(c.seq)
		}
		l.applied.Store(uint64(c.seq))
		rest = next
		if c != g.first {
			l.finish(c)
		}
	}
}

func (l *Log) poison(cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuseLocked(cause)
	return l.mu.err
}
