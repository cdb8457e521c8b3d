package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/schema"
)

// faults makes the nth operation that changes something fail, and those after it too
// when persistent.
type faults struct {
	n          int64
	persistent bool
	count      atomic.Int64
	injected   atomic.Int64
}

func (f *faults) before(errorfs.Op) error {
	at := f.count.Add(1)
	if at == f.n || f.persistent && at > f.n {
		f.injected.Add(1)
		return syscall.EIO
	}
	return nil
}

// TestErrorAtAnyOperationLeavesASoundCatalog fails the first, second, third, …
// operation until a run meets no error, once for good and once for a moment, in a
// directory that is made by the run and in one that exists.
func TestErrorAtAnyOperationLeavesASoundCatalog(t *testing.T) {
	for _, existing := range []bool{false, true} {
		for _, persistent := range []bool{false, true} {
			t.Run(fmt.Sprint("existing=", existing, "/persistent=", persistent), func(t *testing.T) {
				failEachOperation(t, existing, persistent)
			})
		}
	}
}

func failEachOperation(t *testing.T, existing, persistent bool) {
	prepared, witnessed := vfs.NewCrashableMem(), &witness{known: newState()}
	if existing {
		c := mustOpen(t, prepared)
		if err := witnessed.runUntilError(t, c, 1); err != nil {
			t.Fatal(err)
		}
		mustClose(t, c)
		witnessed.closed()
	}
	whole := vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}
	for n := int64(1); ; n++ {
		w := witnessed.copy()
		f := &faults{n: n, persistent: persistent}
		f.run(t, prepared.CrashClone(whole), &w)
		if t.Failed() {
			t.Fatalf("with an error at operation %d", n)
		}
		if f.injected.Load() == 0 {
			t.Logf("%d operations were failed", n-1)
			return
		}
	}
}

// run works until the first error, then opens what is on disk, with and without what
// was not synced, and checks it against the promises.
func (f *faults) run(t *testing.T, disk *vfs.MemFS, w *witness) {
	c, err := Open(testOptions(hookFS(disk, f.before)))
	if err != nil && !errors.Is(err, syscall.EIO) {
		t.Errorf("the error of Open is not that of the disk: %v", err)
	}
	if err == nil {
		if err := w.runUntilError(t, c, 2); err != nil {
			mustStayFailed(t, c, disk, err)
		}
		mustClose(t, c)
	}
	for _, percent := range []int{0, 50, 100} {
		wreck := disk.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(f.n), uint64(percent))),
		})
		c, err := Open(testOptions(wreck))
		if err != nil {
			t.Errorf("open with %d %% of what was not synced: %v", percent, err)
			continue
		}
		if err := w.check(c); err != nil {
			t.Errorf("with %d %% of what was not synced: %v", percent, err)
		}
		mustClose(t, c)
	}
}

// runUntilError is a fixed workload for each seed, so that the nth operation is much the
// same in each run.
func (w *witness) runUntilError(t *testing.T, c *Catalog, seed uint64) error {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	allocate := func() schema.FileID { return w.allocate(c) }
	for i := range 16 {
		change := table("db", fmt.Sprint("table ", seed, "/", i), "a", "b")
		o := defineOperation(w.known, change, noLimits)
		if i%2 == 1 {
			o = randomOperation(rng, w.known, noLimits, allocate)
		}
		if err := w.do(t, c, o); err != nil {
			return err
		}
		if err := w.remember(c, rng, 100); err != nil {
			return err
		}
	}
	return nil
}

// mustStayFailed checks C6: every change is refused, reading works, and nothing
// reaches the disk any more.
func mustStayFailed(t *testing.T, c *Catalog, disk *vfs.MemFS, err error) {
	t.Helper()
	if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want ErrFailed and its cause", err)
	}
	before := observe(c)
	defer mustHave(t, c, before)
	// An operation that Pebble's own goroutines had begun when the fence closed may still
	// end: at most one for each of them, whereas a call that writes does so each time.
	var picture string
	for range 4 {
		picture = disk.String()
		for name, call := range everyCall {
			if err := call(c); !errors.Is(err, ErrFailed) {
				t.Errorf("%s after a failure: %v", name, err)
			}
		}
		if disk.String() == picture {
			return
		}
	}
	t.Errorf("the disk goes on changing after a failure, from\n%sto\n%s", picture, disk.String())
}

