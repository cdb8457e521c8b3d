package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/httpapi"
	"github.com/siltstone-db/siltstone/query"
)

type serveCmd struct {
	DataDir     string   `help:"Directory that holds everything. One server at a time uses it. Default: ${default}." default:"~/.siltstone/data" env:"SILTSTONE_DATA_DIR,INFLUXDB3_DATA_DIR,INFLUXDB3_DB_DIR" placeholder:"DIR"`
	ObjectStore string   `help:"file keeps the data in --data-dir; memory keeps them in RAM and drops them at the end. Default: ${default}." default:"file" env:"SILTSTONE_OBJECT_STORE,INFLUXDB3_OBJECT_STORE" placeholder:"KIND"`
	NodeID      string   `help:"Name of this server in its log." env:"SILTSTONE_NODE_ID,INFLUXDB3_NODE_ID,INFLUXDB3_NODE_IDENTIFIER_PREFIX" placeholder:"NAME"`
	HTTPBind    string   `name:"http-bind" help:"Address to listen on; port 0 takes a free one. Default: ${default}." default:"127.0.0.1:8181" env:"SILTSTONE_HTTP_BIND,INFLUXDB3_HTTP_BIND_ADDR" placeholder:"ADDR"`
	WithoutAuth bool     `help:"Serve without tokens on an address that others can reach." env:"SILTSTONE_WITHOUT_AUTH,INFLUXDB3_WITHOUT_AUTH,INFLUXDB3_START_WITHOUT_AUTH"`
	AddressFile string   `name:"tcp-listener-file-path" help:"File that receives the address in use once the server is ready." env:"SILTSTONE_TCP_LISTENER_FILE_PATH,INFLUXDB3_TCP_LISTENER_FILE_PATH,INFLUXDB3_TCP_LISTINER_FILE_PATH" placeholder:"FILE"`
	MaxRequest  byteSize `name:"max-http-request-size" help:"Largest body of a request, before and after decompression. Default: ${default}." default:"10485760" env:"SILTSTONE_MAX_HTTP_REQUEST_SIZE,INFLUXDB3_MAX_HTTP_REQUEST_SIZE" placeholder:"SIZE"`
	Pool        poolSize `name:"exec-mem-pool-bytes" help:"Memory for buffered rows, for writing Parquet and for queries: a size, or a share of the memory there is. Default: ${default}." default:"20%" env:"SILTSTONE_EXEC_MEM_POOL_BYTES,INFLUXDB3_EXEC_MEM_POOL_BYTES,INFLUXDB3_EXEC_MEM_POOL_SIZE" placeholder:"SIZE"`
	Gen1        duration `name:"gen1-duration" help:"How long rows stay in memory before they become Parquet; at least 1s. They are durable from the start. Default: ${default}." default:"10m" env:"SILTSTONE_GEN1_DURATION,INFLUXDB3_GEN1_DURATION" placeholder:"DURATION"`
	LogLevel    string   `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"SILTSTONE_LOG_LEVEL"`
}

// Help is the long text of --help.
func (*serveCmd) Help() string {
	return `Every flag can be set by the environment variable named behind it, which is also how
settings of InfluxDB 3 are taken over. Ctrl-C or SIGTERM stops the server in an orderly
way; a second one ends it at once. Neither loses an acknowledged write.

Examples:

  siltstone serve --data-dir ./data
  siltstone serve --data-dir ./data --http-bind 0.0.0.0:8181 --without-auth
  siltstone serve --object-store memory --http-bind 127.0.0.1:0
  siltstone serve --data-dir ./data --exec-mem-pool-bytes 35% --gen1-duration 1h`
}

// minQueryBytes is what DuckDB needs to run anything useful.
const minQueryBytes = 32 << 20

// stopTimeout is how long an orderly stop may take (C2).
const stopTimeout = 10 * time.Second

// Validate reports every fault of the flags at once; kong calls it after parsing.
func (c *serveCmd) Validate() error {
	var faults []error
	if time.Duration(c.Gen1) < time.Second {
		faults = append(faults, fmt.Errorf("--gen1-duration %s is shorter than 1s", time.Duration(c.Gen1)))
	}
	if c.ObjectStore != "file" && c.ObjectStore != "memory" {
		faults = append(faults, fmt.Errorf("--object-store %s is not supported; Siltstone keeps data on local disk (file) or in RAM (memory)", c.ObjectStore))
	}
	faults = append(faults, c.validateBind())
	return errors.Join(faults...)
}

