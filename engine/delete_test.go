package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

func isNotFound(err error) bool { return errors.Is(err, engine.ErrDatabaseNotFound) }

// parquetFiles lists the files below data/files.
func parquetFiles(t testing.TB, fs vfs.FS) (files []string) {
	t.Helper()
	var walk func(dir string)
	walk = func(dir string) {
		names, err := fs.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".parquet") {
				files = append(files, path.Join(dir, name))
			} else {
				walk(path.Join(dir, name))
			}
		}
	}
	walk("data/files")
	return files
}

func TestDeletedTableIsGoneAtOnceAndItsNameIsFree(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	write(t, e, "m,t=x f=1 1", "other f=1 1")
	flush(t, e)
	write(t, e, "m,t=x f=2 2")
	if err := e.DeleteTable("db", "m", time.Time{}); err != nil {
		t.Fatal(err)
	}
	want := contents{"other 1": {"f": 1.0}}
	expect(t, e, fs, want)
	// Another type, and other columns: the names mean new columns.
	write(t, e, `m,u=y f="text" 1`)
	want["m,u=y 1"] = map[string]any{"f": "text"}
	expect(t, e, fs, want)
	flush(t, e)
	expect(t, e, fs, want)
	closeEngine(t, e)
	e = open(t, fs)
	defer closeEngine(t, e)
	expect(t, e, fs, want)
	var missing *engine.TableNotFoundError
	if err := e.DeleteTable("db", "nope", time.Time{}); !errors.As(err, &missing) {
		t.Errorf("deleting a table that does not exist: %v", err)
	}
	if err := e.DeleteTable("nope", "m", time.Time{}); !isNotFound(err) {
		t.Errorf("deleting in a database that does not exist: %v", err)
	}
}

func TestPurgeFreesTheFilesWhenNobodyReadsThem(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	write(t, e, "m f=1 1")
	flush(t, e)
	write(t, e, "m f=2 2")
	v, err := e.View(context.Background(), "db", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteDatabase("db", time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if files := parquetFiles(t, fs); len(files) != 1 {
		t.Errorf("a view reads the file, and %d files are there", len(files))
	}
	v.Close()
	if files := parquetFiles(t, fs); len(files) != 0 {
		t.Errorf("nobody reads %v any more", files)
	}
	if s := e.Stats(); s.BufferedRows != 0 || s.Files != 0 {
		t.Errorf("after the purge there are %d buffered rows and %d files", s.BufferedRows, s.Files)
	}
	if _, err := e.View(context.Background(), "db", nil); !isNotFound(err) {
		t.Errorf("the database is still there: %v", err)
	}
}

func TestWhatIsDueLaterIsPurgedByTheNextStart(t *testing.T) {
	fs := vfs.NewMem()
	var clock handClock
	e := open(t, fs, clock.option)
	write(t, e, "m f=1 1")
	flush(t, e)
	write(t, e, "m f=2 2")
	if err := e.DeleteDatabase("db", noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	closeEngine(t, e)
	if files := parquetFiles(t, fs); len(files) != 2 {
		t.Errorf("before its time there are %v", files)
	}
	clock.set(2 * time.Hour)
	e = open(t, fs, clock.option)
	closeEngine(t, e) // waits for the purge that the start began
	if files := parquetFiles(t, fs); len(files) != 0 {
		t.Errorf("after its time there are %v", files)
	}
	e = open(t, fs, clock.option)
	defer closeEngine(t, e)
	if names := e.Databases(); len(names) != 0 {
		t.Errorf("the databases are %v", names)
	}
}

// TestCrashesAroundDeletions writes, deletes, purges and recreates at random, with
// crashes. What is acknowledged holds afterwards, deletions too.
func TestCrashesAroundDeletions(t *testing.T) {
	for seed := *seedFlag; seed < *seedFlag+20; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			fs, want := vfs.NewCrashableMem(), contents{}
			e := open(t, fs)
			write(t, e, "keep f=0i 0")
			want.set(point{table: "keep", field: "f"})
			delete(want, "keep,k= 0")
			want["keep 0"] = map[string]any{"f": int64(0)}
			for step := range 60 {
				table := fmt.Sprint("t", rng.IntN(2))
				switch k := rng.IntN(10); {
				case k < 5:
					p := point{table, fmt.Sprint("k", rng.IntN(2)), int64(rng.IntN(2)) * day, "f", int64(step)}
					write(t, e, p.line())
					want.set(p)
				case k < 6:
					flush(t, e)
				case k < 8:
					purgeAt := time.Time{}
					if rng.IntN(2) == 0 {
						purgeAt = time.Unix(1, 0)
					}
					var missing *engine.TableNotFoundError
					if err := e.DeleteTable("db", table, purgeAt); err != nil && !errors.As(err, &missing) {
						t.Fatal(err)
					}
					for key := range want {
						if strings.HasPrefix(key, table+",") {
							delete(want, key)
						}
					}
				case k < 9:
					crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
					closeEngine(t, e)
					fs = crashed
					checkSound(t, fs)
					e = open(t, fs)
				}
				expect(t, e, fs, want)
			}
			closeEngine(t, e)
		})
	}
}

