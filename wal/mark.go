package wal

import "github.com/siltstone-db/siltstone/schema"

// A record says that everything before its group was synced, and so tells damage there from
// a write that was cut short. For the last group of a log nothing says it until
// the next one comes, which may take hours. So a log that falls idle is given a mark: a
// record without a payload, which says it for the group before.
//
// The mark is not synced: it says nothing that needs to last, and a sync would cost what
// a commit costs. Until the kernel writes it out, within half a minute as a rule, a power failure may
// lose it or leave a piece of it, which is then the log's torn end. What is written next follows
// the mark and still says that only what is before the mark was synced.

// Mark writes a mark behind the last group, unless there is one or a commit is under way.
// It is to be called every now and then, and costs next to nothing when nothing was
// committed since. An error is that of a failed write, after which the log takes no more commits.
func (l *Log) Mark() error {
	last, begun := l.beginMark()
	if !begun {
		return nil
	}
	defer l.inflight.Done()
	return l.endMark(l.active.mark(last))
}

// beginMark takes the lead, if there is something to do. Nobody leads and nothing is queued,
// so the last record is a durable one.
func (l *Log) beginMark() (last schema.Seq, begun bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed || l.mu.err != nil || l.mu.leading || !l.active.needsMark() {
		return 0, false
	}
	l.inflight.Add(1)
	l.mu.leading = true
	return l.mu.lastSeq, true
}

// endMark hands the lead on to whoever has come meanwhile.
func (l *Log) endMark(result error) error {
	l.mu.Lock()
	if result == nil {
		l.mu.leading = l.mu.queue != nil
		if l.mu.leading {
			l.appoint(l.mu.queue)
		}
		l.mu.Unlock()
		return nil
	}
	l.refuseLocked(result)
	waiting, err := l.mu.queue, l.mu.err
	l.mu.queue, l.mu.queueTail, l.mu.leading = nil, nil, false
	l.mu.Unlock()
	l.fail(waiting, nil, err)
	return err
}

// needsMark reports whether nothing follows the last group that was synced.
func (s *segment) needsMark() bool { return s.records > 0 && s.next == s.durable }

// mark writes a mark. Its error leaves the segment unusable.
func (s *segment) mark(last schema.Seq) error {
	s.begin()
	s.add(kindMark, last, nil, payloadChecksum(nil))
	_, err := s.write(0)
	return err
}
