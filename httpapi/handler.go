package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
)

// handler answers a request, or returns the error that answers it. An error after
// the first byte of the response cuts the connection (H5).
type handler func(http.ResponseWriter, *http.Request) error

// requestIDHeader is set on every response and named in the log.
const requestIDHeader = "X-Request-Id"

// otherRoute labels requests that match no route, so that hostile paths cannot make
// metric labels.
const otherRoute = "other"

// handle registers h under a ServeMux pattern.
func (s *Server) handle(pattern string, h handler) {
	_, route, _ := strings.Cut(pattern, " ")
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(route, h, w, r) })
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.Must(uuid.NewV7()).String()
	w.Header().Set(requestIDHeader, id)
	w.Header().Set("Request-Id", id)
	if fallback, pattern := s.mux.Handler(r); pattern == "" {
		s.serve(otherRoute, unmatched(fallback), w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// serve runs a handler, answers its error, survives its panic and counts it all.
func (s *Server) serve(route string, h handler, w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	rec := &recorder{ResponseWriter: w}
	s.metrics.inFlight.Inc()
	aborted := true
	defer func() {
		s.metrics.inFlight.Dec()
		s.metrics.observe(route, rec.label(aborted), time.Since(start))
	}()
	if err := s.guard(h, rec, r); err != nil {
		s.fail(rec, r, err)
	}
	aborted = false
}

// guard turns a panic of h into an error, so that it is answered and logged like any
// other fault of ours.
func (s *Server) guard(h handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler)
		}
		s.metrics.panics.Inc()
		err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	}()
	return h(w, r)
}

// fail answers a request with an error, or cuts the connection when an answer is
// already on its way.
func (s *Server) fail(w *recorder, r *http.Request, err error) {
	status, text := statusOf(err)
	id := w.Header().Get(requestIDHeader)
	if status == http.StatusInternalServerError {
		text = "internal error; the server's log has the details under request id " + id
		s.opts.Logger.Error("request failed", slog.String("request", id),
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	if w.status != 0 {
		if r.Context().Err() == nil {
			s.opts.Logger.Warn("response cut off", slog.String("request", id), slog.Any("error", err))
		}
		panic(http.ErrAbortHandler)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfterSeconds)
	}
	writeJSON(w, status, errorBody{Error: text})
}

// unmatched answers a request that no route takes, with the status that ServeMux
// chose: 404, or 405 and Allow.
func unmatched(fallback http.Handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		probe := &headerProbe{header: http.Header{}}
		fallback.ServeHTTP(probe, r)
		if probe.status != http.StatusMethodNotAllowed {
			return &requestError{http.StatusNotFound, "not found: " + r.URL.Path}
		}
		allow := probe.header.Get("Allow")
		w.Header().Set("Allow", allow)
		return &requestError{probe.status, fmt.Sprintf("method %s is not allowed for %s; use %s", r.Method, r.URL.Path, allow)}
	}
}

// headerProbe keeps a response's status and headers and drops its body.
type headerProbe struct {
	header http.Header
	status int
}

func (p *headerProbe) Header() http.Header         { return p.header }
func (p *headerProbe) WriteHeader(status int)      { p.status = status }
func (p *headerProbe) Write(b []byte) (int, error) { return len(b), nil }

// recorder remembers the status that was sent; 0 means that nothing was sent yet.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// label is the status as metrics show it.
func (w *recorder) label(aborted bool) string {
	switch {
	case aborted:
		return "aborted"
	case w.status == 0:
		return "200" // net/http sends it when a handler writes nothing
	}
	return fmt.Sprint(w.status)
}
