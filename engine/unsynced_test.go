package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/engine"
)

// noise is line protocol of about the given size that does not compress.
func noise(bytes int) []string {
	rng := rand.New(rand.NewPCG(*seedFlag, 2))
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"
	text := make([]byte, 60_000)
	var lines []string
	for i := 0; i*len(text) < bytes; i++ {
		for k := 0; k < len(text); k += 8 {
			bits := rng.Uint64()
			for j := range 8 {
				text[k+j] = alphabet[bits>>(6*j)&63]
			}
		}
		lines = append(lines, fmt.Sprintf("m s=\"%s\" %d", text, i))
	}
	return lines
}

// TestUnsyncedWriteThatHadToWaitIsNotAcknowledgedWhenItsSyncFails sends more than the
// log queues: such a write waits for its sync like any other.
func TestUnsyncedWriteThatHadToWaitIsNotAcknowledgedWhenItsSyncFails(t *testing.T) {
	const queue = 32 << 20 // the log's default
	var isBroken atomic.Bool
	e := open(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if isBroken.Load() && isLogSync(op) {
			return errorfs.ErrInjected
		}
		return nil
	})))
	req := request(noise(queue + queue/4)...)
	req.NoSync = true
	isBroken.Store(true)
	r, err := e.Write(context.Background(), req)
	if !errors.Is(err, engine.ErrUnavailable) || r.Accepted != 0 {
		t.Errorf("the write says %+v, %v, and the log %v", r, err, e.Err())
	}
	if n := e.Stats().BufferBytes; n != 0 {
		t.Errorf("%d bytes are still reserved", n)
	}
	_ = e.Close() // the log has failed
}

// TestCloseSaysThatAnUnsyncedWriteFailed lets the last write fail, which was answered
// before: without a word from Close nobody would know.
func TestCloseSaysThatAnUnsyncedWriteFailed(t *testing.T) {
	var isBroken atomic.Bool
	e := open(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if isBroken.Load() && isLogSync(op) {
			return errorfs.ErrInjected
		}
		return nil
	})))
	write(t, e, "m f=1 1")
	isBroken.Store(true)
	req := request("m f=2 2")
	req.NoSync = true
	if _, err := e.Write(context.Background(), req); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); !errors.Is(err, errorfs.ErrInjected) {
		t.Errorf("Close says %v", err)
	}
}

// watchedContext tells when somebody waits for its end.
type watchedContext struct {
	context.Context
	once   sync.Once
	waited chan struct{}
}

func (c *watchedContext) Done() <-chan struct{} {
	c.once.Do(func() { close(c.waited) })
	return c.Context.Done()
}

func TestFlushPersistsWhatWasAnsweredBeforeItWasSynced(t *testing.T) {
	g := newGate(isLogSync)
	fs := vfs.NewMem()
	e := open(t, g.around(fs))
	defer closeEngine(t, e)
	write(t, e, "m f=1 1")
	g.shut()
	req := request("m f=2 2")
	req.NoSync = true
	if _, err := e.Write(context.Background(), req); err != nil {
		t.Fatal(err)
	}
	receive(t, "the sync of the write", g.reached)
	ctx := &watchedContext{Context: context.Background(), waited: make(chan struct{})}
	flushed := make(chan error, 1)
	go func() { flushed <- e.Flush(ctx) }()
	select {
	case <-ctx.waited:
	case err := <-flushed:
		t.Errorf("Flush says %v while a row that was answered is in no file", err)
	}
	g.open()
	if t.Failed() {
		return
	}
	if err := receive(t, "the flush", flushed); err != nil {
		t.Fatal(err)
	}
	if s := e.Stats(); s.BufferedRows != 0 {
		t.Errorf("%d answered rows are in no file", s.BufferedRows)
	}
	expect(t, e, fs, contents{"m 1": {"f": 1.0}, "m 2": {"f": 2.0}})
}

// TestFlushAndViewGiveUpWithTheirCaller: a sync that hangs keeps nobody who has left.
func TestFlushAndViewGiveUpWithTheirCaller(t *testing.T) {
	g := newGate(isLogSync)
	e := open(t, g.around(vfs.NewMem()))
	defer closeEngine(t, e)
	defer g.open()
	write(t, e, "m f=1 1")
	g.shut()
	req := request("m f=2 2")
	req.NoSync = true
	if _, err := e.Write(context.Background(), req); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Flush says %v", err)
	}
	if v, err := e.View(ctx, "db", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("View says %v, %v", v, err)
	}
}
