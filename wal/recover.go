package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
)

// Open recovers the log in opts.Dir and makes it ready for Commit. It calls replay
// for each record above from, in order; the payload is valid only during the call.
// An error of replay ends Open, which returns it wrapped. Records up to from are
// given up, as by Trim.
//
// Recovery first only reads, so that a refusal leaves the directory as it was:
//
//  1. From the newest intact segment follow the links in the headers back to the
//     first segment that is needed. Newer files without an intact header were being
//     created when the process ended; they count only if a record in them proves
//     that the header was once durable.
//  2. Read the newest segment to its end and decide whether that is where writing
//     stopped or where damage begins (see tail.go).
//  3. Read the earlier segments exactly to the ends that their successors name, and
//     replay them.
//
// Then it writes. The records behind the last proven offset were written, but whether
// they were synced is unknown, and after a failed sync even reading them back proves
// nothing. They are copied into a new segment, which is synced before its header makes it
// count. The new segment's link cuts off whatever the old one holds behind that
// offset. Only now are the rest replayed and superseded files removed. Until the new
// header is durable a repetition starts from the same files; afterwards the copies
// are all there. Either way it finds the same records.
func Open(opts Options, from schema.Seq, replay func(seq schema.Seq, payload []byte) error) (*Log, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	r := &recovery{
		opts: opts, dir: directory{opts.FS, opts.Dir},
		from: from, need: max(from, opts.DurableThrough), replay: replay,
	}
	w, err := r.run()
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", opts.Dir, err)
	}
	l, err := newLog(r, w)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", opts.Dir, err)
	}
	return l, nil
}

// recovery is the state of one Open.
type recovery struct {
	opts   Options
	dir    directory
	from   schema.Seq
	need   schema.Seq // the log must reach this position
	replay func(schema.Seq, []byte) error

	newest  segmentID    // the highest id in the directory
	last    schema.Seq   // the last record of the log
	chain   []oldSegment // the segments that count, oldest first
	trimmed []oldSegment // older than the chain: their records are not needed
	dead    []segmentID  // neither: creations that were cut short, superseded segments
	tidy    []string     // names of temporary files and of torn copies, oldest first
}

// oldSegment is a segment that is no longer written.
type oldSegment struct {
	id    segmentID
	bytes int64 // size of the file
	head  segmentHeader
	// end is where its records end, as its successor's header says.
	end     link
	lastSeq schema.Seq
	failed  bool // a write or sync of it failed: it must not become a spare
}

func (r *recovery) run() (*segment, error) {
	ids, err := r.list()
	if err != nil {
		return nil, err
	}
	if err := r.buildChain(ids); err != nil {
		return nil, err
	}
	if len(r.chain) == 0 {
		return r.startEmpty()
	}
	t, err := r.judgeTail()
	if err != nil {
		return nil, err
	}
	for _, s := range r.chain[:len(r.chain)-1] {
		if err := r.replaySealed(s); err != nil {
			return nil, err
		}
	}
	return r.settle(t)
}

