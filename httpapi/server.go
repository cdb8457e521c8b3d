package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/ingestapi"
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
	// WriteContract says how writes are answered; "" is ContractCore.
	WriteContract Contract
	// DisableAutoCreate answers 404 to writes to a database that does not exist; without
	// it the first write creates the database.
	DisableAutoCreate bool
	// WriteQuotaRequests and WriteQuotaBytes bound the writes of one token, or of
	// everyone together where no token is asked for, in each WriteQuotaWindow: how many
	// requests, and how many bytes of line protocol after decompression. 0 is no bound.
	WriteQuotaRequests, WriteQuotaBytes int64
	// WriteQuotaWindow is the length of the fixed windows of the write quota; 0 is five
	// minutes, as in InfluxDB Cloud.
	WriteQuotaWindow time.Duration
	// MaxConnections bounds the connections that Limit accepts, and the requests at once on all
	// of them; 0 is 10,000.
	MaxConnections int
	// MaxStall is how long a client may take nothing of an answer until the answer is ended,
	// and with it the query that makes it; 0 is a minute.
	MaxStall time.Duration
	// IngestRequestsPerMinute bounds the requests to each endpoint of each datasource of
	// the Ingest API; 0 is 600.
	IngestRequestsPerMinute int
	// WithoutAuth answers everyone and asks for no token.
	WithoutAuth bool
	// OpenWithoutTokens answers everyone as long as there is no token at all, for a
	// server that only its own machine can reach.
	OpenWithoutTokens bool
	// DisableAuthz names routes that need no token: any of health, ping and metrics.
	DisableAuthz []string
	// GRPC answers the gRPC requests on the port, once they are admitted like any other:
	// auth.IdentityOf tells it who sent one. nil refuses them.
	GRPC http.Handler
	// Now is the clock that tokens expire by, quotas are counted by and compactions tell of themselves by; nil is time.Now.
	Now func() time.Time
	// Logger receives faults of ours; nil discards them.
	Logger *slog.Logger
	// Registry receives the metrics of this package and is what /metrics shows; nil
	// is a fresh one.
	Registry *prometheus.Registry
}

