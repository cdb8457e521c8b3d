//go:build duckdb_arrow

package influx1

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/transfer"
)

// TestCopiedDataAnswersAlike copies everything from a real InfluxDB 1.6, as siltstone import
// influxdb does, and asks both servers for all rows of each measurement.
func TestCopiedDataAnswersAlike(t *testing.T) {
	if os.Getenv(clientsVariable) != "all" {
		t.Skipf("%s=all runs this", clientsVariable)
	}
	from, to := startInfluxd(t), startSiltstone(t)
	from.fill(readData(t))
	from.fillConflicts()
	influx := transfer.Influx{Ask: from.stream}
	databases, err := influx.Databases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	measurements := 0
	for _, database := range databases {
		sources, err := influx.Sources(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sources {
			measurements++
			copyInto(t, influx, s, to)
			if s.Policy == "week" {
				continue // has what cannot be copied
			}
			q := question{params: "epoch=ns db=" + s.Database, text: "SELECT *::field FROM \"" + s.Measurement + "\" GROUP BY *"}
			want := from.ask(q)
			want.body = strings.ReplaceAll(want.body, `\u0026`, "&") // two ways to write it
			if diff := cmp.Diff(want, to.ask(q), cmp.AllowUnexported(reply{})); diff != "" {
				t.Errorf("%s: %.2000s", s, diff)
			}
		}
	}
	if measurements < 20 {
		t.Errorf("%d measurements were copied", measurements)
	}
	to.expectConflicts()
}

// fillConflicts writes a retention policy in which shards have a field in several types.
func (s *server) fillConflicts() {
	s.t.Helper()
	form := url.Values{"q": {"CREATE RETENTION POLICY week ON edge DURATION INF REPLICATION 1 SHARD DURATION 1d"}}
	s.do(http.MethodPost, "/query", form, nil, "")
	lines := []string{
		`mixed,a=b v=1.5,n=1i 1600000000000000000`, `mixed,a=b v=2i 1700000000000000000`,
		`mixed,a=b v="t",n=3i 1750000000000000000`, `mixed,a=b v=true 1650000000000000000`,
	}
	form = url.Values{"db": {"edge"}, "rp": {"week"}, "precision": {"n"}}
	if a := s.do(http.MethodPost, "/write", form, []byte(strings.Join(lines, "\n")), ""); a.status != http.StatusNoContent {
		s.t.Fatalf("%+v", a)
	}
}

// expectConflicts looks for what of it can be copied: integers as floats.
func (s *server) expectConflicts() {
	s.t.Helper()
	got := s.ask(question{params: "db=edge", text: "SELECT n, v FROM week.mixed"}).body
	want := `{"results":[{"statement_id":0,"series":[{"name":"mixed","columns":["time","n","v"],"values":[` +
		`["2020-09-13T12:26:40Z",1,1.5],["2023-11-14T22:13:20Z",null,2],["2025-06-15T15:06:40Z",3,null]]}]}]}`
	if got != want {
		s.t.Errorf("fields of several types: %s", got)
	}
}

// stream sends a statement and returns the answer as it comes.
func (s *server) stream(ctx context.Context, statement string, rows int) (io.ReadCloser, error) {
	form := url.Values{"q": {statement}, "epoch": {"ns"}, "chunked": {"true"}, "chunk_size": {strconv.Itoa(rows)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/query?"+form.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// copyInto copies a source.
func copyInto(t *testing.T, influx transfer.Influx, s transfer.InfluxSource, to *server) {
	t.Helper()
	if (len(s.Notes) > 0) != (s.Measurement == "mixed") {
		t.Errorf("%s: %q", s, s.Notes)
	}
	rows, err := influx.Copy(t.Context(), s, schema.MaxTimeRange, transfer.Limits{Lines: 1_000, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for {
		c, err := rows.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil || len(c.Refused) > 0 {
			t.Fatalf("%s: %v, %v", s, err, c)
		}
		form := url.Values{"db": {transfer.TargetDatabase(s.Database, s.Policy)}, "precision": {"ns"}}
		if a := to.do(http.MethodPost, "/api/v3/write_lp", form, c.Body, ""); a.status != http.StatusNoContent {
			t.Fatalf("%s: %+v", s, a)
		}
	}
}
