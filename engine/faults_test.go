package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/engine"
)

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
