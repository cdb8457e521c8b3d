package flight_test

import (
	"context"
	"errors"
	"io"
	"testing"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
)

// BenchmarkDoGet reads five million rows of a time and two numbers over loopback.
func BenchmarkDoGet(b *testing.B) {
	s := newSite(b)
	s.write("db", points...)
	c := s.client()
	const rows = 5_000_000
	ticket := []byte(`{"database":"db","sql_query":"SELECT make_timestamp_ns(i) AS time, i AS n, i / 7 AS f FROM range(5000000) r(i)"}`)
	for b.Loop() {
		if got := countRows(b, c, ticket); got != rows {
			b.Fatalf("%d rows instead of %d", got, rows)
		}
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

func countRows(b *testing.B, c arrowflight.Client, ticket []byte) (rows int64) {
	b.Helper()
	stream, err := c.DoGet(context.Background(), &arrowflight.Ticket{Ticket: ticket})
	if err != nil {
		b.Fatal(err)
	}
	r, err := arrowflight.NewRecordReader(stream)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Release()
	for r.Next() {
		rows += r.RecordBatch().NumRows()
	}
	if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
		b.Fatal(err)
	}
	return rows
}