const (
	defaultMaxRequestBytes  = 10 << 20
	defaultMaxBufferedBytes = 256 << 20
	defaultWriteQuotaWindow = 5 * time.Minute
	defaultMaxStall         = time.Minute
	defaultMaxConnections   = 10_000
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
	if o.WriteContract == "" {
		o.WriteContract = ContractCore
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = defaultMaxConnections
	}
	if o.MaxStall == 0 {
		o.MaxStall = defaultMaxStall
	}
	if o.WriteQuotaWindow == 0 {
		o.WriteQuotaWindow = defaultWriteQuotaWindow
	}
	if o.Now == nil {
		o.Now = time.Now
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
	if o.MaxConnections < 0 {
		faults = append(faults, fmt.Errorf("MaxConnections is %d", o.MaxConnections))
	}
	if o.MaxStall < 0 {
		faults = append(faults, fmt.Errorf("MaxStall is %s", o.MaxStall))
	}
	for _, name := range o.DisableAuthz {
		if !slices.Contains(exemptible, name) {
			faults = append(faults, fmt.Errorf("DisableAuthz names %q; it can name %s", name, strings.Join(exemptible, ", ")))
		}
	}
	if err := o.WriteContract.Validate(); err != nil {
		faults = append(faults, err)
	}
	if o.WriteQuotaRequests < 0 || o.WriteQuotaBytes < 0 || o.WriteQuotaWindow < time.Second {
		faults = append(faults, fmt.Errorf("the write quota is %d requests and %d bytes in %s; it cannot be negative, nor its window below a second",
			o.WriteQuotaRequests, o.WriteQuotaBytes, o.WriteQuotaWindow))
	}
	return errors.Join(faults...)
}

// exemptible are the routes that DisableAuthz can name: the paths without the slash.
var exemptible = []string{"health", "ping", "metrics"}

// Server is an http.Handler. Make one with New.
type Server struct {
	opts      Options
	mux       *http.ServeMux
	fixed     map[endpoint]*route    // those whose paths have no wildcards
	answers   map[string]errorWriter // of paths whose routes have one
	exempt    map[string]bool        // paths of DisableAuthz
	tokens    tokenIndex
	ingest    *ingestapi.API
	bodies    bodyReader
	quota     writeQuota
	metrics   *metrics
	processID string // of this run, shown by /ping

	backend  atomic.Pointer[backend] // nil until SetReady
	stopping atomic.Bool
	stop     chan struct{} // closed by SetStopping, for requests that only wait
	silent   silentConns
	conns    connections
}

// backend is what requests work on once the data directory is recovered.
type backend struct {
	engine  *engine.Engine
	querier *query.Querier
	cluster []string // the header Cluster-Uuid
}

// New returns a Server that is not ready yet (H1).
func New(opts Options) (*Server, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("http options: %w", err)
	}
	ingest, err := ingestapi.New(ingestapi.Options{RequestsPerMinute: opts.IngestRequestsPerMinute, Now: opts.Now})
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts:      opts,
		mux:       http.NewServeMux(),
		fixed:     make(map[endpoint]*route),
		answers:   make(map[string]errorWriter),
		exempt:    make(map[string]bool),
		ingest:    ingest,
		bodies:    bodyReader{maxBytes: opts.MaxRequestBytes, maxBuffered: opts.MaxBufferedBytes},
		quota:     writeQuota{requests: opts.WriteQuotaRequests, bytes: opts.WriteQuotaBytes, window: opts.WriteQuotaWindow, now: opts.Now},
		metrics:   newMetrics(opts.Registry),
		processID: uuid.NewString(),
		stop:      make(chan struct{}),
	}
	s.conns.max, s.conns.metrics, s.conns.handler = opts.MaxConnections, s.metrics, s
	for _, name := range opts.DisableAuthz {
		s.exempt["/"+name] = true
	}
	for _, rt := range s.routes() {
		s.handle(rt)
	}
	return s, nil
}

// SetReady lets requests in. It is called once.
func (s *Server) SetReady(e *engine.Engine, q *query.Querier) {
	s.backend.Store(&backend{engine: e, querier: q, cluster: []string{e.InstanceID()}})
}

// SetStopping turns new requests away; those under way finish.
func (s *Server) SetStopping() {
	if !s.stopping.Swap(true) {
		close(s.stop)
	}
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

const (
	// maxStreams is what RFC 9113 asks servers not to go below.
	maxStreams = 100
	// maxStreamBuffer is what one HTTP/2 request may send before its handler reads, and so what
	// each query that waits for its turn may hold. It lets 5 MB/s come over 50 ms of distance.
	maxStreamBuffer = 256 << 10
	// idleTimeout is how long a connection may rest between two requests.
	idleTimeout = 2 * time.Minute
)

// HTTPServer returns an http.Server around s with time-outs that keep slow or silent
// clients from holding connections. It has none for a whole answer, because a large result
// may take long; answers and bodies have their own (see pacedWriter and bodyReader).
//
// It speaks HTTP/1.1 and HTTP/2, the latter also without TLS to a client that knows it
// beforehand, as clients of gRPC do.
func (s *Server) HTTPServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:   s,
		Protocols: protocols,
		HTTP2: &http.HTTP2Config{
			WriteByteTimeout:          s.opts.MaxStall,
			MaxConcurrentStreams:      maxStreams,
			MaxReceiveBufferPerStream: maxStreamBuffer,
		},
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ConnState:         s.track,
		ConnContext:       nameConnection,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
	}
}

// track is an http.Server's ConnState.
func (s *Server) track(c net.Conn, state http.ConnState) {
	s.silent.track(c, state)
	if limited, ok := c.(*limitedConn); ok && state == http.StateIdle {
		limited.repeats.rest()
	}
}
