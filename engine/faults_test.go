package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/engine"
)

var (
	strideFlag = flag.Int("stride", defaultStride, "how many I/O calls apart the tests of each call look; 1 looks at every one")
	offsetFlag = flag.Int("offset", -1, "the first I/O call at which they look; -1 draws it from -seed")
)

// firstCall is where a sweep with a stride begins: elsewhere for each seed, so that many
// runs together look at every call.
func firstCall() int {
	if *offsetFlag >= 0 {
		return *offsetFlag
	}
	return int(*seedFlag % uint64(*strideFlag))
}

// lives are what the scenario of a sweep does between its restarts: every kind of file
// operation of the engine occurs in it.
var lives = [][]func(*actor, *engine.Engine) error{
	{
		(*actor).writeShared, (*actor).writeOwn, (*actor).writeEvents, (*actor).writeRejected, (*actor).createCache, (*actor).flush,
		(*actor).writeShared, (*actor).writeEvents, (*actor).setRetention, (*actor).writeLong, (*actor).deleteTable,
		(*actor).writeOwn, (*actor).writeEvents, (*actor).flush, (*actor).writeShared, (*actor).compact, (*actor).rollUp,
		(*actor).rollUp, (*actor).writeOwn, (*actor).flush, (*actor).rollUp, (*actor).deleteRows, (*actor).rollUp, (*actor).createCache,
	},
	{
		(*actor).writeShared, (*actor).writeEvents, (*actor).writeOwn, (*actor).flush, (*actor).deleteCache, (*actor).compact, (*actor).deleteDatabase,
		(*actor).writeOwn, (*actor).writeRejected, (*actor).createCache, (*actor).setRetention, (*actor).flush, (*actor).writeLong, (*actor).expire, (*actor).compact, (*actor).purge,
	},
	{
		(*actor).writeEvents, (*actor).writeShared, (*actor).deleteTable, (*actor).flush, (*actor).writeOwn, (*actor).compact, (*actor).writeShared,
	},
}

// sweepOptions make all of it happen in a few requests.
func sweepOptions(o *engine.Options) {
	atNoon(o)
	o.WALSegmentBytes = 8 << 10
	o.RejectedRetention = 365 * 24 * time.Hour
}

func openOn(fs vfs.FS) (*engine.Engine, error) {
	opts := engine.Options{DataDir: "data", FS: fs, Gen1Duration: -1}
	sweepOptions(&opts)
	return engine.Open(opts)
}

func newSweepActor() *actor { return newActor(0, true, rand.New(rand.NewPCG(*seedFlag, 7))) }

// TestCrashAtEveryCall runs the scenario once and takes an image of the disk in front of
// each call that changes it, and behind the last one: with nothing that was not synced,
// with half of it, with all. What is in front of a call is what was behind the one before.
// From every image the engine must recover every acknowledged request, go on working,
// and come to the same state when it is opened again.
func TestCrashAtEveryCall(t *testing.T) {
	var all, changing, images int
	mem, a := vfs.NewCrashableMem(), newSweepActor()
	rng := rand.New(rand.NewPCG(*seedFlag, 8))
	var mu sync.Mutex
	due := make(chan crashImage, 1<<14)
	take := func(what string) {
		for _, percent := range []int{0, 50, 100} {
			must, _ := a.history.bounds()
			clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
			_, may := a.history.bounds()
			due <- crashImage{changing, percent, what, clone, must, may}
			images++
		}
	}
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		all++
		if changesDisk(op) {
			if changing >= firstCall() && (changing-firstCall())%*strideFlag == 0 {
				take(fmt.Sprint(op.Kind, " ", op.Path))
			}
			changing++
		}
		return nil
	}))
	for _, life := range lives {
		e := open(t, fs, sweepOptions)
		for _, act := range life {
			if err := act(a, e); err != nil {
				t.Fatalf("the scenario itself: %v", err)
			}
		}
		closeEngine(t, e)
	}
	take("nothing")
	close(due)
	for image := range due {
		image.recover(t, a)
	}
	t.Logf("the scenario has %d calls, %d of them change the disk", all, changing)
	t.Logf("figures: calls=%d crashes=%d", all, images)
	if all < 500 || a.merges < 3 {
		t.Errorf("the scenario has only %d calls and %d merges of files", all, a.merges)
	}
}

