package wal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/siltstone-db/siltstone/schema"
)

// MaxPayloadBytes bounds one record. It is far above any request that is accepted,
// and keeps a damaged length from being believed.
const MaxPayloadBytes = 256 << 20

const (
	segmentMagic      = "SLTWALSG"
	segmentVersion    = 1
	segmentHeaderSize = 64

	recordMagic      = 0x52544c53 // "SLTR"
	recordHeaderSize = 48
	recordAlign      = 8
)

// flagRecycled says that the file held an older segment: what follows the last
// record is then not evidence of a torn write.
const flagRecycled uint16 = 1

// recordKind is part of the format.
type recordKind uint8

const (
	kindData recordKind = 1
	// kindMark carries no payload and no sequence number of its own. Mark and Close write
	// it so that the last group, too, is followed by a record that calls it durable.
	kindMark recordKind = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// link names the place at which the records of an earlier segment end.
type link struct {
	id  segmentID // 0: there is no earlier segment
	end int64
	crc uint32 // checksum of the last record before end, or of the segment's header
}

// segmentHeader is the first 64 bytes of a segment.
type segmentHeader struct {
	id       segmentID
	nonce    uint32 // random; a payload cannot contain a record that is taken for ours
	flags    uint16
	firstSeq schema.Seq
	prev     link
	crc      uint32 // set by decode and append
}

// append encodes h, whose checksum it sets.
func (h *segmentHeader) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, segmentVersion)
	dst = binary.LittleEndian.AppendUint16(dst, h.flags)
	dst = binary.LittleEndian.AppendUint32(dst, h.nonce)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.id))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.firstSeq))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.prev.id))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.prev.end))
	dst = binary.LittleEndian.AppendUint32(dst, h.prev.crc)
	dst = binary.LittleEndian.AppendUint64(dst, 0)
	h.crc = crc32.Checksum(dst[start:], castagnoli)
	return binary.LittleEndian.AppendUint32(dst, h.crc)
}

// errTornHeader says that the bytes are not a header of the expected segment at all.
var errTornHeader = errors.New("segment header is incomplete or damaged")

// decodeSegmentHeader reads the header of the segment that is expected to be id.
// The error is errTornHeader or ErrUnsupported.
func decodeSegmentHeader(b []byte, id segmentID) (segmentHeader, error) {
	if len(b) < segmentHeaderSize || string(b[:8]) != segmentMagic {
		return segmentHeader{}, errTornHeader
	}
	h := segmentHeader{
		flags:    binary.LittleEndian.Uint16(b[10:]),
		nonce:    binary.LittleEndian.Uint32(b[12:]),
		id:       segmentID(binary.LittleEndian.Uint64(b[16:])),
		firstSeq: schema.Seq(binary.LittleEndian.Uint64(b[24:])),
		prev: link{
			id:  segmentID(binary.LittleEndian.Uint64(b[32:])),
			end: int64(binary.LittleEndian.Uint64(b[40:])),
			crc: binary.LittleEndian.Uint32(b[48:]),
		},
		crc: binary.LittleEndian.Uint32(b[60:]),
	}
	if crc32.Checksum(b[:60], castagnoli) != h.crc {
		return segmentHeader{}, errTornHeader
	}
	version, reserved := binary.LittleEndian.Uint16(b[8:]), binary.LittleEndian.Uint64(b[52:])
	if version != segmentVersion || h.flags&^flagRecycled != 0 || reserved != 0 {
		return segmentHeader{}, ErrUnsupported
	}
	// A recycled file keeps its old header until the new one is written over it.
	if h.id != id || h.prev.id >= id {
		return segmentHeader{}, errTornHeader
	}
	return h, nil
}

// recordHeader is the 48 bytes before a payload.
type recordHeader struct {
	kind       recordKind
	length     uint32 // of the payload, without padding
	prev       uint32 // checksum of the record before, or of the segment's header
	seq        schema.Seq
	segment    uint32 // low half of the segment's id
	nonce      uint32 // the segment's
	durable    int64  // all of this segment before that offset was durable when this was written
	payloadCRC uint32 // over payload and padding
	crc        uint32 // over the fields above, payloadCRC included; set by decode and append
}

func (h *recordHeader) append(dst []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, recordMagic)
	dst = append(dst, byte(h.kind), 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, h.length)
	dst = binary.LittleEndian.AppendUint32(dst, h.prev)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.seq))
	dst = binary.LittleEndian.AppendUint32(dst, h.segment)
	dst = binary.LittleEndian.AppendUint32(dst, h.nonce)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.durable))
	dst = binary.LittleEndian.AppendUint32(dst, h.payloadCRC)
	h.crc = crc32.Checksum(dst[start:], castagnoli)
	return binary.LittleEndian.AppendUint32(dst, h.crc)
}

// claimsToBe reports whether b starts like a record of the given segment, intact or
// not. Where the segment's own header is lost, so is its nonce: then any will do.
func claimsToBe(b []byte, segment uint32, nonce uint32, anyNonce bool) bool {
	return binary.LittleEndian.Uint32(b) == recordMagic &&
		binary.LittleEndian.Uint32(b[24:]) == segment &&
		(anyNonce || binary.LittleEndian.Uint32(b[28:]) == nonce)
}

// decodeRecordHeader reads a header and reports whether it is intact and known.
func decodeRecordHeader(b []byte) (recordHeader, bool) {
	h := recordHeader{
		kind:       recordKind(b[4]),
		length:     binary.LittleEndian.Uint32(b[8:]),
		prev:       binary.LittleEndian.Uint32(b[12:]),
		seq:        schema.Seq(binary.LittleEndian.Uint64(b[16:])),
		segment:    binary.LittleEndian.Uint32(b[24:]),
		nonce:      binary.LittleEndian.Uint32(b[28:]),
		durable:    int64(binary.LittleEndian.Uint64(b[32:])),
		payloadCRC: binary.LittleEndian.Uint32(b[40:]),
		crc:        binary.LittleEndian.Uint32(b[44:]),
	}
	flags, reserved := b[5], binary.LittleEndian.Uint16(b[6:])
	ok := binary.LittleEndian.Uint32(b) == recordMagic &&
		crc32.Checksum(b[:44], castagnoli) == h.crc &&
		flags == 0 && reserved == 0 &&
		(h.kind == kindData || h.kind == kindMark && h.length == 0) &&
		h.length <= MaxPayloadBytes
	return h, ok
}

// padded is the room that a payload takes.
func padded(length int) int { return (length + recordAlign - 1) &^ (recordAlign - 1) }

var padding [recordAlign]byte

func payloadChecksum(payload []byte) uint32 {
	crc := crc32.Checksum(payload, castagnoli)
	return crc32.Update(crc, castagnoli, padding[:padded(len(payload))-len(payload)])
}

func randomNonce() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return binary.LittleEndian.Uint32(b[:])
}
