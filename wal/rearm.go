package wal

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
)

// How a log goes on after the disk was full
//
// A write or sync that fails for lack of space leaves the active file in an unknown
// state, as any failure does: part of a group may be in it, and the kernel may have
// given up pages that it still shows. What is known is the end of the last successful
// sync. So the file is given up: nothing is written to it or synced in it again. A new
// segment begins at that end and with the number behind it, as the one that Open
// begins. Its header is durable before the first commit, and its link cuts off what the
// old file holds behind the end, so that no record that was refused can come back.
//
// That a sync reports lack of space is unusual: file systems with delayed or remote
// allocation do it. It is treated alike, because the old file counts only up to its last
// good sync, and the new one has syncs of its own. Any other error is no lack of space and
// says nothing about when it will pass: it poisons.
//
// A crash before the new header is durable leaves the old segment as the newest one, and
// perhaps a creation that was cut short, which is what Open expects. A Rearm that fails
// removes what it made, and the next one uses another id.

// Rearm makes a log that refuses commits with ErrNoSpace take them again, when there is
// space by now. Afterwards the records that failed are gone for good, and their numbers
// are given anew. It does nothing where the log has not failed. The errors are ErrClosed,
// ErrNoSpace as long as there is no space, and ErrPoisoned if something else failed, now or
// before.
func (l *Log) Rearm() error {
	l.rearming.Lock()
	defer l.rearming.Unlock()
	last, err := l.beginRearm()
	if err != nil || last == nil {
		return err
	}
	defer l.inflight.Done()
	if l.next != nil {
		<-l.next.done
		l.discard(l.next)
		l.next = nil
	}
	l.FreeSpares()
	first, prev, isNeeded := l.active.continuation(*last)
	s, err := createSegment(l.dir, l.nextID(), l.opts.nonce(), first, prev, nil)
	if err != nil {
		l.remove(l.lastID)
		return l.failRearm(fmt.Errorf("begin a new segment: %w", err))
	}
	return l.endRearm(s, isNeeded)
}

// beginRearm returns the last durable record, nil if there is nothing to do. Close then
// waits for Rearm, which has what a leader has: nobody leads while commits are refused.
func (l *Log) beginRearm() (*schema.Seq, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mu.closed:
		return nil, ErrClosed
	case l.mu.err != nil && !errors.Is(l.mu.err, ErrNoSpace):
		return nil, l.mu.err
	case l.mu.err == nil:
		return nil, nil
	}
	l.inflight.Add(1)
	last := l.mu.durableSeq
	return &last, nil
}

// continuation says how the segment begins that takes over from s, a failed one, behind
// the last durable record. A segment without a durable record is not needed: the new one
// takes its place.
func (s *segment) continuation(last schema.Seq) (first schema.Seq, prev link, isNeeded bool) {
	if s.durableRecords == 0 {
		return s.head.firstSeq, s.head.prev, false
	}
	return last + 1, s.durableEnd(), true
}

// failRearm keeps refusing.
func (l *Log) failRearm(cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuseLocked(cause)
	if durable.IsNoSpace(cause) && errors.Is(l.mu.err, ErrNoSpace) {
		return fmt.Errorf("%w: %w", ErrNoSpace, cause)
	}
	return l.mu.err
}

// endRearm makes a durable new segment the active one.
func (l *Log) endRearm(s *segment, isNeeded bool) error {
	old := l.active
	_ = old.file.Close() // whatever it reports is about what does not count
	s.buf = old.buf
	l.active = s
	l.publishRearmed(old, isNeeded)
	if !isNeeded {
		l.remove(old.head.id)
	}
	l.removeGarbage()
	return l.Err()
}

func (l *Log) publishRearmed(old *segment, isNeeded bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealed != nil {
		l.mu.sealed = append(l.mu.sealed, *l.sealed)
		l.sealed = nil
	}
	if isNeeded {
		l.mu.sealed = append(l.mu.sealed, oldSegment{
			id: old.head.id, bytes: old.alloc, head: old.head, end: old.durableEnd(), lastSeq: l.mu.durableSeq, failed: true,
		})
	}
	l.mu.activeFirst, l.mu.activeBytes = l.active.head.firstSeq, l.active.next
	l.mu.lastSeq = l.mu.durableSeq
	l.lastDetached.Store(min(l.lastDetached.Load(), uint64(l.mu.durableSeq)))
	if errors.Is(l.mu.err, ErrNoSpace) { // else a callback has panicked meanwhile
		l.mu.lost, l.mu.err = l.mu.err, nil
		l.rearmed.Add(1)
	}
	l.wakeBarriersLocked()
}

// FreeSpares removes the files that are kept to be overwritten: on a disk that is nearly
// full they are of more use as space.
func (l *Log) FreeSpares() {
	l.mu.Lock()
	spares := l.mu.spares
	l.mu.spares = nil
	l.mu.Unlock()
	for _, s := range spares {
		l.remove(s.id)
	}
}

// nextID returns an id that no file had; the caller leads.
func (l *Log) nextID() segmentID {
	l.lastID++
	return l.lastID
}

// remove removes a file that is no part of the log. Should that fail, removeGarbage tries
// again, or the next Open, which ignores the file until then.
func (l *Log) remove(id segmentID) {
	if err := l.dir.fs.Remove(l.dir.segment(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.forget(id)
	}
}

// forget leaves a file to removeGarbage.
func (l *Log) forget(id segmentID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.garbage = append(l.mu.garbage, id)
}

func (l *Log) removeGarbage() {
	l.mu.Lock()
	garbage := l.mu.garbage
	l.mu.garbage = nil
	l.mu.Unlock()
	for _, id := range garbage {
		l.remove(id)
	}
}
