package engine_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/engine"
)

var (
	openFiles = flag.Int("open-files", 2000, "how many Parquet files BenchmarkOpen starts with")
	openDir   = flag.String("open-dir", "", "where BenchmarkOpen keeps its files for another run, or finds them")
)

// BenchmarkOpen is the start of a server that has many small files, of a hundred tables with ten
// tags and ten fields.
func BenchmarkOpen(b *testing.B) {
	dir := *openDir
	if dir == "" {
		dir = b.TempDir()
	}
	opts := engine.Options{DataDir: dir, PoolBytes: 1 << 30, Gen1Duration: 1000 * time.Hour}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) == 0 {
		makeFiles(b, opts, *openFiles)
	}
	b.ReportAllocs()
	for b.Loop() {
		e, err := engine.Open(opts)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N)/float64(*openFiles), "µs/file")
}

func makeFiles(b *testing.B, opts engine.Options, files int) {
	b.Helper()
	const tables = 100
	e, err := engine.Open(opts)
	if err != nil {
		b.Fatal(err)
	}
	for made := 0; made < files; made += tables {
		var body bytes.Buffer
		for t := range tables {
			for host := range 4 {
				fmt.Fprintf(&body, "t%d,hostname=host_%d,region=eu-central-1,datacenter=eu-central-1a,rack=6,os=Ubuntu15.10,arch=x86,team=SF,service=19,service_version=1,service_environment=test "+
					"usage_user=58i,usage_system=2i,usage_idle=24i,usage_nice=61i,usage_iowait=22i,usage_irq=63i,usage_softirq=6i,usage_steal=44i,usage_guest=80i,usage_guest_nice=%di %d\n", t, host, made, 1_700_000_000+made*10)
			}
		}
		if _, err := e.Write(context.Background(), engine.WriteRequest{Database: "bench", Body: body.Bytes(), Precision: engine.Second}); err != nil {
			b.Fatal(err)
		}
		if err := e.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}
