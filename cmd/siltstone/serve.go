package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/flight"
	"github.com/siltstone-db/siltstone/httpapi"
	"github.com/siltstone-db/siltstone/query"
)

type serveCmd struct {
	DataDir     string    `help:"Directory that holds everything. One server at a time uses it. Default: ${default}." default:"~/.siltstone/data" env:"SILTSTONE_DATA_DIR,INFLUXDB3_DATA_DIR,INFLUXDB3_DB_DIR" placeholder:"DIR"`
	ObjectStore string    `help:"file keeps the data in --data-dir; memory keeps them in RAM and drops them at the end. Default: ${default}." default:"file" env:"SILTSTONE_OBJECT_STORE,INFLUXDB3_OBJECT_STORE" placeholder:"KIND"`
	NodeID      string    `help:"Name of this server in its log." env:"SILTSTONE_NODE_ID,INFLUXDB3_NODE_ID,INFLUXDB3_NODE_IDENTIFIER_PREFIX" placeholder:"NAME"`
	HTTPBind    string    `name:"http-bind" help:"Address to listen on; port 0 takes a free one. Default: ${default}." default:"127.0.0.1:8181" env:"SILTSTONE_HTTP_BIND,INFLUXDB3_HTTP_BIND_ADDR" placeholder:"ADDR"`
	AddressFile string    `name:"tcp-listener-file-path" help:"File that receives the address in use once the server is ready." env:"SILTSTONE_TCP_LISTENER_FILE_PATH,INFLUXDB3_TCP_LISTENER_FILE_PATH,INFLUXDB3_TCP_LISTINER_FILE_PATH" placeholder:"FILE"`
	Pool        poolSize  `name:"exec-mem-pool-bytes" help:"Memory for buffered rows, for writing Parquet and for queries: a size, or a share of the memory there is. Default: ${default}." default:"20%" env:"SILTSTONE_EXEC_MEM_POOL_BYTES,INFLUXDB3_EXEC_MEM_POOL_BYTES,INFLUXDB3_EXEC_MEM_POOL_SIZE" placeholder:"SIZE"`
	Gen1        duration  `name:"gen1-duration" help:"How long rows stay in memory before they become Parquet; at least 1s. They are durable from the start. Default: ${default}." default:"10m" env:"SILTSTONE_GEN1_DURATION,INFLUXDB3_GEN1_DURATION" placeholder:"DURATION"`
	Compaction  string    `help:"on merges Parquet files into fewer in the background, off does not; siltstone compact works with both. Default: ${default}." enum:"on,off" default:"on" env:"SILTSTONE_COMPACTION"`
	CompactRate quotaSize `name:"compaction-bandwidth" help:"Bytes of Parquet that compaction reads in a second; 0 is no bound. Default: ${default}." default:"32MiB" env:"SILTSTONE_COMPACTION_BANDWIDTH" placeholder:"SIZE"`
	LogLevel    string    `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"SILTSTONE_LOG_LEVEL"`

	AdminTokenFile string   `group:"Access:" help:"File that holds the first admin token, as the token alone or in InfluxDB 3's JSON, for a server that is to be closed from its first second. Ignored once there is such a token. Only its owner may have access to the file." env:"SILTSTONE_ADMIN_TOKEN_FILE,INFLUXDB3_ADMIN_TOKEN_FILE" placeholder:"FILE"`
	WithoutAuth    bool     `group:"Access:" help:"Ask nobody for a token: everybody who reaches the address may do everything." env:"SILTSTONE_WITHOUT_AUTH,INFLUXDB3_WITHOUT_AUTH,INFLUXDB3_START_WITHOUT_AUTH"`
	DisableAuthz   []string `group:"Access:" help:"Routes that need no token, with commas between them: health, ping, metrics." enum:"health,ping,metrics" env:"SILTSTONE_DISABLE_AUTHZ,INFLUXDB3_DISABLE_AUTHZ" placeholder:"ROUTE"`

	serveTLSFlags

	WriteContract httpapi.Contract `group:"Writes:" help:"Whose status codes and bodies answer writes: core (InfluxDB 3 Core), dedicated or serverless (InfluxDB Cloud). What is stored is the same. Default: ${default}." enum:"core,dedicated,serverless" default:"core" env:"SILTSTONE_WRITE_CONTRACT" placeholder:"NAME"`
	AutoCreate    bool             `group:"Writes:" help:"Create a database when it is first written to. With --no-auto-create such a write is answered 404." default:"true" negatable:"" env:"SILTSTONE_AUTO_CREATE"`

	RejectedRetention duration `name:"rejected-points-retention" group:"Writes:" help:"How long points that were rejected are kept for siltstone rejected; 0 keeps none and costs nothing. Default: ${default}." default:"168h" env:"SILTSTONE_REJECTED_POINTS_RETENTION" placeholder:"DURATION"`
	RejectedMaxSize   byteSize `name:"rejected-points-max-size" group:"Writes:" help:"Room for them on disk; the oldest go first. Default: ${default}." default:"64MB" env:"SILTSTONE_REJECTED_POINTS_MAX_SIZE" placeholder:"SIZE"`

	MaxRequest         byteSize  `name:"max-http-request-size" group:"Limits:" help:"Largest body of a request, before and after decompression. Default: ${default}." default:"10485760" env:"SILTSTONE_MAX_HTTP_REQUEST_SIZE,INFLUXDB3_MAX_HTTP_REQUEST_SIZE" placeholder:"SIZE"`
	MaxConnections     int       `group:"Limits:" help:"Connections there may be, and requests at once on all of them. At the bound a new one takes the place of the one that has been idle for longest; if none is idle, it is answered 503. Default: half of the files that the process may open, at most ${max_connections}, and less with little memory." default:"0" env:"SILTSTONE_MAX_CONNECTIONS" placeholder:"N"`
	MinFreeDisk        freeDisk  `name:"min-free-disk" group:"Limits:" help:"Free part of the disk that writes leave alone, as a size or a share of the disk: below it they are answered 503 until there is space, and flushes, deletes and queries go on. 0 is none. Default: 5% or 256MiB, whichever is less." env:"SILTSTONE_MIN_FREE_DISK" placeholder:"SIZE"`
	MaxDatabases       int       `group:"Limits:" help:"Databases there may be. Default: ${default}." default:"${max_databases}" env:"SILTSTONE_MAX_DATABASES" placeholder:"N"`
	MaxTables          int       `group:"Limits:" help:"Tables there may be in all databases together. Default: ${default}, and less with little memory." default:"${max_tables}" env:"SILTSTONE_MAX_TABLES" placeholder:"N"`
	MaxColumns         int       `group:"Limits:" help:"Tags and fields that one table may have. Default: ${default}." default:"${max_columns}" env:"SILTSTONE_MAX_COLUMNS" placeholder:"N"`
	WriteQuotaRequests int64     `group:"Limits:" help:"Write requests that one token may send in a window; more are answered 429 until the next. Default: no bound." default:"0" env:"SILTSTONE_WRITE_QUOTA_REQUESTS" placeholder:"N"`
	WriteQuotaBytes    quotaSize `group:"Limits:" help:"Line protocol that one token may send in a window, decompressed. Default: no bound." default:"0" env:"SILTSTONE_WRITE_QUOTA_BYTES" placeholder:"SIZE"`
	WriteQuotaWindow   duration  `group:"Limits:" help:"Length of the windows, at least 1s. Default: ${default}." default:"5m" env:"SILTSTONE_WRITE_QUOTA_WINDOW" placeholder:"DURATION"`
	QueryTimeout       duration  `group:"Limits:" help:"How long a query may take, from its arrival to the end of its answer; one that takes longer fails with 504. 0 is no bound. Default: ${default}." default:"0" env:"SILTSTONE_QUERY_TIMEOUT" placeholder:"DURATION"`
	MaxQueries         int       `name:"max-concurrent-queries" group:"Limits:" help:"Queries that run at once; up to ${max_queued} more wait for their turn, and others are answered 503. Default: two for each processor, at least 8." env:"SILTSTONE_MAX_CONCURRENT_QUERIES,INFLUXDB3_MAX_CONCURRENT_QUERIES" placeholder:"N"`
	QuerySpill         byteSize  `name:"query-spill-max-bytes" group:"Limits:" help:"Room on disk, in query-spill below --data-dir, for what queries cannot hold in memory. Default: ${default}." default:"10GiB" env:"SILTSTONE_QUERY_SPILL_MAX_BYTES" placeholder:"SIZE"`
	QueryLogSize       int       `group:"Limits:" help:"Queries that system.queries remembers after their end; 0 is none. Default: ${default}." default:"1000" env:"SILTSTONE_QUERY_LOG_SIZE,INFLUXDB3_QUERY_LOG_SIZE" placeholder:"N"`
	IngestRateLimit    int       `group:"Limits:" help:"Requests a minute to each endpoint of each datasource of the Ingest API. Default: ${default}." default:"600" env:"SILTSTONE_INGEST_RATE_LIMIT" placeholder:"N"`
}

