package engine_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
)

// tailStride is the distance between the places at which the log is cut off by default; it has
// no divisor in common with the alignment of records.
const tailStride = 5

// logOf returns the only segment of the log and the offsets at which its records end.
func logOf(t *testing.T, fs vfs.FS) (name string, content []byte, ends []int) {
	t.Helper()
	names, err := fs.List("data/wal")
	if err != nil || len(names) != 1 {
		t.Fatalf("the log consists of %v (%v)", names, err)
	}
	name = path.Join("data/wal", names[0])
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if content, err = io.ReadAll(f); err != nil {
		t.Fatal(err)
	}
	const header, magic = 48, "SLTR"
	for at := 64; at+header <= len(content) && string(content[at:at+4]) == magic; {
		at += header + (int(binary.LittleEndian.Uint32(content[at+8:]))+7)&^7
		ends = append(ends, at)
	}
	return name, content, ends
}

// TestTornEndOfTheLogLosesNothingAcknowledged cuts the last three records of the log at every
// place, as a power failure may, and fills the rest with what may be there: the engine starts,
// and has each record that is whole.
func TestTornEndOfTheLogLosesNothingAcknowledged(t *testing.T) {
	disk := vfs.NewCrashableMem()
	unmarked := func(o *engine.Options) { o.MarkInterval = -1 }
	e := open(t, disk, unmarked)
	states := []contents{{}}
	for i := range 5 {
		write(t, e, fmt.Sprintf("cpu,host=h%d v=%di,s=\"some text %d\" %d", i, i, i, i))
		states = append(states, read(t, e, disk, "db"))
	}
	killed := disk.CrashClone(vfs.CrashCloneCfg{})
	name, whole, ends := logOf(t, killed)
	closeEngine(t, e)
	if len(ends) != 5 {
		t.Fatalf("%d records", len(ends))
	}
	other := vfs.NewCrashableMem() // whose log stands for what a recycled file held
	e = open(t, other, unmarked)
	for i := range 5 {
		write(t, e, fmt.Sprintf("old,host=o%d v=%di,s=\"older text %d\" %d", i, i, i, i))
	}
	_, old, _ := logOf(t, other)
	closeEngine(t, e)

	rng := rand.New(rand.NewPCG(*seedFlag, 8))
	for cut := ends[1]; cut <= ends[4]; cut += tailStride {
		intact := 0
		for intact < len(ends) && ends[intact] <= cut {
			intact++
		}
		for what, fill := range map[string]func(rest []byte) []byte{
			"nothing":  func([]byte) []byte { return nil },
			"zeros":    func(rest []byte) []byte { return make([]byte, len(rest)) },
			"garbage":  func(rest []byte) []byte { return garbage(rng, len(rest)) },
			"recycled": func([]byte) []byte { return old[min(cut, len(old)):] },
		} {
			fs := killed.CrashClone(vfs.CrashCloneCfg{})
			content := append(append([]byte(nil), whole[:cut]...), fill(whole[cut:])...)
			overwrite(t, fs, name, content)
			for range 2 { // recovery, and recovery after it
				e := open(t, fs)
				got := contents{}
				if intact > 0 {
					got = read(t, e, fs, "db")
				}
				if diff := cmp.Diff(states[intact], got); diff != "" {
					t.Fatalf("cut at %d of %d, then %s: %d records should be there (-want +got)\n%s", cut, ends[4], what, intact, diff)
				}
				fs = fs.CrashClone(vfs.CrashCloneCfg{})
				closeEngine(t, e)
			}
		}
	}
}

func garbage(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func overwrite(t *testing.T, fs vfs.FS, name string, content []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
