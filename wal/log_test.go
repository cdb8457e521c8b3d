package wal

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

func TestReopenYieldsWhatWasCommitted(t *testing.T) {
	fs := vfs.NewCrashableMem()
	var want []record
	for round := range 5 {
		l, got := mustOpen(t, testOptions(fs), 0)
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: got %d records, want %d", round, len(got), len(want))
		}
		for i := range 20 {
			payload := payloadOf(round*100+i, i*97)
			if i == 0 {
				payload = "" // an empty record is one, too
			}
			want = append(want, record{mustCommit(t, l, payload), payload})
		}
		mustClose(t, l)
	}
	for i, r := range want {
		if r.seq != schema.Seq(i+1) {
			t.Fatalf("record %d has position %d", i, r.seq)
		}
	}
}

func TestReplayBeginsAfterFrom(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l, _ := mustOpen(t, testOptions(fs), 0)
	for i := range 40 {
		mustCommit(t, l, payloadOf(i, 300))
	}
	mustClose(t, l)
	contents := files(t, fs)
	for from := schema.Seq(0); from <= 40; from++ {
		l, got := mustOpen(t, testOptions(memWith(t, contents)), from)
		if len(got) != int(40-from) || len(got) > 0 && got[0].seq != from+1 {
			t.Fatalf("from %d: got %d records", from, len(got))
		}
		if s := l.Stats(); s.LastSeq != 40 || s.DurableSeq != 40 || s.AppliedSeq != 40 {
			t.Fatalf("from %d: %+v", from, s)
		}
		if seq := mustCommit(t, l, "next"); seq != 41 {
			t.Fatalf("from %d: the next record is %d", from, seq)
		}
		mustClose(t, l)
	}
}

func TestEmptyDirectoryStartsAfterFrom(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l, got := mustOpen(t, testOptions(fs), 17)
	if len(got) != 0 {
		t.Fatal(got)
	}
	if seq := mustCommit(t, l, "x"); seq != 18 {
		t.Fatalf("the first record is %d", seq)
	}
	mustClose(t, l)
}

func TestLogThatEndsBeforeDurableThroughIsCorrupt(t *testing.T) {
	fs := vfs.NewCrashableMem()
	opts := testOptions(fs)
	opts.DurableThrough = 1
	_, _, err := openAll(opts, 0)
	if c := wantCorruption(t, err); c.File != testDir {
		t.Fatalf("%+v", c)
	}
	if _, err := fs.Stat(testDir); err == nil {
		t.Fatal("a refused Open created the directory")
	}

	l, _ := mustOpen(t, testOptions(fs), 0)
	mustCommit(t, l, "1")
	mustClose(t, l)
	opts.DurableThrough = 2
	_, _, err = openAll(opts, 0)
	if c := wantCorruption(t, err); c.Seq != 1 {
		t.Fatalf("%+v", c)
	}
	_, _, err = openAll(testOptions(fs), 2) // to replay from 2 is the same claim
	wantCorruption(t, err)
	opts.DurableThrough = 1
	l, _ = mustOpen(t, opts, 1)
	mustClose(t, l)
}

func TestReplayErrorEndsOpen(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l, _ := mustOpen(t, testOptions(fs), 0)
	for i := range 30 {
		mustCommit(t, l, payloadOf(i, 400))
	}
	mustClose(t, l)
	broken := errors.New("broken")
	for stop := schema.Seq(1); stop <= 30; stop++ {
		_, err := Open(testOptions(fs), 0, func(seq schema.Seq, _ []byte) error {
			if seq == stop {
				return broken
			}
			return nil
		})
		if !errors.Is(err, broken) {
			t.Fatalf("stop at %d: %v", stop, err)
		}
	}
	l, got := mustOpen(t, testOptions(fs), 0)
	if len(got) != 30 {
		t.Fatalf("got %d records", len(got))
	}
	mustClose(t, l)
}

func TestRestartsDoNotPileUpFiles(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l, _ := mustOpen(t, testOptions(fs), 0)
	mustCommit(t, l, "1")
	mustClose(t, l)
	for range 10 {
		l, got := mustOpen(t, testOptions(fs), 0)
		if len(got) != 1 {
			t.Fatal(got)
		}
		mustClose(t, l)
	}
	if n := len(files(t, fs)); n != 2 {
		t.Fatalf("%d files, want the one with the record and the active one", n)
	}
}

