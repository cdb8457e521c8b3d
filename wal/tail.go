package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

const (
	// maxTornBytes bounds the copy of a torn end; more does not help to understand it.
	maxTornBytes = 1 << 20
	// maxTornCopies bounds how many such copies are kept.
	maxTornCopies = 4
)

// tail is what judgeTail found out about the newest segment.
type tail struct {
	old oldSegment
	// end is where the last good record ends; all behind it was never acknowledged.
	end position
	// proven is where the last successful sync that is on record had got to. The
	// records from there to end may or may not be durable.
	proven position
	rest   rest
}

// judgeTail reads the newest segment to its first bad record and decides whether
// that is the end of the log or damage to it.
func (r *recovery) judgeTail() (tail, error) {
	t := tail{old: r.chain[len(r.chain)-1]}
	f, size, err := r.open(t.old.id)
	if err != nil {
		return t, err
	}
	defer closeRead(f)
	sc := newScanner(f, size, t.old.head)
	for ok := true; ok; {
		if _, _, ok, err = sc.next(); err != nil {
			return t, fmt.Errorf("segment %s: %w", segmentName(t.old.id), err)
		}
	}
	fault := sc.fault
	t.end, t.proven = sc.pos, sc.proven
	if t.rest, err = inspectRest(sc, t.end.off, false); err != nil {
		return t, fmt.Errorf("inspect segment %s: %w", segmentName(t.old.id), err)
	}
	last := t.end.next - 1
	corruption := &CorruptionError{File: r.dir.segment(t.old.id), Offset: t.end.off, Seq: last}
	switch {
	case t.rest.proof > 0:
		corruption.Reason = fmt.Sprintf("%s, although the record at offset %d was written after this place was durable", fault, t.rest.proof)
		return t, corruption
	case last < r.need:
		corruption.Reason = fmt.Sprintf("the log ends here, but it once reached record %d", r.need)
		return t, corruption
	}
	return t, nil
}

// rest describes the bytes behind the last good record of a segment.
type rest struct {
	proof int64 // offset of a record which says that the last good record was not the end; 0: none
	ours  bool  // there are records of this segment, whole or in part
	end   int64 // behind the last byte that is not zero
}

// inspectRest looks at every place behind x where a record could begin. Intact
// headers suffice as evidence: what they say does not depend on their payload.
// A record in the bytes of a recycled file belongs to another segment.
func inspectRest(sc *scanner, x int64, anyNonce bool) (rest, error) {
	r := rest{end: x}
	for off := x; off < sc.limit; {
		n := min(sc.limit-off, readBytes)
		window, err := sc.bytes(off, n)
		if err != nil {
			return r, err
		}
		if nonZero := bytes.TrimRight(window, "\x00"); len(nonZero) > 0 {
			r.end = off + int64(len(nonZero))
		}
		r.inspectWindow(window, off, x, sc.head, anyNonce)
		if off+n == sc.limit {
			break
		}
		off += n&^(recordAlign-1) - recordHeaderSize // a header may lie across two windows
	}
	return r, nil
}

func (r *rest) inspectWindow(window []byte, off, x int64, head segmentHeader, anyNonce bool) {
	for i := 0; i+recordHeaderSize <= len(window); i += recordAlign {
		b := window[i:][:recordHeaderSize]
		if !claimsToBe(b, uint32(head.id), head.nonce, anyNonce) {
			continue
		}
		r.ours = true
		h, ok := decodeRecordHeader(b)
		if at := off + int64(i); ok && h.durable > x && h.durable <= at && r.proof == 0 {
			r.proof = at
		}
	}
}

// settle makes what judgeTail accepted durable, opens a new segment behind it and
// replays it.
func (r *recovery) settle(t tail) (*segment, error) {
	if err := r.reportTorn(t); err != nil {
		return nil, err
	}
	carried, err := r.readCarried(t)
	if err != nil {
		return nil, err
	}
	first, prev := t.proven.next, link{t.old.id, t.proven.off, t.proven.crc}
	superseded := t.proven.records == 0
	if superseded { // nothing in it is needed: take its place instead of adding to the chain
		first, prev = t.old.head.firstSeq, t.old.head.prev
	}
	w, err := createSegment(r.dir, r.newest+1, r.opts.nonce(), first, prev, carried)
	if err != nil {
		return nil, err
	}
	r.chain = r.chain[:len(r.chain)-1]
	if superseded {
		r.dead = append(r.dead, t.old.id)
	} else {
		t.old.end, t.old.lastSeq = prev, first-1
		r.chain = append(r.chain, t.old)
		err = r.replaySealed(t.old)
	}
	if err == nil {
		err = r.replayCarried(carried)
	}
	if err == nil {
		err = r.removeDead()
	}
	if err != nil {
		return nil, errors.Join(err, w.file.Close())
	}
	r.last = t.end.next - 1
	return w, nil
}

