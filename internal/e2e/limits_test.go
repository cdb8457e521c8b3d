//go:build duckdb_arrow

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const (
	// endless takes minutes and has a short answer.
	endless = "SELECT count(*) AS n FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7919 = 1"
	// large has an answer that fits into no buffer on the way.
	large = "SELECT md5(range::VARCHAR) AS a, md5((range + 1)::VARCHAR) AS b FROM range(1000000000)"
)

// asking is a query under way.
type asking struct {
	hangUp context.CancelFunc
	answer chan answer // receives it unless the client hung up
}

// begin sends a query and does not wait for its answer.
func (s *server) begin(sql string) asking {
	ctx, cancel := context.WithCancel(context.Background())
	q := asking{cancel, make(chan answer, 1)}
	go func() {
		target := s.url + "/api/v3/query_sql?" + url.Values{"db": {"db"}, "q": {sql}}.Encode()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err == nil {
			q.answer <- answer{resp.StatusCode, resp.Header, string(text)}
		}
	}()
	s.site.t.Cleanup(cancel)
	return q
}

// await returns the answer.
func (q asking) await(t *testing.T) answer {
	t.Helper()
	select {
	case a := <-q.answer:
		return a
	case <-time.After(patience):
		t.Fatal("there is no answer")
		return answer{}
	}
}

// gauge reads a metric, for which no query is needed.
func (s *server) gauge(name string) int {
	s.site.t.Helper()
	a, err := s.do(http.MethodGet, "/metrics", nil, nil)
	if err != nil {
		s.site.t.Fatal(err)
	}
	_, rest, found := strings.Cut(a.body, "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(value, 64)
	if !found || err != nil {
		s.site.t.Fatalf("the metric %s is %q", name, value)
	}
	return int(n)
}

func (s *server) awaitRunning(n int) {
	s.site.t.Helper()
	s.await(fmt.Sprintf("%d running queries", n), func() bool { return s.gauge("siltstone_queries_running") == n })
}

// lastQuery is the newest query with a text in it, from the log of queries, without those that
// look for it.
func (s *server) lastQuery(part string) row {
	s.site.t.Helper()
	rows := s.query("db", "SELECT id, state, error FROM system.queries WHERE contains(query_text, '"+part+"') AND query_text NOT LIKE '%system.queries%' ORDER BY id DESC LIMIT 1")
	if len(rows) == 0 {
		return row{"state": "unknown"}
	}
	return rows[0]
}

// writeManyRows makes a table wide that has some 20 MB.
func (s *server) writeManyRows() {
	rng := rand.New(rand.NewPCG(1, 2))
	for part := range 4 {
		var body bytes.Buffer
		for i := range 25_000 {
			fmt.Fprintf(&body, "wide s=\"%0200x\" %d\n", rng.Uint64(), part*25_000+i+1)
		}
		s.write("db", body.String())
	}
}

// TestHangingUpMakesRoom: with two turns, and one of them for looking, every client
// that hangs up in the middle of an answer must give its turn back.
func TestHangingUpMakesRoom(t *testing.T) {
	srv := newSite(t).start("--max-concurrent-queries", "2")
	srv.writeManyRows()
	overHTTP := func(path string, params url.Values) func(context.Context) error {
		return func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.url+path+"?"+params.Encode(), nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.ReadFull(resp.Body, make([]byte, 1000))
			return err
		}
	}
	sql := func(format string) url.Values { return url.Values{"db": {"db"}, "q": {large}, "format": {format}} }
	const influxQL = "SELECT s FROM wide"
	for _, c := range []struct {
		name, text string
		begin      func(context.Context) error
	}{
		{"JSON", large, overHTTP("/api/v3/query_sql", sql("json"))},
		{"JSON lines", large, overHTTP("/api/v3/query_sql", sql("jsonl"))},
		{"CSV", large, overHTTP("/api/v3/query_sql", sql("csv"))},
		{"Parquet", large, overHTTP("/api/v3/query_sql", sql("parquet"))},
		{"Arrow", large, overHTTP("/api/v3/query_sql", sql("arrow"))},
		{"InfluxQL", influxQL, overHTTP("/query", url.Values{"db": {"db"}, "q": {influxQL}})},
		{"chunked InfluxQL", influxQL, overHTTP("/query", url.Values{"db": {"db"}, "q": {influxQL}, "chunked": {"true"}, "chunk_size": {"100"}})},
		{"InfluxQL of version 3", influxQL, overHTTP("/api/v3/query_influxql", url.Values{"db": {"db"}, "q": {influxQL}})},
		{"before the first row", endless, func(ctx context.Context) error {
			q := srv.begin(endless)
			srv.awaitRunning(1)
			q.hangUp()
			return nil
		}},
		{"Flight", large, func(ctx context.Context) error { return srv.beginFlight(ctx, "sql", large) }},
		{"InfluxQL over Flight", influxQL, func(ctx context.Context) error { return srv.beginFlight(ctx, "influxql", influxQL) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := srv.in(t)
			before := srv.lastQuery("")["id"]
			ctx, hangUp := context.WithCancel(context.Background())
			err := c.begin(ctx)
			hangUp()
			if err != nil {
				t.Fatal(err)
			}
			srv.await("the end of the query", func() bool {
				q := srv.lastQuery(c.text)
				return q["id"] != before && q["state"] == "cancelled"
			})
		})
	}
	srv.awaitRunning(0)
}

