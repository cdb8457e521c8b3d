package wal

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// TestCheckReadsWhatOpenReplays compares both on a log of several segments, open and
// closed, from each position on; and a byte that is changed in an old segment costs the
// records of that segment only.
func TestCheckReadsWhatOpenReplays(t *testing.T) {
	fs := vfs.NewMem()
	opts := Options{FS: fs, Dir: "wal", SegmentBytes: minSegmentBytes, PreallocBytes: -1}
	log, err := Open(opts, 0, func(schema.Seq, []byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	const records = 60
	for i := range records {
		if _, err := log.Commit([]byte(fmt.Sprintf("record %d %0300d", i+1, i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	read := func(check func(schema.Seq, func(Place, []byte) error) (CheckReport, error), from schema.Seq) CheckReport {
		t.Helper()
		next := from + 1
		report, err := check(from, func(at Place, payload []byte) error {
			if want := fmt.Sprintf("record %d ", at.Seq); at.Seq < next || string(payload[:len(want)]) != want {
				t.Errorf("at %+v, where record %d comes: %.20s", at, next, payload)
			}
			next = at.Seq + 1
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	closed := func(from schema.Seq, visit func(Place, []byte) error) (CheckReport, error) {
		return Check(opts, from, visit)
	}
	for _, from := range []schema.Seq{0, 1, 30, records - 1, records} {
		if r := read(log.Check, from); r.Records != records-int(from) || len(r.Findings) > 0 {
			t.Errorf("open, from %d: %+v", from, r)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for _, from := range []schema.Seq{0, 1, 30, records - 1, records} {
		if r := read(closed, from); r.Records != records-int(from) || len(r.Findings) > 0 || r.Last != records && from != records {
			t.Errorf("closed, from %d: %+v", from, r)
		}
	}
	whole := read(closed, 0)
	changeByte(t, fs, "wal/"+segmentName(2))
	r := read(closed, 0)
	if len(r.Findings) != 1 || r.Findings[0].IsNote || r.Findings[0].File != "wal/"+segmentName(2) {
		t.Fatalf("with a changed byte: %+v", r)
	}
	if f := r.Findings[0]; r.Records != whole.Records-int(f.Last-f.First+1) {
		t.Errorf("%d of %d records were read, %d to %d cannot be", r.Records, whole.Records, f.First, f.Last)
	}
}

// changeByte changes one bit in the middle of a file.
func changeByte(t *testing.T, fs vfs.FS, name string) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
