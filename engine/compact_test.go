package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

func compact(t testing.TB, e *engine.Engine) engine.CompactReport {
	t.Helper()
	report, err := e.Compact(context.Background(), engine.CompactOptions{})
	if err != nil {
		t.Fatalf("Compact: %v", err)
	}
	return report
}

// TestCompactionKeepsEveryValue writes rows in any order of time, over each other and into
// many days, and flushes, compacts and restarts in between. The database is what a map says
// after every step, and so are the files that are left.
func TestCompactionKeepsEveryValue(t *testing.T) {
	for n := range 8 {
		seed := *seedFlag + uint64(n)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng, fs := rand.New(rand.NewPCG(seed, 3)), vfs.NewMem()
			a := newActor(0, false, rng)
			e := open(t, fs)
			want := make(contents)
			for step := range 150 {
				switch rng.IntN(10) {
				case 0, 1:
					flush(t, e)
				case 2:
					compact(t, e)
				case 3:
					if step%5 == 0 {
						closeEngine(t, e)
						e = open(t, fs)
					}
				default:
					var lines []string
					for _, r := range a.newRows(1+rng.IntN(12), "t0", "t1") {
						r.ns += int64(rng.IntN(1+step/10)) * day
						if rng.IntN(6) == 0 { // a column that came later
							r.fields[fmt.Sprint("late", step/20)] = int64(step)
						}
						if rng.IntN(8) == 0 {
							r.series += fmt.Sprintf(",x%d=%d", step/30, rng.IntN(2))
						}
						lines = append(lines, r.line())
						want.merge(r.series+" "+fmt.Sprint(r.ns), r.fields)
					}
					write(t, e, lines...)
				}
				if len(want) > 0 {
					expect(t, e, fs, want)
				}
			}
			flush(t, e)
			compact(t, e)
			expect(t, e, fs, want)
			expectNoOverlap(t, e)
			if files, known := len(parquetFiles(t, fs)), e.Stats().Files; files != known {
				t.Errorf("there are %d files on the disk, and %d in the tables", files, known)
			}
			closeEngine(t, e)
			checkSound(t, fs)
			e = open(t, fs)
			expect(t, e, fs, want)
			closeEngine(t, e)
		})
	}
}

// expectNoOverlap fails if files overlap, or more than a few are left.
func expectNoOverlap(t testing.TB, e *engine.Engine) {
	t.Helper()
	v, err := e.View(context.Background(), "db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, tv := range v.Tables {
		if len(tv.Files) > 3 {
			t.Errorf("table %s has %d files", tv.Table.Name, len(tv.Files))
		}
		for i, f := range tv.Files {
			for _, g := range tv.Files[i+1:] {
				if f.Time.Overlaps(g.Time) {
					t.Errorf("files %d and %d of table %s overlap", f.ID, g.ID, tv.Table.Name)
				}
			}
		}
	}
}

// TestQueriesKeepTheFilesThatTheyBeganWith: what a view has pinned stays readable, and goes
// when the view ends, while later views have the merged file.
func TestQueriesKeepTheFilesThatTheyBeganWith(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	want := make(contents)
	for i := range 5 {
		write(t, e, fmt.Sprintf("m,k=a f=%di %d", i, i))
		want.merge(fmt.Sprintf("m,k=a %d", i), map[string]any{"f": int64(i)})
		flush(t, e)
	}
	before, err := e.View(context.Background(), "db", nil)
	if err != nil {
		t.Fatal(err)
	}
	if report := compact(t, e); report.InputFiles != 5 || report.OutputFiles != 1 || report.Files != 1 {
		t.Fatalf("the report is %+v", report)
	}
	after, err := e.View(context.Background(), "db", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]*engine.View{"before": before, "after": after} {
		got := make(contents)
		for _, f := range v.Tables[0].Files {
			readFile(t, got, v.Tables[0].Table, fs, f.Path, f.Hidden)
		}
		if d := difference(want, got); d != "" {
			t.Errorf("the view from %s the compaction: %s", name, d)
		}
	}
	if n := len(parquetFiles(t, fs)); n != 6 {
		t.Errorf("while the first view is open there are %d files, not 6", n)
	}
	before.Close() // the later one does not hold what it never had
	if n := len(parquetFiles(t, fs)); n != 1 {
		t.Errorf("when it is closed there are %d files, not 1", n)
	}
	after.Close()
	expect(t, e, fs, want)
}

