package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// beginBackup begins one.
func beginBackup(t testing.TB, e *engine.Engine) *engine.Backup {
	t.Helper()
	b, err := e.BeginBackup(context.Background())
	if err != nil {
		t.Fatalf("BeginBackup: %v", err)
	}
	return b
}

// restoreOptions are those of restoring b into the directory data of another file system.
func restoreOptions(b *engine.Backup, fs vfs.FS) engine.RestoreOptions {
	files := make(map[schema.FileID]engine.FileRef)
	for _, f := range b.Files {
		files[f.ID] = f
	}
	return engine.RestoreOptions{
		DataDir: "data", FS: fs, Image: b.Image,
		File: func(_ context.Context, _ string, f *schema.File) (io.ReadCloser, error) {
			return b.Open(files[f.ID])
		},
	}
}

// restore restores b into a file system of its own.
func restore(t testing.TB, b *engine.Backup) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	if _, err := engine.Restore(context.Background(), restoreOptions(b, fs)); err != nil {
		t.Fatalf("Restore: %v", err)
	}
	checkSound(t, fs)
	return fs
}

// TestBackupIsTheStateAtOneMoment backs up while actors write, flush, merge, delete and
// define. In each restored directory the writes of each actor are there up to some request
// that was not acknowledged when the backup began, or later, and none of it by half.
func TestBackupIsTheStateAtOneMoment(t *testing.T) {
	const actors, backups, acts = 3, 4, 200
	fs := vfs.NewMem()
	e := open(t, fs, sweepOptions)
	var all []*actor
	var clients sync.WaitGroup
	done := make(chan struct{})
	end := sync.OnceFunc(func() {
		close(done)
		clients.Wait()
		closeEngine(t, e)
	})
	defer end()
	for i := range actors {
		a := newActor(i, false, rand.New(rand.NewPCG(*seedFlag, uint64(i))))
		all = append(all, a)
		clients.Go(func() {
			for n := 0; !isClosed(done) && n < acts; n++ {
				act := actions[a.rng.IntN(len(actions))].act
				if err := act(a, e); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range backups {
		var must []int
		for _, a := range all {
			n, _ := a.history.bounds()
			must = append(must, n)
		}
		b := beginBackup(t, e)
		image := restore(t, b) // while the others go on
		r := open(t, image, sweepOptions)
		got := readDatabases(t, r, image, r.Databases()...)
		for i, a := range all {
			_, may := a.history.bounds()
			state := a.history.check(t, a.own(got), must[i], may)
			continueIn(t, r, image, a, state)
		}
		if r.InstanceID() != b.Instance {
			t.Errorf("the instance is %s, and was %s", r.InstanceID(), b.Instance)
		}
		closeEngine(t, r)
		r = open(t, image.CrashClone(vfs.CrashCloneCfg{}), sweepOptions)
		closeEngine(t, r)
		b.Close()
	}
	end()
	if names := list(t, fs, "data", ""); slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, "image") }) {
		t.Errorf("backups left %v", names)
	}
}

// continueIn shows that a restored directory takes rows, and that its keys are those of its
// rows: an event that is there is discarded when it is sent again, any other is stored.
func continueIn(t *testing.T, r *engine.Engine, fs vfs.FS, a *actor, state int) {
	t.Helper()
	known := a.history.after(state)
	for id := range 12 {
		series := fmt.Sprintf("%s,id=e%d,w=%d", a.events(), id, a.id)
		isThere := known.hasSeries(sharedDB + "/" + series)
		req := request(series + " n=0i 1")
		req.Database, req.NoNewTables = sharedDB, true
		result, err := r.Write(context.Background(), req)
		if err != nil {
			t.Fatal(err)
		}
		db, _ := r.Schema().Database(sharedDB)
		if db == nil {
			continue
		}
		if _, ok := db.Table(a.events()); ok && (result.Discarded == 1) != isThere {
			t.Errorf("event %s is there: %t; sent again: %+v", series, isThere, result)
		}
	}
	req := request(fmt.Sprintf("after,w=%d f=1 1", 1000+a.id))
	req.Database = "after"
	if _, err := r.Write(context.Background(), req); err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	if got := read(t, r, fs, "after"); got[fmt.Sprintf("after,w=%d 1", 1000+a.id)] == nil {
		t.Errorf("what was written after the restore is gone: %v", got)
	}
}

// atNextFile returns a file system that does something before the next Parquet file is made, once that is due.
func atNextFile(fs vfs.FS, isDue *atomic.Bool, do func()) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.Contains(op.Path, "data/files/") && isDue.CompareAndSwap(true, false) {
			do()
		}
		return nil
	}))
}