// carriedRecord is a record that is copied from the old segment to the new one.
type carriedRecord struct {
	seq     schema.Seq
	payload []byte
}

// readCarried reads the records between proven and end: at most one group.
func (r *recovery) readCarried(t tail) ([]carriedRecord, error) {
	f, _, err := r.open(t.old.id)
	if err != nil {
		return nil, err
	}
	defer closeRead(f)
	sc := newScanner(f, t.end.off, t.old.head)
	if t.proven.records > 0 {
		sc.pos = t.proven
	}
	var all []carriedRecord
	for {
		h, payload, ok, err := sc.next()
		if err != nil {
			return nil, fmt.Errorf("segment %s: %w", segmentName(t.old.id), err)
		}
		if !ok {
			break
		}
		if h.kind == kindData {
			all = append(all, carriedRecord{h.seq, bytes.Clone(payload)})
		}
	}
	if sc.pos.off != t.end.off {
		return nil, fmt.Errorf("segment %s changed while it was read: %s at offset %d", segmentName(t.old.id), sc.fault, sc.pos.off)
	}
	return all, nil
}

func (r *recovery) replayCarried(carried []carriedRecord) error {
	for _, c := range carried {
		if c.seq <= r.from {
			continue
		}
		if err := r.replay(c.seq, c.payload); err != nil {
			return fmt.Errorf("replay record %d: %w", c.seq, err)
		}
	}
	return nil
}

// isTorn reports whether there is something behind the end. The bytes of a file that
// was recycled are its past, unless records of this segment are among them.
func (t *tail) isTorn() bool {
	remains := t.rest.end > t.end.off && t.old.head.flags&flagRecycled == 0
	return remains || t.rest.ours
}

// reportTorn logs a torn end and copies it aside.
func (r *recovery) reportTorn(t tail) error {
	if !t.isTorn() {
		return nil
	}
	n := min(t.rest.end-t.end.off, maxTornBytes)
	name := tornName(t.old.id, t.end.off)
	r.opts.Logger.Warn("the log ends in a write that was cut short and never acknowledged",
		"segment", segmentName(t.old.id), "offset", t.end.off, "last_record", uint64(t.end.next-1),
		"bytes", t.rest.end-t.end.off, "copied_to", name, "copied_bytes", n)
	if err := r.copyAside(t, name, n); err != nil {
		return fmt.Errorf("copy the torn end of %s: %w", segmentName(t.old.id), err)
	}
	if !slices.Contains(r.tidy, name) { // unless an earlier recovery got just as far
		r.tidy = append(r.tidy, name)
	}
	return nil
}

func (r *recovery) copyAside(t tail, name string, n int64) error {
	src, _, err := r.open(t.old.id)
	if err != nil {
		return err
	}
	defer closeRead(src)
	b := make([]byte, n)
	if _, err := src.ReadAt(b, t.end.off); err != nil {
		return err
	}
	tmp := r.dir.join(name + tmpSuffix)
	if err := writeFile(r.dir.fs, tmp, b); err != nil {
		return err
	}
	if err := r.dir.fs.Rename(tmp, r.dir.join(name)); err != nil {
		return err
	}
	return r.dir.sync()
}

func writeFile(fs vfs.FS, path string, b []byte) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// removeDead removes what recovery found to be no part of the log. If it comes back
// after a crash it is again no part of it, so that no sync is needed.
func (r *recovery) removeDead() error {
	var names []string
	for _, id := range r.dead {
		names = append(names, segmentName(id))
	}
	if n := len(r.tidy) - maxTornCopies; n > 0 {
		names = append(names, r.tidy[:n]...)
	}
	for _, name := range names {
		if err := r.dir.fs.Remove(r.dir.join(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return nil
}
