package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

func schemaSeq(i int) schema.Seq { return schema.Seq(i) }

// rechecksum makes a segment header valid again.
func rechecksum(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// golden compares with a file in testdata, or rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-rewrite accepts the change); got:\n%s", path, got)
	}
}

// TestFormatIsUnchanged writes a log whose bytes are kept in testdata, and reads them.
func TestFormatIsUnchanged(t *testing.T) {
	fs := vfs.NewCrashableMem()
	opts := testOptions(fs)
	opts.PreallocBytes = -1
	nonce := uint32(0x01020304)
	opts.nonce = func() uint32 { nonce++; return nonce }
	l, _ := mustOpen(t, opts, 41)
	var want []record
	for _, p := range []string{"first", "", "eight by", strings.Repeat("long ", 760), "in the next segment"} {
		want = append(want, record{mustCommit(t, l, p), p})
		settlePrepare(l)
	}
	mustClose(t, l)
	contents := files(t, fs)
	if len(contents) != 2 {
		t.Fatalf("%d files", len(contents))
	}
	for name, content := range contents {
		golden(t, name, content)
	}

	kept := make(map[string]string)
	for name := range contents {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		kept[name] = string(b)
	}
	l, got := mustOpen(t, testOptions(memWith(t, kept)), 41)
	if !slices.Equal(got, want) {
		t.Fatalf("read %v", got)
	}
	mustClose(t, l)
}

// TestOrderOfFileOperations keeps the order in which files are created, written,
// synced and renamed.
func TestOrderOfFileOperations(t *testing.T) {
	var trace strings.Builder
	fs := vfs.WithLogging(vfs.NewCrashableMem(), func(format string, args ...any) {
		fmt.Fprintf(&trace, format+"\n", args...)
	})
	step := func(name string) { fmt.Fprintf(&trace, "# %s\n", name) }
	opts := testOptions(fs)
	opts.SpareSegments = 1
	step("open a new log")
	l, _ := mustOpen(t, opts, 0)
	for i := range 12 {
		if i == 8 {
			step("trim through 6")
			if err := l.Trim(6); err != nil {
				t.Fatal(err)
			}
		}
		step(fmt.Sprintf("commit %d", i+1))
		mustCommit(t, l, payloadOf(i, 900))
		settlePrepare(l)
	}
	step("close")
	mustClose(t, l)
	step("open from 6")
	l, _ = mustOpen(t, opts, 6)
	step("commit 13, end without close")
	mustCommit(t, l, "13")
	step("open from 6")
	l, _ = mustOpen(t, opts, 6)
	step("close")
	mustClose(t, l)
	golden(t, "operations.txt", trace.String())
}

func TestHugeLengthIsNotBelieved(t *testing.T) {
	b := newBuilder(t)
	b.group("one")
	contents := b.files()
	h := recordHeader{
		kind: kindData, length: MaxPayloadBytes, prev: b.s.crc, seq: 2,
		segment: uint32(b.s.head.id), nonce: b.s.head.nonce, durable: b.s.durable,
	}
	contents[segmentName(1)] += string(h.append(nil))
	fs := memWith(t, contents)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l, got := mustOpen(t, testOptions(fs), 0)
	runtime.ReadMemStats(&after)
	mustClose(t, l)
	if len(got) != 1 {
		t.Fatal(got)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Fatalf("opening %d bytes allocated %d", len(contents[segmentName(1)]), n)
	}
}

func TestNamesAreParsedStrictly(t *testing.T) {
	for _, id := range []segmentID{1, 0xabc, 1<<64 - 1} {
		if got, ok := parseSegmentName(segmentName(id)); !ok || got != id {
			t.Errorf("%s is read as %d", segmentName(id), got)
		}
	}
	for _, name := range []string{
		"", ".wal", "1.wal", "0000000000000000.wal", "000000000000000A.wal", "+000000000000001.wal",
		"0000000000000001.wal.tmp", "00000000000000001.wal", "000000000000000g.wal",
	} {
		if id, ok := parseSegmentName(name); ok {
			t.Errorf("%q is read as %d", name, id)
		}
	}
}

// FuzzSegment opens a log that consists of arbitrary bytes. Fuzz it with
// -fuzzminimizetime 20x: its coverage varies a little, and minimizing would not end.
func FuzzSegment(f *testing.F) {
	for _, name := range []string{segmentName(1), segmentName(2)} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-9])
	}
	b := newBuilder(f)
	b.group("one")
	b.group("two", "three")
	b.group("four")
	f.Add([]byte(b.files()[segmentName(1)]))
	f.Add([]byte(segmentMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= segmentHeaderSize && string(b[:8]) == segmentMagic {
			b = rechecksum(bytes.Clone(b)) // let the fuzzer get behind the header
		}
		fs := memWith(t, map[string]string{segmentName(1): string(b)})
		from := schema.Seq(0)
		if h, err := decodeSegmentHeader(b, 1); err == nil && h.firstSeq > 0 {
			from = h.firstSeq - 1
		}
		l, first, err := openAll(testOptions(fs), from)
		if err != nil {
			return
		}
		abandon(l)
		for _, r := range first {
			if !strings.Contains(string(b), r.payload) {
				t.Fatalf("record %d is not in the file", r.seq)
			}
		}
		l, second, err := openAll(testOptions(fs), from)
		if err != nil || !slices.Equal(first, second) {
			t.Fatalf("the second Open differs: %v", err)
		}
		mustClose(t, l)
	})
}
