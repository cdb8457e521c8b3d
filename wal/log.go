package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/siltstone-db/siltstone/schema"
)

// Log is an open log.
type Log struct {
	opts Options
	dir  directory

	// Owned by the leader; see commit.go.
	active *segment
	next   *prepared   // the segment after active, from half of active on
	sealed *oldSegment // the segment before active, until active is durable
	lastID segmentID   // the id given to a file last

	broken   bool // a callback panicked; owned by whoever has the turn
	applied  atomic.Uint64
	inflight sync.WaitGroup // commits between enqueue and their end

	queuedBytes  atomic.Int64  // of detached records until they are applied
	lastDetached atomic.Uint64 // the newest detached record
	rearmed      atomic.Uint64 // how often Rearm gave numbers to other records

	rearming sync.Mutex // held by Rearm; taken before mu

	mu struct {
		sync.Mutex
		closed bool
		err    error // why the log refuses commits
		lost   error // why the records failed that the last Rearm cut off

		queue, queueTail *commit
		leading          bool
		turns, turnsTail *commit // leaders of durable groups that wait for their turn
		turning          bool
		turned           chan struct{} // closed at the next turn's end, when a Barrier waits

		lastSeq, durableSeq schema.Seq
		sealed              []oldSegment // oldest first
		spares              []oldSegment // trimmed files, to be overwritten
		garbage             []segmentID  // files without meaning that could not be removed
		activeFirst         schema.Seq
		activeBytes         int64
	}
}

// newLog takes over what recovery found and the segment that it began.
func newLog(r *recovery, active *segment) (*Log, error) {
	l := &Log{opts: r.opts, dir: r.dir, active: active, lastID: active.head.id}
	l.applied.Store(uint64(r.last))
	l.mu.lastSeq, l.mu.durableSeq = r.last, r.last
	l.mu.sealed = r.chain
	l.mu.activeFirst, l.mu.activeBytes = active.head.firstSeq, active.next
	if err := l.retire(r.trimmed); err != nil {
		return nil, errors.Join(err, active.file.Close())
	}
	return l, nil
}

// Stats is a picture of the log at one moment.
type Stats struct {
	Segments int   // files that hold records, or are about to
	Spares   int   // trimmed files that wait to be overwritten
	Bytes    int64 // size of the segments, the active one as far as it is written
	// FirstSeq is the oldest record that is still held; it is LastSeq+1 in an empty log.
	FirstSeq schema.Seq
	// LastSeq was given to a queued record last, DurableSeq was synced last, AppliedSeq had its
	// callback run last.
	LastSeq, DurableSeq, AppliedSeq schema.Seq
}

// Stats returns a picture of the log.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{
		Segments: len(l.mu.sealed) + 1, Spares: len(l.mu.spares), Bytes: l.mu.activeBytes,
		FirstSeq: l.mu.activeFirst, LastSeq: l.mu.lastSeq, DurableSeq: l.mu.durableSeq,
		AppliedSeq: schema.Seq(l.applied.Load()),
	}
	for _, old := range l.mu.sealed {
		s.Bytes += old.bytes
	}
	if len(l.mu.sealed) > 0 {
		s.FirstSeq = l.mu.sealed[0].head.firstSeq
	}
	return s
}

// Err returns nil, or why every Commit fails: it wraps ErrPoisoned or ErrNoSpace.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.err
}

// Trim gives up records up to and including through. Files that hold no later ones
// are kept for reuse or removed. Before it is called, the caller must have durably
// noted that it will never again open the log with an earlier from.
func (l *Log) Trim(through schema.Seq) error {
	l.mu.Lock()
	if l.mu.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	n := 0
	for n < len(l.mu.sealed) && l.mu.sealed[n].lastSeq <= through {
		n++
	}
	trimmed := l.mu.sealed[:n:n]
	l.mu.sealed = l.mu.sealed[n:]
	l.mu.Unlock()
	return l.retire(trimmed)
}

// MayHold reports whether some file of the log, spares too, may still have a record up to through.
func (l *Log) MayHold(through schema.Seq) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	isOld := func(s oldSegment) bool { return s.head.firstSeq <= through }
	return l.mu.activeFirst <= through || slices.ContainsFunc(l.mu.sealed, isOld) || slices.ContainsFunc(l.mu.spares, isOld)
}

// retire keeps a bounded number of trimmed segments as spares and removes the
// others. Spares keep their names: should they be found by an Open, they are older
// than all it needs. If a removal does not last, the same holds.
func (l *Log) retire(trimmed []oldSegment) error {
	l.mu.Lock()
	var remove []oldSegment
	for _, s := range trimmed {
		usual := s.bytes >= l.opts.SegmentBytes/2 && s.bytes <= 2*l.opts.SegmentBytes
		if usual && !s.failed && l.mu.err == nil && len(l.mu.spares) < l.opts.SpareSegments {
			l.mu.spares = append(l.mu.spares, s)
		} else {
			remove = append(remove, s)
		}
	}
	l.mu.Unlock()
	var errs []error
	for _, s := range remove {
		if err := l.dir.fs.Remove(l.dir.segment(s.id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("trim segment: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Close waits for the commits that have begun and the records that CommitAsync queued,
// marks the log's end and closes its files. A log that failed is closed without another
// write or sync.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.mu.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.mu.closed = true
	l.mu.Unlock()
	l.inflight.Wait() // from here on nobody leads: what the leader owns is Close's

	var errs []error
	if l.Err() == nil {
		errs = append(errs, l.writeMark())
	}
	errs = append(errs, l.active.file.Close())
	if l.next != nil {
		<-l.next.done
		l.discard(l.next)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close log %s: %w", l.opts.Dir, err)
	}
	return nil
}

// writeMark ends the active segment with a durable mark.
func (l *Log) writeMark() error {
	s := l.active
	if s.records == 0 {
		return nil
	}
	if s.needsMark() {
		if err := s.mark(l.mu.lastSeq); err != nil {
			return err
		}
	}
	_, err := s.sync()
	return err
}