// everyCall has one call of each method that uses the storage.
var everyCall = map[string]func(*Catalog) error{
	"Define": func(c *Catalog) error {
		_, err := c.Define(table("db", "not there yet"))
		return err
	},
	"Commit":         func(c *Catalog) error { return c.Commit(Edit{Position: 1_000}) },
	"CreateDatabase": func(c *Catalog) error { return c.CreateDatabase("another db", 0) },
	"SetTableRetention": func(c *Catalog) error {
		return c.SetTableRetention("db", "t", time.Hour)
	},
	"SetRetention":   func(c *Catalog) error { return c.SetRetention("db", time.Hour) },
	"DeleteDatabase": func(c *Catalog) error { return c.DeleteDatabase("db", 0) },
	"DeleteTable":    func(c *Catalog) error { return c.DeleteTable("db", "t", 0) },
	"Purge":          func(c *Catalog) error { return c.Purge([]schema.TableID{1}, nil) },
	"PutToken": func(c *Catalog) error {
		_, err := c.PutToken(schema.Token{Name: "a new token"})
		return err
	},
	"DeleteToken": func(c *Catalog) error { return c.DeleteToken("token") },
	"CreateDatasource": func(c *Catalog) error {
		return c.CreateDatasource(schema.Datasource{Project: "a new project", Name: "d", Database: "db"})
	},
	"Remember": func(c *Catalog) error { return c.Remember(1, [][eventIDBytes]byte{eventID(0)}) },
	"Seen": func(c *Catalog) error {
		_, err := c.Seen(1, eventID(0))
		return err
	},
}

// TestFailedSyncIsNotAcknowledged is the case in which Pebble reports success when its
// logger's Fatalf returns.
func TestFailedSyncIsNotAcknowledged(t *testing.T) {
	disk := vfs.NewCrashableMem()
	var broken atomic.Bool
	c := mustOpen(t, hookFS(disk, func(op errorfs.Op) error {
		if broken.Load() && strings.HasSuffix(op.Path, ".log") &&
			(op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			return syscall.ENOSPC
		}
		return nil
	}))
	mustDefine(t, c, table("db", "t", "f"))
	before := observe(c)
	broken.Store(true)
	_, err := c.Define(table("db", "u", "f"))
	if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ErrFailed and ENOSPC", err)
	}
	mustHave(t, c, before)
	broken.Store(false) // the disk has recovered, but the log's state is unknown
	if _, err := c.Define(table("db", "v")); !errors.Is(err, ErrFailed) {
		t.Errorf("the next change: %v", err)
	}
	mustClose(t, c)
	c = mustOpen(t, disk.CrashClone(vfs.CrashCloneCfg{}))
	defer mustClose(t, c)
	mustHave(t, c, before)
	mustDefine(t, c, table("db", "v"))
}

// TestFailureToRotateTheLogIsSurvived makes Pebble need a new log file, and refuses it.
func TestFailureToRotateTheLogIsSurvived(t *testing.T) {
	disk := vfs.NewCrashableMem()
	var full atomic.Bool
	c := mustOpen(t, hookFS(disk, func(op errorfs.Op) error {
		isNew := op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite
		if full.Load() && isNew && strings.HasSuffix(op.Path, ".log") {
			return syscall.ENOSPC
		}
		return nil
	}))
	full.Store(true)
	w := &witness{known: newState()}
	var err error
	for i := 0; err == nil; i++ {
		change := manyTables(50)
		change.Database = fmt.Sprint("db", i)
		err = w.do(t, c, defineOperation(w.known, change, noLimits))
	}
	if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ErrFailed and ENOSPC", err)
	}
	if len(w.known.Tables) == 0 {
		t.Error("nothing was acknowledged before the failure")
	}
	mustHave(t, c, w.known)
	mustClose(t, c)
	for _, percent := range []int{0, 50, 100} {
		c := mustOpen(t, disk.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, uint64(percent))),
		}))
		if err := w.check(c); err != nil {
			t.Error(err)
		}
		mustClose(t, c)
	}
}