// Help is the long text of --help.
func (*serveCmd) Help() string {
	return `Every flag can be set by the environment variable named behind it, which is also how
settings of InfluxDB 3 are taken over. Ctrl-C, SIGTERM or SIGHUP stops the server in an orderly
way; a second one ends it at once. Neither loses an acknowledged write.

As long as there is no token, everybody on this machine may do everything, and the server
refuses to listen on an address that others can reach. The first token closes it at once:
siltstone create token --admin.

Examples:

  siltstone serve --data-dir ./data
  siltstone serve --data-dir ./data --http-bind 0.0.0.0:8181 --admin-token-file admin.token
  siltstone serve --object-store memory --http-bind 127.0.0.1:0
  siltstone serve --data-dir ./data --tls-cert server.crt --tls-key server.key
  siltstone serve --data-dir ./data --exec-mem-pool-bytes 35% --gen1-duration 1h
  siltstone serve --data-dir ./data --write-contract serverless --no-auto-create`
}

// minQueryBytes is what DuckDB needs to run anything useful.
const minQueryBytes = 32 << 20

// stopTimeout is how long an orderly stop may take (C2). From leaveTime before its end on
// nothing is waited for any more: a process ends when the disk has done what it is doing.
const (
	stopTimeout = 10 * time.Second
	leaveTime   = 2 * time.Second
)

