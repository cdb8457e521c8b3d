package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/query"
)

// Options configure a Server. Zero values mean the default.
type Options struct {
	// Version and Revision are what /ping and /health say; "dev" and "unknown" by default.
	Version, Revision string
	// MaxRequestBytes bounds the body of a request, before and after decompression;
	// 0 is 10 MiB, as in InfluxDB 3.
	MaxRequestBytes int64
	// MaxBufferedBytes bounds the bodies of all requests together; a request beyond
	// it is answered 503. 0 is 256 MiB, but at least two largest requests.
	MaxBufferedBytes int64
	// Logger receives faults of ours; nil discards them.
	Logger *slog.Logger
	// Registry receives the metrics of this package and is what /metrics shows; nil
	// is a fresh one.
	Registry *prometheus.Registry
}

const (
	defaultMaxRequestBytes  = 10 << 20
	defaultMaxBufferedBytes = 256 << 20
)

// EnsureDefaults replaces zero values.
func (o *Options) EnsureDefaults() {
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Revision == "" {
		o.Revision = "unknown"
	}
	if o.MaxRequestBytes == 0 {
		o.MaxRequestBytes = defaultMaxRequestBytes
	}
	if o.MaxBufferedBytes == 0 {
		o.MaxBufferedBytes = max(defaultMaxBufferedBytes, 2*o.MaxRequestBytes)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
}

// Validate reports every fault at once.
func (o *Options) Validate() error {
	var faults []error
	if o.MaxRequestBytes < 0 {
		faults = append(faults, fmt.Errorf("MaxRequestBytes is %d", o.MaxRequestBytes))
	}
	if o.MaxBufferedBytes < o.MaxRequestBytes {
		faults = append(faults, fmt.Errorf("MaxBufferedBytes %d is below MaxRequestBytes %d", o.MaxBufferedBytes, o.MaxRequestBytes))
	}
	return errors.Join(faults...)
}

// Server is an http.Handler. Make one with New.
type Server struct {
	opts      Options
	mux       *http.ServeMux
	bodies    bodyReader
	metrics   *metrics
	processID string // of this run, shown by /ping

	backend  atomic.Pointer[backend] // nil until SetReady
	stopping atomic.Bool
	silent   silentConns
}

// backend is what requests work on once the data directory is recovered.
type backend struct {
	engine  *engine.Engine
	querier *query.Querier
}

// New returns a Server that is not ready yet (H1).
func New(opts Options) (*Server, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("http options: %w", err)
	}
	s := &Server{
		opts:      opts,
		mux:       http.NewServeMux(),
		bodies:    bodyReader{maxBytes: opts.MaxRequestBytes, maxBuffered: opts.MaxBufferedBytes},
		metrics:   newMetrics(opts.Registry),
		processID: uuid.NewString(),
	}
	s.routes()
	return s, nil
}

// routes lists every path once. ServeMux answers a wrong method with 405 and Allow,
// and lets HEAD follow GET.
func (s *Server) routes() {
	s.handle("POST /api/v3/write_lp", s.ready(s.writeLP))
	s.handle("GET /api/v3/query_sql", s.ready(s.querySQLGet))
	s.handle("POST /api/v3/query_sql", s.ready(s.querySQLPost))
	s.handle("POST /api/v3/flush", s.ready(s.flush))
	s.handle("GET /ping", s.ping)
	s.handle("POST /ping", s.ping)
	s.handle("GET /health", s.health)
	prom := promhttp.HandlerFor(s.opts.Registry, promhttp.HandlerOpts{})
	s.handle("GET /metrics", func(w http.ResponseWriter, r *http.Request) error {
		prom.ServeHTTP(w, r)
		return nil
	})
}

// SetReady lets requests in. It is called once.
func (s *Server) SetReady(e *engine.Engine, q *query.Querier) {
	s.backend.Store(&backend{engine: e, querier: q})
}

// SetStopping turns new requests away; those under way finish.
func (s *Server) SetStopping() {
	s.stopping.Store(true)
	s.silent.stop()
}

// open returns what requests work on, or why they are turned away (H1).
func (s *Server) open() (*backend, error) {
	if s.stopping.Load() {
		return nil, errStopping
	}
	if b := s.backend.Load(); b != nil {
		return b, nil
	}
	return nil, errStarting
}

// ready guards a handler that needs the engine.
func (s *Server) ready(next func(*backend, http.ResponseWriter, *http.Request) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		b, err := s.open()
		if err != nil {
			return err
		}
		return next(b, w, r)
	}
}

// HTTPServer returns an http.Server around s with time-outs that keep slow or silent
// clients from holding connections. It has none for writing, because a large result
// may take long; bodies have their own (see bodyReader).
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnState:         s.silent.track,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
	}
}
