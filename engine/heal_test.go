package engine_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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

// fillable is a disk that is full from one operation on until it is emptied.
type fillable struct {
	*vfs.MemFS
	mu     sync.Mutex
	left   int // operations that change something before the disk is full; negative: it has been
	isFull bool
}

func (d *fillable) fs() vfs.FS {
	return errorfs.Wrap(d.MemFS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !changesDisk(op) || op.Kind == errorfs.OpRemove || op.Kind == errorfs.OpFileClose {
			return nil
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.left--; d.left == -1 {
			d.isFull = true
		}
		if d.isFull {
			return ioError(op, syscall.ENOSPC)
		}
		return nil
	}))
}

func (d *fillable) fillAfter(operations int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.isFull = operations, false
}

func (d *fillable) empty() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isFull = false
}

// wasFull reports whether the disk has been full since fillAfter.
func (d *fillable) wasFull() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left < 0
}

// healStep is one call of a scenario, and what the database holds after it.
type healStep struct {
	name string
	act  func(*engine.Engine) error
	next contents
	// mayBeDone says that the change may be there after a failure: it is the catalog's, or
	// only its rejected points, which come second, are missing.
	mayBeDone bool
}

// healSteps use everything that writes: the log through several segments, new columns,
// flushes, events, the rejected points, a deletion with its purge.
func healSteps() []healStep {
	var steps []healStep
	all := contents{}
	add := func(name string, mayBeDone bool, act func(*engine.Engine) error) {
		steps = append(steps, healStep{name, act, all.clone(), mayBeDone})
	}
	lines := func(name string, lines ...string) {
		add(name, len(lines) > 1 && lines[1] == badLine, func(e *engine.Engine) error {
			_, err := e.Write(context.Background(), request(lines...))
			return err
		})
	}
	flush := func() { add("flush", false, func(e *engine.Engine) error { return e.Flush(context.Background()) }) }
	events := engine.TableSpec{
		Name: "events", Key: schema.TableKey{Rule: schema.FirstByTag, Tag: "id"},
		Columns: []engine.ColumnSpec{{Name: "id", Type: schema.Tag}, {Name: "n", Type: schema.Int64}},
	}
	add("create a table of events", true, func(e *engine.Engine) error { return tolerateExists(e.CreateTable("db", events)) })
	for round := range int64(3) {
		for i := range int64(3) {
			p := point{fmt.Sprint("t", i%2), "x", round*day + i, fmt.Sprint("f", round), 10*round + i}
			all.set(p)
			lines("write", p.line(), badLine)
		}
		long := strings.Repeat("x", 3000)
		all[fmt.Sprintf("t0,k=long %d", round)] = map[string]any{"s": long}
		lines("write a long row", fmt.Sprintf("t0,k=long s=%q %d", long, round))
		for id := range round + 1 {
			if key := fmt.Sprintf("events,id=e%d %d", id, id); all[key] == nil {
				all[key] = map[string]any{"n": round}
			}
		}
		var repeated []string
		for id := range round + 1 {
			repeated = append(repeated, fmt.Sprintf("events,id=e%d n=%di %d", id, round, id))
		}
		lines("write events", repeated...)
		if round > 0 {
			flush()
		}
	}
	all, _ = all.without("t1,")
	add("delete a table", true, func(e *engine.Engine) error {
		err := e.DeleteTable("db", "t1", time.Unix(1, 0))
		var missing *engine.TableNotFoundError
		if errors.As(err, &missing) {
			return nil
		}
		return err
	})
	lines("write events again", "events,id=e0 n=77i 7", "events,id=e2 n=77i 7")
	flush()
	return steps
}

const badLine = "bad line"

func tolerateExists(err error) error {
	if errors.Is(err, engine.ErrExists) {
		return nil
	}
	return err
}

// TestFullDiskAtEveryOperationHeals fills the disk at each operation of a scenario that
// changes something. Readers see no difference, what was refused stays out, the engine heals
// without a restart when there is space again, and goes on; a power cut afterwards finds the
// same.
func TestFullDiskAtEveryOperationHeals(t *testing.T) {
	n, heals := firstCall(), 0
	for ; ; n += *strideFlag {
		disk := &fillable{MemFS: vfs.NewCrashableMem(), left: 1 << 30}
		healed, wasFull := healAfter(t, disk, n)
		if t.Failed() {
			t.Fatalf("the disk was full from operation %d of the scenario on: go test ./engine -run %s -stride 1", n, t.Name())
		}
		heals += healed
		if !wasFull {
			break
		}
	}
	t.Logf("%d operations, every %dth tried, %d times healed", n, *strideFlag, heals)
}

func healAfter(t *testing.T, disk *fillable, n int) (heals int, wasFull bool) {
	keep := func(o *engine.Options) { o.WALSegmentBytes, o.RejectedRetention = 8<<10, time.Hour }
	e := open(t, disk.fs(), keep)
	disk.fillAfter(n)
	before := contents{}
	for i, step := range healSteps() {
		err := step.act(e)
		for attempt := 0; err != nil && attempt < 3; attempt++ {
			if !errors.Is(err, engine.ErrNoSpace) && !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("step %d, %s: %v", i, step.name, err)
			}
			was := readAny(t, e, disk)
			if !step.mayBeDone || !reflect.DeepEqual(was, step.next) {
				expectEither(t, was, before, before)
			}
			disk.empty()
			heals++
			healNow(t, e)
			got := readAny(t, e, disk)
			if step.mayBeDone {
				expectEither(t, got, before, step.next)
			} else {
				expectEither(t, got, before, before)
			}
			err = step.act(e)
		}
		if err != nil {
			t.Fatalf("step %d, %s, after healing: %v", i, step.name, err)
		}
		expect(t, e, disk, step.next)
		before = step.next
	}
	wasFull = disk.wasFull()
	disk.fillAfter(1 << 30)
	healNow(t, e)
	image := disk.CrashClone(vfs.CrashCloneCfg{})
	closeEngine(t, e)
	e = open(t, image, keep)
	expect(t, e, image, before)
	closeEngine(t, e)
	return heals, wasFull
}