// Validate reports every fault of the flags at once; kong calls it after parsing.
func (c *serveCmd) Validate() error {
	var faults []error
	for _, f := range []struct {
		name  string
		value duration
	}{{"gen1-duration", c.Gen1}, {"write-quota-window", c.WriteQuotaWindow}} {
		if time.Duration(f.value) < time.Second {
			faults = append(faults, fmt.Errorf("--%s %s is shorter than 1s", f.name, time.Duration(f.value)))
		}
	}
	for _, f := range []struct {
		name       string
		value, min int64
	}{
		{"max-connections", int64(c.MaxConnections), 0},
		{"max-databases", int64(c.MaxDatabases), 1},
		{"max-tables", int64(c.MaxTables), 1},
		{"max-columns", int64(c.MaxColumns), 1},
		{"ingest-rate-limit", int64(c.IngestRateLimit), 1},
		{"write-quota-requests", c.WriteQuotaRequests, 0},
		{"max-concurrent-queries", int64(c.MaxQueries), 0},
		{"query-log-size", int64(c.QueryLogSize), 0},
	} {
		if f.value < f.min {
			faults = append(faults, fmt.Errorf("--%s %d is less than %d", f.name, f.value, f.min))
		}
	}
	if c.ObjectStore != "file" && c.ObjectStore != "memory" {
		faults = append(faults, fmt.Errorf("--object-store %s is not supported; Siltstone keeps data on local disk (file) or in RAM (memory)", c.ObjectStore))
	}
	if _, _, err := net.SplitHostPort(c.HTTPBind); err != nil {
		faults = append(faults, fmt.Errorf("--http-bind %q is not an address such as 127.0.0.1:8181: %w", c.HTTPBind, err))
	}
	if c.QueryTimeout < 0 {
		faults = append(faults, fmt.Errorf("--query-timeout %s is negative; 0 is no bound", time.Duration(c.QueryTimeout)))
	}
	return errors.Join(faults...)
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, env environment) error {
	// Whoever read the log may be gone; a line that nobody takes must not end the server.
	signal.Ignore(syscall.SIGPIPE)
	log := c.logger(env)
	first, err := c.firstToken()
	if err != nil {
		return err
	}
	dir, cleanup, err := c.openStore()
	if err != nil {
		return err
	}
	defer cleanup()
	total := availableMemory(os.DirFS("/"))
	pool := min(c.Pool.of(total), total)
	limitGoMemory(total, 0)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent(pool))
	}
	s, err := c.listen(log, pool)
	if err != nil {
		return err
	}
	log.Info("listening; recovering the data directory", "address", s.addr(), "data_dir", dir,
		"version", version, "memory", formatBytes(total), "pool", formatBytes(pool))
	if err := c.start(ctx, s, c.engineOptions(dir, pool, s), first); err != nil {
		return errors.Join(err, s.stop())
	}
	limitGoMemory(total, s.engine.QueryMemoryBytes())
	log.Info("ready", "address", s.addr())
	select {
	case <-ctx.Done():
		log.Info("stopping; a second signal ends the process at once")
		return s.stop()
	case err := <-s.failed:
		return errors.Join(fmt.Errorf("http server: %w", err), s.stop())
	}
}

