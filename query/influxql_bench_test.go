package query

import (
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/schema"
)

// BenchmarkInfluxQL sets statements beside SQL that is written by hand for the same answer.
func BenchmarkInfluxQL(b *testing.B) {
	s := newStore(b)
	addBenchBuffer(benchTable(s), time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(), benchRows)
	q := s.querier(func(o *Options) { o.Schema = func() *schema.Snapshot { return s.schema } })
	const day = "time >= '2024-01-01' AND time < '2024-01-02'"
	for _, c := range []struct{ name, influxql, sql string }{
		{
			"mean", "SELECT mean(f0) FROM cpu WHERE " + day + " GROUP BY time(1h), host",
			"SELECT date_bin(INTERVAL '1 hour', time) AS t, host, avg(f0) FROM cpu WHERE " + day + " GROUP BY 1, 2 ORDER BY 2, 1",
		},
		{
			"last", "SELECT last(f0) FROM cpu WHERE " + day + " GROUP BY host",
			"SELECT host, max(time), arg_max(f0, time) FROM cpu WHERE " + day + " GROUP BY 1 ORDER BY 1",
		},
		{
			"raw", "SELECT f0 FROM cpu WHERE " + day + " AND host = 'host-with-a-long-name-7'",
			"SELECT time, f0 FROM cpu WHERE " + day + " AND host = 'host-with-a-long-name-7' ORDER BY time",
		},
		{
			"newest", "SELECT f0 FROM cpu ORDER BY time DESC LIMIT 10",
			"SELECT time, f0 FROM cpu ORDER BY time DESC LIMIT 10",
		},
		{"all", "SELECT f0 FROM cpu", "SELECT time, f0 FROM cpu ORDER BY time"},
	} {
		b.Run(c.name+"/influxql", func(b *testing.B) {
			for b.Loop() {
				statements, err := influxql.Parse(c.influxql, nil)
				if err != nil {
					b.Fatal(err)
				}
				r, err := q.InfluxQL(b.Context(), InfluxQLRequest{Database: "db", Statement: statements[0]})
				if err != nil {
					b.Fatal(err)
				}
				drain(b, r)
			}
		})
		b.Run(c.name+"/sql", func(b *testing.B) {
			for b.Loop() {
				r, err := q.Query(b.Context(), Request{Database: "db", SQL: c.sql})
				if err != nil {
					b.Fatal(err)
				}
				drain(b, r)
			}
		})
	}
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