// healNow does not wait for a tick. The healer may be at it, too.
func healNow(t *testing.T, e *engine.Engine) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		err := e.Heal()
		if err == nil && e.Err() == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not healed: %v, %v", err, e.Err())
		}
	}
}

func expectEither(t *testing.T, got, a, b contents) {
	t.Helper()
	if !reflect.DeepEqual(got, a) && !reflect.DeepEqual(got, b) {
		t.Fatalf("the database holds neither what it held:\n%s\nnor what it was to hold:\n%s", difference(a, got), difference(b, got))
	}
}

// TestFailedSyncStaysFailed: no lack of space, so nothing heals, and the file whose sync
// failed is not synced again.
func TestFailedSyncStaysFailed(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var fail atomic.Bool
	var syncs, failures atomic.Int64
	e := open(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !strings.HasSuffix(op.Path, ".wal") || op.Kind != errorfs.OpFileSync && op.Kind != errorfs.OpFileSyncData {
			return nil
		}
		if syncs.Add(1); fail.CompareAndSwap(true, false) {
			failures.Add(1)
			return ioError(op, syscall.EIO)
		}
		return nil
	})))
	p := point{"t", "x", 1, "f", 1}
	write(t, e, p.line())
	fail.Store(true)
	before := syncs.Load()
	for i := range 20 {
		_, err := e.Write(context.Background(), request(point{"t", "x", 2, "f", int64(i)}.line()))
		if !errors.Is(err, engine.ErrUnavailable) || errors.Is(err, engine.ErrNoSpace) || !errors.Is(err, syscall.EIO) {
			t.Fatalf("write %d after the failed sync: %v", i, err)
		}
		if err := e.Heal(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("healing: %v", err)
		}
	}
	if failures.Load() != 1 || syncs.Load() != before+1 {
		t.Errorf("%d syncs of the log after the one that failed", syncs.Load()-before-1)
	}
	if err := e.Err(); !errors.Is(err, syscall.EIO) {
		t.Errorf("the engine calls itself well: %v", err)
	}
	expect(t, e, mem, contents{p.key(): {"f": int64(1)}})
	if err := e.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Close says %v", err)
	}
	e = open(t, mem)
	write(t, e, p.line())
	closeEngine(t, e)
}

func TestWritesLeaveAReserve(t *testing.T) {
	mem := vfs.NewCrashableMem()
	set := func(avail uint64) { mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: avail, TotalBytes: 1000 << 20}) }
	set(900 << 20)
	e := open(t, mem)
	p := point{"t", "x", 1, "f", 1}
	write(t, e, p.line())
	refused := func() bool {
		e.Look()
		_, err := e.Write(context.Background(), request(p.line()))
		var full *engine.NoSpaceError
		if err != nil && (!errors.As(err, &full) || !errors.Is(err, engine.ErrUnavailable) || !errors.Is(e.Err(), engine.ErrNoSpace)) {
			t.Fatal(err)
		}
		return err != nil
	}
	for _, step := range []struct {
		avail uint64 // of 1000 MiB, of which 5 % stay free
		want  bool
	}{{51, false}, {49, true}, {55, true}, {64, false}, {51, false}, {0, true}, {900, false}} {
		set(step.avail << 20)
		if refused() != step.want {
			t.Errorf("with %d of 1000 MiB free, a write is refused: %v", step.avail, !step.want)
		}
		flush(t, e) // always goes on
	}
	expect(t, e, mem, contents{p.key(): {"f": int64(1)}})
	if err := errors.Join(e.CreateDatabase("other", 0), e.DeleteDatabase("other", time.Time{})); err != nil {
		t.Error(err)
	}
	closeEngine(t, e)
}

func TestMinFreeDisk(t *testing.T) {
	for _, test := range []struct {
		min  engine.MinFreeDisk
		low  uint64 // MiB of 1000 below which writes are refused
		none bool
	}{
		{min: engine.MinFreeDisk{}, low: 50},
		{min: engine.MinFreeDisk{Bytes: 20 << 20}, low: 20},
		{min: engine.MinFreeDisk{Percent: 30}, low: 300},
		{min: engine.MinFreeDisk{Off: true}, none: true},
	} {
		mem := vfs.NewMem()
		e := open(t, mem, func(o *engine.Options) { o.MinFreeDisk = test.min })
		for _, avail := range []uint64{301, 299, 51, 49, 21, 19, 1, 0} {
			mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: avail << 20, TotalBytes: 1000 << 20})
			e.Look()
			if isLow := e.Err() != nil; isLow != (!test.none && avail < test.low) {
				t.Errorf("%+v with %d MiB free: %v", test.min, avail, e.Err())
			}
		}
		closeEngine(t, e)
	}
	opts := engine.Options{DataDir: "data", FS: vfs.NewMem(), MinFreeDisk: engine.MinFreeDisk{Percent: 100}}
	if _, err := engine.Open(opts); err == nil {
		t.Error("a reserve of the whole disk was accepted")
	}
}

// readAny is read for a database that need not be there.
func readAny(t *testing.T, e *engine.Engine, fs vfs.FS) contents {
	t.Helper()
	if !slices.Contains(e.Databases(), "db") {
		return contents{}
	}
	return read(t, e, fs, "db")
}