// firstToken reads --admin-token-file; nil is none.
func (c *serveCmd) firstToken() (*adminToken, error) {
	if c.AdminTokenFile == "" {
		return nil, nil
	}
	t, err := readAdminToken(c.AdminTokenFile)
	if err != nil {
		return nil, fmt.Errorf("--admin-token-file: %w", err)
	}
	return &t, nil
}

func (c *serveCmd) engineOptions(dir string, pool int64, s *server) engine.Options {
	return engine.Options{
		DataDir: dir, Logger: s.log, Registerer: s.registry,
		Gen1Duration: time.Duration(c.Gen1), PoolBytes: pool,
		Limits:            catalog.Limits{Databases: c.MaxDatabases, Tables: tablesLimit(c.MaxTables, availableMemory(os.DirFS("/"))), Columns: c.MaxColumns},
		RejectedRetention: time.Duration(c.RejectedRetention), RejectedMaxBytes: int64(c.RejectedMaxSize),
		MinFreeDisk: engine.MinFreeDisk(c.MinFreeDisk),
		Compaction:  c.Compaction == "on", CompactionBandwidth: cmp.Or(int64(c.CompactRate), -1),
	}
}

// start recovers the data directory, makes sure that strangers stay outside, and then
// lets requests in.
func (c *serveCmd) start(ctx context.Context, s *server, opts engine.Options, first *adminToken) error {
	if err := s.recover(ctx, opts); err != nil {
		return err
	}
	if first != nil {
		if err := first.install(s.engine, time.Now()); err != nil {
			return err
		}
	}
	whom, err := audienceOf(s.listener.Addr(), c.WithoutAuth, auth.NewIndex(s.engine.Tokens()))
	if err != nil {
		return err
	}
	if err := s.letIn(c.queryOptions(s, opts.DataDir)); err != nil {
		return err
	}
	whom.announce(s.log, c.scheme()+"://"+s.addr())
	return s.writeAddress(c.AddressFile)
}

// limitGoMemory sets the Go runtime's limit unless the user did.
func limitGoMemory(total, queries int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(goMemoryLimit(total, queries))
	}
}

func (c *serveCmd) logger(env environment) *slog.Logger {
	var level slog.Level
	// kong has checked the name.
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: level}))
	if c.NodeID != "" {
		log = log.With("node", c.NodeID)
	}
	return log
}

// openStore returns the data directory and what to do when it is not needed any more.
func (c *serveCmd) openStore() (dir string, cleanup func(), err error) {
	if c.ObjectStore == "memory" {
		base := "/dev/shm"
		if info, err := os.Stat(base); err != nil || !info.IsDir() {
			base = os.TempDir()
		}
		dir, err := os.MkdirTemp(base, "siltstone-")
		if err != nil {
			return "", nil, fmt.Errorf("directory for --object-store memory: %w", err)
		}
		return dir, func() { _ = os.RemoveAll(dir) }, nil
	}
	dir, err = expandHome(c.DataDir)
	return dir, func() {}, err
}

