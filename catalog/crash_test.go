package catalog

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

// witness remembers what a catalog has promised at any moment.
type witness struct {
	mu      sync.Mutex
	known   *state        // the outcome of every call that has returned
	pending *state        // the outcome of the call under way, or nil
	lastID  schema.FileID // handed out
}

// begin says that a call is about to be made which leads to the state next.
func (w *witness) begin(next *state) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = next
}

// end says that the call has returned without error.
func (w *witness) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known, w.pending = w.pending, nil
}

func (w *witness) allocate(c *Catalog) schema.FileID {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastID = c.AllocateFileID()
	return w.lastID
}

// check compares a catalog that was opened after a crash with the promises.
func (w *witness) check(c *Catalog) error {
	got := observe(c)
	if !reflect.DeepEqual(w.known, got) && (w.pending == nil || !reflect.DeepEqual(w.pending, got)) {
		return fmt.Errorf("neither what was acknowledged nor that and the call under way (-acknowledged +found):\n%s",
			cmp.Diff(w.known, got))
	}
	if id := c.AllocateFileID(); id <= w.lastID {
		return fmt.Errorf("file id %d was handed out after %d", id, w.lastID)
	}
	return nil
}

// crash is a copy of the disk at some moment, with the promises of that moment.
type crash struct {
	fs  *vfs.MemFS
	op  errorfs.Op // what would have come next
	was witness
}

// crasher takes copies of a disk ahead of a share of its operations, each with none,
// half, or all of what was not synced.
type crasher struct {
	disk    *vfs.MemFS
	witness witness

	mu      sync.Mutex
	rng     *rand.Rand
	share   float64
	crashes []crash
}

func (cr *crasher) before(op errorfs.Op) error {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if cr.rng.Float64() >= cr.share {
		return nil
	}
	w := &cr.witness
	w.mu.Lock() // no call returns, and none begins, while the copy is taken
	defer w.mu.Unlock()
	cr.crashes = append(cr.crashes, crash{
		fs: cr.disk.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: []int{0, 50, 100}[cr.rng.IntN(3)], RNG: cr.rng,
		}),
		op:  op,
		was: witness{known: w.known, pending: w.pending, lastID: w.lastID},
	})
	return nil
}

// TestCrashKeepsWhatWasAcknowledged runs random workloads, crashes them at random
// operations, opens each wreck and checks C1 to C4. A run can be repeated with -seed.
func TestCrashKeepsWhatWasAcknowledged(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*seedCount); seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { crashWorkload(t, seed) })
	}
}

func crashWorkload(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	cr := &crasher{disk: vfs.NewCrashableMem(), rng: rand.New(rand.NewPCG(seed, 1)), share: 0.2}
	w := &cr.witness
	w.known = newState()
	c, err := Open(testOptions(hookFS(cr.disk, cr.before)))
	if err != nil {
		t.Fatal(err)
	}
	for range 25 {
		if rng.IntN(2) == 0 {
			w.define(t, c, randomChange(rng))
		} else {
			w.commit(t, c, randomEdit(rng, w.known, func() schema.FileID { return w.allocate(c) }))
		}
	}
	if seed%10 == 0 { // large enough to take Pebble's path around its memtable, with a flush
		w.define(t, c, manyTables(8_000))
		w.define(t, c, table("db0", "after the large change", "f"))
	}
	mustClose(t, c)
	if len(cr.crashes) == 0 {
		t.Error("the workload was never crashed")
	}
	for i := range cr.crashes {
		cr.crashes[i].verify(t, cr.rng)
	}
}

func (w *witness) define(t *testing.T, c *Catalog, change Change) {
	t.Helper()
	next, valid := w.known.define(change, Limits{DefaultMaxDatabases, DefaultMaxTables, DefaultMaxColumns})
	w.begin(next)
	if _, err := c.Define(change); (err == nil) != valid {
		t.Fatalf("define: %v, but the model says %v", err, valid)
	}
	w.end()
}

func (w *witness) commit(t *testing.T, c *Catalog, e Edit) {
	t.Helper()
	w.begin(w.known.commit(e))
	mustCommit(t, c, e)
	w.end()
}

// TestNamesMaySurviveInAnyOrder crashes ahead of every sync of the directory, with
// arbitrary ones of the names that were changed since the last.
func TestNamesMaySurviveInAnyOrder(t *testing.T) {
	disk, rng := vfs.NewCrashableMem(), rand.New(rand.NewPCG(1, 1))
	var mu sync.Mutex
	var wrecks []*vfs.MemFS
	fs := hookFS(disk, func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync && op.Path == testDir {
			mu.Lock()
			defer mu.Unlock()
			for range 12 {
				wrecks = append(wrecks, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}))
			}
		}
		return nil
	})
	for i := range 2 {
		c := mustOpen(t, fs)
		mustDefine(t, c, table("db", fmt.Sprint("table ", i), "f"))
		mustClose(t, c)
	}
	for i, wreck := range wrecks {
		c, err := Open(testOptions(wreck))
		if err != nil {
			t.Fatalf("wreck %d of %d: %v", i, len(wrecks), err)
		}
		mustClose(t, c)
	}
}

// verify opens the wreck, crashes that opening too, and opens again: what the first
// recovery showed must be what the second shows.
func (cr *crash) verify(t *testing.T, rng *rand.Rand) {
	t.Helper()
	c, err := Open(testOptions(cr.fs))
	if err != nil {
		t.Fatalf("open after a crash before %v of %s: %v", cr.op.Kind, cr.op.Path, err)
	}
	if err := cr.was.check(c); err != nil {
		t.Errorf("crash before %v of %s: %v", cr.op.Kind, cr.op.Path, err)
	}
	shown, id := observe(c), c.AllocateFileID()
	second := cr.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50}[rng.IntN(2)], RNG: rng})
	mustClose(t, c)
	c = mustOpen(t, second)
	defer mustClose(t, c)
	mustHave(t, c, shown)
	if next := c.AllocateFileID(); next <= id {
		t.Errorf("file id %d was handed out after %d", next, id)
	}
}

func manyTables(n int) Change {
	change := Change{Database: "many"}
	for i := range n {
		change.Tables = append(change.Tables, TableChange{
			Name:    fmt.Sprint("measurement number ", i),
			Columns: []NewColumn{{"host", schema.Tag}, {"region", schema.Tag}, {"value", schema.Float64}},
		})
	}
	return change
}
