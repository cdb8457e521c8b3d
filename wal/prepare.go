package wal

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
)

// prepared is the file of the next segment. It exists durably under its name before
// it is needed, so that a switch costs no more than a larger write. Until a header is
// written to it, recovery takes it for a creation that was cut short, as it is.
type prepared struct {
	done chan struct{} // closed when the fields below are set

	id       segmentID
	path     string
	file     vfs.File
	bytes    int64
	recycled bool
	err      error
}

// prepareNext starts to prepare the segment after s; Close waits for it. Only the
// leader calls it.
func (l *Log) prepareNext() {
	p := &prepared{done: make(chan struct{}), id: l.nextID()}
	p.path = l.dir.segment(p.id)
	l.next = p
	go func() {
		defer close(p.done)
		p.err = l.prepare(p)
	}()
}

func (l *Log) prepare(p *prepared) error {
	if spare, ok := l.takeSpare(); ok {
		if err := l.dir.fs.Rename(l.dir.segment(spare.id), p.path); err != nil {
			l.forget(spare.id)
			return fmt.Errorf("recycle segment: %w", err)
		}
		p.bytes, p.recycled = spare.bytes, true
	}
	var err error
	if p.file, err = l.dir.fs.OpenReadWrite(p.path, vfs.WriteCategoryUnspecified); err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	return l.dir.sync()
}

// awaitNext returns the prepared segment. A preparation that found no space is repeated
// once: it was made when the active segment was half full, and there may be space by now.
func (l *Log) awaitNext() (*prepared, error) {
	for attempt := 0; ; attempt++ {
		if l.next == nil {
			l.prepareNext()
		}
		p := l.next
		<-p.done
		l.next = nil
		if p.err == nil {
			return p, nil
		}
		l.discard(p)
		if attempt > 0 || !durable.IsNoSpace(p.err) {
			return nil, p.err
		}
	}
}

// switchSegment makes the prepared segment the active one; first is the record that
// it begins with.
func (l *Log) switchSegment(first schema.Seq) error {
	p, err := l.awaitNext()
	if err != nil {
		return err
	}
	old := l.active
	end := old.durableEnd() // a mark behind it is not synced
	l.sealed = &oldSegment{id: old.head.id, bytes: old.alloc, head: old.head, end: end, lastSeq: first - 1}
	head := segmentHeader{id: p.id, nonce: l.opts.nonce(), firstSeq: first, prev: end}
	if p.recycled {
		head.flags = flagRecycled
	}
	l.active = &segment{file: p.file, path: p.path, head: head, alloc: p.bytes, buf: old.buf}
	if err := old.file.Close(); err != nil {
		return fmt.Errorf("close %s: %w", old.path, err)
	}
	return nil
}

// discard gives up a file that was prepared; nothing was written to it.
func (l *Log) discard(p *prepared) {
	if p.file != nil {
		_ = p.file.Close()
	}
	l.remove(p.id)
}

func (l *Log) takeSpare() (oldSegment, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mu.spares) == 0 {
		return oldSegment{}, false
	}
	s := l.mu.spares[0]
	l.mu.spares = l.mu.spares[1:]
	return s, true
}
