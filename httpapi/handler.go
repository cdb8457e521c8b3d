package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/siltstone-db/siltstone/engine"
)

// handler answers a request, or returns the error that answers it. An error after
// the first byte of the response cuts the connection (H5). The backend is nil only for
// routes that are answered before the engine is open.
type handler func(*backend, http.ResponseWriter, *http.Request) error

// requestIDHeader is set on every response and named in the log.
const requestIDHeader = "X-Request-Id"

// unreadBodyGrace is how long the answer to a request may wait for the rest of a body that
// nobody wants. Small bodies are there with their headers.
const unreadBodyGrace = 2 * time.Second

// otherRoute labels requests that match no route, so that hostile paths cannot make
// metric labels.
const otherRoute = "other"

// handle registers a route.
func (s *Server) handle(rt route) {
	s.mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) { s.serve(&rt, w, r) })
	if !strings.Contains(rt.path, "{") {
		s.fixed[endpoint{rt.method, rt.path}] = &rt
	}
	if rt.answer != nil {
		s.answers[rt.path] = rt.answer
	}
}

// endpoint is what ServeMux matches with a route that has no wildcards.
type endpoint struct{ method, path string }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	paced := newPacedWriter(w, r, s.opts.MaxStall)
	defer paced.end()
	s.conns.counted(paced, r, func(r *http.Request) { s.dispatch(paced, r) })
}

func (s *Server) dispatch(w *pacedWriter, r *http.Request) {
	if isGRPC(r) {
		s.serveGRPC(w, r)
		return
	}
	id := []string{uuid.Must(uuid.NewV7()).String()}
	h := w.Header()
	h[requestIDHeader], h["Request-Id"] = id, id
	if b := s.backend.Load(); b != nil {
		h["Cluster-Uuid"] = b.cluster
	}
	if rt := s.fixed[endpoint{r.Method, r.URL.Path}]; rt != nil && r.URL.RawPath == "" {
		s.serve(rt, w, r) // as ServeMux would, which finds it in some time
		return
	}
	if r.Method == http.MethodOptions {
		s.serve(&preflight, w, r)
		return
	}
	if fallback, pattern := s.mux.Handler(r); pattern == "" || !isClean(r.URL.EscapedPath()) {
		s.serve(s.unmatched(fallback, r), w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// isClean reports whether a path is as ServeMux wants it. It would answer others with a
// redirection, before it is known who asks.
func isClean(p string) bool {
	clean := path.Clean(p)
	return p == clean || p == clean+"/"
}

// serve runs a route's handler, answers its error, survives its panic and counts it all.
func (s *Server) serve(rt *route, w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	if r.Body != nil && r.Body != http.NoBody {
		// Before an answer goes out, net/http reads what is left of the body: of one that
		// no handler reads, as it was refused, that may never come. Who reads a body sets
		// a deadline of its own, see pacedReader.
		_ = http.NewResponseController(w).SetReadDeadline(start.Add(unreadBodyGrace))
	}
	rec := &recorder{ResponseWriter: w}
	s.metrics.inFlight.Inc()
	aborted := true
	defer func() {
		s.metrics.inFlight.Dec()
		s.metrics.observe(rt.path, rec.label(aborted), time.Since(start))
	}()
	if err := s.guard(rt, rec, r); err != nil {
		s.fail(rt, rec, r, err)
	}
	aborted = false
}

// guard lets a handler run if the request is admitted. It turns a panic into an error, so
// that it is answered and logged like any other fault of ours.
func (s *Server) guard(rt *route, w http.ResponseWriter, r *http.Request) (err error) {
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
	b, r, err := s.admit(rt, r)
	if err != nil {
		return err
	}
	return rt.handler(b, w, r)
}

// fail answers a request with an error, or cuts the connection when an answer is
// already on its way.
func (s *Server) fail(rt *route, w *recorder, r *http.Request, err error) {
	status, text := statusOf(err)
	id := w.Header().Get(requestIDHeader)
	if status == http.StatusInternalServerError {
		text = s.concealed(id, r, err)
	}
	if w.status != 0 {
		if r.Context().Err() == nil || isStall(err) {
			s.opts.Logger.Warn("response cut off", slog.String("request", id), slog.Any("error", err))
		}
		panic(http.ErrAbortHandler)
	}
	addErrorHeaders(w.Header(), status)
	if rt.answer != nil {
		rt.answer(w, r, status, text, err)
		return
	}
	writeJSON(w, status, errorBody{Error: text})
}

// concealed logs a fault of ours and returns what the client is told of it. That a file
// cannot be used was logged when it was found, and who asks for its rows needs to know.
func (s *Server) concealed(id string, r *http.Request, err error) string {
	var file *engine.FileError
	if errors.As(err, &file) {
		return file.Error()
	}
	s.opts.Logger.Error("request failed", slog.String("request", id),
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
	return "internal error; the server's log has the details under request id " + id
}

// addErrorHeaders sets what clients need to know about some errors (RFC 9110).
func addErrorHeaders(h http.Header, status int) {
	switch status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfterSeconds)
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="siltstone"`)
	case http.StatusMethodNotAllowed:
		if _, ok := h["Allow"]; !ok {
			h.Set("Allow", "") // no method would do
		}
	}
}

// preflight answers what browsers ask before they let a page send a request.
var preflight = route{path: otherRoute, access: forAnyone, handler: func(_ *backend, w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "*")
	h.Set("Access-Control-Allow-Headers", "*, Authorization") // which the star does not cover
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
	return nil
}}

// unmatched answers a request that no route takes, with the status that ServeMux
// chose: 404, or 405 and Allow. Only known senders learn which paths exist.
func (s *Server) unmatched(fallback http.Handler, r *http.Request) *route {
	refuse := func(_ *backend, w http.ResponseWriter, r *http.Request) error {
		probe := &headerProbe{header: http.Header{}}
		fallback.ServeHTTP(probe, r)
		if probe.status != http.StatusMethodNotAllowed {
			return &requestError{http.StatusNotFound, "not found: " + r.URL.Path}
		}
		allow := probe.header.Get("Allow")
		w.Header().Set("Allow", allow)
		return &requestError{probe.status, fmt.Sprintf("method %s is not allowed for %s; use %s", r.Method, r.URL.Path, allow)}
	}
	answer := s.answers[r.URL.Path]
	if isIngestPath(r.URL.Path) {
		answer = s.ingest.AnswerError
	}
	return &route{path: otherRoute, access: forKnown, handler: refuse, answer: answer}
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
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	w.begin(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// begin notes the status of a response and lets pages of any origin read a success, as
// InfluxDB 3 does: what protects the data is the token, which a browser adds to no
// request by itself, and where there is none yet, isForeignPage.
func (w *recorder) begin(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if status < http.StatusBadRequest {
		w.Header()["Access-Control-Allow-Origin"] = anyOrigin
	}
}

var anyOrigin = []string{"*"} // shared, so that it is not changed

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
	return strconv.Itoa(w.status)
}