func TestClosedLogRefuses(t *testing.T) {
	l, _ := mustOpen(t, testOptions(vfs.NewCrashableMem()), 0)
	mustClose(t, l)
	if _, err := l.Commit(nil, nil); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := l.Trim(1); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := l.Close(); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestTooLargeRecordIsRefusedAndHarmless(t *testing.T) {
	l, _ := mustOpen(t, testOptions(vfs.NewCrashableMem()), 0)
	if _, err := l.Commit(make([]byte, MaxPayloadBytes+1), nil); !errors.Is(err, ErrPayloadTooLarge) {
		t.Fatal(err)
	}
	never := func(error) { t.Error("done of a record that was not queued") }
	if err := l.CommitAsync(make([]byte, MaxPayloadBytes+1), nil, never); !errors.Is(err, ErrPayloadTooLarge) {
		t.Fatal(err)
	}
	if seq := mustCommit(t, l, "x"); seq != 1 {
		t.Fatal(seq)
	}
	mustClose(t, l)
}

func TestOptionsReportEveryFault(t *testing.T) {
	_, err := Open(Options{SegmentBytes: 1}, 0, noReplay)
	if err == nil || !strings.Contains(err.Error(), "Dir") || !strings.Contains(err.Error(), "SegmentBytes") {
		t.Fatal(err)
	}
}

func TestMetricsCountEveryGroup(t *testing.T) {
	opts := testOptions(vfs.NewCrashableMem())
	var records, syncs int
	var written int64
	opts.Metrics = Metrics{
		SyncDuration: func(time.Duration) { syncs++ },
		GroupRecords: func(n int) { records += n },
		WrittenBytes: func(n int64) { written += n },
	}
	l, _ := mustOpen(t, opts, 0)
	for range 7 {
		mustCommit(t, l, "0123456789")
	}
	mustClose(t, l)
	const size = recordHeaderSize + 16
	want := opts.PreallocBytes - segmentHeaderSize + 6*size // the first group fills ahead
	if syncs != 7 || records != 7 || written != want {
		t.Fatalf("%d syncs, %d records, %d bytes", syncs, records, written)
	}
}

func TestTrimRecyclesAndRemovesWholeSegments(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l, _ := mustOpen(t, testOptions(fs), 0)
	var last schema.Seq
	for i := range 60 {
		last = mustCommit(t, l, payloadOf(i, 900)) // four to a segment
		settlePrepare(l)
	}
	before := l.Stats()
	if err := l.Trim(4); err != nil {
		t.Fatal(err)
	}
	one := l.Stats()
	if one.Segments != before.Segments-1 || one.Spares != 1 || one.FirstSeq != 5 || one.Bytes >= before.Bytes {
		t.Fatalf("%+v, before %+v", one, before)
	}
	if err := l.Trim(7); err != nil { // in the middle of the second segment
		t.Fatal(err)
	}
	if s := l.Stats(); s.FirstSeq != 5 {
		t.Fatalf("%+v", s)
	}
	if err := l.Trim(last); err != nil {
		t.Fatal(err)
	}
	all := l.Stats()
	if all.Segments != 1 || all.Spares != defaultSpareSegments {
		t.Fatalf("%+v", all)
	}
	if n := len(files(t, fs)); n > 1+1+defaultSpareSegments { // active, prepared
		t.Fatalf("%d files", n)
	}
	for i := range 60 {
		last = mustCommit(t, l, payloadOf(i, 900))
		settlePrepare(l)
	}
	if s := l.Stats(); s.Spares != 0 {
		t.Fatalf("spares were not used: %+v", s)
	}
	mustClose(t, l)
	l, got := mustOpen(t, testOptions(fs), all.LastSeq)
	if len(got) != 60 || got[59].seq != last {
		t.Fatalf("got %d records", len(got))
	}
	mustClose(t, l)
}

func TestOpenForgetsNeitherTooMuchNorTooLittle(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l, _ := mustOpen(t, testOptions(fs), 0)
	for i := range 40 {
		mustCommit(t, l, payloadOf(i, 900))
	}
	if err := l.Trim(20); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	contents := files(t, fs)
	l, got := mustOpen(t, testOptions(memWith(t, contents)), 20)
	if len(got) != 20 || got[0].seq != 21 {
		t.Fatalf("got %d records", len(got))
	}
	mustClose(t, l)
	delete(contents, segmentName(1)) // a spare
	delete(contents, segmentName(2)) // another
	_, _, err := openAll(testOptions(memWith(t, contents)), 10)
	if c := wantCorruption(t, err); c.Seq != 10 || !strings.Contains(c.Reason, "11") {
		t.Fatalf("%+v", c)
	}
}

func TestWarnsOfATornEndAndKeepsItsBytes(t *testing.T) {
	contents := tornLog(t, "lost")
	var log strings.Builder
	fs := memWith(t, contents)
	opts := testOptions(fs)
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	l, got := mustOpen(t, opts, 0)
	if len(got) != 2 {
		t.Fatal(got)
	}
	mustClose(t, l)
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "last_record=2") {
		t.Fatal(log.String())
	}
	var copies []string
	for name := range files(t, fs) {
		if isTornName(name) {
			copies = append(copies, name)
		}
	}
	if len(copies) != 1 || !strings.Contains(readFile(t, fs, copies[0]), "lost") {
		t.Fatal(copies)
	}
}

func TestKeepsOnlyTheNewestTornCopies(t *testing.T) {
	contents := tornLog(t, "lost")
	old := []string{tornName(1, 64), tornName(1, 64) + tmpSuffix, tornName(1, 72), tornName(1, 80), tornName(1, 88), tornName(1, 96)}
	for _, name := range old {
		contents[name] = "old"
	}
	delete(contents, tornName(1, 64))
	fs := memWith(t, contents)
	l, _ := mustOpen(t, testOptions(fs), 0)
	mustClose(t, l)
	n := 0
	for name := range files(t, fs) {
		if isTornName(name) {
			n++
		}
	}
	if n != maxTornCopies {
		t.Fatalf("%d copies", n)
	}
}
