package engine_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

var (
	seedFlag  = flag.Uint64("seed", 1, "seed of the random crash and model tests")
	seedsFlag = flag.Int("seeds", 60, "how many random histories TestPowerLoss runs, beginning with -seed")
)

// TestPowerLoss shows E1, E2, E5, E8 and E9. In each history several writers write,
// overwrite, delete and flush at once, the power fails in front of some operation of
// theirs or of the recovery's, and log, catalog and Parquet files lose 0, 10, 50 or
// 100 % of what was not synced. Then each writer's points must be those of one of the
// moments from its last acknowledged request to its last submitted one.
func TestPowerLoss(t *testing.T) {
	var sums lossSums
	t.Run("histories", func(t *testing.T) {
		for i := range *seedsFlag {
			seed := *seedFlag + uint64(i)
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				t.Parallel()
				defer func() {
					if t.Failed() {
						t.Logf("go test ./engine -count 1 -run '^TestPowerLoss$' -seeds 1 -seed %d", seed)
					}
				}()
				newLossRun(t, seed, &sums).run()
			})
		}
	})
	t.Log(sums.String())
}

// lossSums are what all histories together did.
type lossSums struct{ runs, crashes, inRecovery, twins, requests, points atomic.Int64 }

func (s *lossSums) String() string {
	return fmt.Sprintf("figures: histories=%d powerlosses=%d losses_in_recovery=%d recovered_twice=%d requests=%d points=%d",
		s.runs.Load(), s.crashes.Load(), s.inRecovery.Load(), s.twins.Load(), s.requests.Load(), s.points.Load())
}

// lossRun is one history.
type lossRun struct {
	t      *testing.T
	rng    *rand.Rand
	sums   *lossSums
	clock  handClock
	actors []*actor
	disk   *disk
	bounds [][2]int // of each actor, when the power failed
	change func(*engine.Options)
}

func newLossRun(t *testing.T, seed uint64, sums *lossSums) *lossRun {
	r := &lossRun{t: t, rng: rand.New(rand.NewPCG(seed, 1)), sums: sums}
	keepsRejected := r.rng.IntN(2) == 0
	segment := []int64{8 << 10, 16 << 10, 64 << 10}[r.rng.IntN(3)]
	r.change = func(o *engine.Options) {
		r.clock.option(o)
		o.WALSegmentBytes = segment
		if keepsRejected {
			o.RejectedRetention = 365 * 24 * time.Hour
		}
	}
	for i := range 1 + r.rng.IntN(4) {
		r.actors = append(r.actors, newActor(i, keepsRejected, rand.New(rand.NewPCG(seed, uint64(2+i)))))
	}
	sums.runs.Add(1)
	return r
}

// run is the whole history: the actors act, the power fails, and so on.
func (r *lossRun) run() {
	e := r.reopen(vfs.NewCrashableMem())
	for range 2 + r.rng.IntN(3) {
		r.planCut()
		r.act(e)
		switch hasPower := r.disk.hasPower(); {
		case hasPower && r.rng.IntN(4) == 0:
			e = r.restart(e)
		case hasPower && r.rng.IntN(4) == 0: // the engine goes on
			r.disk.plan(powerCut{}, nil)
			r.noteBounds()
			r.compare(e, r.disk)
		default:
			image := r.disk.cutNow()
			r.sums.crashes.Add(1)
			_ = e.Close() // it has no disk any more
			e = r.reopen(image)
		}
	}
	closeEngine(r.t, e)
	checkSound(r.t, r.disk.mem)
}

// restart stops the engine in good order, as far as there is power for that.
func (r *lossRun) restart(e *engine.Engine) *engine.Engine {
	r.noteBounds()
	switch err := e.Close(); {
	case !r.disk.hasPower():
		r.sums.crashes.Add(1)
		return r.reopen(r.disk.cutNow())
	case err != nil:
		r.t.Fatalf("Close: %v", err)
	}
	return r.reopen(r.disk.mem)
}

// unsynced draws how much of what was not synced a crash leaves, in per cent.
func (r *lossRun) unsynced() int { return []int{0, 10, 50, 100}[r.rng.IntN(4)] }

// planCut draws when the power fails.
func (r *lossRun) planCut() {
	cut := powerCut{
		unsyncedPercent: r.unsynced(), rng: rand.New(rand.NewPCG(r.rng.Uint64(), 0)),
		before: func() {
			r.bounds = nil
			for _, a := range r.actors {
				must, _ := a.history.bounds()
				r.bounds = append(r.bounds, [2]int{must, 0})
				a.rejected.fix()
			}
		},
		after: func() {
			for i, a := range r.actors {
				_, r.bounds[i][1] = a.history.bounds()
			}
		},
	}
	switch r.rng.IntN(3) {
	case 0:
		r.disk.plan(cut, nthOperation(r.rng.IntN(400), anyOperation))
	case 1:
		r.disk.plan(cut, nthOperation(r.rng.IntN(200), changesDisk))
	default:
		r.disk.plan(cut, operationBehind(r.rng.IntN(60), isSync))
	}
}

