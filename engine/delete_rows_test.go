package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

func deleteRows(t testing.TB, e *engine.Engine, want contents, spec engine.DeleteSpec) {
	t.Helper()
	if err := e.DeleteRows(context.Background(), spec); err != nil {
		t.Fatalf("DeleteRows(%+v): %v", spec, err)
	}
	maps.DeleteFunc(want, func(key string, _ map[string]any) bool { return isDeleted(spec, key) })
}

// newest returns the newest row of each series of a database, as views give them.
func newest(t testing.TB, e *engine.Engine, database string) contents {
	t.Helper()
	v, err := e.View(context.Background(), database, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	all := make(contents)
	for _, tv := range v.Tables {
		if len(tv.Files)+len(tv.Buffers) == 0 {
			continue
		}
		rows, err := tv.Newest(context.Background())
		if err != nil {
			t.Fatalf("the newest rows of %s: %v", tv.Table.Name, err)
		}
		readBuffer(all, tv.Table, rows)
	}
	return all
}

// newestOf is the model of newest.
func (c contents) newestOf() contents {
	latest := make(map[string]int64)
	split := func(key string) (series string, ns int64) { return key[:strings.LastIndexByte(key, ' ')], timeOf(key) }
	for key := range c {
		series, ns := split(key)
		if at, ok := latest[series]; !ok || ns > at {
			latest[series] = ns
		}
	}
	rows := c.clone()
	maps.DeleteFunc(rows, func(key string, _ map[string]any) bool {
		series, ns := split(key)
		return ns < latest[series]
	})
	return rows
}

// TestDeletedRowsAreGoneAndOthersStay writes, overwrites, deletes, flushes, compacts, crashes and
// restarts at random. The database is what a map says after every step, and so are its newest rows.
func TestDeletedRowsAreGoneAndOthersStay(t *testing.T) {
	for n := range 8 {
		seed := *seedFlag + uint64(n)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng, fs := rand.New(rand.NewPCG(seed, 7)), vfs.NewCrashableMem()
			a := newActor(0, false, rng)
			e := open(t, fs)
			write(t, e, "t0,w=0 keep=1i 9", "t1,w=0 keep=1i 9")
			want := contents{"t0,w=0 9": {"keep": int64(1)}, "t1,w=0 9": {"keep": int64(1)}}
			for step := range 150 {
				switch rng.IntN(12) {
				case 0, 1:
					flush(t, e)
				case 2:
					compact(t, e)
				case 3, 4:
					spec := engine.DeleteSpec{Database: "db", Tables: [][]string{nil, {"t0"}, {"t1"}}[rng.IntN(3)], Time: a.drawTime()}
					if rng.IntN(5) > 0 {
						spec.Where = a.drawPredicate()
					}
					deleteRows(t, e, want, spec)
				case 5:
					fs = crashAndClose(t, fs, e, rng)
					e = open(t, fs)
				default:
					var lines []string
					for _, r := range a.newRows(1+rng.IntN(12), "t0", "t1") {
						lines = append(lines, r.line())
						want.merge(r.series+" "+fmt.Sprint(r.ns), r.fields)
					}
					write(t, e, lines...)
				}
				expect(t, e, fs, want)
				if step%3 == 0 {
					if d := cmp.Diff(want.newestOf(), newest(t, e, "db")); d != "" {
						t.Fatalf("step %d: newest rows (-want +got)\n%s", step, d)
					}
				}
			}
			flush(t, e)
			compact(t, e)
			expect(t, e, fs, want)
			expectSwept(t, e, fs, want)
			closeEngine(t, e)
			checkSound(t, fs)
		})
	}
}

// crashAndClose returns what a crash leaves of the file system.
func crashAndClose(t testing.TB, fs *vfs.MemFS, e *engine.Engine, rng *rand.Rand) *vfs.MemFS {
	t.Helper()
	crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	closeEngine(t, e)
	checkSound(t, crashed)
	return crashed
}

