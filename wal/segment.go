package wal

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

const (
	// smallGroupBytes is the size below which a group fills the file ahead with
	// zeros: larger ones gain nothing from it, and would write everything twice.
	smallGroupBytes = 256 << 10
	// keepBufferBytes bounds the memory that is kept between groups.
	keepBufferBytes = 8 << 20
)

// segment is the file that is being written. Whoever leads a group owns it.
type segment struct {
	file  vfs.File
	path  string
	head  segmentHeader
	next  int64 // where the next group goes
	alloc int64 // size of the file: behind next there are zeros or old bytes
	// durable is where the last successful sync ended; 0 until the header is durable.
	durable int64
	// durableCRC and durableRecords are crc and records at durable: a group that
	// failed leaves the others ahead of what counts.
	durableCRC     uint32
	durableRecords int
	crc            uint32 // of the last record, or of the header
	records        int

	buf []byte // the group that is being encoded
}

// begin starts the encoding of a group. The first one takes the header along.
func (s *segment) begin() {
	s.buf = s.buf[:0]
	if s.next == 0 {
		s.buf = s.head.append(s.buf)
		s.crc = s.head.crc
	}
}

// add encodes one record.
func (s *segment) add(kind recordKind, seq schema.Seq, payload []byte, payloadCRC uint32) {
	h := recordHeader{
		kind: kind, length: uint32(len(payload)), prev: s.crc, seq: seq,
		segment: uint32(s.head.id), nonce: s.head.nonce, durable: s.durable, payloadCRC: payloadCRC,
	}
	s.buf = h.append(s.buf)
	s.crc = h.crc
	s.buf = append(s.buf, payload...)
	s.buf = append(s.buf, padding[:padded(len(payload))-len(payload)]...)
	if kind == kindData {
		s.records++
	}
}

// write writes the group with one call. Its error leaves the segment unusable.
func (s *segment) write(prealloc int64) (int, error) {
	size := len(s.buf)
	end := s.next + int64(size)
	if end > s.alloc && prealloc > 0 && size < smallGroupBytes {
		fill := (end+prealloc-1)/prealloc*prealloc - end
		s.buf = appendZeros(s.buf, int(fill))
	}
	written := len(s.buf)
	if _, err := s.file.WriteAt(s.buf, s.next); err != nil {
		return 0, fmt.Errorf("write %s at offset %d: %w", s.path, s.next, err)
	}
	s.alloc = max(s.alloc, s.next+int64(written))
	s.next = end
	if cap(s.buf) > keepBufferBytes {
		s.buf = nil
	}
	return written, nil
}

// sync makes all that was written durable. Its error leaves the segment unusable.
func (s *segment) sync() (time.Duration, error) {
	start := time.Now()
	if err := s.file.SyncData(); err != nil {
		return 0, fmt.Errorf("sync %s: %w", s.path, err)
	}
	s.durable, s.durableCRC, s.durableRecords = s.next, s.crc, s.records
	return time.Since(start), nil
}

// durableEnd names the end of what counts for ever, whatever failed behind it.
func (s *segment) durableEnd() link { return link{s.head.id, s.durable, s.durableCRC} }

func (s *segment) end() link { return link{s.head.id, s.next, s.crc} }

func appendZeros(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		return append(b, make([]byte, n)...)
	}
	b = b[:len(b)+n]
	clear(b[len(b)-n:])
	return b
}

// createSegment makes a new segment that holds the given records and is durable with
// them. The header comes last, because it makes the segment count: from then on it
// has to hold all that it was made for.
func createSegment(d directory, id segmentID, nonce uint32, first schema.Seq, prev link, carried []carriedRecord) (*segment, error) {
	s := &segment{path: d.segment(id), head: segmentHeader{id: id, nonce: nonce, firstSeq: first, prev: prev}}
	var err error
	if s.file, err = d.fs.OpenReadWrite(s.path, vfs.WriteCategoryUnspecified); err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	if err := s.initialise(d, carried); err != nil {
		err = errors.Join(err, s.file.Close())
		_ = d.fs.Remove(s.path) // a full disk has no room for it; the next Open ignores it
		return nil, err
	}
	return s, nil
}

func (s *segment) initialise(d directory, carried []carriedRecord) error {
	header := s.head.append(nil)
	s.crc, s.next = s.head.crc, segmentHeaderSize
	if len(carried) > 0 {
		s.begin()
		for _, c := range carried {
			s.add(kindData, c.seq, c.payload, payloadChecksum(c.payload))
		}
		if _, err := s.write(0); err != nil {
			return err
		}
		if _, err := s.sync(); err != nil {
			return err
		}
	}
	if err := d.sync(); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(header, 0); err != nil {
		return fmt.Errorf("write %s at offset 0: %w", s.path, err)
	}
	if _, err := s.sync(); err != nil {
		return err
	}
	s.alloc = s.next
	return nil
}
