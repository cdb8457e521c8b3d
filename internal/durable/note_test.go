package durable

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestTornNoteLeavesTheOneBefore flips each byte of a note and cuts it anywhere, also when it
// has just been opened again: it says the last number, the one before, or nothing of others.
func TestTornNoteLeavesTheOneBefore(t *testing.T) {
	fs := vfs.NewMem()
	for _, numbers := range [][]uint64{{7}, {8, 10}, {12, 300, 302}} { // each time opened anew
		n := &Note{FS: fs, Path: "note", Owner: "me"}
		before := n.Last()
		for _, number := range numbers {
			if err := n.Set(number); err != nil {
				t.Fatal(err)
			}
			whole := readAll(t, fs, "note")
			if got := n.Last(); got != number {
				t.Fatalf("set %d, read %d", number, got)
			}
			for at := range whole {
				flipped := slices.Clone(whole)
				flipped[at] ^= 0x10
				for _, damaged := range [][]byte{flipped, whole[:at]} {
					fs := vfs.NewMem()
					writeAll(t, fs, "note", damaged)
					if got := (&Note{FS: fs, Path: "note", Owner: "me"}).Last(); got != number && got != before && got != 0 || len(damaged) == len(whole) && got == 0 && before > 0 {
						t.Fatalf("set %d after %d, byte %d damaged: read %d", number, before, at, got)
					}
				}
			}
			before = number
		}
		n.Close()
	}
	if got := (&Note{FS: fs, Path: "note", Owner: "other"}).Last(); got != 0 {
		t.Errorf("the note of other data says %d", got)
	}
}

func readAll(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func writeAll(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(slices.Clone(b)); err != nil { // which this file system may spoil
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
