package query

import (
	"errors"
	"runtime"
	"testing"
	"time"
)

// watermark counts bytes, and measures the heap now and then.
type watermark struct {
	bytes, next int64
	heap        uint64
}

func (w *watermark) Write(p []byte) (int, error) {
	w.bytes += int64(len(p))
	if w.bytes >= w.next {
		w.next = w.bytes + 32<<20
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.heap = max(w.heap, m.HeapInuse)
	}
	return len(p), nil
}

// TestAnswersLargerThanMemoryAreStreamed: neither DuckDB, which may have 64 MiB, nor we
// hold more of an answer than a small part.
func TestAnswersLargerThanMemoryAreStreamed(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 700 MB")
	}
	q := formatStore(t).querier(func(o *Options) { o.MemoryBytes, o.TempDir = 64<<20, "" })
	const sql = "SELECT range AS n, sin(range) AS x, 'some text ' || range % 1000 AS s FROM range(5000000)"
	for _, format := range []string{"json", "csv", "arrow", "parquet"} {
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql})
		if err != nil {
			t.Fatal(err)
		}
		var out watermark
		begin := time.Now()
		if err := writers[format](&out, r); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		r.Close()
		const limit = 64 << 20
		t.Logf("%s: %d MB in %v, heap %d MB", format, out.bytes>>20, time.Since(begin).Round(time.Millisecond), out.heap>>20)
		if out.bytes < 32<<20 || out.heap > before.HeapInuse+limit {
			t.Errorf("%s: the heap grew from %d to %d MB for %d MB", format, before.HeapInuse>>20, out.heap>>20, out.bytes>>20)
		}
	}
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out watermark
	if err := WritePretty(&out, r); !errors.Is(err, errTableTooLarge) || out.bytes > 0 {
		t.Errorf("a table of 5 million rows: %v after %d bytes", err, out.bytes)
	}
}
