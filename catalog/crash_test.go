package catalog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
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

	events  []remembered // every call that was made
	durable int          // how many of them, the first ones, must survive
	lasting int          // how many of them will have to when the call under way returns
}

// copy is for the moment of a crash. What it shares is only ever appended to.
func (w *witness) copy() witness {
	return witness{known: w.known, pending: w.pending, lastID: w.lastID, events: slices.Clip(w.events), durable: w.durable}
}

// begin says that a call is about to be made which leads to the state next. If that is
// another state, something will be written, and the events before it become durable.
func (w *witness) begin(next *state) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending, w.lasting = next, w.durable
	if !reflect.DeepEqual(w.known, next) {
		w.lasting = len(w.events)
	}
}

// end says that the call has returned as it had to.
func (w *witness) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known, w.pending, w.durable = w.pending, nil, w.lasting
}

// do makes a call. It returns the error of one that ought to have succeeded.
func (w *witness) do(t *testing.T, c *Catalog, o *operation) error {
	t.Helper()
	w.begin(o.next)
	err := o.call(c)
	if err != nil && errors.Is(err, ErrFailed) {
		return err
	}
	if err := o.check(err); err != nil {
		t.Fatal(err)
	}
	w.end()
	return nil
}

// remember adds some event ids, now and then large of them.
func (w *witness) remember(c *Catalog, rng *rand.Rand, large int) error {
	r, ok := randomRemembered(rng, w.known, w.events, large)
	if !ok {
		return nil
	}
	w.mu.Lock()
	w.events = append(w.events, r)
	w.mu.Unlock()
	return c.Remember(r.table, r.ids())
}

// closed says that the catalog was closed in peace, which makes everything durable.
func (w *witness) closed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.durable = len(w.events)
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
	if err := checkNames(c.Schema(), got.LastTable); err != nil {
		return err
	}
	return checkEvents(c, w.events, w.durable)
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
	cr.witness.mu.Lock() // no call returns, and none begins, while the copy is taken
	defer cr.witness.mu.Unlock()
	cr.crashes = append(cr.crashes, crash{
		fs: cr.disk.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: []int{0, 50, 100}[cr.rng.IntN(3)], RNG: cr.rng,
		}),
		op:  op,
		was: cr.witness.copy(),
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
	w.work(t, c, rng, 40)
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

// work makes random calls.
func (w *witness) work(t *testing.T, c *Catalog, rng *rand.Rand, calls int) {
	t.Helper()
	for range calls {
		var err error
		if rng.IntN(4) == 0 {
			err = w.remember(c, rng, logChange)
		} else {
			err = w.do(t, c, randomOperation(rng, w.known, noLimits, func() schema.FileID { return w.allocate(c) }))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// logChange is a number of event ids that makes Pebble change to another log file.
const logChange = 6_000

// noLimits are not met by tests.
var noLimits = Limits{DefaultMaxDatabases, DefaultMaxTables, DefaultMaxColumns}

func (w *witness) define(t *testing.T, c *Catalog, change Change) {
	t.Helper()
	if err := w.do(t, c, defineOperation(w.known, change, noLimits)); err != nil {
		t.Fatal(err)
	}
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
