package wal

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
)

var (
	rewrite   = flag.Bool("rewrite", false, "rewrite the files in testdata")
	seedCount = flag.Int("seeds", 500, "how many random workloads TestRandomWorkloadsSurviveCrashes runs")
	firstSeed = flag.Uint64("seed", 1, "the first of them")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testDir = "/wal"

// record is what replay saw.
type record struct {
	seq     schema.Seq
	payload string
}

func testOptions(fs vfs.FS) Options {
	return Options{FS: fs, Dir: testDir, SegmentBytes: minSegmentBytes, PreallocBytes: 1 << 10}
}

// openAll opens the log and returns the records that it replayed.
func openAll(opts Options, from schema.Seq) (*Log, []record, error) {
	var all []record
	l, err := Open(opts, from, func(seq schema.Seq, payload []byte) error {
		all = append(all, record{seq, string(payload)})
		return nil
	})
	return l, all, err
}

func mustOpen(t testing.TB, opts Options, from schema.Seq) (*Log, []record) {
	t.Helper()
	l, all, err := openAll(opts, from)
	if err != nil {
		t.Fatal(err)
	}
	return l, all
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustCommit(t testing.TB, l *Log, payload string) schema.Seq {
	t.Helper()
	seq, err := l.Commit([]byte(payload), nil)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// settlePrepare waits until the file of the next segment is there, so that the order
// of file operations does not depend on the scheduler.
func settlePrepare(l *Log) {
	if l.next != nil {
		<-l.next.done
	}
}

// abandon is the end of a process: nothing is written, only goroutines end.
func abandon(l *Log) {
	settlePrepare(l)
}

// payloadOf makes a payload that can be told from every other.
func payloadOf(i, size int) string {
	rng := rand.New(rand.NewPCG(uint64(i), 7))
	b := fmt.Appendf(nil, "record %d ", i)
	for len(b) < size {
		b = append(b, byte(rng.Uint32()))
	}
	return string(b)
}

// hookFS calls before ahead of each operation that changes something.
func hookFS(fs vfs.FS, before func(op errorfs.Op) error) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		return before(op)
	}))
}

// files returns the contents of the directory.
func files(t testing.TB, fs vfs.FS) map[string]string {
	t.Helper()
	names, err := fs.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, name := range names {
		all[name] = readFile(t, fs, name)
	}
	return all
}

func readFile(t testing.TB, fs vfs.FS, name string) string {
	t.Helper()
	f, err := fs.Open(fs.PathJoin(testDir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// memWith returns a file system whose log directory holds the given files, durably.
func memWith(t testing.TB, contents map[string]string) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll(testDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if err := writeFile(fs, fs.PathJoin(testDir, name), bytes.Clone([]byte(contents[name]))); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{testDir, "/"} {
		if err := durable.SyncDir(fs, dir); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

func wantCorruption(t testing.TB, err error) *CorruptionError {
	t.Helper()
	var c *CorruptionError
	if !errors.As(err, &c) {
		t.Fatalf("got %v, want a CorruptionError", err)
	}
	return c
}
