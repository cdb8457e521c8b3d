package flight

import (
	"log/slog"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress what they send, and are answered alike

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/query"
)

// maxRequestBytes bounds a message of a client after decompression. A query's text has at
// most query.DefaultMaxSQLBytes, the rest is for parameters; it is the limit that
// HTTP requests have by default.
const maxRequestBytes = 10 << 20

// Options configure a Server. Zero values mean the default.
type Options struct {
	// Version is what clients are told of the server; "" is "dev".
	Version string
	// Logger receives faults of ours, and at level debug the calls; nil discards them.
	Logger *slog.Logger
	// Registerer receives the metrics of this package; nil keeps them to itself.
	Registerer prometheus.Registerer
}

// EnsureDefaults replaces zero values.
func (o *Options) EnsureDefaults() {
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
}

// Server answers Flight calls. Make one with New.
type Server struct {
	opts    Options
	metrics *metrics
	backend atomic.Pointer[backend] // nil until SetReady
}

// backend is what calls work on once the data directory is recovered.
type backend struct {
	engine  *engine.Engine
	querier *query.Querier
}

// New returns a Server that answers Unavailable until SetReady.
func New(opts Options) *Server {
	opts.EnsureDefaults()
	return &Server{opts: opts, metrics: newMetrics(opts.Registerer)}
}

// SetReady lets calls in. It is called once.
func (s *Server) SetReady(e *engine.Engine, q *query.Querier) {
	s.backend.Store(&backend{engine: e, querier: q})
}

// GRPC returns what answers the calls: an http.Handler for HTTP/2 requests whose context has
// an auth.Identity. It must not be made to listen itself, as then nobody would be known.
func (s *Server) GRPC() *grpc.Server {
	g := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
	)
	sql := newSQLServer(s)
	flight.RegisterFlightServiceServer(g, &service{FlightServer: flightsql.NewFlightServer(sql), sql: sql, server: s})
	return g
}

// open returns what calls work on.
func (s *Server) open() (*backend, error) {
	if b := s.backend.Load(); b != nil {
		return b, nil
	}
	return nil, errStarting
}

// service is Flight: what is not about Flight SQL is answered here, the rest by the embedded
// server, which decodes commands and calls sqlServer.
type service struct {
	flight.FlightServer
	sql    *sqlServer
	server *Server
}

// sqlServer answers the commands of Flight SQL. What it does not define is Unimplemented (F5).
type sqlServer struct {
	flightsql.BaseServer
	*Server
	infos map[flightsql.SqlInfo]any
	bound bindings
}