// beginFlight reads the first message of an answer.
func (s *server) beginFlight(ctx context.Context, language, text string) error {
	client, err := flight.NewClientWithMiddleware(strings.TrimPrefix(s.url, "http://"), nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	s.site.t.Cleanup(func() { _ = client.Close() })
	ticket, err := json.Marshal(map[string]string{"database": "db", "sql_query": text, "query_type": language})
	if err != nil {
		return err
	}
	stream, err := client.DoGet(ctx, &flight.Ticket{Ticket: ticket})
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

func TestQueryTimeoutIsAnsweredEverywhere(t *testing.T) {
	srv := newSite(t).start("--query-timeout", "300ms")
	srv.write("db", "cpu v=1 1\n")
	if a := srv.begin(endless).await(t); a.status != http.StatusGatewayTimeout || !strings.Contains(a.body, "300ms") {
		t.Errorf("over HTTP: %d %s", a.status, a.body)
	}
	if _, err := srv.askFlight("db", "sql", endless); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("over Flight: %v", err)
	}
	for _, r := range srv.query("db", "SELECT state, end2end_duration AS took FROM system.queries WHERE query_text LIKE 'SELECT count(*)%'") {
		if took, err := r["took"].(json.Number).Float64(); r["state"] != "timeout" || err != nil || took < 0.3 {
			t.Errorf("the log says %v", r)
		}
	}
	srv.awaitRunning(0)
}

func TestKillEndsAQueryFromEverywhere(t *testing.T) {
	srv := newSite(t).start()
	srv.write("db", "cpu v=1 1\n")
	for name, kill := range map[string]func(id string) error{
		"SQL": func(id string) error {
			_, err := srv.ask("db", "KILL QUERY "+id)
			return err
		},
		"InfluxQL": func(id string) error {
			a, err := srv.do(http.MethodPost, "/query", url.Values{"q": {"KILL QUERY " + id}}, nil)
			if err == nil && strings.Contains(a.body, "error") {
				err = errors.New(a.body)
			}
			return err
		},
		"Flight": func(id string) error {
			_, err := srv.askFlight("db", "sql", "KILL QUERY "+id)
			return err
		},
		"command line": func(id string) error {
			out, err := exec.Command(binary(t), "kill", id, "--host", srv.url).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := srv.in(t)
			victim := srv.begin(endless)
			var id string
			srv.await("the query to run", func() bool {
				q := srv.lastQuery(endless)
				id = fmt.Sprint(q["id"])
				return q["state"] == "running"
			})
			listed, err := exec.Command(binary(t), "show", "queries", "-d", "db", "--format", "csv", "--host", srv.url).Output()
			if err != nil || !strings.Contains(string(listed), "\n"+id+",running,") {
				t.Errorf("%v, it lists\n%s", err, listed)
			}
			if err := kill(id); err != nil {
				t.Fatal(err)
			}
			if a := victim.await(t); a.status != http.StatusConflict || !strings.Contains(a.body, "killed") {
				t.Errorf("its client is answered %d %s", a.status, a.body)
			}
			srv.await("its entry in the log", func() bool { return srv.lastQuery(endless)["state"] == "killed" })
		})
	}
}

