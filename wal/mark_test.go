package wal

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func mustMark(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Mark(); err != nil {
		t.Fatal(err)
	}
}

// TestMarkTellsDamageFromATornEnd flips every bit of a log that was killed while it was idle:
// with a mark, no acknowledged record can go without a word.
func TestMarkTellsDamageFromATornEnd(t *testing.T) {
	fs := memWith(t, nil)
	l, _ := mustOpen(t, testOptions(fs), 0)
	want := []record{{1, "one"}, {2, "two"}, {3, "three"}}
	for _, r := range want {
		mustCommit(t, l, r.payload)
		mustMark(t, l)
		mustMark(t, l) // does nothing
	}
	contents, marked := files(t, fs), int(l.active.durable)
	abandon(l)
	refused, harmless := 0, 0
	for name, whole := range contents {
		for bit := range len(whole) * 8 {
			flipped := []byte(whole)
			flipped[bit/8] ^= 1 << (bit % 8)
			broken := map[string]string{}
			for n, c := range contents {
				broken[n] = c
			}
			broken[name] = string(flipped)
			l, got, err := openAll(testOptions(memWith(t, broken)), 0)
			var corrupt *CorruptionError
			switch {
			case errors.As(err, &corrupt):
				refused++
				continue
			case err != nil || !slices.Equal(got, want) || bit/8 < marked:
				t.Fatalf("%s bit %d of %d: %v, %v", name, bit, len(whole)*8, got, err)
			}
			harmless++
			mustClose(t, l)
		}
	}
	t.Logf("%d refused, %d behind the last group and harmless", refused, harmless)
}

// TestMarksInTheMiddleAreReadOver has commits, marks, switches of segments and restarts in
// many orders; every record must be there afterwards, also when no mark had become durable.
func TestMarksInTheMiddleAreReadOver(t *testing.T) {
	for pattern := range 64 {
		for _, percent := range []int{0, 50, 100} {
			disk := vfs.NewCrashableMem()
			if err := disk.MkdirAll(testDir, 0o700); err != nil {
				t.Fatal(err)
			}
			opts := testOptions(disk)
			l, _ := mustOpen(t, opts, 0)
			var want []record
			for i := range 6 {
				payload := fmt.Sprintf("%d %01200d", i, i) // several segments
				want = append(want, record{mustCommit(t, l, payload), payload})
				if pattern>>i&1 == 1 {
					mustMark(t, l)
				}
			}
			wreck := disk.CrashClone(crashConfig(percent, uint64(pattern)))
			abandon(l)
			opts.FS = wreck
			for range 2 {
				l, got := mustOpen(t, opts, 0)
				if !slices.Equal(got, want) {
					t.Fatalf("pattern %06b, %d %%: %d records of %d", pattern, percent, len(got), len(want))
				}
				mustMark(t, l)
				abandon(l)
			}
		}
	}
}

func TestMarkMeetsCommits(t *testing.T) {
	fs := memWith(t, nil)
	l, _ := mustOpen(t, testOptions(fs), 0)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 100 {
				if _, err := l.Commit([]byte("x"), nil); err != nil {
					t.Error(err)
				}
				if err := l.Mark(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	mustClose(t, l)
	if err := l.Mark(); err != nil {
		t.Errorf("a mark after Close: %v", err)
	}
	l, got := mustOpen(t, testOptions(fs), 0)
	if len(got) != 400 {
		t.Fatalf("%d records", len(got))
	}
	mustClose(t, l)
}

func TestFailedMarkPoisonsTheLog(t *testing.T) {
	mem := memWith(t, nil)
	armed := false
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed && op.Kind == errorfs.OpFileWriteAt {
			return errorfs.ErrInjected
		}
		return nil
	}))
	l, _ := mustOpen(t, testOptions(fs), 0)
	mustCommit(t, l, "one")
	armed = true
	if err := l.Mark(); !errors.Is(err, ErrPoisoned) {
		t.Fatalf("got %v", err)
	}
	armed = false
	if _, err := l.Commit([]byte("two"), nil); !errors.Is(err, ErrPoisoned) {
		t.Fatalf("a commit after it: %v", err)
	}
	abandon(l)
	l, got := mustOpen(t, testOptions(mem), 0)
	if len(got) != 1 {
		t.Fatalf("got %v", got)
	}
	mustClose(t, l)
}