// list reads the directory; a missing one is empty.
func (r *recovery) list() ([]segmentID, error) {
	names, err := r.dir.fs.List(r.dir.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	slices.Sort(names)
	var ids []segmentID
	for _, name := range names {
		if id, ok := parseSegmentName(name); ok {
			ids = append(ids, id)
			r.newest = id
		} else if isTornName(name) {
			r.tidy = append(r.tidy, name)
		}
	}
	return ids, nil
}

// startEmpty begins a log in a directory without any segment that counts.
func (r *recovery) startEmpty() (*segment, error) {
	if r.opts.DurableThrough > 0 {
		return nil, &CorruptionError{
			File:   r.dir.path,
			Reason: fmt.Sprintf("there is no segment, but the log once reached record %d", r.opts.DurableThrough),
		}
	}
	if err := r.dir.fs.MkdirAll(r.dir.path, 0o700); err != nil {
		return nil, fmt.Errorf("create directory: %w", err)
	}
	if err := durable.SyncDir(r.dir.fs, r.dir.fs.PathDir(r.dir.path)); err != nil {
		return nil, err
	}
	w, err := createSegment(r.dir, r.newest+1, r.opts.nonce(), r.from+1, link{}, nil)
	if err != nil {
		return nil, err
	}
	if err := r.removeDead(); err != nil {
		return nil, errors.Join(err, w.file.Close())
	}
	r.last = r.from
	return w, nil
}

// buildChain sets chain, trimmed and dead.
func (r *recovery) buildChain(ids []segmentID) error {
	var next *oldSegment // the oldest segment of the chain so far
	for _, id := range slices.Backward(ids) {
		switch {
		case next == nil:
			s, err := r.newestSegment(id)
			if err != nil {
				return err
			}
			if s == nil {
				r.dead = append(r.dead, id)
				continue
			}
			r.chain, next = append(r.chain, *s), s
		case next.head.firstSeq <= r.from+1:
			r.trimmed = append(r.trimmed, oldSegment{id: id, bytes: r.sizeOrZero(id)})
		case id > next.head.prev.id:
			r.dead = append(r.dead, id) // superseded before it counted
		case id < next.head.prev.id:
			return r.missing(next)
		default:
			s, err := r.sealedSegment(id, next)
			if err != nil {
				return err
			}
			r.chain, next = append(r.chain, *s), s
		}
	}
	if next != nil && next.head.firstSeq > r.from+1 {
		return r.missing(next)
	}
	slices.Reverse(r.chain)
	slices.Reverse(r.trimmed)
	return nil
}

func (r *recovery) missing(next *oldSegment) error {
	file := r.dir.path
	if next.head.prev.id != 0 {
		file = r.dir.segment(next.head.prev.id)
	}
	return &CorruptionError{
		File: file, Seq: r.from,
		Reason: fmt.Sprintf("records %d to %d are missing: the oldest segment that is left, %s, begins later",
			r.from+1, next.head.firstSeq-1, segmentName(next.id)),
	}
}

// newestSegment reads the header of a segment after which none counts. It returns
// nil for one whose creation was cut short.
func (r *recovery) newestSegment(id segmentID) (*oldSegment, error) {
	f, size, err := r.open(id)
	if err != nil {
		return nil, err
	}
	defer closeRead(f)
	head, err := readSegmentHeader(f, size, id)
	if err == nil {
		return &oldSegment{id: id, bytes: size, head: head}, nil
	}
	if !errors.Is(err, errTornHeader) {
		return nil, fmt.Errorf("segment %s: %w", segmentName(id), err)
	}
	rest, err := inspectRest(newScanner(f, size, segmentHeader{id: id}), 0, true)
	if err != nil {
		return nil, fmt.Errorf("inspect segment %s: %w", segmentName(id), err)
	}
	if rest.proof > 0 {
		return nil, &CorruptionError{
			File: r.dir.segment(id), Seq: r.from,
			Reason: fmt.Sprintf("%v, although the record at offset %d was written after it was durable", errTornHeader, rest.proof),
		}
	}
	return nil, nil
}

// sealedSegment reads the header of the segment before next.
func (r *recovery) sealedSegment(id segmentID, next *oldSegment) (*oldSegment, error) {
	f, size, err := r.open(id)
	if err != nil {
		return nil, err
	}
	defer closeRead(f)
	head, err := readSegmentHeader(f, size, id)
	if errors.Is(err, errTornHeader) {
		return nil, &CorruptionError{File: r.dir.segment(id), Seq: r.from, Reason: err.Error()}
	} else if err != nil {
		return nil, fmt.Errorf("segment %s: %w", segmentName(id), err)
	}
	s := &oldSegment{id: id, bytes: size, head: head, end: next.head.prev, lastSeq: next.head.firstSeq - 1}
	if size < s.end.end {
		return nil, &CorruptionError{
			File: r.dir.segment(id), Offset: size, Seq: head.firstSeq - 1,
			Reason: fmt.Sprintf("the file has %d bytes, but its records reach to %d", size, s.end.end),
		}
	}
	return s, nil
}

// replaySealed reads a segment exactly to its end and replays it.
func (r *recovery) replaySealed(s oldSegment) error {
	f, _, err := r.open(s.id)
	if err != nil {
		return err
	}
	defer closeRead(f)
	sc := newScanner(f, s.end.end, s.head)
	if err := r.replayTo(sc, s.id); err != nil {
		return err
	}
	return r.atEnd(sc, s)
}

// atEnd makes sure that a scanner has come exactly to the end of a segment.
func (r *recovery) atEnd(sc *scanner, s oldSegment) error {
	p := sc.pos
	if p.off == s.end.end && p.crc == s.end.crc && p.next == s.lastSeq+1 {
		return nil
	}
	reason := sc.fault
	if reason == "" {
		reason = "its end does not match what the next segment says of it"
	}
	return &CorruptionError{File: r.dir.segment(s.id), Offset: p.off, Seq: p.next - 1, Reason: reason}
}

// replayTo passes on the records up to the scanner's limit or the first bad one.
func (r *recovery) replayTo(sc *scanner, id segmentID) error {
	for {
		h, payload, ok, err := sc.next()
		if err != nil {
			return fmt.Errorf("segment %s: %w", segmentName(id), err)
		}
		if !ok {
			return nil
		}
		if h.kind != kindData || h.seq <= r.from {
			continue
		}
		if err := r.replay(h.seq, payload); err != nil {
			return fmt.Errorf("replay record %d of segment %s: %w", h.seq, segmentName(id), err)
		}
	}
}

func (r *recovery) open(id segmentID) (vfs.File, int64, error) {
	f, err := r.dir.fs.Open(r.dir.segment(id), vfs.SequentialReadsOption)
	if err != nil {
		return nil, 0, fmt.Errorf("open segment: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		closeRead(f)
		return nil, 0, fmt.Errorf("stat segment %s: %w", segmentName(id), err)
	}
	return f, info.Size(), nil
}

// sizeOrZero is for a file that is to be removed or overwritten: its size only
// decides which.
func (r *recovery) sizeOrZero(id segmentID) int64 {
	info, err := r.dir.fs.Stat(r.dir.segment(id))
	if err != nil {
		return 0
	}
	return info.Size()
}

func readSegmentHeader(f vfs.File, size int64, id segmentID) (segmentHeader, error) {
	if size < segmentHeaderSize {
		return segmentHeader{}, errTornHeader
	}
	var b [segmentHeaderSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return segmentHeader{}, fmt.Errorf("read header: %w", err)
	}
	return decodeSegmentHeader(b[:], id)
}

// closeRead closes a file that was only read; nothing depends on the result.
func closeRead(f vfs.File) { _ = f.Close() }