// expandHome makes a path absolute, with ~ for the user's home directory.
func expandHome(path string) (string, error) {
	if rest, ok := cutTilde(path); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("%s: %w; name the directory with --data-dir", path, err)
		}
		path = filepath.Join(home, rest)
	}
	return filepath.Abs(path)
}

func cutTilde(path string) (rest string, ok bool) {
	if path == "~" {
		return "", true
	}
	if len(path) > 1 && path[0] == '~' && os.IsPathSeparator(path[1]) {
		return path[2:], true
	}
	return "", false
}

// server is everything that runs, from listen to stop.
type server struct {
	log      *slog.Logger
	listener net.Listener
	api      *httpapi.Server
	flight   *flight.Server
	http     *http.Server
	door     *door
	registry *prometheus.Registry
	failed   chan error // receives why the HTTP server ended by itself

	engine      *engine.Engine // nil until open
	querier     *query.Querier
	stopRollups func() // ends what computes rollups by the querier; nil before
	addressFile string // to remove at the end
}

// listen answers HTTP from here on, with 503 until letIn.
func (c *serveCmd) listen(log *slog.Logger, pool int64) (*server, error) {
	secure, err := c.config(log)
	if err != nil {
		return nil, err
	}
	files, err := openFileLimit()
	if err != nil {
		return nil, err
	}
	connections, err := maxConnections(c.MaxConnections, files, availableMemory(os.DirFS("/")))
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.HTTPBind)
	if err != nil {
		return nil, fmt.Errorf("%w\nTake another address with --http-bind, or port 0 for a free one", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	calls := flight.New(flight.Options{Version: version, Logger: log, Registerer: registry})
	api, err := httpapi.New(httpapi.Options{
		Version: version, Revision: revision(),
		MaxRequestBytes:         int64(c.MaxRequest),
		MaxConnections:          connections,
		MaxBufferedBytes:        bodiesLimit(pool, int64(c.MaxRequest)),
		WriteContract:           c.WriteContract,
		DisableAutoCreate:       !c.AutoCreate,
		WriteQuotaRequests:      c.WriteQuotaRequests,
		WriteQuotaBytes:         int64(c.WriteQuotaBytes),
		WriteQuotaWindow:        time.Duration(c.WriteQuotaWindow),
		WithoutAuth:             c.WithoutAuth,
		OpenWithoutTokens:       isLoopback(listener.Addr()),
		DisableAuthz:            c.DisableAuthz,
		IngestRequestsPerMinute: c.IngestRateLimit,
		GRPC:                    calls.GRPC(),
		Logger:                  log, Registry: registry,
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &server{
		log: log, listener: api.Limit(listener), api: api, flight: calls, http: api.HTTPServer(),
		registry: registry, failed: make(chan error, 1),
	}
	s.door = &door{Handler: api}
	s.door.isOpen.Store(c.WithoutAuth || isLoopback(listener.Addr()))
	s.http.Handler, s.http.TLSConfig = s.door, secure
	go func() {
		if err := s.serve(); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	return s, nil
}

// serve answers until the server is shut down.
func (s *server) serve() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "") // the configuration has the certificate
	}
	return s.http.Serve(s.listener)
}

func (s *server) addr() string { return s.listener.Addr().String() }

// recover opens the data directory. That cannot be interrupted, but a process that is
// asked to stop meanwhile need not wait for it: being killed then is as safe as at any
// other time.
func (s *server) recover(ctx context.Context, opts engine.Options) error {
	opened := make(chan error, 1)
	var e *engine.Engine
	go func() {
		var err error
		e, err = openWithSpace(ctx, opts)
		opened <- err
	}()
	select {
	case err := <-opened:
		if errors.Is(err, engine.ErrInUse) {
			return fmt.Errorf("%w%s", err, lockOwner(opts.DataDir))
		}
		if err != nil {
			return fmt.Errorf("opening the data directory %s: %w", opts.DataDir, err)
		}
	case <-ctx.Done():
		return errors.New("stopped before the data directory was recovered")
	}
	s.engine = e
	return nil
}

const (
	firstSpaceWait = time.Second
	// lastSpaceWait bounds the time between two attempts on a full disk: each reads the log. It
	// is what people wait for who have just freed space.
	lastSpaceWait = 4 * time.Second
)

// openWithSpace opens the data directory, on a full disk as soon as there is space. A
// supervisor that restarts a server on a full disk would find it dead otherwise, and stay
// without it when there is space again.
func openWithSpace(ctx context.Context, opts engine.Options) (*engine.Engine, error) {
	for wait := firstSpaceWait; ; wait = min(2*wait, lastSpaceWait) {
		e, err := engine.Open(opts)
		if !errors.Is(err, engine.ErrNoSpace) {
			return e, err
		}
		opts.Logger.Error("no space to start in; free space, and the server goes on by itself", "dir", opts.DataDir, "next_attempt_in", wait, "error", err)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
		}
	}
}

