package wal

import (
	"fmt"
	"hash/crc32"

	"github.com/siltstone-db/siltstone/schema"
)

// payloadMatches reports whether the bytes of a record match its header's checksum.
func payloadMatches(record []byte, h recordHeader) bool {
	return crc32.Checksum(record[recordHeaderSize:], castagnoli) == h.payloadCRC
}

// gaps notes the damage between the records of one segment while it is read.
type gaps struct {
	s    *Salvage
	seg  *salvagedSegment
	end  int64      // behind the last record that verifies
	next schema.Seq // the number that is expected there; 0: not known

	// proof says that what is behind end was once durable.
	proof bool
}

func (g *gaps) add(to int64, seq schema.SeqRange, reason string) {
	g.s.Damage = append(g.s.Damage, Damage{
		File: g.s.dir.segment(g.seg.id), Offset: g.end, Bytes: to - g.end, Seq: seq, Reason: reason,
	})
}

func (g *gaps) header() {
	g.s.Damage = append(g.s.Damage, Damage{
		File: g.s.dir.segment(g.seg.id), Bytes: min(segmentHeaderSize, g.seg.size), Reason: errTornHeader.Error(),
	})
}

// record takes a record whose header verifies. One whose payload does not is left to
// be part of the gap before the next good one.
func (g *gaps) record(off int64, h recordHeader, intact bool) {
	g.proof = g.proof || h.durable > g.end
	if !intact {
		return
	}
	if off > g.end {
		g.add(off, g.missing(h), "no record that verifies")
	}
	g.end = off + recordHeaderSize + int64(padded(int(h.length)))
	g.next = h.seq + 1
	g.proof = false
}

// missing returns the numbers between the record before the gap and h, which follows it.
func (g *gaps) missing(h recordHeader) schema.SeqRange {
	last := h.seq
	if h.kind == kindData {
		last--
	}
	if g.next == 0 || last < g.next {
		return schema.SeqRange{}
	}
	return schema.SeqRange{Min: g.next, Max: last}
}

// finish notes what is missing at the end: all up to the limit if a successor named it,
// else only what something intact says was once durable.
func (g *gaps) finish() {
	if g.end >= g.seg.limit || !g.seg.sure && !g.proof {
		return
	}
	reason := "no record that verifies up to the end of the file"
	if g.seg.sure {
		reason = fmt.Sprintf("no record that verifies up to offset %d, where the next segment goes on", g.seg.limit)
	}
	g.add(g.seg.limit, schema.SeqRange{}, reason)
}
