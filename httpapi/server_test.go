package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOptionsAreCheckedTogether(t *testing.T) {
	_, err := New(Options{MaxRequestBytes: -1, MaxBufferedBytes: -2})
	if err == nil || !strings.Contains(err.Error(), "MaxRequestBytes") || !strings.Contains(err.Error(), "MaxBufferedBytes") {
		t.Fatalf("got %v", err)
	}
}

// guarded are the routes that need the engine.
var guarded = []struct{ method, path string }{
	{"POST", "/api/v3/write_lp?db=db"},
	{"GET", "/api/v3/query_sql?db=db&q=SELECT+1"},
	{"POST", "/api/v3/query_sql"},
	{"POST", "/api/v3/flush"},
}

func TestServerTurnsRequestsAwayUntilReady(t *testing.T) {
	s := newSite(t, Options{Version: "1.2.3"}, false)
	for _, r := range guarded {
		a := s.do(r.method, r.path, strings.NewReader("cpu v=1"))
		a.is(t, 503, `{"error":"siltstone is starting; retry soon"}`)
		if got := a.Header.Get("Retry-After"); got != "1" {
			t.Errorf("%s: Retry-After %q", r.path, got)
		}
	}
	s.get("/health").is(t, 503, `{"status":"fail","name":"siltstone","message":"siltstone is starting; retry soon","version":"1.2.3"}`)
	if a := s.get("/ping"); a.StatusCode != 200 {
		t.Errorf("/ping: %s", a.Status)
	}
	if a := s.get("/metrics"); a.StatusCode != 200 || !strings.Contains(a.text, "siltstone_http_requests_in_flight") {
		t.Errorf("/metrics: %s %s", a.Status, a.text)
	}
}

func TestServerTurnsRequestsAwayWhenStopping(t *testing.T) {
	s := newSite(t, Options{Version: "1.2.3"}, true)
	s.get("/health").is(t, 200, `{"status":"pass","name":"siltstone","message":"ready for queries and writes","version":"1.2.3"}`)
	s.api.SetStopping()
	for _, r := range guarded {
		a := s.do(r.method, r.path, strings.NewReader("cpu v=1"))
		a.is(t, 503, `{"error":"siltstone is stopping"}`)
		if got := a.Header.Get("Retry-After"); got != "1" {
			t.Errorf("%s: Retry-After %q", r.path, got)
		}
	}
	if a := s.get("/health"); a.StatusCode != 503 {
		t.Errorf("/health: %s", a.Status)
	}
}

func TestPingSaysWhoAnswers(t *testing.T) {
	s := newSite(t, Options{Version: "1.2.3", Revision: "abcdef"}, false)
	for _, method := range []string{"GET", "POST", "HEAD"} {
		a := s.do(method, "/ping", nil)
		if a.StatusCode != 200 || a.Header.Get("X-Influxdb-Version") != "1.2.3" || a.Header.Get("X-Influxdb-Build") != "Siltstone" {
			t.Errorf("%s: %s %v", method, a.Status, a.Header)
		}
		if id := a.Header.Get("X-Request-Id"); id == "" || id != a.Header.Get("Request-Id") {
			t.Errorf("%s: request ids %q and %q", method, id, a.Header.Get("Request-Id"))
		}
		if method == "HEAD" {
			continue
		}
		var body pingBody
		if err := json.Unmarshal([]byte(a.text), &body); err != nil {
			t.Fatal(err)
		}
		if body.Product != "Siltstone" || body.Version != "1.2.3" || body.Revision != "abcdef" || body.ProcessID == "" {
			t.Errorf("%+v", body)
		}
	}
}

func TestPingIsInfluxDB1sForThoseWhoCannotReadJSON(t *testing.T) {
	s := newSite(t, Options{Version: "1.2.3"}, false)
	a := s.get("/ping", "Accept", "application/x-msgpack")
	if a.StatusCode != 204 || a.text != "" || a.Header.Get("X-Influxdb-Version") != "1.2.3" {
		t.Errorf("%s %v %q", a.Status, a.Header, a.text)
	}
	for _, accept := range []string{"*/*", "application/json", "application/x-msgpack, application/json", "text/html"} {
		if a := s.get("/ping", "Accept", accept); a.StatusCode != 200 {
			t.Errorf("Accept %s: %s", accept, a.Status)
		}
	}
}

func TestUnknownPathsAndMethodsAreJSONErrors(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.get("/nothing").is(t, 404, `{"error":"not found: /nothing"}`)
	s.get("/").is(t, 404, `{"error":"not found: /"}`)
	a := s.get("/api/v3/write_lp")
	a.is(t, 405, `{"error":"method GET is not allowed for /api/v3/write_lp; use POST"}`)
	if got := a.Header.Get("Allow"); got != "POST" {
		t.Errorf("Allow %q", got)
	}
	a = s.do(http.MethodDelete, "/api/v3/query_sql", nil)
	a.is(t, 405, `{"error":"method DELETE is not allowed for /api/v3/query_sql; use GET, HEAD, POST"}`)
}

