package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sqlPath is the path of a GET query on the database db; extra are pairs of parameters.
func sqlPath(sql string, extra ...string) string {
	q := url.Values{"db": {"db"}, "q": {sql}}
	for i := 0; i < len(extra); i += 2 {
		q.Set(extra[i], extra[i+1])
	}
	return "/api/v3/query_sql?" + q.Encode()
}

// jsonBody is the body of a POST query.
func jsonBody(t *testing.T, fields map[string]any) string {
	t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// weather is what the tests ask about: two rows, the second without a temperature.
func weather(t *testing.T) *site {
	t.Helper()
	s := newSite(t, Options{}, true)
	s.write(`room,name=hall temp=21,note="a, \"b\"" 1700000000000000000`, `room,name=attic open=true 1700000001500000000`)
	return s
}

func TestResultsComeInEveryFormat(t *testing.T) {
	const sql = "SELECT name, temp, time FROM room ORDER BY time"
	formats := map[string]struct{ contentType, want string }{
		"json": {"application/json", `[{"name":"hall","temp":21.0,"time":"2023-11-14T22:13:20"},{"name":"attic","time":"2023-11-14T22:13:21.500"}]`},
		"jsonl": {"application/jsonl", `{"name":"hall","temp":21.0,"time":"2023-11-14T22:13:20"}
{"name":"attic","time":"2023-11-14T22:13:21.500"}`},
		"csv": {"text/csv", "name,temp,time\nhall,21.0,2023-11-14T22:13:20\nattic,,2023-11-14T22:13:21.500"},
		"pretty": {"text/plain; charset=utf-8", `+-------+------+-------------------------+
| name  | temp | time                    |
+-------+------+-------------------------+
| hall  | 21.0 | 2023-11-14T22:13:20     |
| attic |      | 2023-11-14T22:13:21.500 |
+-------+------+-------------------------+`},
	}
	s := weather(t)
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			byParam := s.get(sqlPath(sql, "format", name), "Accept", "text/csv")
			byParam.is(t, 200, f.want)
			if got := byParam.Header.Get("Content-Type"); got != f.contentType {
				t.Errorf("Content-Type %q", got)
			}
			accept, _, _ := strings.Cut(f.contentType, ";")
			s.get(sqlPath(sql), "Accept", accept).is(t, 200, f.want)
			s.post("/api/v3/query_sql", jsonBody(t, map[string]any{"db": "db", "q": sql, "format": name})).is(t, 200, f.want)
		})
	}
}

func TestBrowsersAndLibrariesGetJSON(t *testing.T) {
	s := weather(t)
	for _, accept := range []string{"", "*/*", "text/html,application/xhtml+xml;q=0.9", "application/json, text/plain, */*"} {
		a := s.get(sqlPath("SELECT 1 AS one"), "Accept", accept)
		a.is(t, 200, `[{"one":1}]`)
	}
}

func TestParametersAreBoundByType(t *testing.T) {
	s := weather(t)
	const sql = "SELECT name FROM room WHERE name = $name AND temp > $low"
	const want = `[{"name":"hall"}]`
	s.get(sqlPath(sql, "params", `{"name":"hall","low":20.5}`)).is(t, 200, want)
	s.post("/api/v3/query_sql", jsonBody(t, map[string]any{
		"db": "db", "q": sql, "params": map[string]any{"name": "hall", "low": 20},
	})).is(t, 200, want)
}

