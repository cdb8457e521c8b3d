//go:build unix

package engine

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// ingestShapes are streams for BenchmarkIngest: warm ones, and those that nothing can be expected of.
var ingestShapes = []struct {
	name  string
	hosts int
	line  func(b *bytes.Buffer, host, n int)
}{
	{"400 hosts", 400, tsbsLine},
	{"4000 hosts", 4000, tsbsLine},
	{"40000 hosts", 40_000, tsbsLine},
	{"floats", 400, func(b *bytes.Buffer, host, n int) { fieldsLine(b, host, n, "", ".25") }},
	{"escapes", 400, func(b *bytes.Buffer, host, n int) { fieldsLine(b, host, n, `\ of\,all`, "i") }},
	{"strings", 400, func(b *bytes.Buffer, host, n int) {
		tags(b, host)
		fmt.Fprintf(b, " a=%di,b=\"text %d\",c=%di %d\n", n%100, n%1000, n%7, int64(n)*1e6)
	}},
	{"changing order", 400, func(b *bytes.Buffer, host, n int) {
		tags(b, host)
		b.WriteByte(' ')
		for i := range 10 {
			fmt.Fprintf(b, "usage_%d=%di,", (i*3+n*7+n/10)%10, n%100)
		}
		fmt.Fprintf(b, "usage_x=%di %d\n", n%100, int64(n)*1e6)
	}},
	{"new series", math.MaxInt, tsbsLine},
}

func tags(b *bytes.Buffer, host int) {
	fmt.Fprintf(b, "cpu,hostname=host_%d,region=eu-central-1,datacenter=eu-central-1a,rack=%d,os=Ubuntu15.10,arch=x86,team=SF,service=%d,service_version=1,service_environment=test", host, host%100, host%20)
}

func tsbsLine(b *bytes.Buffer, host, n int) { fieldsLine(b, host, n, "", "i") }

func fieldsLine(b *bytes.Buffer, host, n int, infix, suffix string) {
	tags(b, host)
	b.WriteByte(' ')
	for i, name := range []string{"user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"} {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "usage_%s%s=%d%s", name, infix, (host*7+n/400*31+i*13)%101, suffix)
	}
	fmt.Fprintf(b, " %d\n", 1451606400000000000+int64(n)*1e6)
}

// BenchmarkIngest measures what a row costs until its record is in the log, and then in the
// buffers, without the disk: bodies of 10,000 lines by one ingester.
func BenchmarkIngest(b *testing.B) {
	const lines, bodies = 10_000, 8
	for _, shape := range ingestShapes {
		b.Run(shape.name, func(b *testing.B) {
			var texts [bodies][]byte
			n := 0
			for i := range texts {
				var text bytes.Buffer
				for range lines {
					shape.line(&text, n%shape.hosts, n)
					n++
				}
				texts[i] = text.Bytes()
			}
			benchmarkIngest(b, texts[:], lines, shape.hosts > len(texts)*lines)
		})
	}
}

func benchmarkIngest(b *testing.B, texts [][]byte, lines int, isNew bool) {
	e, err := Open(Options{DataDir: "data", FS: vfs.NewMem(), PoolBytes: 4 << 30, Gen1Duration: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	b.ReportAllocs()
	var into *partition.Partition
	var seq schema.Seq
	rows := 0
	before := cpuTime(b)
	for b.Loop() {
		if isNew { // and stays so
			into, e.ingesters = nil, newIngesters(&e.opts)
		}
		for _, text := range texts {
			req := WriteRequest{Database: "db", Body: text, Precision: lineprotocol.Nanosecond}
			w := writing{engine: e, req: &req, set: newWriteSet(len(text)), room: room{ctx: context.Background(), admission: e.requests, isGranted: true}}
			if _, err := w.prepare(); err != nil {
				b.Fatal(err)
			}
			for _, batch := range w.set.batches {
				if into == nil {
					into = partition.New(batch.Key)
				}
				seq++
				into.Append(&batch.Batch, seq)
			}
			w.end()
			rows += lines
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(rows), "cpu-ns/row")
}

// cpuTime is what the process has used of processors: unlike the time that passed, it says
// something on a busy machine, too.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