// TestQueriesWaitForTheirTurn: two run, the third waits; the queue has an end, and an answer
// for those behind it.
func TestQueriesWaitForTheirTurn(t *testing.T) {
	srv := newSite(t).start("--max-concurrent-queries", "2")
	srv.write("db", "cpu v=1 1\n")
	first, second := srv.begin(endless), srv.begin(endless)
	srv.awaitRunning(2)
	third := srv.begin("SELECT 3 AS n")
	queued := func() int { return srv.gauge("siltstone_queries_queued") }
	srv.await("the third to wait", func() bool { return queued() == 1 })
	first.hangUp()
	if a := third.await(t); a.body != `[{"n":3}]` {
		t.Errorf("the third is answered %d %s", a.status, a.body)
	}

	another := srv.begin(endless)
	srv.awaitRunning(2)
	const mostQueued = 1000
	var waiting []asking
	for range mostQueued {
		waiting = append(waiting, srv.begin("SELECT 4 AS n"))
	}
	srv.await("a full queue", func() bool { return queued() == mostQueued })
	if a := srv.begin("SELECT 5 AS n").await(t); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("behind a full queue: %d, Retry-After %q, %s", a.status, a.header.Get("Retry-After"), a.body)
	}
	if _, err := srv.askFlight("db", "sql", "SELECT 5"); status.Code(err) != codes.Unavailable {
		t.Errorf("behind a full queue, over Flight: %v", err)
	}
	second.hangUp()
	another.hangUp()
	for _, q := range waiting {
		if a := q.await(t); a.body != `[{"n":4}]` {
			t.Fatalf("one that waited is answered %d %s", a.status, a.body)
		}
	}
	srv.awaitRunning(0)
}

// TestAMonsterFailsAlone: what a query cannot have, others do not lose.
func TestAMonsterFailsAlone(t *testing.T) {
	srv := newSite(t).start("--exec-mem-pool-bytes", "200MB", "--query-spill-max-bytes", "16MiB")
	srv.write("db", "cpu,host=a v=1 1\ncpu,host=b v=2 2\n")
	ended := make(chan struct{})
	var others sync.WaitGroup
	for range 3 {
		others.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ended:
					if n == 0 {
						t.Error("nobody asked beside the monster")
					}
					return
				default:
				}
				if rows, err := srv.ask("db", "SELECT host, sum(v) AS v FROM cpu GROUP BY host ORDER BY host"); err != nil || len(rows) != 2 {
					t.Errorf("beside the monster: %v, %v", rows, err)
					return
				}
			}
		})
	}
	for _, monster := range []string{
		"SELECT count(DISTINCT md5(range::VARCHAR)) FROM range(50000000)",
		"SELECT a FROM (SELECT md5(range::VARCHAR) AS a FROM range(50000000)) ORDER BY a",
		"SELECT list(md5(range::VARCHAR)) FROM range(50000000)",
	} {
		if a := srv.begin(monster).await(t); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "--exec-mem-pool-bytes") {
			t.Errorf("%s: %d %.300s", monster, a.status, a.body)
		}
	}
	close(ended)
	others.Wait()
	srv.awaitRunning(0)
}