// TestCompactionLeavesRowsOfTheBuffersInFront: a row that was written before a compaction and
// is flushed after it is later than what was merged.
func TestCompactionLeavesRowsOfTheBuffersInFront(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	for i := range 4 {
		write(t, e, fmt.Sprintf("m f=%di,g=%di 1", i, i))
		flush(t, e)
	}
	write(t, e, "m f=100i 1")
	compact(t, e)
	want := contents{"m 1": {"f": int64(100), "g": int64(3)}}
	expect(t, e, fs, want)
	flush(t, e)
	expect(t, e, fs, want)
	write(t, e, "m g=200i 1")
	compact(t, e)
	want["m 1"]["g"] = int64(200)
	expect(t, e, fs, want)
	closeEngine(t, e)
	e = open(t, fs)
	expect(t, e, fs, want)
	closeEngine(t, e)
	checkSound(t, fs)
}

// TestDamagedFilesAreNotMerged: a compaction names the file, leaves everything as it is, and
// goes on with other tables.
func TestDamagedFilesAreNotMerged(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	for i := range 4 {
		write(t, e, fmt.Sprintf("bad f=%di %d", i, i), fmt.Sprintf("good f=%di %d", i, i))
		flush(t, e)
	}
	v, err := e.View(context.Background(), "db", []string{"bad"})
	if err != nil {
		t.Fatal(err)
	}
	path := v.Tables[0].Files[1].Path
	v.Close()
	flip(t, fs, path, 100)
	_, err = e.Compact(context.Background(), engine.CompactOptions{})
	if !errors.Is(err, engine.ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Fatalf("the compaction says %v", err)
	}
	counts := make(map[string]int)
	v, err = e.View(context.Background(), "db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, tv := range v.Tables {
		counts[tv.Table.Name] = len(tv.Files)
	}
	if counts["bad"] != 4 || counts["good"] != 1 {
		t.Errorf("the tables have %v files", counts)
	}
	last := e.Compactions()
	if len(last) != 2 || (last[0].Error == "") == (last[1].Error == "") {
		t.Errorf("the compactions are %+v", last)
	}
}

// TestCompactionNamesWhatIsMissing and ends with its context.
func TestCompactionNamesWhatIsMissing(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	write(t, e, "m f=1 1")
	var missing *engine.TableNotFoundError
	if _, err := e.Compact(context.Background(), engine.CompactOptions{Database: "db", Table: "nobody"}); !errors.As(err, &missing) {
		t.Errorf("of a table: %v", err)
	}
	if _, err := e.Compact(context.Background(), engine.CompactOptions{Database: "nobody"}); !errors.Is(err, engine.ErrDatabaseNotFound) {
		t.Errorf("of a database: %v", err)
	}
	if err := e.RequestCompaction(engine.CompactOptions{Database: "nobody"}); !errors.Is(err, engine.ErrDatabaseNotFound) {
		t.Errorf("of a request for a database: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Compact(ctx, engine.CompactOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// TestFilesStayFewInTheBackground writes a month of history backwards, in any order and twice,
// a flush after each request and ten minutes, with the background compaction on: it ends with few files, and
// at no time are there many.
func TestFilesStayFewInTheBackground(t *testing.T) {
	fs := vfs.NewMem()
	var passed atomic.Int64
	e := open(t, fs, func(o *engine.Options) {
		o.Compaction = true
		o.Elapsed = func() time.Duration { return time.Duration(passed.Load()) }
	})
	rng := rand.New(rand.NewPCG(*seedFlag, 5))
	want := make(contents)
	most := 0
	for i := range 300 {
		at := int64(300-i) * day / 10
		if i%3 == 0 {
			at = rng.Int64N(30 * day)
		}
		write(t, e, fmt.Sprintf("m,k=a f=%di %d", i, at), fmt.Sprintf("m,k=b f=%di %d", -i, at/day*day))
		want.merge(fmt.Sprintf("m,k=a %d", at), map[string]any{"f": int64(i)})
		want.merge(fmt.Sprintf("m,k=b %d", at/day*day), map[string]any{"f": int64(-i)})
		flush(t, e)
		passed.Add(int64(10 * time.Minute))
		if i%20 == 19 {
			e.CompactDue()
			most = max(most, e.Stats().Files)
		}
	}
	if most > 30 {
		t.Errorf("there were %d files", most)
	}
	expect(t, e, fs, want)
	compact(t, e)
	expect(t, e, fs, want)
	expectNoOverlap(t, e)
	closeEngine(t, e)
	checkSound(t, fs)
}

// TestRejectedPointsAreNotCompacted: they are trimmed by files.
func TestRejectedPointsAreNotCompacted(t *testing.T) {
	e := open(t, vfs.NewMem(), func(o *engine.Options) { o.RejectedRetention = time.Hour })
	defer closeEngine(t, e)
	for i := range 5 {
		req := request(fmt.Sprintf("bad f= %d", i))
		if _, err := e.Write(context.Background(), req); err != nil {
			t.Fatal(err)
		}
		flush(t, e)
	}
	if report := compact(t, e); report.Merges != 0 {
		t.Errorf("the report is %+v", report)
	}
}