func (r *lossRun) noteBounds() {
	r.bounds = nil
	for _, a := range r.actors {
		must, may := a.history.bounds()
		r.bounds = append(r.bounds, [2]int{must, may})
		a.rejected.fix()
	}
}

// act lets all actors act at once, until they have done enough or the power fails.
func (r *lossRun) act(e *engine.Engine) {
	if r.rng.IntN(4) == 0 { // what was deleted before becomes due
		r.clock.set(time.Duration(r.clock.after.Load()) + 2*time.Hour)
	}
	steps := 4 + r.rng.IntN(12)
	var group sync.WaitGroup
	for _, a := range r.actors {
		group.Go(func() {
			for range steps {
				if err := a.act(r.t, e, r.disk); err != nil {
					if r.disk.hasPower() {
						r.t.Errorf("actor %d: %v", a.id, err)
					}
					return
				}
				r.sums.requests.Add(1)
			}
		})
	}
	group.Wait()
	if r.t.Failed() {
		r.t.FailNow()
	}
}

// reopen recovers from an image, and may lose power while it does. What it finds is
// compared, and sometimes recovered a second time.
func (r *lossRun) reopen(image *vfs.MemFS) *engine.Engine {
	for range 3 {
		if r.rng.IntN(3) > 0 {
			break
		}
		image = r.crashInRecovery(image)
	}
	if exists(image, "data") {
		checkSound(r.t, image)
	}
	r.disk = newDisk(image)
	e := open(r.t, r.disk, r.change)
	if r.bounds != nil {
		r.compare(e, r.disk)
	}
	return e
}

// crashInRecovery returns what a recovery leaves that is cut short, or that is followed
// by another loss of power at once.
func (r *lossRun) crashInRecovery(image *vfs.MemFS) *vfs.MemFS {
	d := newDisk(image)
	d.plan(powerCut{unsyncedPercent: r.unsynced(), rng: rand.New(rand.NewPCG(r.rng.Uint64(), 0))},
		nthOperation(r.rng.IntN(150), anyOperation))
	opts := engine.Options{DataDir: "data", FS: d, Gen1Duration: -1}
	r.change(&opts)
	e, err := engine.Open(opts)
	if err != nil && d.hasPower() {
		r.t.Fatalf("Open: %v", err)
	}
	left := d.cutNow()
	if e != nil {
		_ = e.Close() // it has no disk any more
	}
	r.sums.crashes.Add(1)
	r.sums.inRecovery.Add(1)
	return left
}

// compare checks every actor's points, and what they saw settles what was in doubt.
func (r *lossRun) compare(e *engine.Engine, d *disk) {
	r.t.Helper()
	all := readDatabases(r.t, e, d.mem, e.Databases()...)
	for i, a := range r.actors {
		state := a.history.check(r.t, a.own(all), r.bounds[i][0], r.bounds[i][1])
		a.history.settle(state)
		a.rejected.check(r.t, all)
	}
	r.sums.points.Add(int64(len(all)))
	if r.rng.IntN(2) == 0 {
		return
	}
	again := d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.unsynced(), RNG: r.rng})
	twin := open(r.t, again, r.change)
	if second := readDatabases(r.t, twin, again, twin.Databases()...); difference(all, second) != "" {
		r.t.Fatalf("a second recovery differs from the first:\n%s", difference(all, second))
	}
	closeEngine(r.t, twin)
	checkSound(r.t, again)
	r.sums.twins.Add(1)
}

// readDatabases is read for several databases: the keys begin with a database's name. A
// retention period is an entry of its own, and so is each cache.
func readDatabases(t testing.TB, e *engine.Engine, fs vfs.FS, names ...string) contents {
	t.Helper()
	all := make(contents)
	for _, name := range names {
		for key, fields := range read(t, e, fs, name) {
			all[name+"/"+key] = fields
		}
		db, ok := e.Schema().Database(name)
		if !ok || name == engine.InternalDatabase {
			continue
		}
		if db.Retention > 0 {
			all[retentionKey(name)] = map[string]any{"retention": db.Retention}
		}
		for _, table := range db.Tables() {
			for _, c := range table.Caches {
				describeCache(table, c).put(all, name)
			}
		}
	}
	return all
}

func retentionKey(database string) string { return database + "/" }

// rejections are the lines that an actor sent to be rejected.
type rejections struct {
	mu    sync.Mutex
	isOn  bool
	told  map[string]bool // that are in the log of them for certain, by their text
	fixed map[string]bool // those of told when the power failed
}

func (r *rejections) add(lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range lines {
		r.told[line] = true
	}
}

func (r *rejections) fix() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fixed = maps.Clone(r.told)
}

// check fails unless each rejected line that was answered is in the log of them, once.
func (r *rejections) check(t testing.TB, all contents) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isOn {
		return
	}
	kept := make(map[string]int)
	for key, fields := range all {
		if strings.HasPrefix(key, engine.InternalDatabase+"/") {
			if raw, ok := fields["raw"].(string); ok {
				kept[raw]++
			}
		}
	}
	for line := range r.fixed {
		if n := kept[line]; n != 1 {
			t.Errorf("the rejected line %q is in the log of them %d times", line, n)
		}
	}
	r.told = maps.Clone(r.fixed)
}
