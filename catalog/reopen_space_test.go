package catalog

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

// fullFrom is a disk that is full from the nth operation on, for so many operations.
// Behind the nth it takes copies of the disk, for power cuts.
type fullFrom struct {
	disk      *vfs.MemFS
	witness   *witness
	n, length int64

	mu      sync.Mutex
	ops     int64
	rng     *rand.Rand
	crashes []crash
}

func (f *fullFrom) before(op errorfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ops++
	if f.ops >= f.n && f.ops < f.n+f.length+30 && f.rng.IntN(5) == 0 {
		f.witness.mu.Lock()
		f.crashes = append(f.crashes, crash{
			fs: f.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[f.rng.IntN(3)], RNG: f.rng}),
			op: op, was: f.witness.copy(),
		})
		f.witness.mu.Unlock()
	}
	if f.ops >= f.n && f.ops < f.n+f.length && op.Kind != errorfs.OpRemove {
		return syscall.ENOSPC
	}
	return nil
}

// TestFullDiskAtAnyOperationHeals fills the disk at the first, second, third, …
// operation for a while. The catalog is reopened in place until it goes on; what was in
// doubt is there whole or not at all, nothing else is missing or new, ids stay unique, and a
// power cut at any moment changes nothing of it.
func TestFullDiskAtAnyOperationHeals(t *testing.T) {
	prepared, witnessed := vfs.NewCrashableMem(), &witness{known: newState()}
	c := mustOpen(t, prepared)
	if err := witnessed.runUntilError(t, c, 1); err != nil {
		t.Fatal(err)
	}
	mustClose(t, c)
	witnessed.closed()
	var count atomic.Int64 // operations of an Open, some of them of Pebble's own goroutines
	c = mustOpen(t, hookFS(prepared.CrashClone(vfs.CrashCloneCfg{}), func(errorfs.Op) error { count.Add(1); return nil }))
	mustClose(t, c)
	opened := count.Load()
	heals, crashes := 0, 0
	every := int64(*fullEvery)
	for i, length := range []int64{1, 7} {
		for n := opened + 1 + int64(i)%every; ; n += every {
			w := witnessed.copy()
			f := &fullFrom{disk: prepared.CrashClone(vfs.CrashCloneCfg{}), witness: &w, n: n, length: length, rng: rand.New(rand.NewPCG(uint64(n), 3))}
			f.run(t)
			if t.Failed() {
				t.Fatalf("the disk was full from operation %d on, for %d", n, length)
			}
			heals++
			crashes += len(f.crashes)
			if f.ops < n {
				break
			}
		}
	}
	t.Logf("figures: full_disks=%d power_cuts=%d", heals, crashes)
}

var fullEvery = flag.Int("full-every", 4, "TestFullDiskAtAnyOperationHeals fills the disk at each n-th operation; 1: at all")

func (f *fullFrom) run(t *testing.T) {
	c := mustOpen(t, hookFS(f.disk, f.before))
	for part := range uint64(4) {
		err := f.witness.runUntilError(t, c, 2+part)
		for attempt := 0; errors.Is(err, ErrNoSpace) && attempt < 50; attempt++ {
			err = c.Reopen()
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := f.witness.settle(c); err != nil {
			t.Error(err)
		}
	}
	mustClose(t, c)
	for i := range f.crashes {
		f.crashes[i].verify(t, f.rng)
	}
}

// settle takes over what a Reopen has found of the change in doubt, and of the event ids.
func (w *witness) settle(c *Catalog) error {
	if err := w.check(c); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := observe(c); w.pending != nil && reflect.DeepEqual(w.pending, got) {
		w.known = w.pending
	} else if !reflect.DeepEqual(w.known, got) {
		return fmt.Errorf("neither with the change nor without (-without +found):\n%s", cmp.Diff(w.known, got))
	}
	w.pending = nil
	var found []remembered
	for _, r := range w.events {
		ok, err := r.seen(c)
		if err != nil {
			return err
		}
		if ok || c.Schema().IsPurged(r.table) {
			found = append(found, r)
		}
	}
	w.events = found
	return nil
}

// TestReopenKeepsReadersAndNames checks what those have in hand who read meanwhile.
func TestReopenKeepsReadersAndNames(t *testing.T) {
	var full atomic.Bool
	c := mustOpen(t, hookFS(vfs.NewCrashableMem(), func(op errorfs.Op) error {
		if full.Load() && op.Kind != errorfs.OpRemove {
			return syscall.EDQUOT
		}
		return nil
	}))
	defer mustClose(t, c)
	mustDefine(t, c, table("db", "t", "f"))
	if err := c.Reopen(); err != nil || c.Err() != nil {
		t.Fatal("a sound catalog:", err, c.Err())
	}
	id := c.AllocateFileID()
	mustCommit(t, c, Edit{Add: []*schema.File{sampleFile(id, 1)}})
	schemaBefore, file := c.Schema(), c.Files()[0]
	full.Store(true)
	if _, err := c.Define(table("db", "u", "f")); !errors.Is(err, ErrNoSpace) || !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EDQUOT) {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.Reopen(); !errors.Is(err, ErrNoSpace) || !errors.Is(c.Err(), ErrNoSpace) {
			t.Fatal(err, c.Err())
		}
		for name, call := range everyCall {
			if err := call(c); !errors.Is(err, ErrNoSpace) {
				t.Errorf("%s while the disk is full: %v", name, err)
			}
		}
		if c.Schema() != schemaBefore {
			t.Fatal("readers see another schema, though nothing has changed")
		}
	}
	full.Store(false)
	if err := errors.Join(c.Reopen(), c.Err()); err != nil {
		t.Fatal(err)
	}
	if c.Files()[0] != file {
		t.Error("the file is described twice")
	}
	if c.Schema().Deletions() == schemaBefore.Deletions() {
		t.Error("whoever remembers names would not look them up again")
	}
	if next := c.AllocateFileID(); next <= id {
		t.Errorf("file id %d was handed out after %d", next, id)
	}
	mustDefine(t, c, table("db", "u", "f"))
}

// TestReopenIsRefusedAfterOtherFailures: only lack of space passes.
func TestReopenIsRefusedAfterOtherFailures(t *testing.T) {
	var fault atomic.Pointer[error]
	c := mustOpen(t, hookFS(vfs.NewCrashableMem(), func(op errorfs.Op) error {
		if f := fault.Load(); f != nil && (strings.HasSuffix(op.Path, ".log") || strings.Contains(op.Path, "MANIFEST")) {
			return *f
		}
		return nil
	}))
	defer mustClose(t, c)
	set := func(err error) { fault.Store(&err) }
	mustDefine(t, c, table("db", "t", "f"))
	set(syscall.ENOSPC)
	if _, err := c.Define(table("db", "u", "f")); !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	set(syscall.EIO)
	for range 2 {
		if err := c.Reopen(); !errors.Is(err, ErrFailed) || errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		fault.Store(nil)
	}
	if _, err := c.Define(table("db", "v")); !errors.Is(err, ErrFailed) || errors.Is(err, ErrNoSpace) {
		t.Error(err)
	}
	if _, ok := c.Schema().TableByID(1); !ok {
		t.Error("readers have lost the schema")
	}
}