// logged returns a logger and what it wrote.
func logged() (*slog.Logger, *bytes.Buffer) {
	var buf bytes.Buffer
	return slog.New(slog.NewTextHandler(&buf, nil)), &buf
}

// handle runs h as the route /x of a fresh server.
func handle(t *testing.T, opts Options, h handler) (*Server, *httptest.ResponseRecorder) {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.handle(route{method: "GET", path: "/x", access: forAnyone, handler: h})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/x", nil))
	return s, w
}

func TestFaultsOfOursStayInTheLog(t *testing.T) {
	for name, h := range map[string]handler{
		"error": func(*backend, http.ResponseWriter, *http.Request) error { return errors.New("secret path") },
		"panic": func(*backend, http.ResponseWriter, *http.Request) error { panic("secret path") },
	} {
		t.Run(name, func(t *testing.T) {
			log, out := logged()
			s, w := handle(t, Options{Logger: log}, h)
			id := w.Header().Get("X-Request-Id")
			if w.Code != 500 || strings.Contains(w.Body.String(), "secret") || !strings.Contains(w.Body.String(), id) {
				t.Errorf("answered %d %s", w.Code, w.Body)
			}
			if !strings.Contains(out.String(), "secret path") || !strings.Contains(out.String(), id) {
				t.Errorf("logged %s", out)
			}
			panics := metricLine(t, s, "siltstone_http_panics_total")
			if want := map[string]string{"error": "0", "panic": "1"}[name]; panics != want {
				t.Errorf("counted %s panics", panics)
			}
		})
	}
}

// metricLine returns the value of one series of /metrics.
func metricLine(t *testing.T, s *Server, series string) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "http://localhost/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in\n%s", series, w.Body)
	return ""
}

func TestRequestsAreCountedByRouteAndStatus(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.get("/ping")
	s.get("/ping")
	s.get("/health")
	s.get("/../../etc/passwd")
	s.get("/whatever")
	for series, want := range map[string]string{
		`siltstone_http_request_duration_seconds_count{route="/ping",status="200"}`:   "2",
		`siltstone_http_request_duration_seconds_count{route="/health",status="200"}`: "1",
		`siltstone_http_request_duration_seconds_count{route="other",status="404"}`:   "2",
		`siltstone_http_requests_in_flight`:                                           "1", // the one for /metrics
	} {
		if got := metricLine(t, s.api, series); got != want {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
}

// TestResponseThatFailsHalfwayIsCutOff: the client must not take it for a whole one (H5).
func TestResponseThatFailsHalfwayIsCutOff(t *testing.T) {
	api, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	api.handle(route{method: "GET", path: "/x", access: forAnyone, handler: func(_ *backend, w http.ResponseWriter, r *http.Request) error {
		return stream(w, r, "text/csv", func(out io.Writer) error {
			if _, err := out.Write(bytes.Repeat([]byte("row\n"), streamBuffer)); err != nil {
				return err
			}
			return errors.New("the disk went away")
		})
	}})
	srv := httptest.NewServer(api)
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%d bytes were received as a whole result", len(body))
	}
	if got := metricLine(t, api, `siltstone_http_request_duration_seconds_count{route="/x",status="aborted"}`); got != "1" {
		t.Errorf("%s aborted requests were counted", got)
	}
}

func TestResultThatFailsAtOnceHasItsStatus(t *testing.T) {
	_, w := handle(t, Options{}, func(_ *backend, w http.ResponseWriter, r *http.Request) error {
		return stream(w, r, "text/csv", func(out io.Writer) error {
			if _, err := out.Write([]byte("row\n")); err != nil {
				return err
			}
			return badRequest("division by zero")
		})
	})
	if w.Code != 400 || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("answered %d %v", w.Code, w.Header())
	}
	if got := w.Body.String(); got != `{"error":"division by zero"}`+"\n" {
		t.Errorf("body %s", got)
	}
}

// TestResultIsSentWhileItIsMade reads the first rows before the last are written.
func TestResultIsSentWhileItIsMade(t *testing.T) {
	api, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan struct{})
	api.handle(route{method: "GET", path: "/x", access: forAnyone, handler: func(_ *backend, w http.ResponseWriter, r *http.Request) error {
		return stream(w, r, "text/csv", func(out io.Writer) error {
			if _, err := out.Write(bytes.Repeat([]byte("x"), streamBuffer)); err != nil {
				return err
			}
			select {
			case <-received:
			case <-r.Context().Done():
				return r.Context().Err()
			}
			_, err := out.Write([]byte("end"))
			return err
		})
	}})
	srv := httptest.NewServer(api)
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, streamBuffer)); err != nil {
		t.Fatal(err)
	}
	close(received)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "end" {
		t.Errorf("the rest is %q, %v", rest, err)
	}
}
