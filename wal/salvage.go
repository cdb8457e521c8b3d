package wal

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// Salvage is what can still be read of a log, damaged or not: every record whose
// checksums verify, in front of damage and behind it. It changes nothing on disk.
//
// A record is believed if its own header and payload match their checksums and it
// carries the id of its segment's file and the nonce of the segment. The chain between
// records cannot be asked for, because it is broken wherever there is damage; what it
// would add is taken from elsewhere:
//
//   - What a segment holds behind the end that its successor names does not exist. If
//     the successor's header is lost, then of two records with one number that of the
//     newer segment counts.
//   - Where a segment's header is lost, so is its nonce. The nonce is then the one that
//     most intact records of the file agree on.
//   - A record that a payload imitates is not met where its surroundings are intact,
//     because reading goes on behind each record. Elsewhere it would need the nonce.
type Salvage struct {
	// Damage lists the places that could not be read, in the order of the log.
	Damage []Damage
	// Last is the highest number that anything intact in the log names. It is 0 for
	// a log of which nothing is left.
	Last schema.Seq

	dir      directory
	opts     Options
	segments []salvagedSegment // oldest first
	records  []salvagedRecord  // in order, each number once
}

// Damage is a place of a log that cannot be read.
type Damage struct {
	// File is the segment, or the directory for records of which no file is left.
	File string
	// Offset and Bytes bound what was passed over; Bytes is 0 where a file is missing.
	Offset, Bytes int64
	// Seq is the range of the records that were there, as far as the ones around them
	// tell; it is empty (both 0) where nothing is known.
	Seq    schema.SeqRange
	Reason string
}

type salvagedSegment struct {
	id    segmentID
	size  int64
	head  segmentHeader
	torn  bool  // the header is damaged: nonce is a guess
	proof bool  // something in it says that the header, or what follows the last good record, was durable
	limit int64 // nothing at or behind it counts
	dead  bool  // superseded by a recovery
	sure  bool  // limit is what the successor's header says
}

type salvagedRecord struct {
	seq     schema.Seq
	segment int32 // index in segments
	off     int64
}

// OpenSalvage reads all segments in opts.Dir; a missing directory is an empty log. The
// errors are ErrUnsupported and those of the file system; damage is no error.
func OpenSalvage(opts Options) (*Salvage, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := &Salvage{dir: directory{opts.FS, opts.Dir}, opts: opts}
	if err := s.read(); err != nil {
		return nil, fmt.Errorf("salvage log %s: %w", opts.Dir, err)
	}
	return s, nil
}

func (s *Salvage) read() error {
	r := &recovery{opts: s.opts, dir: s.dir}
	ids, err := r.list()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.readHeader(r, id); err != nil {
			return err
		}
	}
	s.findLimits()
	if err := s.cutTornEnd(r); err != nil {
		return err
	}
	for i := range s.segments {
		if err := s.readSegment(r, i); err != nil {
			return fmt.Errorf("segment %s: %w", segmentName(s.segments[i].id), err)
		}
	}
	s.settle()
	return nil
}

// readHeader reads a segment's header, and finds its nonce elsewhere if it is damaged.
func (s *Salvage) readHeader(r *recovery, id segmentID) error {
	f, size, err := r.open(id)
	if err != nil {
		return err
	}
	defer closeRead(f)
	seg := salvagedSegment{id: id, size: size, limit: size}
	seg.head, err = readSegmentHeader(f, size, id)
	switch {
	case errors.Is(err, errTornHeader):
		seg.torn = true
		seg.head = segmentHeader{id: id}
		seg.head.nonce, err = commonNonce(newScanner(f, size, seg.head))
		rest, err2 := inspectRest(newScanner(f, size, seg.head), 0, false)
		if err := errors.Join(err, err2); err != nil {
			return fmt.Errorf("segment %s: %w", segmentName(id), err)
		}
		seg.proof = rest.proof > 0
	case err != nil:
		return fmt.Errorf("segment %s: %w", segmentName(id), err)
	default:
		s.Last = max(s.Last, seg.head.firstSeq-1)
	}
	s.segments = append(s.segments, seg)
	return nil
}