// TestRowsWrittenDuringABackupAreNotInIt writes to every table while the first file of a backup
// is written. None of it, and no key of it, may be in the backup.
func TestRowsWrittenDuringABackupAreNotInIt(t *testing.T) {
	var e *engine.Engine
	var isDue atomic.Bool
	fs := atNextFile(vfs.NewMem(), &isDue, func() {
		write(t, e, "a,k=x v=2i 1", "a,k=y v=2i 2", "b,k=x v=2i 1", "c,k=x v=2i 1", "events,id=2 n=2i 2")
	})
	e = open(t, fs)
	defer func() { closeEngine(t, e) }()
	if err := createEvents(e, "events"); err != nil {
		t.Fatal(err)
	}
	write(t, e, "a,k=x v=1i 1", "b,k=x v=1i 1", "events,id=1 n=1i 1")
	want := read(t, e, fs, "db")
	isDue.Store(true)
	b := beginBackup(t, e)
	defer b.Close()
	if isDue.Load() {
		t.Fatal("no file was written")
	}
	image := restore(t, b)
	r := open(t, image)
	defer func() { closeEngine(t, r) }()
	expect(t, r, image, want)
	if result := write(t, r, "events,id=1 n=3i 3", "events,id=2 n=3i 3"); result.Discarded != 1 {
		t.Errorf("an event of the backup and a later one: %+v", result)
	}
}

// TestARollupThatIsDeletedDuringABackupIsRightInIt deletes it while the buffers of its source become files: the catalog of the
// backup still has it.
func TestARollupThatIsDeletedDuringABackupIsRightInIt(t *testing.T) {
	for what, remove := range map[string]func(*engine.Engine) error{
		"rollup":   func(e *engine.Engine) error { return e.DeleteTable("db", "r", time.Time{}) },
		"database": func(e *engine.Engine) error { return e.DeleteDatabase("db", time.Time{}) },
	} {
		t.Run(what, func(t *testing.T) {
			var e *engine.Engine
			var isDue atomic.Bool
			fs := atNextFile(vfs.NewMem(), &isDue, func() { must(t, remove(e)) })
			e = open(t, fs)
			defer func() { closeEngine(t, e) }()
			write(t, e, "m,host=a f=1,g=1 1")
			flush(t, e)
			createRollup(t, e, rollupSpec("r", time.Minute))
			must(t, e.RefreshWith(context.Background(), "db", "r", plainAggregator{t: t, fs: fs}))
			write(t, e, "m,host=a f=2,g=2 2")
			isDue.Store(true)
			b := beginBackup(t, e)
			defer b.Close()
			if isDue.Load() {
				t.Fatal("no file was written")
			}
			image := restore(t, b)
			r := open(t, image)
			defer func() { closeEngine(t, r) }()
			expectRollup(t, r, image, "r", "in the backup")
		})
	}
}

