package httpapi

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/query"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a running server over an empty data directory.
type site struct {
	t   *testing.T
	api *Server
	url string
}

// newSite starts a server; with ready it has an engine and a querier. It asks for tokens
// as soon as there is one.
func newSite(t *testing.T, opts Options, ready bool) *site {
	t.Helper()
	opts.OpenWithoutTokens = true
	api, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if ready {
		setReady(t, api)
	}
	srv := httptest.NewServer(api)
	t.Cleanup(func() {
		srv.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return &site{t: t, api: api, url: srv.URL}
}

func setReady(t *testing.T, api *Server) {
	t.Helper()
	dir := t.TempDir()
	e, err := engine.Open(engine.Options{DataDir: dir, PoolBytes: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	q, err := query.Open(query.Options{View: e.View, Schema: e.Schema, Stats: e.Stats, DataDir: dir, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	api.SetReady(e, q)
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	text string
}

// do sends a request; headers come in pairs of name and value.
func (s *site) do(method, path string, body io.Reader, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
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
	return answer{resp, string(text)}
}

func (s *site) get(path string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, nil, headers...)
}

func (s *site) post(path, body string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, path, strings.NewReader(body), headers...)
}

// write stores lines in database db, which must succeed.
func (s *site) write(lines ...string) {
	s.t.Helper()
	a := s.post("/api/v3/write_lp?db=db", strings.Join(lines, "\n"))
	a.is(s.t, http.StatusNoContent, "")
}

// is checks status and body, and that an error is JSON (H3).
func (a answer) is(t *testing.T, status int, text string) {
	t.Helper()
	if got := strings.TrimSuffix(a.text, "\n"); a.StatusCode != status || got != text {
		t.Errorf("answered %d %s\n    want %d %s", a.StatusCode, got, status, text)
	}
	if kind := a.Header.Get("Content-Type"); status >= 400 && kind != "application/json" {
		t.Errorf("the error has Content-Type %q", kind)
	}
}