// commonNonce returns the nonce that most records of a segment carry, 0 if there is none.
func commonNonce(sc *scanner) (uint32, error) {
	votes := make(map[uint32]int)
	err := walk(sc, true, func(_ int64, h recordHeader, _ bool) { votes[h.nonce]++ })
	best, most := uint32(0), 0
	for nonce, n := range votes {
		if n > most || n == most && nonce < best {
			best, most = nonce, n
		}
	}
	return best, err
}

// findLimits applies the links in intact headers.
func (s *Salvage) findLimits() {
	var next *salvagedSegment // the nearest newer one with an intact header
	for i := len(s.segments) - 1; i >= 0; i-- {
		seg := &s.segments[i]
		if next != nil {
			switch prev := next.head.prev; {
			case seg.id > prev.id:
				seg.dead = true // superseded before it counted
				continue
			case seg.id == prev.id:
				seg.limit, seg.sure = min(seg.size, prev.end), true
				if seg.size < prev.end {
					s.Damage = append(s.Damage, Damage{
						File: s.dir.segment(seg.id), Offset: seg.size,
						Reason: fmt.Sprintf("the file has %d bytes, but its records reach to %d", seg.size, prev.end),
					})
				}
			}
		}
		if !seg.torn {
			next = seg
		}
	}
}

// cutTornEnd ends the newest segment where Open would end it, if behind that place is
// nothing but the remains of a write that was never acknowledged.
func (s *Salvage) cutTornEnd(r *recovery) error {
	i := len(s.segments) - 1
	for i >= 0 && s.segments[i].torn && !s.segments[i].proof { // begun, but never counted
		i--
	}
	if i < 0 || s.segments[i].torn {
		return nil
	}
	seg := &s.segments[i]
	f, _, err := r.open(seg.id)
	if err != nil {
		return err
	}
	defer closeRead(f)
	sc := newScanner(f, seg.size, seg.head)
	for ok := true; ok && err == nil; {
		_, _, ok, err = sc.next()
	}
	var rest rest
	if err == nil {
		rest, err = inspectRest(sc, sc.pos.off, false)
	}
	if err != nil {
		return fmt.Errorf("segment %s: %w", segmentName(seg.id), err)
	}
	if rest.proof == 0 {
		seg.limit = sc.pos.off
	}
	return nil
}

// readSegment adds a segment's records and the damage between them.
func (s *Salvage) readSegment(r *recovery, i int) error {
	seg := &s.segments[i]
	if seg.dead {
		return nil
	}
	f, _, err := r.open(seg.id)
	if err != nil {
		return err
	}
	defer closeRead(f)
	g := gaps{s: s, seg: seg, end: segmentHeaderSize}
	if seg.torn && (seg.proof || seg.sure) {
		g.header()
	}
	if !seg.torn {
		g.next = seg.head.firstSeq
	}
	sc := newScanner(f, seg.limit, seg.head)
	err = walk(sc, false, func(off int64, h recordHeader, intact bool) {
		s.Last = max(s.Last, h.seq)
		g.record(off, h, intact)
		if intact && h.kind == kindData {
			s.records = append(s.records, salvagedRecord{h.seq, int32(i), off})
		}
	})
	if err != nil {
		return err
	}
	g.finish()
	return nil
}

// walk calls visit for each intact record header of the scanner's segment, telling
// whether the payload matches too. From a record it goes on behind its end, from a
// damaged place at the next multiple of 8.
func walk(sc *scanner, anyNonce bool, visit func(off int64, h recordHeader, intact bool)) error {
	for off := int64(segmentHeaderSize); off+recordHeaderSize <= sc.limit; {
		window, err := sc.bytes(off, min(sc.limit-off, readBytes))
		if err != nil {
			return err
		}
		skip := findRecord(window, sc.head, anyNonce)
		if skip < 0 {
			off += int64(len(window))&^(recordAlign-1) - recordHeaderSize + recordAlign
			continue
		}
		off += int64(skip)
		h, _ := decodeRecordHeader(window[skip:][:recordHeaderSize])
		size := recordHeaderSize + int64(padded(int(h.length)))
		record, err := sc.bytes(off, size)
		if err != nil {
			return err
		}
		intact := record != nil && payloadMatches(record, h)
		visit(off, h, intact)
		if record == nil { // its length is right, but the file ends before it
			return nil
		}
		off += size
	}
	return nil
}

