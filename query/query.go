package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/internal/sqltext"
)

// Querier runs queries on one embedded database, which holds nothing: it has our table
// function, our macros and locked settings.
type Querier struct {
	opts    Options
	db      mapping.Database
	rootMu  sync.Mutex
	root    mapping.Connection // the one that configured the database; guarded by rootMu
	gate    *gate
	buffers bufferRegistry
	slots   chan struct{} // one token for each running query
	queued  atomic.Int64  // those that wait for a slot
	log     queryLog
	footers footers

	attempts *attempts

	closing context.Context // done when Close begins
	cancel  context.CancelFunc
	once    sync.Once
	watcher sync.WaitGroup
}

// Open starts a database in memory and locks it down.
func Open(opts Options) (*Querier, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	q := &Querier{opts: opts, slots: make(chan struct{}, opts.MaxConcurrent)}
	q.buffers.threads = opts.Threads
	q.log.size = opts.LogSize
	q.attempts = newAttempts()
	q.closing, q.cancel = context.WithCancel(context.Background())
	if err := q.open(); err != nil {
		q.disconnect()
		return nil, err
	}
	q.watcher.Go(q.watch)
	return q, nil
}

func (q *Querier) open() error {
	settings, err := q.settings()
	if err != nil {
		return err
	}
	if mapping.Open("", &q.db) == mapping.StateError {
		return errors.New("query: duckdb does not open a database in memory")
	}
	if q.root, err = connect(q.db); err != nil {
		return err
	}
	if err := registerBufferFunction(q.root, &q.buffers); err != nil {
		return err
	}
	for _, sql := range settings {
		if err := exec(q.root, sql); err != nil {
			return fmt.Errorf("query: %.60s: %w", sql, err)
		}
	}
	q.gate, err = openGate(q.db, q.opts.Threads, q.opts.MaxSQLBytes)
	return err
}

// settings returns the statements that configure the database. Their order matters: external
// access can only be disabled when the directories that remain allowed are known, and
// nothing can be set after the lock.
func (q *Querier) settings() ([]string, error) {
	dataDir, err := filepath.Abs(q.opts.DataDir)
	if err != nil {
		return nil, fmt.Errorf("query: data directory: %w", err)
	}
	spill, err := q.spillDirectory()
	if err != nil {
		return nil, err
	}
	settings := []string{
		fmt.Sprintf("SET memory_limit = '%dB'", q.opts.MemoryBytes),
		fmt.Sprintf("SET threads = %d", q.opts.Threads),
		"SET temp_directory = " + sqltext.Literal(spill),
		"SET TimeZone = 'UTC'",
		"SET preserve_insertion_order = false",
		"SET parquet_metadata_cache = true",
		"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false",
		"SET allowed_directories = [" + sqltext.Literal(dataDir+string(filepath.Separator)) + "]",
		"SET enable_external_access = false",
	}
	if spill != "" && q.opts.SpillBytes > 0 {
		settings = append(settings, fmt.Sprintf("SET max_temp_directory_size = '%dB'", q.opts.SpillBytes))
	}
	return append(settings, "SET lock_configuration = true"), nil
}

