package wal

import (
	"fmt"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// Check reads the records above from that the open log holds, up to the newest durable
// one, while commits go on. It is as Check for a log that is not open, but it cannot
// see a torn end or files that are no part of the log. Records that are trimmed
// meanwhile are not read.
func (l *Log) Check(from schema.Seq, visit func(Place, []byte) error) (CheckReport, error) {
	sealed, first, last, err := l.picture()
	if err != nil {
		return CheckReport{}, err
	}
	c := &check{visit: visit, recovery: recovery{opts: l.opts, dir: l.dir, from: from, need: from}}
	for _, s := range sealed {
		if s.lastSeq <= from {
			continue
		}
		if err := c.readSealed(s); err != nil && l.holds(s.id) {
			if err = c.damage(err, s.lastSeq); err != nil {
				return CheckReport{}, fmt.Errorf("check log %s: %w", l.dir.path, err)
			}
		}
	}
	if err := c.readActive(l, first, last); err != nil {
		return CheckReport{}, fmt.Errorf("check log %s: %w", l.dir.path, err)
	}
	return c.report, nil
}

// picture returns the sealed segments, and the first and the last durable record of the
// segment behind them.
func (l *Log) picture() (sealed []oldSegment, first, last schema.Seq, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		return nil, 0, 0, ErrClosed
	}
	return slices.Clone(l.mu.sealed), l.mu.activeFirst, l.mu.durableSeq, nil
}

// holds reports whether a segment is still needed.
func (l *Log) holds(id segmentID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.mu.sealed, func(s oldSegment) bool { return s.id == id })
}

// readActive visits the records from first to last, which are in one segment. What is
// behind last is being written.
func (c *check) readActive(l *Log, first, last schema.Seq) error {
	if last < first || last <= c.from {
		return nil
	}
	s, err := c.findSegment(first)
	if err != nil {
		return err
	}
	if s == nil {
		c.lost(l, Finding{File: c.dir.path, First: first, Last: last, What: fmt.Sprintf("there is no segment that begins with record %d", first)})
		return nil
	}
	f, size, err := c.open(s.id)
	if err != nil {
		return err
	}
	defer closeRead(f)
	sc := newScanner(f, size, s.head)
	if err := c.visitTo(sc, s.id, last); err != nil {
		return err
	}
	if sc.pos.next <= last {
		c.lost(l, Finding{
			File: c.dir.segment(s.id), Offset: sc.pos.off, First: sc.pos.next, Last: last,
			What: sc.fault + ", although the record was durable",
		})
	}
	return nil
}

// lost adds a finding, unless the records were trimmed meanwhile.
func (c *check) lost(l *Log, f Finding) {
	if l.Stats().FirstSeq <= f.First {
		c.report.Findings = append(c.report.Findings, f)
	}
}

// findSegment returns the newest segment that begins with a record, nil if there is none.
func (c *check) findSegment(first schema.Seq) (*oldSegment, error) {
	ids, err := c.list()
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Backward(ids) {
		f, size, err := c.open(id)
		if err != nil {
			continue // it was trimmed or recycled since it was listed
		}
		head, err := readSegmentHeader(f, size, id)
		closeRead(f)
		if err == nil && head.firstSeq == first { // others are being prepared, or wait to be recycled
			return &oldSegment{id: id, bytes: size, head: head}, nil
		}
	}
	return nil, nil
}
