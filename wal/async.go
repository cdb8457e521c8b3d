package wal

import (
	"bytes"
	"context"

	"github.com/siltstone-db/siltstone/schema"
)

// CommitAsync queues a copy of a record and returns: until the record is synced, a
// crash may lose it. An error says that it was not queued. Otherwise done is called
// once with the outcome, after apply or instead of it, concurrently with whatever else
// is called; both may be nil. What Commit demands of apply holds for done, too. A panic
// may end the process, as there may be no caller who could recover from it.
//
// With MaxQueuedBytes of such records not yet applied the call waits like Commit, and
// calls done before it returns; if it failed it returns the error instead.
func (l *Log) CommitAsync(payload []byte, apply func(schema.Seq), done func(error)) error {
	c, err := newCommit(payload, apply)
	if err != nil {
		return err
	}
	detached := l.reserve(c.size()) // c is another's as soon as it is queued
	if detached {
		c.detached, c.done, c.payload = true, done, bytes.Clone(payload)
	}
	leads, err := l.enqueue(c)
	switch {
	case err != nil:
		if detached {
			l.release(c.size())
		}
		c.recycle()
		return err
	case !detached:
		if _, err := l.await(c, leads); err != nil {
			return err
		}
		if done != nil {
			done(nil)
		}
	case leads:
		go l.leadDetached(c)
	}
	return nil
}

// reserve takes room for a detached record, if there is any.
func (l *Log) reserve(size int64) bool {
	if l.queuedBytes.Add(size) <= l.opts.MaxQueuedBytes {
		return true
	}
	l.release(size)
	return false
}

func (l *Log) release(size int64) { l.queuedBytes.Add(-size) }

// leadDetached leads a group whose first record is detached. Close waits for it, as
// it waits for that record.
func (l *Log) leadDetached(c *commit) {
	l.lead(c)
	l.settle(c)
}

// settle ends a commit that nobody waits for. No lock is held: done is the caller's.
func (l *Log) settle(c *commit) {
	defer l.inflight.Done()
	l.release(c.size())
	done, err := c.done, c.err
	c.recycle()
	if done != nil {
		done(err)
	}
}

// Barrier waits until every record that CommitAsync took before the call is applied.
// Its error is that of the log, when it failed before that, or that of ctx. Once such a
// record was lost, Barrier fails until the log is opened again or rearmed: what the
// record's writer was promised will not be seen. Records of Commit need no Barrier, they are
// applied when Commit returns; a poisoned log that lost no other has no error for it.
//
// Where nothing is awaited it costs three atomic loads, because every query calls it.
func (l *Log) Barrier(ctx context.Context) error {
	rearmed := l.rearmed.Load()
	for last := l.lastDetached.Load(); l.applied.Load() < last; {
		turned, err := l.awaitTurn(schema.Seq(last), rearmed)
		if turned == nil {
			return err
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// awaitTurn returns a channel that is closed when the next group is applied or the log
// fails. It is nil when there is nothing to wait for, as record last is applied or the
// log has failed. Whoever applies or fails comes to mu afterwards: no turn is missed.
// Behind a Rearm the number may be another record's, and the one meant was lost.
func (l *Log) awaitTurn(last schema.Seq, rearmed uint64) (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rearmed.Load() != rearmed {
		return nil, l.mu.lost
	}
	if schema.Seq(l.applied.Load()) >= last {
		return nil, nil
	}
	if l.mu.err != nil {
		return nil, l.mu.err
	}
	if l.mu.turned == nil {
		l.mu.turned = make(chan struct{})
	}
	return l.mu.turned, nil
}

// wakeBarriersLocked lets those who wait look again. The caller holds mu.
func (l *Log) wakeBarriersLocked() {
	if l.mu.turned != nil {
		close(l.mu.turned)
		l.mu.turned = nil
	}
}
