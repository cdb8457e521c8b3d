package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/engine"
)

var seedFlag = flag.Uint64("seed", 1, "seed of the random crash and model tests")

// history is what a single writer has asked for and what it has been told. Requests
// are atomic here, because each is one log record: a database must hold the effect
// of the first n of them, for some n from acknowledged to submitted.
type history struct {
	mu           sync.Mutex
	effects      []contents // effects[n] is the database after n requests
	acknowledged int
}

func newHistory() *history { return &history{effects: []contents{{}}} }

// submit writes points, each given as its key in contents and its fields.
func (h *history) submit(e *engine.Engine, points ...point) error {
	h.mu.Lock()
	next := h.effects[len(h.effects)-1].clone()
	var lines []string
	for _, p := range points {
		lines = append(lines, p.line())
		next.set(p)
	}
	h.effects = append(h.effects, next)
	n := len(h.effects) - 1
	h.mu.Unlock()
	r, err := e.Write(context.Background(), request(lines...))
	if err != nil {
		return err
	}
	if r.Accepted != len(points) {
		return fmt.Errorf("%d of %d points were accepted: %v", r.Accepted, len(points), r.Errors)
	}
	h.mu.Lock()
	h.acknowledged = n
	h.mu.Unlock()
	return nil
}

// bounds returns how many requests must, and how many may, be in the database.
func (h *history) bounds() (must, may int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acknowledged, len(h.effects) - 1
}

// check finds the state that the database is in, and fails if there is none.
func (h *history) check(t testing.TB, got contents, must, may int) (state int) {
	t.Helper()
	for n := must; n <= may; n++ {
		if reflect.DeepEqual(got, h.effects[n]) {
			return n
		}
	}
	t.Fatalf("the database holds\n%v\nwhich is none of the states %d (acknowledged) to %d (submitted); state %d is\n%v", got, must, may, must, h.effects[must])
	return 0
}

// point is a line of table t with tag k, at time ns, with one integer field.
type point struct {
	table, tag string
	ns         int64
	field      string
	value      int64
}

func (p point) key() string { return fmt.Sprintf("%s,k=%s %d", p.table, p.tag, p.ns) }
func (p point) line() string {
	return fmt.Sprintf("%s,k=%s %s=%di %d", p.table, p.tag, p.field, p.value, p.ns)
}

func (c contents) clone() contents {
	d := make(contents, len(c))
	for k, fields := range c {
		d[k] = maps.Clone(fields)
	}
	return d
}

func (c contents) set(p point) {
	if c[p.key()] == nil {
		c[p.key()] = make(map[string]any)
	}
	c[p.key()][p.field] = p.value
}

// readAll is read for a database that may not exist yet.
func readAll(t testing.TB, e *engine.Engine, fs vfs.FS) contents {
	t.Helper()
	if len(e.Databases()) == 0 {
		return contents{}
	}
	return read(t, e, fs, "db")
}

// scenario writes, overwrites, flushes and restarts: every kind of file operation
// that the engine does occurs in it.
func scenario(h *history, fs vfs.FS) error {
	opts := engine.Options{DataDir: "data", FS: fs, Gen1Duration: -1, WALSegmentBytes: 8 << 10}
	value := int64(0)
	for restart := range 3 {
		e, err := engine.Open(opts)
		if err != nil {
			return err
		}
		err = func() error {
			for round := range 3 {
				for i := range 4 {
					value++
					day := int64(restart+i%2) * day
					err := h.submit(e,
						point{"a", "x", day + int64(round), "f", value},
						point{"a", fmt.Sprint("y", i), day + 7, fmt.Sprint("g", restart), value},
						point{fmt.Sprint("t", round), "z", day, "f", value})
					if err != nil {
						return err
					}
				}
				if err := e.Flush(context.Background()); err != nil {
					return err
				}
			}
			value++
			return h.submit(e, point{"a", "x", 1, "f", value}, point{"b", "late", 2, "f", value})
		}()
		if err := errors.Join(err, e.Close()); err != nil {
			return err
		}
	}
	return nil
}

// crashImage is the disk as a crash at one operation leaves it.
type crashImage struct {
	op        int
	what      string
	fs        *vfs.MemFS
	h         *history
	must, may int
}

// TestCrashAtEveryFileOperation runs the scenario once, and takes an image of the
// disk before each operation that changes it: with nothing that was not synced, with
// half of it, with all. From every image the engine must recover every acknowledged
// request, go on working, and come to the same state when it is opened again.
func TestCrashAtEveryFileOperation(t *testing.T) {
	for _, unsynced := range []int{0, 50, 100} {
		t.Run(fmt.Sprintf("%d%% of unsynced data kept", unsynced), func(t *testing.T) {
			t.Parallel()
			images := crashImages(t, unsynced)
			for i := 0; i < len(images); i += stride {
				recoverImage(t, images[i])
			}
			t.Logf("%d operations, every %dth tried", len(images), stride)
		})
	}
}

