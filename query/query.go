package query

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// Querier runs queries on one embedded database, which holds nothing: it has our table
// function, our macros and locked settings.
type Querier struct {
	opts    Options
	db      mapping.Database
	root    mapping.Connection // the one that configured the database
	gate    *gate
	buffers bufferRegistry
	slots   chan struct{} // one token for each running query

	closing context.Context // done when Close begins
	cancel  context.CancelFunc
	once    sync.Once
}

// Open starts a database in memory and locks it down.
func Open(opts Options) (*Querier, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	q := &Querier{opts: opts, slots: make(chan struct{}, opts.MaxConcurrent)}
	q.buffers.threads = opts.Threads
	q.closing, q.cancel = context.WithCancel(context.Background())
	if err := q.open(); err != nil {
		q.disconnect()
		return nil, err
	}
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
	for _, sql := range append(macros, settings...) {
		if err := exec(q.root, sql); err != nil {
			return fmt.Errorf("query: %.60s: %w", sql, err)
		}
	}
	conn, err := connect(q.db)
	if err != nil {
		return err
	}
	q.gate, err = openGate(conn, q.opts.MaxSQLBytes)
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
		"SET temp_directory = " + quoteLiteral(spill),
		"SET TimeZone = 'UTC'",
		"SET preserve_insertion_order = false",
		"SET parquet_metadata_cache = true",
		"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false",
		"SET allowed_directories = [" + quoteLiteral(dataDir+string(filepath.Separator)) + "]",
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	}
	return settings, nil
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
		q.gate.close()
	}
	if q.root.Ptr != nil {
		mapping.Disconnect(&q.root)
	}
	if q.db.Ptr != nil {
		mapping.Close(&q.db)
	}
}

// Request is one query.
type Request struct {
	Database string
	SQL      string
	// Params are the values of $name in SQL: nil, string, bool, int, int64, uint64, float64
	// or json.Number.
	Params map[string]any
}

// Query starts a query and returns when its first rows are there. The caller must close
// the Result. Its errors are *UserError, *ResourceError, engine.ErrDatabaseNotFound,
// ErrClosed, the context's, and others that are ours.
func (q *Querier) Query(ctx context.Context, req Request) (*Result, error) {
	stmt, err := q.gate.parse(req.SQL)
	if err != nil {
		return nil, err
	}
	used, err := stmt.rewrite(req.Params, q.opts.Now())
	if err != nil {
		return nil, err
	}
	if err := q.acquire(ctx); err != nil {
		return nil, err
	}
	run := &running{querier: q}
	result, err := run.start(ctx, req.Database, stmt, &used)
	if err != nil {
		run.close()
		return nil, err
	}
	return result, nil
}

// acquire waits for a slot.
func (q *Querier) acquire(ctx context.Context) error {
	if q.closing.Err() != nil {
		return ErrClosed
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

// running is what a query holds: a slot, the view and its buffered rows, and a stream.
type running struct {
	querier *Querier
	view    *engine.View
	handles []string
	sources []*bufferSource
	stream  *stream
}

// close releases everything in reverse order. DuckDB must be done with the rows before they
// are unpinned.
func (r *running) close() {
	if r.stream != nil {
		r.stream.close()
	}
	for _, h := range r.handles {
		r.querier.buffers.release(h)
	}
	if r.view != nil {
		r.view.Close()
	}
	<-r.querier.slots
}

// fault returns what went wrong in a buffer scan.
func (r *running) fault() error {
	for _, s := range r.sources {
		if err := s.fault(); err != nil {
			return err
		}
	}
	return nil
}

func (r *running) start(ctx context.Context, database string, stmt *statement, used *columnNames) (*Result, error) {
	tables, err := r.pin(database, stmt)
	if err != nil {
		return nil, err
	}
	scans, err := r.scans(stmt, tables, used)
	if err != nil {
		return nil, err
	}
	text, err := stmt.text(r.querier.gate, scans)
	if err != nil {
		return nil, err
	}
	if r.stream, err = openStream(ctx, r.querier, text); err != nil {
		if fault := r.fault(); fault != nil {
			return nil, fault
		}
		return nil, err
	}
	return newResult(r)
}

// pin opens the view and returns the tables of the statement's scans, nil for those of
// information_schema.
func (r *running) pin(database string, stmt *statement) ([]*engine.TableView, error) {
	names := make([]string, 0, len(stmt.tables)+1)
	if stmt.describes != "" {
		names = append(names, stmt.describes)
	}
	for _, t := range stmt.tables {
		if !t.system {
			names = append(names, t.name)
		}
	}
	actual, err := r.openView(database, names)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*engine.TableView)
	for _, t := range r.view.Tables {
		byName[t.Table.Name] = t
	}
	tables := make([]*engine.TableView, len(stmt.tables))
	for i, t := range stmt.tables {
		if !t.system {
			tables[i] = byName[actual[t.name]]
		}
	}
	return tables, nil
}

// openView pins the named tables and returns what each of the names turned out to mean. As in
// InfluxDB 3 a name that is not quoted may be written in any case when the table's is
// lower case; the tree does not tell what was quoted, so an exact match comes first.
func (r *running) openView(database string, names []string) (actual map[string]string, err error) {
	actual = make(map[string]string, len(names))
	for _, name := range names {
		actual[name] = name
	}
	for {
		wanted := make([]string, 0, len(actual)) // not nil: nil would mean every table
		for _, name := range actual {
			if !slices.Contains(wanted, name) {
				wanted = append(wanted, name)
			}
		}
		r.view, err = r.querier.opts.View(database, wanted)
		var missing *engine.TableNotFoundError
		if !errors.As(err, &missing) {
			return actual, err
		}
		if lower := strings.ToLower(missing.Table); lower != missing.Table && actual[missing.Table] == missing.Table {
			actual[missing.Table] = lower
			continue
		}
		return nil, notFound(actual, missing)
	}
}

// notFound names the table as the query does.
func notFound(actual map[string]string, missing *engine.TableNotFoundError) error {
	written := missing.Table
	if _, ok := actual[written]; !ok {
		for name, lower := range actual {
			if lower == missing.Table {
				written = name
			}
		}
	}
	return &UserError{Message: fmt.Sprintf("Error during planning: table 'public.iox.%s' not found", written), Err: missing}
}

// scans writes a common table expression for each table of the statement.
func (r *running) scans(stmt *statement, tables []*engine.TableView, used *columnNames) ([]string, error) {
	stmt.rename()
	definitions := make([]*schema.Table, len(tables))
	for i, t := range tables {
		if t != nil {
			definitions[i] = t.Table
		}
	}
	constraints := stmt.constraints(definitions)
	var scans []string
	for i, t := range tables {
		var sql string
		if t == nil {
			var ok bool
			if sql, ok = schemaScan(r.view.Database, stmt.tables[i].name); !ok {
				return nil, refuse("table 'public.information_schema.%s' not found", stmt.tables[i].name)
			}
		} else {
			files, err := absolute(t.Files)
			if err != nil {
				return nil, err
			}
			pinned := engine.TableView{Table: t.Table, Files: files, Buffers: t.Buffers}
			sql = planScan(&pinned, &constraints[i], used).sql(r.register)
		}
		scans = append(scans, fmt.Sprintf("%s AS NOT MATERIALIZED (%s)", scanName(i), sql))
	}
	return scans, nil
}

func (r *running) register(rows []rowRun, columns []schema.Column, withOrder bool) string {
	handle, source := r.querier.buffers.register(rows, columns, withOrder)
	r.handles = append(r.handles, handle)
	r.sources = append(r.sources, source)
	return handle
}
