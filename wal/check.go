package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// Place is where a record begins.
type Place struct {
	File   string // path of the segment
	Offset int64
	Seq    schema.Seq
}

// Finding is something that a check found in a log.
type Finding struct {
	// IsNote says that nothing is wrong: a crash leaves such things, and Open copes.
	IsNote bool
	// File is the path of the file, or of the directory where files are missing.
	File string
	// Offset is the byte in File where it begins.
	Offset int64
	// First and Last are the records that may be lost; both are 0 where none are. Last is
	// 0 alone where nobody knows how many there were.
	First, Last schema.Seq
	// What is one sentence without an end.
	What string
}

// CheckReport is what a check read and found.
type CheckReport struct {
	Segments int        // that hold records which are needed
	Records  int        // that were read and are good
	Bytes    int64      // of those segments, as far as their records reach
	Last     schema.Seq // the last good record
	Findings []Finding
}

// Check reads the log as Open does, and changes nothing. The log must not be open. It
// calls visit for each good record above from, whose payload is valid during the call,
// and goes on behind damage with the next segment. The errors are those of reading,
// ErrUnsupported, and visit's.
func Check(opts Options, from schema.Seq, visit func(Place, []byte) error) (CheckReport, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return CheckReport{}, err
	}
	c := &check{visit: visit, recovery: recovery{
		opts: opts, dir: directory{opts.FS, opts.Dir}, from: from, need: max(from, opts.DurableThrough),
	}}
	if err := c.run(); err != nil {
		return CheckReport{}, fmt.Errorf("check log %s: %w", opts.Dir, err)
	}
	return c.report, nil
}

// check is the part of a recovery that only reads.
type check struct {
	recovery
	visit  func(Place, []byte) error
	report CheckReport
}

func (c *check) run() error {
	ids, err := c.list()
	if err != nil {
		return err
	}
	if err := c.noteNames(); err != nil {
		return err
	}
	if err := c.buildChain(ids); err != nil {
		slices.Reverse(c.chain) // what there is of it is still newest first
		through := schema.Seq(0)
		if len(c.chain) > 0 {
			through = c.chain[0].head.firstSeq - 1
		}
		if err := c.damage(err, through); err != nil {
			return err
		}
	}
	if len(c.chain) == 0 {
		c.checkEmpty()
		return nil
	}
	for _, s := range c.chain[:len(c.chain)-1] {
		if err := c.readSealed(s); err != nil {
			if err = c.damage(err, s.lastSeq); err != nil {
				return err
			}
		}
	}
	return c.checkTail()
}

// damage turns a *CorruptionError into a finding; other errors end the check. Records
// behind the last one that it names are affected, up to through.
func (c *check) damage(err error, through schema.Seq) error {
	var corrupt *CorruptionError
	if !errors.As(err, &corrupt) {
		return err
	}
	c.report.Findings = append(c.report.Findings, Finding{
		File: corrupt.File, Offset: corrupt.Offset, First: max(corrupt.Seq, c.from) + 1, Last: through, What: corrupt.Reason,
	})
	return nil
}

func (c *check) note(file string, offset int64, what string) {
	c.report.Findings = append(c.report.Findings, Finding{IsNote: true, File: file, Offset: offset, What: what})
}

// noteNames reports files that are no part of the log.
func (c *check) noteNames() error {
	names, err := c.dir.fs.List(c.dir.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("list segments: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		switch _, isSegment := parseSegmentName(name); {
		case isSegment:
		case isTornName(name):
			c.note(c.dir.join(name), 0, "a copy of what an earlier recovery cut off, kept for people to look at")
		default:
			c.note(c.dir.join(name), 0, "the file is no part of the log")
		}
	}
	return nil
}

// checkEmpty judges a log without segments.
func (c *check) checkEmpty() {
	if len(c.report.Findings) > 0 && slices.ContainsFunc(c.report.Findings, func(f Finding) bool { return !f.IsNote }) {
		return // that is why it has none
	}
	if c.opts.DurableThrough > 0 {
		c.report.Findings = append(c.report.Findings, Finding{
			File: c.dir.path, First: c.from + 1,
			What: fmt.Sprintf("there is no segment, but the log once reached record %d", c.opts.DurableThrough),
		})
	}
}

// readSealed visits the records of a segment, which must end where its successor says.
func (c *check) readSealed(s oldSegment) error {
	f, _, err := c.open(s.id)
	if err != nil {
		return err
	}
	defer closeRead(f)
	sc := newScanner(f, s.end.end, s.head)
	if err := c.visitTo(sc, s.id, s.lastSeq); err != nil {
		return err
	}
	return c.atEnd(sc, s)
}

// checkTail judges the newest segment and visits its records up to its end.
func (c *check) checkTail() error {
	t, err := c.judgeTail()
	if err != nil {
		err = c.damage(err, 0)
	} else if t.isTorn() {
		c.note(c.dir.segment(t.old.id), t.end.off, fmt.Sprintf(
			"%d bytes of a write that was cut short and never acknowledged; the next start sets them aside", t.rest.end-t.end.off))
	}
	if err != nil {
		return err
	}
	f, _, err := c.open(t.old.id)
	if err != nil {
		return err
	}
	defer closeRead(f)
	return c.visitTo(newScanner(f, t.end.off, t.old.head), t.old.id, 0)
}

// visitTo passes on the records up to the scanner's limit, the first bad one, or the
// last one if that is not 0, and counts them.
func (c *check) visitTo(sc *scanner, id segmentID, last schema.Seq) error {
	c.report.Segments++
	place := Place{File: c.dir.segment(id)}
	for last == 0 || sc.pos.next <= last {
		place.Offset = sc.pos.off
		h, payload, ok, err := sc.next()
		if err != nil {
			return fmt.Errorf("segment %s: %w", segmentName(id), err)
		}
		if !ok {
			break
		}
		if h.kind != kindData || h.seq <= c.from {
			continue
		}
		place.Seq = h.seq
		if err := c.visit(place, payload); err != nil {
			return err
		}
		c.report.Records++
		c.report.Last = h.seq
	}
	c.report.Bytes += sc.pos.off
	return nil
}

// CheckFormat returns an error that wraps ErrUnsupported if a segment in a directory is of
// a format that this program does not know, and names it. It says nothing of damage: what
// cannot be read is left to Open. A missing directory has no segments.
func CheckFormat(disk vfs.FS, dir string) error {
	r := recovery{dir: directory{fs: disk, path: dir}}
	ids, err := r.list()
	if err != nil {
		return fmt.Errorf("log %s: %w", dir, err)
	}
	for _, id := range ids {
		f, size, err := r.open(id)
		if err != nil {
			continue
		}
		_, err = readSegmentHeader(f, size, id)
		closeRead(f)
		if errors.Is(err, ErrUnsupported) {
			return fmt.Errorf("%w: %s", err, r.dir.segment(id))
		}
	}
	return nil
}