// findRecord returns where the first intact header of the segment is, -1 if nowhere.
func findRecord(window []byte, head segmentHeader, anyNonce bool) int {
	for i := 0; i+recordHeaderSize <= len(window); i += recordAlign {
		b := window[i:][:recordHeaderSize]
		if !claimsToBe(b, uint32(head.id), head.nonce, anyNonce) {
			continue
		}
		if _, ok := decodeRecordHeader(b); ok {
			return i
		}
	}
	return -1
}

// settle decides which records count and notes which are missing between them.
func (s *Salvage) settle() {
	floor := ^schema.Seq(0) // records at or above it belong to a newer segment
	floors := make([]schema.Seq, len(s.segments))
	for i := len(s.segments) - 1; i >= 0; i-- {
		floors[i] = floor
		if seg := &s.segments[i]; !seg.torn && !seg.dead {
			floor = min(floor, seg.head.firstSeq)
		}
	}
	s.records = slices.DeleteFunc(s.records, func(r salvagedRecord) bool { return r.seq >= floors[r.segment] })
	slices.SortFunc(s.records, func(a, b salvagedRecord) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(b.segment, a.segment)) // the newest first
	})
	s.records = slices.CompactFunc(s.records, func(a, b salvagedRecord) bool { return a.seq == b.seq })
}

// Count returns the number of records that verify.
func (s *Salvage) Count() int { return len(s.records) }

// First returns the first record that verifies; ok is false when there is none.
func (s *Salvage) First() (first schema.Seq, ok bool) {
	if len(s.records) == 0 {
		return 0, false
	}
	return s.records[0].seq, true
}

// Missing returns the numbers in r of which there is no record that verifies.
func (s *Salvage) Missing(r schema.SeqRange) []schema.SeqRange {
	var missing []schema.SeqRange
	next := max(r.Min, 1)
	for _, rec := range s.records[s.find(next):] {
		if rec.seq > r.Max {
			break
		}
		if rec.seq > next {
			missing = append(missing, schema.SeqRange{Min: next, Max: rec.seq - 1})
		}
		next = rec.seq + 1
	}
	if next <= r.Max {
		missing = append(missing, schema.SeqRange{Min: next, Max: r.Max})
	}
	return missing
}

func (s *Salvage) find(seq schema.Seq) int {
	i, _ := slices.BinarySearchFunc(s.records, seq, func(r salvagedRecord, seq schema.Seq) int { return cmp.Compare(r.seq, seq) })
	return i
}

// Records calls yield for each record in r, in order. The payload is valid only during
// the call. An error of yield ends it and is returned as it is.
func (s *Salvage) Records(r schema.SeqRange, yield func(seq schema.Seq, payload []byte) error) error {
	rec := &recovery{opts: s.opts, dir: s.dir}
	records := s.records[s.find(r.Min):]
	for len(records) > 0 && records[0].seq <= r.Max {
		n := 1
		for n < len(records) && records[n].segment == records[0].segment && records[n].seq <= r.Max {
			n++
		}
		if err := s.yieldFrom(rec, records[:n], yield); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// yieldFrom reads records of one segment.
func (s *Salvage) yieldFrom(r *recovery, records []salvagedRecord, yield func(schema.Seq, []byte) error) error {
	seg := &s.segments[records[0].segment]
	f, _, err := r.open(seg.id)
	if err != nil {
		return err
	}
	defer closeRead(f)
	sc := newScanner(f, seg.limit, seg.head)
	for _, want := range records {
		b, err := sc.bytes(want.off, recordHeaderSize)
		if err != nil {
			return fmt.Errorf("segment %s: %w", segmentName(seg.id), err)
		}
		h, _ := decodeRecordHeader(b)
		b, err = sc.bytes(want.off, recordHeaderSize+int64(padded(int(h.length))))
		if err != nil {
			return fmt.Errorf("segment %s: %w", segmentName(seg.id), err)
		}
		if h.seq != want.seq || !payloadMatches(b, h) {
			return fmt.Errorf("segment %s changed while it was read, at offset %d", segmentName(seg.id), want.off)
		}
		if err := yield(h.seq, b[recordHeaderSize:][:h.length]); err != nil {
			return err
		}
	}
	return nil
}
