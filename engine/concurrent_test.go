package engine_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

// countRows adds up the rows of files and buffers: a row that is in both, or in
// neither, shows.
func countRows(t *testing.T, e *engine.Engine) int64 {
	v, err := e.View(context.Background(), "db", nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer v.Close()
	n := int64(0)
	for _, tv := range v.Tables {
		for _, f := range tv.Files {
			n += int64(f.Rows)
		}
		for _, s := range tv.Buffers {
			n += int64(s.Rows)
		}
	}
	return n
}

// TestViewsHoldEachRowOnceWhileRowsMoveToFiles lets writers, flushes and readers race.
// Every point is unique, so that a view must count at least what was acknowledged
// before it was made and at most what was submitted when it was there.
func TestViewsHoldEachRowOnceWhileRowsMoveToFiles(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	write(t, e, "t0,w=0 f=0i 0")
	var submitted, acknowledged atomic.Int64
	submitted.Store(1)
	acknowledged.Store(1)
	var writers, others sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range int64(400) {
				submitted.Add(2)
				lines := []string{fmt.Sprintf("t%d,w=%d f=%di %d", i%3, w, i, i+1), fmt.Sprintf("t0,w=x%d f=%di %d", w, i, day+i)}
				if _, err := e.Write(context.Background(), request(lines...)); err != nil {
					t.Error(err)
					return
				}
				acknowledged.Add(2)
			}
		})
	}
	done := make(chan struct{})
	others.Go(func() {
		for !isClosed(done) {
			if err := e.Flush(context.Background()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 2 {
		others.Go(func() {
			for !isClosed(done) {
				must := acknowledged.Load()
				got := countRows(t, e)
				if may := submitted.Load(); got < must || got > may {
					t.Errorf("a view holds %d rows; %d were acknowledged before it and %d submitted", got, must, may)
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	others.Wait()
	if got := countRows(t, e); got != submitted.Load() {
		t.Fatalf("%d rows are there, %d were acknowledged", got, submitted.Load())
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestPinnedBuffersStayAccountedFor makes sure that memory a view holds on to is not
// given out again.
func TestPinnedBuffersStayAccountedFor(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	write(t, e, "m f=1 1")
	v, err := e.View(context.Background(), "db", []string{"m"})
	if err != nil {
		t.Fatal(err)
	}
	held := e.Stats().BufferBytes
	flush(t, e)
	if got := e.Stats().BufferBytes; got != held {
		t.Fatalf("the pool counts %d bytes while a view reads %d", got, held)
	}
	v.Close()
	v.Close()
	if got := e.Stats().BufferBytes; got != 0 {
		t.Fatalf("the pool counts %d bytes after the last view was closed", got)
	}
}
