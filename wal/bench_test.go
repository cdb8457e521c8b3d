package wal

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

func noReplay(schema.Seq, []byte) error { return nil }

func benchLog(b *testing.B, opts Options) *Log {
	b.Helper()
	opts.Dir = filepath.Join(b.TempDir(), "wal")
	l, err := Open(opts, 0, noReplay)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

// commitAll spreads b.N commits over the writers.
func commitAll(b *testing.B, l *Log, writers int, payload []byte) {
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range writers {
		n := b.N / writers
		if w < b.N%writers {
			n++
		}
		wg.Go(func() {
			for range n {
				if _, err := l.Commit(payload, nil); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{512, 4 << 10, 64 << 10, 1 << 20} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%dB/%dwriters", size, writers), func(b *testing.B) {
				l := benchLog(b, Options{})
				commitAll(b, l, writers, make([]byte, size))
			})
		}
	}
}

// BenchmarkCommitAsync shows what a writer pays who does not wait, as long as the disk
// keeps up; where it does not, the queue fills and the disk sets the pace.
func BenchmarkCommitAsync(b *testing.B) {
	for _, size := range []int{512, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			l := benchLog(b, Options{})
			payload := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if err := l.CommitAsync(payload, nil, nil); err != nil {
					b.Fatal(err)
				}
			}
			if err := l.Barrier(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// BenchmarkBarrier is what every query pays when nothing is awaited.
func BenchmarkBarrier(b *testing.B) {
	l := benchLog(b, Options{})
	ctx := b.Context()
	for b.Loop() {
		if err := l.Barrier(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommitSpace compares appending, filling ahead and overwriting old files.
func BenchmarkCommitSpace(b *testing.B) {
	const size = 4 << 10
	for name, opts := range map[string]Options{
		"append":   {PreallocBytes: -1, SpareSegments: -1},
		"fill":     {SpareSegments: -1},
		"recycled": {SegmentBytes: 8 << 20},
	} {
		b.Run(name, func(b *testing.B) {
			l := benchLog(b, opts)
			if name == "recycled" {
				recycleTwice(b, l)
			}
			commitAll(b, l, 1, make([]byte, size))
		})
	}
}

// recycleTwice leaves the log with an active and a prepared segment that are
// overwritten, and with spares for the next ones.
func recycleTwice(b *testing.B, l *Log) {
	b.Helper()
	for range 5 * l.opts.SegmentBytes >> 20 {
		seq, err := l.Commit(make([]byte, 1<<20), nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Trim(seq); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRawAppendSync is the floor: the bytes of BenchmarkCommit's records, written
// and synced without a log around them.
func BenchmarkRawAppendSync(b *testing.B) {
	for _, size := range []int{512, 4 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			f, err := vfs.Default.OpenReadWrite(filepath.Join(b.TempDir(), "raw"), vfs.WriteCategoryUnspecified)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			record := make([]byte, recordHeaderSize+size)
			b.SetBytes(int64(size))
			b.ResetTimer()
			for i := range b.N {
				if _, err := f.WriteAt(record, int64(i)*int64(len(record))); err != nil {
					b.Fatal(err)
				}
				if err := f.SyncData(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReplay(b *testing.B) {
	for _, size := range []int{512, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "wal")
			l, err := Open(Options{Dir: dir}, 0, noReplay)
			if err != nil {
				b.Fatal(err)
			}
			const total = 256 << 20
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for range total / size / 64 {
						if _, err := l.Commit(make([]byte, size), nil); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(total)
			b.ReportAllocs()
			for b.Loop() {
				var n int
				l, err := Open(Options{Dir: dir}, 0, func(_ schema.Seq, p []byte) error { n += len(p); return nil })
				if err != nil || n != total {
					b.Fatal(n, err)
				}
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
