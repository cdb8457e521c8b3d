package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/linear"
	"github.com/siltstone-db/siltstone/schema"
)

var linearHistories = flag.Int("histories", 4, "how many histories TestConcurrentHistoriesAreLinearizable records")

const (
	linearWriters = 4
	linearReaders = 2
	// linearGenerations is how often the engine is opened in a history.
	linearGenerations = 4
	// linearAnswers is how many writes are acknowledged before a generation ends.
	linearAnswers = 60
)

// TestConcurrentHistoriesAreLinearizable records what writers and readers are told while
// rows move to files, tables are purged, the disk is full for a while and the power fails,
// and looks for an order that explains it (E1, E3, E4, E5).
//
// Registers are fields of a few points that everybody overwrites, alone or several in a
// request; counters are the number and the sum of points that are all different.
func TestConcurrentHistoriesAreLinearizable(t *testing.T) {
	for n := range *linearHistories {
		seed := *seedFlag + uint64(n)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			r := newRecording(t, seed)
			for range linearGenerations {
				r.generation()
			}
			summary, err := r.history.Check(time.Minute)
			if err != nil {
				t.Fatalf("%v\ngo test ./engine -run %s -seed %d -histories 1", err, "TestConcurrentHistoriesAreLinearizable", seed)
			}
			t.Log(summary)
		})
	}
}

// TestHistoriesWithALieAreRefused: a recorded history to which one false answer is added
// must not be linearizable, or the test above shows nothing.
func TestHistoriesWithALieAreRefused(t *testing.T) {
	for name, lie := range map[string]func(values map[string]linear.Value){
		"a lost row": func(v map[string]linear.Value) {
			c := v["counter"]
			v["counter"] = linear.Value{A: c.A - 1, B: c.B - 1}
		},
		"a doubled row": func(v map[string]linear.Value) {
			c := v["counter"]
			v["counter"] = linear.Value{A: c.A + 1, B: c.B + 1}
		},
		"a wrong sum":     func(v map[string]linear.Value) { v["counter"] = linear.Value{A: v["counter"].A, B: v["counter"].B + 1} },
		"a field of late": func(v map[string]linear.Value) { v[registerName(0, "a")] = linear.Value{A: 1 << 40} },
		"a field unset":   func(v map[string]linear.Value) { v[registerName(0, "a")] = linear.Value{} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecording(t, *seedFlag)
			r.generation()
			r.reopen()
			write(t, r.engine, registerLine(0, map[string]int64{"a": 1 << 41}))
			r.history.Set(0, map[string]int64{registerName(0, "a"): 1 << 41}).Acknowledged()
			call, seen := r.history.Read(linearWriters), r.observe()
			lie(seen)
			call.Saw(seen)
			closeEngine(t, r.engine)
			_, err := r.history.Check(time.Minute)
			var contradiction *linear.ContradictionError
			if !errors.As(err, &contradiction) {
				t.Fatalf("the verdict is %v", err)
			}
			if err := os.Remove(contradiction.Page); err != nil {
				t.Error(err)
			}
		})
	}
}

// recording is a history in the making.
type recording struct {
	t       *testing.T
	rng     *rand.Rand // of the test's own goroutine
	seed    uint64
	history linear.History
	disk    *fillable
	engine  *engine.Engine
	crashed atomic.Bool // answers of the engine come too late to count
	values  atomic.Int64
	opened  int
	sick    sync.RWMutex // held while the disk is full; those who are refused wait for it
}

func newRecording(t *testing.T, seed uint64) *recording {
	return &recording{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), disk: &fillable{MemFS: vfs.NewCrashableMem(), left: math.MaxInt}}
}

// reopen opens an engine on the disk as it is. What is unknown has been decided then.
func (r *recording) reopen() {
	r.engine = open(r.t, r.disk.fs(), func(o *engine.Options) { o.WALSegmentBytes = 16 << 10 })
	r.opened++
	r.crashed.Store(false)
	r.history.Settle()
}

// generation lets everybody work with one engine until its power fails.
func (r *recording) generation() {
	r.reopen()
	var clients, others sync.WaitGroup
	var answers atomic.Int64
	done := make(chan struct{})
	for c := range linearWriters {
		clients.Go(func() {
			for rng := r.random(c); !isClosed(done); {
				if r.write(c, rng) && answers.Add(1) == linearAnswers {
					close(done)
				}
			}
		})
	}
	for c := range linearReaders {
		others.Go(func() {
			for first := true; first || !isClosed(done); first = false {
				r.read(linearWriters + c)
			}
		})
	}
	others.Go(func() { r.disturb(done) })
	// The power fails when that many writes were acknowledged, in the middle of others.
	<-done
	r.crashed.Store(true)
	disk := r.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 10, 50, 100}[r.rng.IntN(4)], RNG: r.rng})
	clients.Wait()
	others.Wait()
	closeEngine(r.t, r.engine) // which does not know that nobody sees its disk any more
	r.disk = &fillable{MemFS: disk, left: math.MaxInt}
}

// random is what a client of the present engine draws from.
func (r *recording) random(client int) *rand.Rand {
	return rand.New(rand.NewPCG(r.seed, uint64(r.opened)<<8|uint64(client)+1))
}

// write writes one request and reports whether it was acknowledged.
func (r *recording) write(client int, rng *rand.Rand) bool {
	if rng.IntN(8) == 0 {
		return r.delete(client, rng)
	}
	var call *linear.Call
	var lines []string
	if rng.IntN(2) == 0 {
		lines, call = r.overwrite(client, rng)
	} else {
		lines, call = r.count(client, rng)
	}
	req := request(lines...)
	result, err := r.engine.Write(context.Background(), req)
	switch {
	case err != nil:
		if !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrOverloaded) {
			r.t.Errorf("a write was answered %v", err)
		}
		call.Failed()
		r.awaitHealth()
		return false
	case result.Accepted != len(lines):
		r.t.Errorf("%d of %d points were accepted: %v", result.Accepted, len(lines), result.Errors)
		return false
	case r.crashed.Load(): // it may have been acknowledged after the power had failed
		call.Failed()
		return false
	}
	call.Acknowledged()
	return true
}