func crashImages(t *testing.T, unsynced int) []crashImage {
	h, mem := newHistory(), vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(*seedFlag, uint64(unsynced)))
	var mu sync.Mutex
	var images []crashImage
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		must, _ := h.bounds()
		clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rng})
		_, may := h.bounds()
		images = append(images, crashImage{len(images), fmt.Sprint(op.Kind, " ", op.Path), clone, h, must, may})
		return nil
	}))
	if err := scenario(h, fs); err != nil {
		t.Fatalf("the scenario itself: %v", err)
	}
	return images
}

func recoverImage(t *testing.T, image crashImage) {
	defer func() {
		if t.Failed() {
			t.Logf("crash before operation %d: %s (rerun with -seed %d)", image.op, image.what, *seedFlag)
		}
	}()
	e := open(t, image.fs)
	state := image.h.check(t, readAll(t, e, image.fs), image.must, image.may)
	want := image.h.effects[state].clone()
	p := point{"a", "after", 5, "f", 99}
	write(t, e, p.line())
	want.set(p)
	expect(t, e, image.fs, want)
	closeEngine(t, e)
	e = open(t, image.fs)
	expect(t, e, image.fs, want)
	closeEngine(t, e)
}

// TestErrorAtEveryFileOperation fails each operation of the scenario in turn, once or
// from then on. Whatever the engine answers then, what it acknowledged must be there
// when it is opened again on a sound disk.
func TestErrorAtEveryFileOperation(t *testing.T) {
	for _, persistent := range []bool{false, true} {
		t.Run(fmt.Sprintf("persistent=%v", persistent), func(t *testing.T) {
			t.Parallel()
			n := 0
			for hit := true; hit; n += stride {
				hit = failOperation(t, n, persistent)
			}
			t.Logf("%d operations, every %dth tried", n, stride)
		})
	}
}

// failOperation reports whether the scenario came as far as the nth operation.
func failOperation(t *testing.T, n int, persistent bool) (hit bool) {
	h, mem := newHistory(), vfs.NewCrashableMem()
	var mu sync.Mutex
	count, what := 0, ""
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		count++
		if count-1 == n {
			what = fmt.Sprint(op.Kind, " ", op.Path)
		}
		if count-1 == n || persistent && count-1 > n {
			return errorfs.ErrInjected
		}
		return nil
	}))
	err := scenario(h, fs)
	defer func() {
		if t.Failed() {
			t.Logf("error at operation %d: %s; the scenario said %v", n, what, err)
		}
	}()
	after := mem.CrashClone(vfs.CrashCloneCfg{})
	must, may := h.bounds()
	e := open(t, after)
	h.check(t, readAll(t, e, after), must, may)
	closeEngine(t, e)
	mu.Lock()
	defer mu.Unlock()
	return count > n
}

// TestRandomHistories compares long random runs, with crashes, clean restarts,
// flushes and out-of-order overwrites, to the plain model after each restart.
func TestRandomHistories(t *testing.T) {
	for seed := *seedFlag; seed < *seedFlag+30; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			randomHistory(t, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

func randomHistory(t *testing.T, rng *rand.Rand) {
	h, fs := newHistory(), vfs.NewCrashableMem()
	e := open(t, fs)
	for range 150 {
		switch k := rng.IntN(100); {
		case k < 80:
			if err := h.submit(e, randomPoints(rng)...); err != nil {
				t.Fatal(err)
			}
		case k < 90:
			flush(t, e)
		case k < 93:
			closeEngine(t, e)
			e = open(t, fs)
		case k < 96: // the old engine goes on and sees its disk no more
			crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			closeEngine(t, e)
			fs = crashed
			e = open(t, fs)
		default:
			must, may := h.bounds()
			h.check(t, readAll(t, e, fs), must, may)
		}
	}
	closeEngine(t, e)
	e = open(t, fs)
	must, may := h.bounds()
	h.check(t, readAll(t, e, fs), must, may)
	closeEngine(t, e)
}

func randomPoints(rng *rand.Rand) []point {
	points := make([]point, 1+rng.IntN(20))
	for i := range points {
		points[i] = point{
			table: fmt.Sprint("t", rng.IntN(3)), tag: fmt.Sprint("k", rng.IntN(4)),
			ns: int64(rng.IntN(4)-1)*day + int64(rng.IntN(3)), field: fmt.Sprint("f", rng.IntN(4)), value: rng.Int64(),
		}
	}
	return points
}