func events(t testing.TB, e *engine.Engine) {
	t.Helper()
	err := e.CreateTable("db", engine.TableSpec{
		Name: "events", Key: schema.TableKey{Rule: schema.FirstByTag, Tag: "id"},
		Columns: []engine.ColumnSpec{{Name: "id", Type: schema.Tag}, {Name: "n", Type: schema.Int64}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFirstRowOfAKeyStaysWhateverHappens(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, fs)
	events(t, e)
	r := write(t, e, "events,id=a n=1i 1", "events,id=a n=2i 2", "events,id=b,x=y n=3i 3", "events n=4i 4")
	if r.Accepted != 3 || r.Discarded != 1 || r.Rejected != 1 {
		t.Fatalf("got %+v, want 3 accepted, 1 of them discarded, 1 rejected", r)
	}
	want := contents{"events,id=a 1": {"n": int64(1)}, "events,id=b,x=y 3": {"n": int64(3)}}
	repeat := func(where string) {
		t.Helper()
		r := write(t, e, "events,id=a n=9i 9", "events,id=b n=9i 9")
		if r.Discarded != 2 {
			t.Errorf("%s: %+v, want both discarded", where, r)
		}
		expect(t, e, fs, want)
	}
	repeat("in the buffers")
	crash := func() {
		crashed := fs.CrashClone(vfs.CrashCloneCfg{})
		closeEngine(t, e)
		fs = crashed
		checkSound(t, fs)
		e = open(t, fs)
	}
	crash()
	repeat("after a crash")
	flush(t, e)
	repeat("in files")
	crash()
	repeat("in files, after a crash")
	if err := e.DeleteTable("db", "events", time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	events(t, e)
	if r := write(t, e, "events,id=a n=5i 5"); r.Discarded != 0 {
		t.Errorf("the table is new: %+v", r)
	}
	closeEngine(t, e)
}

func TestConcurrentRequestsStoreAKeyOnce(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	events(t, e)
	const writers, keys = 8, 40
	stored := make(chan int, writers)
	for w := range writers {
		go func() {
			n := 0
			for k := range keys {
				req := request(fmt.Sprintf("events,id=k%d n=%di %d", k, w, w))
				req.NoSync = w%2 == 0
				r, err := e.Write(context.Background(), req)
				if err != nil {
					t.Error(err)
				}
				n += r.Accepted - r.Discarded
			}
			stored <- n
		}()
	}
	total := 0
	for range writers {
		total += <-stored
	}
	if total != keys {
		t.Errorf("%d rows were stored for %d keys", total, keys)
	}
	if got := read(t, e, fs, "db"); len(got) != keys {
		t.Errorf("the table has %d rows, want %d", len(got), keys)
	}
}

// TestUnsyncedWritesAreVisibleAtOnce looks right after each answer.
func TestUnsyncedWritesAreVisibleAtOnce(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	want := contents{}
	for i := range 100 {
		p := point{"m", fmt.Sprint("k", i%3), int64(i), "f", int64(i)}
		req := request(p.line())
		req.NoSync = true
		if r, err := e.Write(context.Background(), req); err != nil || r.Accepted != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		want.set(p)
		expect(t, e, fs, want)
	}
}

// TestPurgedTablesLeaveNoDirectory: neither theirs nor their database's, at once or at the next start.
func TestPurgedTablesLeaveNoDirectory(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	dirs := func() (n int) {
		t.Helper()
		databases, err := fs.List("data/files")
		must(t, err)
		for _, name := range databases {
			tables, err := fs.List(path.Join("data/files", name))
			must(t, err)
			n += 1 + len(tables)
		}
		return n
	}
	write(t, e, "m f=1 1", "other f=1 1")
	flush(t, e)
	must(t, e.DeleteTable("db", "m", time.Unix(1, 0)))
	if n := dirs(); n != 2 {
		t.Errorf("there are %d directories after a table was purged, want the database's and the other table's", n)
	}
	v, err := e.View(context.Background(), "db", nil)
	must(t, err)
	must(t, e.DeleteDatabase("db", time.Unix(1, 0)))
	write(t, e, "m f=1 1")
	flush(t, e)
	v.Close()
	closeEngine(t, e)
	e = open(t, fs)
	defer closeEngine(t, e)
	if n := dirs(); n != 2 {
		t.Errorf("there are %d directories after a restart, want those of the new table", n)
	}
	expect(t, e, fs, contents{"m 1": {"f": 1.0}})
}