func TestBadQueriesAreTheClientsFault(t *testing.T) {
	s := weather(t)
	cases := []struct {
		name   string
		answer answer
		status int
		want   string // the whole text, or its start when it ends in …
	}{
		{"no query string", s.get("/api/v3/query_sql"), 400, `{"error":"missing query parameters 'db' and 'q'"}`},
		{"no q", s.get("/api/v3/query_sql?db=db"), 400, "{\"error\":\"serde error: missing field `q`\"}"},
		{"no db", s.get("/api/v3/query_sql?q=SELECT+1"), 400, "{\"error\":\"serde error: missing field `db`\"}"},
		{"no db in the body", s.post("/api/v3/query_sql", `{"q":"SELECT 1"}`), 400, "{\"error\":\"serde error: missing field `db`\"}"},
		{"not JSON", s.post("/api/v3/query_sql", `db=db&q=SELECT`), 400, `{"error":"serde json error: …`},
		{"unknown format", s.get(sqlPath("SELECT 1", "format", "xml")), 400, "{\"error\":\"unknown format `xml`, expected one of `json`, `jsonl`, `csv`, `pretty`, `parquet`, `arrow`\"}"},
		{"unknown type", s.get(sqlPath("SELECT 1"), "Accept", "image/png"), 400, `{"error":"invalid mime type (image/png)"}`},
		{"params not an object", s.get(sqlPath("SELECT 1", "params", "[1]")), 400, `{"error":"invalid query parameters: …`},
		{"nested params", s.get(sqlPath("SELECT 1", "params", `{"a":[1]}`)), 400, `{"error":"invalid query parameter a: a string, number, boolean or null is needed"}`},
		{"two params objects", s.get(sqlPath("SELECT 1", "params", `{} {}`)), 400, `{"error":"invalid query parameters: more than one JSON value"}`},
		{"huge number", s.get(sqlPath("SELECT 1", "params", `{"a":1e999}`)), 400, `{"error":"invalid query parameter a: …`},
		{"unknown database", s.get("/api/v3/query_sql?db=foo&q=SELECT+1"), 404, `{"error":"query error: database not found: foo"}`},
		{"unknown table", s.get(sqlPath("SELECT * FROM foo")), 400, `{"error":"Error during planning: table 'public.iox.foo' not found"}`},
		{"no SQL", s.get(sqlPath("SELEC 1")), 400, `{"error":"…`},
		{"not a query", s.get(sqlPath("DROP TABLE room")), 400, `{"error":"…`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if start, ok := strings.CutSuffix(c.want, "…"); ok {
				if !strings.HasPrefix(c.answer.text, start) {
					t.Errorf("answered %s", c.answer.text)
				}
				c.want = strings.TrimSuffix(c.answer.text, "\n")
			}
			c.answer.is(t, c.status, c.want)
		})
	}
}

func TestNumbersKeepTheirKind(t *testing.T) {
	got, err := bindParams(json.RawMessage(`{"i":-3,"big":9223372036854775807,"f":3.0,"e":1e3,"huge":18446744073709551616,"s":"x","b":true,"n":null}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"i": int64(-3), "big": int64(1<<63 - 1), "f": 3.0, "e": 1000.0, "huge": 18446744073709551616.0,
		"s": "x", "b": true, "n": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWrittenPointsAreQueryableBeforeAndAfterFlush: the answer to a write promises it.
func TestWrittenPointsAreQueryableBeforeAndAfterFlush(t *testing.T) {
	s := weather(t)
	const want = `[{"n":2}]`
	s.get(sqlPath("SELECT count(*) AS n FROM room")).is(t, 200, want)
	s.post("/api/v3/flush", "").is(t, 204, "")
	s.get(sqlPath("SELECT count(*) AS n FROM room")).is(t, 200, want)
	s.write("room,name=hall temp=22 1700000000000000000")
	s.get(sqlPath("SELECT temp, note FROM room WHERE name = 'hall'")).is(t, 200, `[{"temp":22.0,"note":"a, \"b\""}]`)
}

// endless takes minutes: 10^12 combinations of 10^6 numbers with themselves.
const endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7919 = 1"

// TestHangingUpEndsTheQuery: the server must be rid of the request long before the query
// could be done.
func TestHangingUpEndsTheQuery(t *testing.T) {
	s := weather(t)
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+sqlPath(endless), nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			err = errors.Join(err, resp.Body.Close())
		}
		done <- err
	}()
	awaitInFlight(t, s.api, "1")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	awaitInFlight(t, s.api, "0")
}

// awaitInFlight waits until so many requests are under way, besides the one that asks.
func awaitInFlight(t *testing.T, api *Server, want string) {
	t.Helper()
	want = map[string]string{"0": "1", "1": "2"}[want]
	for deadline := time.Now().Add(30 * time.Second); metricLine(t, api, "siltstone_http_requests_in_flight") != want; {
		if time.Now().After(deadline) {
			t.Fatalf("there are never %s requests in flight", want)
		}
	}
}
