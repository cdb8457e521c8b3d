package engine_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/datasets"
)

// bodies cuts the TSBS sample into bodies of a number of lines.
func bodies(b *testing.B, lines int) (bodies [][]byte, rows int) {
	b.Helper()
	text, err := datasets.CPU.Bytes()
	if err != nil {
		b.Fatal(err)
	}
	for len(text) > 0 {
		n := 0
		for range lines {
			i := bytes.IndexByte(text[n:], '\n')
			if i < 0 {
				n = len(text)
				break
			}
			n += i + 1
			rows++
		}
		bodies = append(bodies, text[:n])
		text = text[n:]
	}
	return bodies, rows
}

// BenchmarkWrite measures the whole path of a body of 10,000 TSBS lines, the disk's
// sync included: parse, log, sync, buffers, and the flushes that make room.
func BenchmarkWrite(b *testing.B) {
	all, rows := bodies(b, 10_000)
	e := open(b, vfs.Default, func(o *engine.Options) { o.DataDir = b.TempDir(); o.WALSegmentBytes = 0; o.PoolBytes = 2 << 30 })
	defer closeEngine(b, e)
	size := 0
	for _, body := range all {
		size += len(body)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		for _, body := range all {
			if _, err := e.Write(context.Background(), engine.WriteRequest{Database: "db", Body: body, Precision: engine.Nanosecond}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}
