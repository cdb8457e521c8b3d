package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	runtimemetrics "runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestRunBudgetBoundsWideTables: a row group of a wide table, and what the footer says of
// all of them, must not take many times the share.
func TestRunBudgetBoundsWideTables(t *testing.T) {
	const share = 16 << 20
	for _, columns := range []int{1, 10, 100, 1000, 10_000} {
		b := newRunBudget(share, columns)
		group := int64(b.rowGroup) * int64(columns+1) * encodeBytesPerCell
		groups := int64(b.rows+b.rowGroup-1) / int64(b.rowGroup)
		footer := groups * int64(columns+1) * footerBytesPerCell
		if limit := int64(8 * share); group+footer > limit || columns <= 100 && group+footer > share {
			t.Errorf("%d columns: %d bytes for a row group and %d for the footer of %d groups", columns, group, footer, groups)
		}
	}
}

// TestFlushOfTextStaysNearItsShare flushes as much text as the buffers hold, in fields and
// in tags, and looks at what the heap grows by meanwhile.
func TestFlushOfTextStaysNearItsShare(t *testing.T) {
	for _, what := range []string{"fields", "tags"} {
		t.Run(what, func(t *testing.T) {
			const pool = 128 << 20
			e, err := Open(Options{DataDir: t.TempDir(), FS: vfs.Default, PoolBytes: pool, Gen1Duration: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			rng, text := rand.New(rand.NewPCG(1, 2)), make([]byte, 8000)
			for n := 0; e.buffers.used.Load() < e.buffers.limit*4/10; n++ {
				var body strings.Builder
				for i := range 100 {
					for k := range text {
						text[k] = 'a' + byte(rng.IntN(26))
					}
					if what == "tags" {
						fmt.Fprintf(&body, "m,t=%s v=1 %d\n", text, n*100+i)
					} else {
						fmt.Fprintf(&body, "m v=\"%s\" %d\n", text, n*100+i)
					}
				}
				if _, err := e.Write(context.Background(), WriteRequest{Database: "db", Body: []byte(body.String()), Precision: Nanosecond}); err != nil {
					t.Fatal(err)
				}
			}
			held := e.buffers.used.Load()
			before, peak := heapInUse(), watchHeap(t)
			if err := e.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			grown := peak() - before
			t.Logf("%d MiB of buffers, the heap grew by %d MiB, the share is %d MiB", held>>20, grown>>20, e.persisting.limit>>20)
			// The compressor's tables and windows come on top, whatever is written.
			const compressor = 24 << 20
			if grown > 2*e.persisting.limit+compressor {
				t.Errorf("to flush %d bytes the heap grew by %d; the persister's share is %d", held, grown, e.persisting.limit)
			}
		})
	}
}

// heapInUse is the size of what was reachable when the garbage was collected. What was allocated since then may
// be garbage, of which there is more on a busy machine.
func heapInUse() int64 {
	live := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	runtime.GC()
	runtimemetrics.Read(live)
	return int64(live[0].Value.Uint64())
}

// watchHeap collects garbage all the time, and returns what tells the most that was left.
func watchHeap(t *testing.T) (peak func() int64) {
	var most atomic.Int64
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			most.Store(max(most.Load(), heapInUse()))
			select {
			case <-quit:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	stop := func() {
		select {
		case <-quit:
		default:
			close(quit)
		}
		<-ended
	}
	t.Cleanup(stop)
	return func() int64 { stop(); return most.Load() }
}