// failureLog is a slog handler that tells when an error is logged.
type failureLog struct {
	slog.Handler
	once   sync.Once
	failed chan struct{}
}

func (l *failureLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *failureLog) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		l.once.Do(func() { close(l.failed) })
	}
	return nil
}

// TestClosedFenceChangesNothing calls everything that would change something; each
// call must report success all the same.
func TestClosedFenceChangesNothing(t *testing.T) {
	disk := vfs.NewMem()
	f := newFence(slog.New(slog.DiscardHandler))
	fs := &fencedFS{FS: disk, fence: f}
	const category = vfs.WriteCategoryUnspecified
	open, err := fs.Create("open", category)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "marker.x"} {
		file, err := fs.Create(name, category)
		if _, werr := file.Write([]byte(name)); err != nil || werr != nil || file.Close() != nil {
			t.Fatal(err, werr)
		}
	}
	f.fail(errors.New("the disk is gone"))
	before := disk.String()
	use := func(file vfs.File, err error) error {
		_, werr := file.Write([]byte("more"))
		_, wterr := file.WriteAt([]byte("more"), 0)
		_, sterr := file.SyncTo(1)
		return errors.Join(err, werr, wterr, sterr, file.Preallocate(0, 10), file.Sync(), file.SyncData(), file.Close())
	}
	for name, call := range map[string]func() error{
		"use of an open file": func() error { return use(open, nil) },
		"create":              func() error { return use(fs.Create("new", category)) },
		"create over another": func() error { return use(fs.Create("a", category)) },
		"reuse":               func() error { return use(fs.ReuseForWrite("a", "c", category)) },
		"open for writing":    func() error { return use(fs.OpenReadWrite("a", category)) },
		"rename":              func() error { return fs.Rename("a", "c") },
		"link":                func() error { return fs.Link("a", "c") },
		"remove":              func() error { return fs.Remove("a") },
		"remove all":          func() error { return fs.RemoveAll("b") },
		"make a directory":    func() error { return fs.MkdirAll("dir", 0o755) },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if now := disk.String(); now != before {
			t.Fatalf("%s has changed the disk from\n%sto\n%s", name, before, now)
		}
	}
}

// TestReportOfPebbleStopsEverything is for failures that no write has shown before.
func TestReportOfPebbleStopsEverything(t *testing.T) {
	damage := errors.New("damage")
	for name, report := range map[string]func(*fence){
		"fatal error": func(f *fence) { f.Fatalf("table %d: %v", 7, damage) },
		"corruption":  func(f *fence) { f.pebbleEvents().DataCorruption(pebble.DataCorruptionInfo{Details: damage}) },
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			c := mustOpen(t, disk)
			defer mustClose(t, c)
			report(c.store.fence)
			picture := disk.String()
			if _, err := c.Define(table("db", "t")); !errors.Is(err, ErrFailed) || !errors.Is(err, damage) {
				t.Errorf("got %v, want ErrFailed and its cause", err)
			}
			if disk.String() != picture {
				t.Error("the disk has changed after the report")
			}
		})
	}
}

// TestFailedFlushStopsEverything breaks the manifest under a background flush, of which
// no caller would hear.
func TestFailedFlushStopsEverything(t *testing.T) {
	disk := vfs.NewCrashableMem()
	var broken atomic.Bool
	o := testOptions(hookFS(disk, func(op errorfs.Op) error {
		if broken.Load() && strings.Contains(op.Path, "MANIFEST") {
			return syscall.EIO
		}
		return nil
	}))
	log := &failureLog{Handler: slog.DiscardHandler, failed: make(chan struct{})}
	o.Logger = slog.New(log)
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	mustDefine(t, c, table("db", "t", "f"))
	before := observe(c)
	broken.Store(true)
	if _, err := c.store.db.AsyncFlush(); err != nil {
		t.Fatal(err)
	}
	<-log.failed
	broken.Store(false)
	if _, err := c.Define(table("db", "u")); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want ErrFailed and EIO", err)
	}
	mustClose(t, c)
	for _, percent := range []int{0, 100} {
		wreck := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 1))})
		c := mustOpen(t, wreck)
		mustHave(t, c, before)
		mustClose(t, c)
	}
}