// expectSwept fails if a file has a row that is not in the database.
func expectSwept(t testing.TB, e *engine.Engine, fs vfs.FS, want contents) {
	t.Helper()
	v, err := e.View(context.Background(), "db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, tv := range v.Tables {
		for _, f := range tv.Files {
			if len(f.Hidden) > 0 {
				t.Errorf("file %d of table %s still has rows that are hidden by %v", f.ID, tv.Table.Name, f.Hidden)
			}
			in := make(contents)
			readFile(t, in, tv.Table, fs, f.Path, nil)
			for key := range in {
				if want[key] == nil {
					t.Errorf("file %d still has %s", f.ID, key)
				}
			}
			if err := persist.Verify(fs, f.Path, f.File); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestFilesWithNothingElseGoAtOnce: no tombstone is needed for them.
func TestFilesWithNothingElseGoAtOnce(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	write(t, e, "m,k=a f=1 1", "m,k=b f=1 2")
	flush(t, e)
	write(t, e, "m,k=a f=1 3")
	want := make(contents)
	v, err := e.View(context.Background(), "db", nil)
	if err != nil {
		t.Fatal(err)
	}
	deleteRows(t, e, want, engine.DeleteSpec{Database: "db", Time: schema.TimeRange{Min: math.MinInt64, Max: 3}})
	expect(t, e, fs, want)
	if files := parquetFiles(t, fs); len(files) == 0 {
		t.Error("a view still reads the file")
	}
	v.Close()
	compact(t, e)
	if files := parquetFiles(t, fs); len(files) != 0 {
		t.Errorf("nobody reads %v", files)
	}
	write(t, e, "m,k=a f=2 1")
	want["m,k=a 1"] = map[string]any{"f": 2.0}
	expect(t, e, fs, want)
}

// TestDeletionsAreBounded: beyond the bound files are compacted first.
func TestDeletionsAreBounded(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	var lines []string
	want := make(contents)
	for i := range 200 {
		lines = append(lines, fmt.Sprintf("m,k=k%d f=%di 1", i, i))
		want.merge(fmt.Sprintf("m,k=k%d 1", i), map[string]any{"f": int64(i)})
	}
	write(t, e, lines...)
	flush(t, e)
	for i := range 150 {
		p := &schema.Predicate{Op: schema.Equal, Tag: "k", Text: fmt.Sprint("k", i)}
		deleteRows(t, e, want, engine.DeleteSpec{Database: "db", Time: schema.MaxTimeRange, Where: p})
	}
	expect(t, e, fs, want)
	v, err := e.View(context.Background(), "db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if n := len(v.Tables[0].Files[0].Hidden); n > 64 {
		t.Errorf("%d tombstones are about one file", n)
	}
}

// TestDeletionNamesWhatIsWrong and changes nothing then.
func TestDeletionNamesWhatIsWrong(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	write(t, e, "m f=1 1")
	ctx := context.Background()
	var missing *engine.TableNotFoundError
	if err := e.DeleteRows(ctx, engine.DeleteSpec{Database: "db", Tables: []string{"x"}, Time: schema.MaxTimeRange}); !errors.As(err, &missing) {
		t.Errorf("of a table that does not exist: %v", err)
	}
	if err := e.DeleteRows(ctx, engine.DeleteSpec{Database: "x", Time: schema.MaxTimeRange}); !errors.Is(err, engine.ErrDatabaseNotFound) {
		t.Errorf("of a database that does not exist: %v", err)
	}
	if err := e.DeleteRows(ctx, engine.DeleteSpec{Database: engine.InternalDatabase, Time: schema.MaxTimeRange}); !errors.Is(err, engine.ErrDatabaseNotFound) {
		t.Errorf("of the internal database: %v", err)
	}
	deep := &schema.Predicate{Op: schema.Equal, Tag: "t"}
	for range schema.MaxPredicateDepth {
		deep = &schema.Predicate{Op: schema.And, Args: []*schema.Predicate{deep}}
	}
	if err := e.DeleteRows(ctx, engine.DeleteSpec{Database: "db", Time: schema.MaxTimeRange, Where: deep}); !errors.Is(err, schema.ErrPredicate) {
		t.Errorf("with a predicate that is too deep: %v", err)
	}
}

// TestDeletedEventsDoNotComeBack: the key of an event that was deleted stays known, so that who
// repeats it later does not bring it back.
func TestDeletedEventsDoNotComeBack(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	events(t, e)
	write(t, e, "events,id=a n=1i 1", "events,id=b n=2i 2")
	want := contents{"events,id=b 2": {"n": int64(2)}}
	deleteRows(t, e, want, engine.DeleteSpec{Database: "db", Time: schema.MaxTimeRange, Where: &schema.Predicate{Op: schema.Equal, Tag: "id", Text: "a"}})
	for range 2 {
		if r := write(t, e, "events,id=a n=1i 1"); r.Discarded != 1 {
			t.Errorf("the event that was deleted came back: %+v", r)
		}
		expect(t, e, fs, want)
		closeEngine(t, e)
		checkSound(t, fs)
		e = open(t, fs)
	}
	closeEngine(t, e)
}

// TestDeletedRowsLeaveInTheBackground some minutes after the last deletion.
func TestDeletedRowsLeaveInTheBackground(t *testing.T) {
	fs := vfs.NewMem()
	var clock handClock
	e := open(t, fs, clock.option, func(o *engine.Options) { o.Compaction = true })
	defer closeEngine(t, e)
	write(t, e, "m,k=a f=1i 1", "m,k=b f=1i 1")
	flush(t, e)
	want := contents{"m,k=b 1": {"f": int64(1)}}
	deleteRows(t, e, want, engine.DeleteSpec{Database: "db", Time: schema.MaxTimeRange, Where: &schema.Predicate{Op: schema.Equal, Tag: "k", Text: "a"}})
	clock.set(6 * time.Minute)
	e.CompactDue()
	expect(t, e, fs, want)
	expectSwept(t, e, fs, want)
}