// crashImage is the disk as a crash in front of one call leaves it.
type crashImage struct {
	call, percent int
	what          string
	fs            *vfs.MemFS
	must, may     int
}

func (c crashImage) recover(t *testing.T, a *actor) {
	defer func() {
		if t.Failed() {
			t.Logf("crash before %s, %d %% of what was not synced is kept: go test ./engine -run '^%s$' -seed %d -offset %d -stride 1000000", c.what, c.percent, t.Name(), *seedFlag, c.call)
		}
	}()
	e := open(t, c.fs, sweepOptions)
	got := readDatabases(t, e, c.fs, e.Databases()...)
	a.history.check(t, a.own(got), c.must, c.may)
	write(t, e, "after f=1 1")
	got["db/after 1"] = map[string]any{"f": 1.0}
	same := func() {
		t.Helper()
		if now := readDatabases(t, e, c.fs, e.Databases()...); difference(got, now) != "" {
			t.Fatalf("it came to another state:\n%s", difference(got, now))
		}
	}
	same()
	if c.call%2 == 0 {
		flush(t, e)
		same()
	}
	closeEngine(t, e)
	e = open(t, c.fs, sweepOptions)
	same()
	closeEngine(t, e)
	checkSound(t, c.fs)
}

// TestFaultAtEveryCall fails each call of the scenario in turn. Whatever the engine
// answers then: queries go on, and what it acknowledged is there when it is opened again,
// after a loss of power too. A disk that was full heals without that.
func TestFaultAtEveryCall(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			trials, n := 0, firstCall()
			for ; !t.Failed(); n += *strideFlag {
				trial := newFaultTrial(t, f, n)
				trial.run()
				if trial.disk.wasHit() == "" {
					break
				}
				trials++
			}
			t.Logf("%d calls, %d of them tried", n, trials)
			t.Logf("figures: faults=%d", trials)
		})
	}
}

// faultTrial is the scenario with one fault. After the first error that it causes the
// actor stops, and what follows are probes: points of their own that may each be there
// or not, if they were not acknowledged. Where the fault heals the actor goes on.
type faultTrial struct {
	t     *testing.T
	n     int
	mem   *vfs.MemFS
	disk  *faultyDisk
	actor *actor
	// hasHealed says that the fault is over, and was survived without a restart.
	hasHealed bool
	probes    map[string]bool // by key: whether it was acknowledged
}

func newFaultTrial(t *testing.T, f fault, n int) *faultTrial {
	mem := vfs.NewCrashableMem()
	return &faultTrial{t: t, n: n, mem: mem, disk: newFaultyDisk(mem, f, n), actor: newSweepActor(), probes: make(map[string]bool)}
}

func (x *faultTrial) run() {
	defer func() {
		if x.t.Failed() {
			x.t.Logf("%s at call %d: %s; go test ./engine -count 1 -run '^%s$' -seed %d -offset %d -stride 1000000",
				x.disk.fault.name, x.n, x.disk.wasHit(), strings.ReplaceAll(x.t.Name(), "/", "$/^"), *seedFlag, x.n)
		}
	}()
	for _, life := range lives {
		if !x.live(life) {
			break
		}
	}
	x.disk.repair()
	x.actor.rejected.fix()
	x.check("after a loss of power", x.mem.CrashClone(vfs.CrashCloneCfg{}))
	x.check("after a restart", x.mem)
}

// live runs a part of the scenario in one process, and reports whether the next may go
// on with the same disk.
func (x *faultTrial) live(life []func(*actor, *engine.Engine) error) (goesOn bool) {
	e, err := openOn(x.disk)
	if err != nil {
		x.mustBeHit("Open", err)
		return false
	}
	goesOn = true
	for _, act := range life {
		if err := act(x.actor, e); err != nil {
			x.mustBeHit("the scenario itself", err)
			if goesOn = x.endure(e); !goesOn {
				break
			}
		}
		if x.disk.isLogBroken() && e.Err() != nil {
			_ = x.probe(e) // which must not be acknowledged
		}
	}
	if err := e.Close(); err != nil {
		x.mustBeHit("Close", err)
		goesOn = false
	}
	if files := x.disk.syncedAgain(); len(files) > 0 {
		x.t.Errorf("after a failed sync there were further ones of %v", files)
	}
	x.disk.restarted()
	return goesOn
}

