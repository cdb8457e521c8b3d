package wal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/siltstone-db/siltstone/schema"
)

// readBytes is how much a scanner reads at once. A larger record is read in one piece.
const readBytes = 1 << 20

// position is a boundary between records of one segment.
type position struct {
	off     int64
	crc     uint32     // of the last record before off, or of the segment's header
	next    schema.Seq // of the first data record at or after off
	records int        // data records before off
}

// scanner reads the records of one segment in order, up to the first bad one.
type scanner struct {
	src   io.ReaderAt
	limit int64 // nothing at or after this offset is read
	head  segmentHeader

	pos position
	// group is the durable offset that the last record carries; proven is the
	// position at that offset. All before it was once synced successfully.
	group  int64
	proven position
	// fault says why there is no record at pos; "" at the limit.
	fault string

	buf   []byte
	start int64 // offset of buf[0]
}

func newScanner(src io.ReaderAt, limit int64, head segmentHeader) *scanner {
	return &scanner{
		src: src, limit: limit, head: head,
		pos: position{off: segmentHeaderSize, crc: head.crc, next: head.firstSeq},
		buf: make([]byte, 0, min(max(limit, 0), readBytes)),
	}
}

// next returns the record at the current position and moves behind it. Where there
// is no valid record it returns false and stays; fault tells why. The payload is
// valid until the next call. The error is one of reading the file.
func (s *scanner) next() (recordHeader, []byte, bool, error) {
	if s.pos.off == s.limit {
		s.fault = ""
		return recordHeader{}, nil, false, nil
	}
	b, err := s.bytes(s.pos.off, recordHeaderSize)
	if err != nil || b == nil {
		s.fault = "the file ends within a record header"
		return recordHeader{}, nil, false, err
	}
	h, ok := decodeRecordHeader(b)
	if s.fault = s.judge(h, ok); s.fault != "" {
		return h, nil, false, nil
	}
	size := recordHeaderSize + int64(padded(int(h.length)))
	if b, err = s.bytes(s.pos.off, size); err != nil || b == nil {
		s.fault = "the file ends within a record"
		return h, nil, false, err
	}
	payload := b[recordHeaderSize : recordHeaderSize+int(h.length)]
	if crc32.Checksum(b[recordHeaderSize:], castagnoli) != h.payloadCRC {
		s.fault = "the record's payload does not match its checksum"
		return h, nil, false, nil
	}
	s.advance(h, size)
	return h, payload, true, nil
}

// judge says what is wrong with a record header at the current position, "" if nothing.
func (s *scanner) judge(h recordHeader, intact bool) string {
	switch {
	case !intact:
		return "there is no intact record header"
	case h.segment != uint32(s.head.id) || h.nonce != s.head.nonce:
		return "the record belongs to another segment"
	case h.prev != s.pos.crc:
		return "the record does not follow the one before it"
	case h.kind == kindData && h.seq != s.pos.next, h.kind == kindMark && h.seq+1 != s.pos.next:
		return "the record is out of sequence"
	// The first record of a group, or a mark, carries its own offset; the others of the
	// group, and a group behind a mark that was not synced, repeat it.
	case h.durable != s.pos.off && h.durable != s.group:
		return "the record's durable offset is impossible"
	}
	return ""
}

func (s *scanner) advance(h recordHeader, size int64) {
	if h.durable == s.pos.off {
		s.group, s.proven = h.durable, s.pos
	}
	s.pos.off += size
	s.pos.crc = h.crc
	if h.kind == kindData {
		s.pos.next++
		s.pos.records++
	}
}

// bytes returns n bytes at off, or nil where the limit comes before their end. They
// are valid until the next call.
func (s *scanner) bytes(off, n int64) ([]byte, error) {
	if n > s.limit-off {
		return nil, nil
	}
	if off < s.start || off+n > s.start+int64(len(s.buf)) {
		if err := s.fill(off, n); err != nil {
			return nil, err
		}
	}
	return s.buf[off-s.start:][:n], nil
}

// fill makes the buffer start at off and hold at least n bytes; the caller checked
// that the file has them.
func (s *scanner) fill(off, n int64) error {
	keep := 0
	if off >= s.start && off < s.start+int64(len(s.buf)) {
		keep = copy(s.buf, s.buf[off-s.start:])
	}
	want := min(max(n, readBytes), s.limit-off)
	if int64(cap(s.buf)) < want {
		s.buf = append(make([]byte, 0, want), s.buf[:keep]...)
	}
	s.start, s.buf = off, s.buf[:want]
	got, err := s.src.ReadAt(s.buf[keep:], off+int64(keep))
	if keep+got == len(s.buf) {
		return nil
	}
	s.buf = s.buf[:0]
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file became shorter while it was read
	}
	return fmt.Errorf("read %d bytes at offset %d: %w", want, off, err)
}