// spillDirectory empties the directory for what does not fit into memory. What is in it
// needs to survive nothing, so it is DuckDB's own affair and not behind the vfs.
func (q *Querier) spillDirectory() (string, error) {
	if q.opts.TempDir == "" {
		return "", nil
	}
	dir, err := filepath.Abs(filepath.Join(q.opts.TempDir, "query-spill"))
	if err != nil {
		return "", fmt.Errorf("query: spill directory: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("query: empty the spill directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("query: create the spill directory: %w", err)
	}
	return dir, nil
}

// Close cancels the running queries, waits until their results are closed, and closes
// the database. It may be called more than once.
func (q *Querier) Close() error {
	q.once.Do(func() {
		q.cancel()
		q.watcher.Wait()
		for range cap(q.slots) {
			q.slots <- struct{}{}
		}
		q.disconnect()
	})
	return nil
}

func (q *Querier) disconnect() {
	q.cancel()
	if q.gate != nil {
		q.gate.close(cap(q.gate.sessions))
	}
	q.rootMu.Lock()
	defer q.rootMu.Unlock()
	if q.root.Ptr != nil {
		mapping.Disconnect(&q.root)
		q.root.Ptr = nil
	}
	if q.db.Ptr != nil {
		mapping.Close(&q.db)
	}
}

// Request is one query.
type Request struct {
	Database string
	SQL      string
	// Params are the values of $name in SQL: nil, string, bool, int, int64, uint64, float64,
	// json.Number or time.Time.
	Params map[string]any
	Origin Origin

	compiled bool             // from InfluxQL
	newest   *influxql.Newest // what the compiler knows of it
}

// Query starts a query and returns when its first rows are there. The caller must close
// the Result. Its errors are *UserError, *ResourceError, *BusyError, *TimeoutError,
// ErrKilled, engine.ErrDatabaseNotFound, ErrClosed, the context's, and others that are ours.
func (q *Querier) Query(ctx context.Context, req Request) (result *Result, err error) {
	j := q.begin(ctx, QueryInfo{Database: req.Database, Language: "sql", Text: req.SQL}, req.Params, req.Origin)
	defer func() { // also when sql panics: a slot that is lost is lost for ever
		if result == nil {
			j.end(cmp.Or(err, errPanicked))
		}
	}()
	if result, err = j.sql(req); err == nil {
		result.ends = true
	}
	return result, err
}

// errPanicked is what the log says of a query that never got an answer.
var errPanicked = errors.New("query: panicked")

// try makes an attempt at an SQL text. It returns whether others were made meanwhile.
func (j *job) try(req Request) (result *Result, hadCompany bool, err error) {
	q, text := j.querier, req.SQL
	if id, ok, err := killStatement(text); err != nil {
		return nil, false, err
	} else if ok {
		if text, err = j.kill(req.Origin, id); err != nil {
			return nil, false, err
		}
	}
	if err := j.admit(); err != nil {
		return nil, false, err
	}
	run := &running{querier: q, job: j, compiled: req.newest}
	q.attempts.add(run)
	defer func() { // also when start panics: what is pinned would stay so for ever
		if result == nil {
			run.close()
			hadCompany = run.hadCompany.Load()
		}
	}()
	stmt, err := q.gate.parseUpTo(j.ctx, q.maxText(req), text)
	if err != nil {
		return nil, false, err
	}
	if err := q.expandCaches(j.ctx, req.Database, stmt); err != nil {
		return nil, false, err
	}
	used, err := stmt.rewriteWith(rewriter{
		ctx: j.ctx, gate: q.gate, database: req.Database, params: req.Params, now: q.opts.Now(), compiled: req.compiled,
	})
	if err != nil {
		return nil, false, err
	}
	result, err = run.start(j.ctx, req.Database, stmt, &used)
	return result, false, err
}

// maxCompiledBytes bounds the text that an InfluxQL statement becomes: SELECT * names each
// of thousands of columns a few times. What made it was bounded before.
const maxCompiledBytes = 8 << 20

// maxText is the length that the text of a request may have.
func (q *Querier) maxText(req Request) int {
	if req.compiled {
		return maxCompiledBytes
	}
	return q.opts.MaxSQLBytes
}

// acquire waits for a slot.
func (q *Querier) acquire(ctx context.Context) error {
	if q.closing.Err() != nil {
		return ErrClosed
	}
	if ctx.Err() != nil {
		return fmt.Errorf("query: wait for a slot: %w", context.Cause(ctx))
	}
	select {
	case q.slots <- struct{}{}:
		return nil
	default:
	}
	defer q.queued.Add(-1)
	if n := q.queued.Add(1); n > int64(q.opts.MaxQueued) {
		return &BusyError{Running: cap(q.slots), Waiting: q.opts.MaxQueued}
	}
	select {
	case q.slots <- struct{}{}:
		return nil
	case <-q.closing.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("query: wait for a slot: %w", context.Cause(ctx))
	}
}

// leave gives a slot back.
func (q *Querier) leave() { <-q.slots }