// validateBind refuses to open an unprotected server to others by accident.
func (c *serveCmd) validateBind() error {
	host, _, err := net.SplitHostPort(c.HTTPBind)
	if err != nil {
		return fmt.Errorf("--http-bind %q is not an address such as 127.0.0.1:8181: %w", c.HTTPBind, err)
	}
	ip := net.ParseIP(host)
	if c.WithoutAuth || host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("--http-bind %s can be reached by other machines, and there are no tokens yet that would keep them out.\n"+
		"Bind to 127.0.0.1, or add --without-auth if your network protects this port", c.HTTPBind)
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, env environment) error {
	log := c.logger(env)
	dir, cleanup, err := c.openStore()
	if err != nil {
		return err
	}
	defer cleanup()
	total := availableMemory(os.DirFS("/"))
	pool := min(c.Pool.of(total), total)
	limitGoMemory(total, 0)
	s, err := c.listen(log)
	if err != nil {
		return err
	}
	log.Info("listening; recovering the data directory", "address", s.addr(), "data_dir", dir,
		"version", version, "memory", formatBytes(total), "pool", formatBytes(pool))
	opts := engine.Options{
		DataDir: dir, Logger: log, Registerer: s.registry,
		Gen1Duration: time.Duration(c.Gen1), PoolBytes: pool,
	}
	if err := s.open(ctx, opts); err != nil {
		return errors.Join(err, s.stop())
	}
	limitGoMemory(total, s.engine.QueryMemoryBytes())
	if err := s.announce(c.AddressFile); err != nil {
		return errors.Join(err, s.stop())
	}
	log.Info("ready", "address", s.addr())
	select {
	case <-ctx.Done():
		log.Info("stopping; a second signal ends the process at once")
		return s.stop()
	case err := <-s.failed:
		return errors.Join(fmt.Errorf("http server: %w", err), s.stop())
	}
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
	http     *http.Server
	registry *prometheus.Registry
	failed   chan error // receives why the HTTP server ended by itself

	engine      *engine.Engine // nil until open
	querier     *query.Querier
	addressFile string // to remove at the end
}

// listen answers HTTP from here on, with 503 until open.
func (c *serveCmd) listen(log *slog.Logger) (*server, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	api, err := httpapi.New(httpapi.Options{
		Version: version, Revision: revision(),
		MaxRequestBytes: int64(c.MaxRequest),
		Logger:          log, Registry: registry,
	})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.HTTPBind)
	if err != nil {
		return nil, fmt.Errorf("%w\nTake another address with --http-bind, or port 0 for a free one", err)
	}
	s := &server{
		log: log, listener: listener, api: api, http: api.HTTPServer(),
		registry: registry, failed: make(chan error, 1),
	}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	return s, nil
}

func (s *server) addr() string { return s.listener.Addr().String() }

// open recovers the data directory and lets requests in. Recovery cannot be
// interrupted, but a process that is asked to stop meanwhile need not wait for it:
// being killed then is as safe as at any other time.
func (s *server) open(ctx context.Context, opts engine.Options) error {
	opened := make(chan error, 1)
	var e *engine.Engine
	go func() {
		var err error
		e, err = engine.Open(opts)
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
	q, err := query.Open(query.Options{
		View: e.View, DataDir: opts.DataDir, TempDir: opts.DataDir,
		MemoryBytes: max(e.QueryMemoryBytes(), minQueryBytes),
	})
	if err != nil {
		return fmt.Errorf("starting the query engine: %w", err)
	}
	s.querier = q
	registerQueryMetrics(s.registry, q)
	s.api.SetReady(e, q)
	return nil
}

// announce writes the address in use to a file, whole or not at all.
func (s *server) announce(file string) error {
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
	deadline := time.Now().Add(stopTimeout)
	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(-stopTimeout/2))
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Warn("requests were cut off", "error", err)
		_ = s.http.Close()
	}
	closed := make(chan error, 1)
	go func() { closed <- s.close() }()
	select {
	case err := <-closed:
		if err == nil {
			s.log.Info("stopped")
		}
		return err
	case <-time.After(time.Until(deadline)):
		s.log.Warn("the buffers are not flushed yet; the next start reads them from the log")
		return nil
	}
}

// close ends queries before the engine whose views they use.
func (s *server) close() error {
	var errs []error
	if s.querier != nil {
		errs = append(errs, s.querier.Close())
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	return errors.Join(errs...)
}