// mustBeHit fails the test when there is an error without a fault, or a second one after
// the fault was endured.
func (x *faultTrial) mustBeHit(where string, err error) {
	x.t.Helper()
	if x.disk.wasHit() == "" || x.hasHealed {
		x.t.Fatalf("%s: %v", where, err)
	}
}

// endure looks at what an engine in trouble does, and reports whether it heals: it must
// when the trouble was space and there is some again.
func (x *faultTrial) endure(e *engine.Engine) (heals bool) {
	x.look(e)
	for range 3 {
		_ = x.probe(e)
	}
	_ = e.Flush(context.Background()) // it may fail
	x.look(e)
	if x.disk.fault.errno != syscall.ENOSPC {
		return false
	}
	x.disk.repair()
	begin := time.Now()
	for !x.isHealthy(e) {
		if time.Since(begin) > healsWithin {
			x.t.Fatalf("%s after the space returned the engine says %v", healsWithin, e.Err())
		}
		_ = e.Heal() // as the next tick does
	}
	x.actor.history.settle(x.look(e))
	x.hasHealed = true
	return true
}

// healsWithin is how long a server may refuse writes when there is space again.
const healsWithin = 20 * time.Second

// isHealthy reports whether log and catalog take something.
func (x *faultTrial) isHealthy(e *engine.Engine) bool {
	err := e.CreateDatabase("healed", 0)
	return (err == nil || errors.Is(err, engine.ErrExists)) && x.probe(e) == nil
}

// probe writes one point. It must not be acknowledged after a failed sync (W2).
func (x *faultTrial) probe(e *engine.Engine) error {
	n := len(x.probes)
	key := fmt.Sprintf("probes/p %d", n)
	x.probes[key] = false
	req := request(fmt.Sprintf("p n=%di %d", n, n))
	req.Database = "probes"
	isBroken := x.disk.isLogBroken() && e.Err() != nil
	_, err := e.Write(context.Background(), req)
	if err == nil {
		x.probes[key] = true
		if isBroken && x.disk.isLogBroken() {
			x.t.Error("a write was acknowledged after a failed sync")
		}
	} else if !errors.Is(err, engine.ErrUnavailable) {
		x.t.Errorf("a write is refused with %v, which is not ErrUnavailable", err)
	}
	return err
}

// look reads everything from the engine in trouble.
func (x *faultTrial) look(e *engine.Engine) (state int) {
	x.t.Helper()
	must, may := x.actor.history.bounds()
	all := readDatabases(x.t, e, x.mem, e.Databases()...)
	x.checkProbes("in trouble", all)
	return x.actor.history.check(x.t, x.actor.own(all), must, may)
}

func (x *faultTrial) checkProbes(when string, all contents) {
	x.t.Helper()
	for key, isAcknowledged := range x.probes {
		if all[key] == nil && isAcknowledged {
			x.t.Errorf("%s: %s was acknowledged and is not there", when, key)
		}
	}
	for key, fields := range all {
		if rest, ok := strings.CutPrefix(key, "probes/p "); ok {
			if _, isKnown := x.probes[key]; !isKnown || fmt.Sprint(fields["n"]) != rest {
				x.t.Errorf("%s: %s is %v", when, key, fields)
			}
		}
	}
}

// check opens what is left and compares it with what was acknowledged.
func (x *faultTrial) check(when string, fs *vfs.MemFS) {
	x.t.Helper()
	e, err := openOn(fs)
	if err != nil {
		x.t.Fatalf("%s: Open: %v", when, err)
	}
	must, may := x.actor.history.bounds()
	all := readDatabases(x.t, e, fs, e.Databases()...)
	x.actor.history.check(x.t, x.actor.own(all), must, may)
	x.actor.rejected.check(x.t, all)
	x.checkProbes(when, all)
	write(x.t, e, "after f=1 1")
	closeEngine(x.t, e)
	checkSound(x.t, fs)
}