// queryOptions are those of the query engine on the recovered data directory.
func (c *serveCmd) queryOptions(s *server, dir string) query.Options {
	opts := query.Options{
		View: s.engine.View, Schema: s.engine.Schema, Tokens: s.engine.Tokens, Stats: s.engine.Stats, Compactions: s.engine.Compactions, Rollups: s.engine.Rollups, DataDir: dir, TempDir: dir,
		MemoryBytes:   max(s.engine.QueryMemoryBytes(), minQueryBytes),
		MaxConcurrent: c.MaxQueries, Timeout: time.Duration(c.QueryTimeout),
		ProcessBytes: processLimit(availableMemory(os.DirFS("/"))),
		SpillBytes:   int64(c.QuerySpill), LogSize: c.QueryLogSize,
		Observe: queryObserver(s.registry),
	}
	if opts.LogSize == 0 {
		opts.LogSize = -1 // none
	}
	return opts
}

// letIn starts the query engine and lets requests in.
func (s *server) letIn(opts query.Options) error {
	q, err := query.Open(opts)
	if err != nil {
		return fmt.Errorf("starting the query engine: %w", err)
	}
	s.querier = q
	s.stopRollups = s.engine.ServeRollups(q)
	registerQueryMetrics(s.registry, q)
	s.flight.SetReady(s.engine, q)
	s.api.SetReady(s.engine, q)
	s.door.isOpen.Store(true) // the api asks for tokens from here on
	return nil
}

// writeAddress writes the address in use to a file, whole or not at all.
func (s *server) writeAddress(file string) error {
	if file == "" {
		return nil
	}
	tmp := file + ".tmp"
	if err := os.WriteFile(tmp, []byte(s.addr()), 0o644); err != nil {
		return fmt.Errorf("address file: %w", err)
	}
	if err := os.Rename(tmp, file); err != nil {
		return fmt.Errorf("address file: %w", err)
	}
	s.addressFile = file
	return nil
}

// stop turns requests away, lets those under way finish, and closes everything, all
// within stopTimeout. What is not done by then the log will bring back.
func (s *server) stop() error {
	s.api.SetStopping()
	if s.addressFile != "" {
		_ = os.Remove(s.addressFile) // it would name an address where nobody answers
	}
	begin := time.Now()
	ctx, cancel := context.WithDeadline(context.Background(), begin.Add(stopTimeout/2))
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Warn("requests were cut off", "error", err)
		_ = s.http.Close()
	}
	if err := s.api.AwaitAnswers(ctx); err != nil {
		s.log.Warn("writes were cut off", "error", err)
	}
	closed := make(chan error, 1)
	go func() { closed <- s.close() }()
	select {
	case err := <-closed:
		if err == nil {
			s.log.Info("stopped")
		}
		return err
	case <-time.After(time.Until(begin.Add(stopTimeout - leaveTime))):
		s.log.Warn("the buffers are not flushed yet; the next start reads them from the log")
		return nil
	}
}

// close ends queries before the engine whose views they use.
func (s *server) close() error {
	var errs []error
	if s.stopRollups != nil {
		s.stopRollups()
	}
	if s.querier != nil {
		errs = append(errs, s.querier.Close())
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	return errors.Join(errs...)
}