// awaitHealth returns when the disk is not full any more.
func (r *recording) awaitHealth() {
	r.sick.RLock()
	defer r.sick.RUnlock()
}

// delete deletes a point that others are writing, all of whose registers are unset then, and reports whether
// that was acknowledged.
func (r *recording) delete(client int, rng *rand.Rand) bool {
	p := rng.IntN(registerPoints)
	table, series, ns := registerKey(p)
	spec := engine.DeleteSpec{
		Database: "db", Tables: []string{table}, Time: schema.TimeRange{Min: ns, Max: ns + rng.Int64N(2)},
		Where: &schema.Predicate{Op: schema.Equal, Tag: "k", Text: series},
	}
	call := r.history.Set(client, map[string]int64{registerName(p, "a"): 0, registerName(p, "b"): 0})
	err := r.engine.DeleteRows(context.Background(), spec)
	var missing *engine.TableNotFoundError
	var full *engine.NoSpaceError
	switch {
	case errors.Is(err, engine.ErrDatabaseNotFound), errors.As(err, &missing):
		err = nil // there was nothing to delete
	case err != nil && !errors.Is(err, engine.ErrUnavailable) && !errors.As(err, &full):
		r.t.Errorf("a deletion was answered %v", err)
	}
	if err != nil || r.crashed.Load() {
		call.Failed()
		r.awaitHealth()
		return false
	}
	call.Acknowledged()
	return true
}

// overwrite begins to write fields of some points, each a register.
func (r *recording) overwrite(client int, rng *rand.Rand) (lines []string, call *linear.Call) {
	values := make(map[string]int64)
	for _, p := range rng.Perm(registerPoints)[:1+rng.IntN(3)] {
		fields := make(map[string]int64)
		for _, f := range []string{"a", "b"}[rng.IntN(2):] {
			fields[f] = r.values.Add(1)
			values[registerName(p, f)] = fields[f]
		}
		lines = append(lines, registerLine(p, fields))
	}
	return lines, r.history.Set(client, values)
}

// count begins to write points that were never written, of one partition.
func (r *recording) count(client int, rng *rand.Rand) (lines []string, call *linear.Call) {
	n := 1 + rng.Int64N(5)
	sum := int64(0)
	for range n {
		v := r.values.Add(1)
		sum += v
		lines = append(lines, fmt.Sprintf("counter,c=c%d v=%di %d", client, v, v))
	}
	return lines, r.history.Add(client, "counter", linear.Value{A: n, B: sum})
}

// registerPoints is how many points everybody overwrites. They are of two tables and three
// days.
const registerPoints = 6

func registerKey(p int) (table string, series string, ns int64) {
	return fmt.Sprint("registers", p%2), fmt.Sprint("p", p), int64(p%3) * day
}

func registerLine(p int, fields map[string]int64) string {
	table, series, ns := registerKey(p)
	var list []string
	for f, v := range fields {
		list = append(list, fmt.Sprintf("%s=%di", f, v))
	}
	return fmt.Sprintf("%s,k=%s %s %d", table, series, strings.Join(list, ","), ns)
}

func registerName(p int, field string) string {
	table, series, ns := registerKey(p)
	return fmt.Sprintf("%s,k=%s %d %s", table, series, ns, field)
}

func (r *recording) read(client int) {
	call := r.history.Read(client)
	if len(r.engine.Databases()) == 0 {
		return
	}
	seen := r.observe()
	if !r.crashed.Load() {
		call.Saw(seen)
	}
}

// observe reads every register and the counter.
func (r *recording) observe() map[string]linear.Value {
	all := read(r.t, r.engine, r.disk.MemFS, "db")
	seen := make(map[string]linear.Value)
	for p := range registerPoints {
		table, series, ns := registerKey(p)
		fields := all[fmt.Sprintf("%s,k=%s %d", table, series, ns)]
		for _, f := range []string{"a", "b"} {
			v, _ := fields[f].(int64)
			seen[registerName(p, f)] = linear.Value{A: v}
		}
	}
	var counter linear.Value
	for key, fields := range all {
		if strings.HasPrefix(key, "counter,") {
			v, _ := fields["v"].(int64)
			counter.A, counter.B = counter.A+1, counter.B+v
		}
	}
	seen["counter"] = counter
	return seen
}

// disturb flushes, compacts, makes and purges a table, and takes the disk's space away and gives it
// back, until done.
func (r *recording) disturb(done chan struct{}) {
	rng := r.random(linearWriters + linearReaders)
	for !isClosed(done) {
		switch rng.IntN(6) {
		case 0:
			if _, err := r.engine.Write(context.Background(), request("victim f=1 1")); err == nil {
				if err := r.engine.DeleteTable("db", "victim", time.Now()); err != nil {
					r.t.Error(err)
				}
			}
		case 1:
			r.fill(rng.IntN(30))
		case 2:
			compact(r.t, r.engine)
		default:
			flush(r.t, r.engine)
		}
	}
}

// fill makes the disk full after some operations, and then gives it space again. What was
// refused until then is gone for good.
func (r *recording) fill(operations int) {
	r.sick.Lock()
	defer r.sick.Unlock()
	r.disk.fillAfter(operations)
	_ = r.engine.Flush(context.Background())
	r.disk.fillAfter(math.MaxInt)
	healNow(r.t, r.engine)
	r.history.Settle()
}
