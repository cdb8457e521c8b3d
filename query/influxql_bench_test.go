package query

import (
	"syscall"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/schema"
)

// influxqlShapes are statements as dashboards send them, each beside SQL that is written by hand
// for the same answer; "" where nobody would write one.
var influxqlShapes = []struct{ name, influxql, sql string }{
	{
		"mean", "SELECT mean(f0) FROM cpu WHERE " + benchDay + " GROUP BY time(1h), host",
		"SELECT date_bin(INTERVAL '1 hour', time) AS t, host, avg(f0) FROM cpu WHERE " + benchDay + " GROUP BY 1, 2 ORDER BY 2, 1",
	},
	{
		"fill", "SELECT mean(f0) FROM cpu WHERE " + benchDay + " GROUP BY time(10m), host fill(null)",
		"SELECT date_bin_gapfill(INTERVAL '10 minutes', time) AS t, host, avg(f0) FROM cpu WHERE " + benchDay + " GROUP BY 1, 2 ORDER BY 2, 1",
	},
	{"derivative", "SELECT derivative(mean(f0), 1s) FROM cpu WHERE " + benchDay + " GROUP BY time(10m), host fill(none)", ""},
	{
		"last", "SELECT last(f0) FROM cpu WHERE " + benchDay + " GROUP BY host",
		"SELECT host, max(time), arg_max(f0, time) FROM cpu WHERE " + benchDay + " GROUP BY 1 ORDER BY 1",
	},
	{"lastAll", "SELECT last(*) FROM cpu WHERE " + benchDay + " GROUP BY host", ""},
	{
		"raw", "SELECT f0 FROM cpu WHERE " + benchDay + " AND host = 'host-with-a-long-name-7'",
		"SELECT time, f0 FROM cpu WHERE " + benchDay + " AND host = 'host-with-a-long-name-7' ORDER BY time",
	},
	{
		"newest", "SELECT f0 FROM cpu ORDER BY time DESC LIMIT 10",
		"SELECT time, f0 FROM cpu ORDER BY time DESC LIMIT 10",
	},
	{
		"star", "SELECT * FROM cpu LIMIT 1000",
		"SELECT * FROM cpu ORDER BY time LIMIT 1000",
	},
	{"all", "SELECT f0 FROM cpu", "SELECT time, f0 FROM cpu ORDER BY time"},
	{
		"tagValues", `SHOW TAG VALUES FROM cpu WITH KEY = "host"`,
		"SELECT DISTINCT host FROM cpu ORDER BY 1",
	},
	{"series", "SHOW SERIES", "SELECT DISTINCT host, region, service FROM cpu ORDER BY ALL"},
	{"fieldKeys", "SHOW FIELD KEYS", ""},
}

const benchDay = "time >= '2024-01-01' AND time < '2024-01-02'"

// BenchmarkInfluxQL answers statements over rows in a buffer and in a file.
func BenchmarkInfluxQL(b *testing.B) {
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	b.Run("buffer", func(b *testing.B) {
		s := newStore(b)
		addBenchBuffer(benchTable(s), begin, benchRows)
		benchInfluxQL(b, s)
	})
	b.Run("file", func(b *testing.B) {
		s := newStore(b)
		addBenchFile(s, benchTable(s), begin, benchRows)
		benchInfluxQL(b, s)
	})
}

func benchInfluxQL(b *testing.B, s *store) {
	b.Helper()
	q := s.querier(func(o *Options) { o.Schema = func() *schema.Snapshot { return s.schema } })
	for _, shape := range influxqlShapes {
		b.Run(shape.name+"/influxql", func(b *testing.B) {
			defer reportCPU(b)()
			for b.Loop() {
				statements, err := influxql.Parse(shape.influxql, nil)
				if err != nil {
					b.Fatal(err)
				}
				r, err := q.InfluxQL(b.Context(), InfluxQLRequest{Database: "db", Statement: statements[0], V1: true})
				if err != nil {
					b.Fatal(err)
				}
				drain(b, r)
			}
		})
		if shape.sql == "" {
			continue
		}
		b.Run(shape.name+"/sql", func(b *testing.B) {
			defer reportCPU(b)()
			for b.Loop() {
				r, err := q.Query(b.Context(), Request{Database: "db", SQL: shape.sql})
				if err != nil {
					b.Fatal(err)
				}
				drain(b, r)
			}
		})
	}
}

// reportCPU adds the processor time of all threads to the result: on a machine that others use too, it
// says more than the time that passes.
func reportCPU(b *testing.B) (done func()) {
	b.Helper()
	begin := processCPU(b)
	return func() {
		b.ReportMetric(float64((processCPU(b)-begin).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
	}
}

func processCPU(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// drain reads an answer to its end.
func drain(b *testing.B, r Rows) {
	b.Helper()
	defer r.Close()
	for r.Next() {
		_ = r.Record()
	}
	if err := r.Err(); err != nil {
		b.Fatal(err)
	}
}
