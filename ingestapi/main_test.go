package ingestapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/query"
	"github.com/siltstone-db/siltstone/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that tests move.
type clock struct {
	mu struct {
		sync.Mutex
		now time.Time
	}
}

func newClock() *clock {
	c := &clock{}
	c.mu.now = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	return c
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.now = c.mu.now.Add(d)
}

// site is a running server with the datasource ds_1 of project proj_1.
type site struct {
	t          testing.TB
	dir        string
	datasource string // the one that is talked to
	clock      *clock
	limit      int
	engine     *engine.Engine
	querier    *query.Querier
	server     *httptest.Server
	stop       func()
}

const (
	testProject = "proj_1"
	requestID   = "0192-request"
)

func (s *site) stream() string   { return "/v1/project/proj_1/datasource/" + s.datasource + "/stream" }
func (s *site) database() string { return testProject + "/" + s.datasource }

// manyRequests is a limit that only tests of the limit reach.
const manyRequests = 1 << 30

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), clock: newClock(), limit: manyRequests}
	s.open()
	t.Cleanup(func() { s.close() })
	s.use("ds_1")
	return s
}

// use makes a datasource and turns to it.
func (s *site) use(datasource string) {
	s.t.Helper()
	if _, err := s.engine.CreateDatasource(testProject, datasource); err != nil {
		s.t.Fatal(err)
	}
	s.datasource = datasource
}

func (s *site) open() {
	s.t.Helper()
	e, err := engine.Open(engine.Options{DataDir: s.dir, PoolBytes: 256 << 20, Now: s.clock.Now, Gen1Duration: -1})
	if err != nil {
		s.t.Fatal(err)
	}
	q, err := query.Open(query.Options{View: e.View, DataDir: s.dir, TempDir: s.t.TempDir(), Threads: 2})
	if err != nil {
		s.t.Fatal(err)
	}
	s.engine, s.querier = e, q
	s.serveAnew()
	s.stop = sync.OnceFunc(func() {
		s.server.Close()
		http.DefaultClient.CloseIdleConnections()
		if err := errors.Join(q.Close(), e.Close()); err != nil {
			s.t.Error(err)
		}
	})
}

// serveAnew replaces the API, as a new process would, over the same engine.
func (s *site) serveAnew() {
	s.t.Helper()
	api, err := New(Options{RequestsPerMinute: s.limit, Now: s.clock.Now})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.server != nil {
		s.server.Close()
	}
	s.server = httptest.NewServer(s.handler(api))
}

func (s *site) close() { s.stop() }

// restart opens everything again, over the same data.
func (s *site) restart() {
	s.t.Helper()
	s.close()
	s.open()
}

func (s *site) flush() {
	s.t.Helper()
	if err := s.engine.Flush(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// tokens are what a request may present as a bearer.
var tokens = auth.NewIndex([]*schema.Token{
	{Name: "writer", Hash: auth.Hash("writer"), Permissions: []schema.Permission{{Database: "proj_1/ds_1", Write: true}}},
	{Name: "reader", Hash: auth.Hash("reader"), Permissions: []schema.Permission{{Database: "proj_1/ds_1", Read: true}}},
	{Name: "stranger", Hash: auth.Hash("stranger"), Permissions: []schema.Permission{{Database: "other", Read: true, Write: true}}},
})

// handler mounts the API as a server does.
func (s *site) handler(api *API) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range api.Routes() {
		mux.HandleFunc(rt.Method+" "+rt.Path, func(w http.ResponseWriter, r *http.Request) {
			if err := s.serve(rt, w, r); err != nil {
				status, text := statusOf(err)
				api.AnswerError(w, r, status, text, err)
			}
		})
	}
	return mux
}

var errUnauthenticated = &StatusError{http.StatusUnauthorized, "the request was not authenticated"}

func (s *site) serve(rt Route, w http.ResponseWriter, r *http.Request) error {
	id := auth.Everyone()
	if header := r.Header.Get("Authorization"); header != "" {
		var ok bool
		if id, ok = tokens.Find(strings.TrimPrefix(header, "Bearer "), s.clock.Now()); !ok {
			return errUnauthenticated
		}
	}
	return rt.Handler(w, r, &Call{
		Identity: id, Engine: s.engine, Querier: s.querier, RequestID: requestID,
		Body: func() ([]byte, error) { return io.ReadAll(r.Body) },
	})
}

// statusOf stands for package httpapi's.
func statusOf(err error) (int, string) {
	var ours *StatusError
	switch {
	case errors.As(err, &ours):
		return ours.Status, ours.Message
	case errors.Is(err, engine.ErrUnavailable):
		return http.StatusServiceUnavailable, err.Error()
	}
	return http.StatusInternalServerError, err.Error()
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	text string
}

// do sends a request to a path below the stream's, of which only the first part is given
// escaped; headers come in pairs of name and value.
func (s *site) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	if !strings.HasPrefix(path, "/v1") {
		path = s.stream() + path
	}
	req, err := http.NewRequestWithContext(context.Background(), method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp, strings.TrimSuffix(string(text), "\n")}
}

func (s *site) contacts(body string) answer { s.t.Helper(); return s.do("POST", "/contacts", body) }
func (s *site) events(body string) answer   { s.t.Helper(); return s.do("POST", "/events", body) }

func (s *site) contact(id string) answer {
	s.t.Helper()
	return s.do("GET", "/contacts/"+url.PathEscape(id), "")
}

func (s *site) remove(id string) answer {
	s.t.Helper()
	return s.do("DELETE", "/contacts/"+url.PathEscape(id), "")
}

// accepts fails the test unless every item is a success.
func (a answer) accepts(t testing.TB) {
	t.Helper()
	if a.StatusCode != http.StatusAccepted || !strings.Contains(a.text, `"failed":0,`) {
		t.Errorf("answered %d %s", a.StatusCode, a.text)
	}
}

// is checks status and body.
func (a answer) is(t testing.TB, status int, text string) {
	t.Helper()
	if a.StatusCode != status || a.text != text {
		t.Errorf("answered %d %s\n    want %d %s", a.StatusCode, a.text, status, text)
	}
	if kind := a.Header.Get("Content-Type"); text != "" && kind != "application/json" {
		t.Errorf("the answer has Content-Type %q", kind)
	}
	for _, h := range []string{limitHeader, remainingHeader, resetHeader} {
		if a.Header.Get(h) == "" {
			t.Errorf("the answer has no %s", h)
		}
	}
}

// lineProtocol writes to the datasource's database past the API.
func (s *site) lineProtocol(line string) {
	s.t.Helper()
	res, err := s.engine.Write(context.Background(), engine.WriteRequest{Database: s.database(), Body: []byte(line), Precision: engine.Nanosecond})
	if err != nil || res.Accepted != 1 {
		s.t.Fatal(res, err)
	}
}

// sql returns the rows of a query as lines of JSON.
func (s *site) sql(text string) string {
	s.t.Helper()
	res, err := s.querier.Query(context.Background(), query.Request{Database: s.database(), SQL: text})
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	defer res.Close()
	var b strings.Builder
	if err := query.WriteJSONL(&b, res); err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

var everyone = auth.Everyone()

func newTestRequest(t testing.TB) *http.Request {
	return httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
}

func pathEscape(s string) string { return url.PathEscape(s) }

func mustText(s string) string {
	b, err := marshalText(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// mustJSON encodes a value for a request.
func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprint(err))
	}
	return string(b)
}