// TestBackupKeepsItsFiles shows that merges, purges and a slow reader do no harm to each
// other.
func TestBackupKeepsItsFiles(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	for i := range int64(4) {
		write(t, e, point{"cpu", "a", i, "v", i}.line(), point{"gone", "a", i, "v", i}.line())
		flush(t, e)
	}
	want := read(t, e, fs, "db")
	b := beginBackup(t, e)
	if _, err := e.Compact(context.Background(), engine.CompactOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteTable("db", "gone", noon.AddDate(-100, 0, 0)); err != nil {
		t.Fatal(err)
	}
	write(t, e, "cpu,k=late v=1i 1")
	flush(t, e)
	image := restore(t, b)
	r := open(t, image)
	expect(t, r, image, want)
	closeEngine(t, r)
	pinned := len(below(t, fs, "data/files"))
	b.Close()
	if left := len(below(t, fs, "data/files")); left >= pinned {
		t.Errorf("%d files before the backup ended, %d after it", pinned, left)
	}
}

// TestRestoreIsAllOrNothing fails each call of a restore in turn, and takes an image of the disk in
// front of each: either there is no directory, or all of it; and the next restore succeeds.
func TestRestoreIsAllOrNothing(t *testing.T) {
	source := vfs.NewMem()
	e := open(t, source)
	defer closeEngine(t, e)
	if err := createEvents(e, "events"); err != nil {
		t.Fatal(err)
	}
	write(t, e, "cpu,k=a v=1i 1", "mem,k=a v=2i 1", "events,id=1 n=1i 1")
	want := read(t, e, source, "db")
	b := beginBackup(t, e)
	defer b.Close()
	look := func(fs *vfs.MemFS, what string) {
		t.Helper()
		if _, err := fs.Stat("data"); err == nil {
			r := open(t, fs)
			expect(t, r, fs, want)
			closeEngine(t, r)
			return
		}
		if _, err := engine.Restore(context.Background(), restoreOptions(b, fs)); err != nil {
			t.Fatalf("the restore after %s: %v", what, err)
		}
		r := open(t, fs)
		expect(t, r, fs, want)
		closeEngine(t, r)
	}
	trials := 0
	for n := 0; ; n += 1 + int(*seedFlag%3) {
		x := newFailingCall(n)
		x.isArmed.Store(true)
		_, err := engine.Restore(context.Background(), restoreOptions(b, x.fs()))
		what, images := x.outcome()
		if what == "" {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		trials++
		for _, image := range images {
			look(image, "a crash before "+what)
		}
		if err != nil { // some calls, as of the log's spare files, may fail
			look(x.mem, "a failure of "+what)
		}
	}
	t.Logf("figures: crashes=%d faults=%d", 3*trials, trials)
}

// TestRestoreRefusesWhatIsDamaged changes single bytes of what is restored, and a place that is taken.
func TestRestoreRefusesWhatIsDamaged(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	write(t, e, "cpu,k=a v=1i 1")
	b := beginBackup(t, e)
	defer b.Close()
	damaged := func(change func(o *engine.RestoreOptions)) error {
		fs := vfs.NewMem()
		o := restoreOptions(b, fs)
		change(&o)
		_, err := engine.Restore(context.Background(), o)
		if _, statErr := fs.Stat("data"); statErr == nil {
			t.Error("there is a directory")
		}
		return err
	}
	image := readAllOf(t, b.Image)
	for at := range image {
		if at%7 != 0 {
			continue
		}
		if err := damaged(func(o *engine.RestoreOptions) {
			o.Image = func() (io.ReadCloser, error) { return flipped(image, at), nil }
		}); err == nil {
			t.Errorf("byte %d of the image was changed without an error", at)
		}
	}
	file := readAllOf(t, func() (io.ReadCloser, error) { return b.Open(b.Files[0]) })
	err := damaged(func(o *engine.RestoreOptions) {
		o.File = func(context.Context, string, *schema.File) (io.ReadCloser, error) {
			return flipped(file, len(file)/2), nil
		}
	})
	if !errors.Is(err, engine.ErrDamaged) {
		t.Errorf("a damaged file: %v", err)
	}
	fs := vfs.NewMem()
	must(t, fs.MkdirAll("data", 0o700))
	store(t, fs, "data/notes.txt", []byte("x"))
	if _, err := engine.Restore(context.Background(), restoreOptions(b, fs)); !errors.Is(err, engine.ErrNotEmpty) {
		t.Errorf("a directory that is not empty: %v", err)
	}
	fs = vfs.NewMem()
	must(t, fs.MkdirAll("data.restoring", 0o700))
	store(t, fs, "data.restoring/notes.txt", []byte("x"))
	if _, err := engine.Restore(context.Background(), restoreOptions(b, fs)); !errors.Is(err, engine.ErrNotEmpty) {
		t.Errorf("somebody's file where a restore builds: %v", err)
	}
}

func readAllOf(t *testing.T, open func() (io.ReadCloser, error)) []byte {
	t.Helper()
	in, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	all, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// flipped reads b with one bit changed.
func flipped(b []byte, at int) io.ReadCloser {
	b = slices.Clone(b)
	b[at] ^= 0x10
	return io.NopCloser(strings.NewReader(string(b)))
}

// failingCall is a disk of whose changes one fails, once it is armed.
type failingCall struct {
	n       int
	mem     *vfs.MemFS
	isArmed atomic.Bool

	mu     sync.Mutex // the catalog writes from goroutines of its own
	calls  int
	what   string
	images []*vfs.MemFS
}

// outcome returns the call that failed, "" as long as it has not been made, and the disk if the machine had crashed instead.
func (x *failingCall) outcome() (what string, images []*vfs.MemFS) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.what, x.images
}

func newFailingCall(n int) *failingCall { return &failingCall{n: n, mem: vfs.NewCrashableMem()} }

func (x *failingCall) fs() vfs.FS {
	return errorfs.Wrap(x.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !x.isArmed.Load() || !changesDisk(op) {
			return nil
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.calls++; x.calls-1 != x.n {
			return nil
		}
		x.what = fmt.Sprint(op.Kind, " ", op.Path)
		for _, percent := range []int{0, 50, 100} {
			x.images = append(x.images, x.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(x.n), 1))}))
		}
		return ioError(op, syscall.EIO)
	}))
}
