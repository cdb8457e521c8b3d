package wal

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// builder makes segments group by group, as the log does.
type builder struct {
	t     testing.TB
	fs    *vfs.MemFS
	s     *segment
	last  schema.Seq
	nonce uint32
	ends  []int64 // of each record in s
}

func newBuilder(t testing.TB) *builder {
	b := &builder{t: t, fs: memWith(t, nil), nonce: 0xabcd0000}
	b.begin(1, link{})
	return b
}

// begin begins a segment after the one that was built so far.
func (b *builder) begin(id segmentID, prev link) {
	b.t.Helper()
	d := directory{b.fs, testDir}
	b.nonce++
	s := &segment{path: d.segment(id), head: segmentHeader{id: id, nonce: b.nonce, firstSeq: b.last + 1, prev: prev}}
	var err error
	if s.file, err = b.fs.OpenReadWrite(s.path, vfs.WriteCategoryUnspecified); err != nil {
		b.t.Fatal(err)
	}
	b.s, b.ends = s, nil
}

func (b *builder) switchSegment() { b.begin(b.s.head.id+1, b.s.end()) }

func (b *builder) group(payloads ...string) {
	b.t.Helper()
	b.s.begin()
	for _, p := range payloads {
		b.last++
		b.s.add(kindData, b.last, []byte(p), payloadChecksum([]byte(p)))
		b.ends = append(b.ends, b.s.next+int64(len(b.s.buf)))
	}
	b.flush()
}

func (b *builder) mark() {
	b.t.Helper()
	b.s.begin()
	b.s.add(kindMark, b.last, nil, payloadChecksum(nil))
	b.flush()
}

func (b *builder) flush() {
	b.t.Helper()
	if _, err := b.s.write(0); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.s.sync(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *builder) files() map[string]string { return files(b.t, b.fs) }

// tornLog is a log of two acknowledged records and one whose last byte is missing.
func tornLog(t testing.TB, lost string) map[string]string {
	b := newBuilder(t)
	b.group("one")
	b.group("two")
	b.group(lost + strings.Repeat(".", 20))
	contents := b.files()
	name := segmentName(1)
	contents[name] = contents[name][:b.ends[2]-16]
	return contents
}
