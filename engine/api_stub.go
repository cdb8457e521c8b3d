package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// Options configure an Engine. Zero values mean the default.
type Options struct {
	// DataDir holds everything: LOCK, catalog/, wal/, files/, tmp/. Required.
	DataDir string
	// FS is the file system under log, catalog and Parquet; nil is the real one.
	FS vfs.FS
	// Logger receives operational messages; nil discards them.
	Logger *slog.Logger
	// Registerer receives the engine's metrics; nil keeps them unregistered.
	Registerer prometheus.Registerer
	// Now is the clock for lines without a time stamp and for the flush timer; nil is time.Now.
	Now func() time.Time
	// Gen1Duration is the time between flushes of the buffers to Parquet; 0 is 10 minutes.
	Gen1Duration time.Duration
	// PoolBytes is the memory pool for buffers, persisting and queries; 0 is 20 % of the machine's memory.
	PoolBytes int64
}

// Engine is the storage engine: one data directory, opened by one process.
type Engine struct{}

// Open locks the data directory, recovers what it holds and starts the background work.
func Open(opts Options) (*Engine, error) { return nil, errors.New("stub") }

// Close stops accepting writes, flushes the buffers to Parquet and releases everything.
func (e *Engine) Close() error { return nil }

// Flush persists every row that was accepted before the call.
func (e *Engine) Flush(ctx context.Context) error { return nil }

// View pins the named tables of a database, or all of them when tables is nil.
// The errors are ErrDatabaseNotFound and *TableNotFoundError.
func (e *Engine) View(database string, tables []string) (*View, error) { return nil, nil }

// Precision is the unit of a request's time stamps.
type Precision uint8

// The precisions; Auto guesses the unit line by line as InfluxDB 3 does.
const (
	Auto Precision = iota
	Nanosecond
	Microsecond
	Millisecond
	Second
	Minute
	Hour
)

// WriteRequest is one body of line protocol.
type WriteRequest struct {
	Database      string
	Body          []byte // not retained, not changed
	Precision     Precision
	AcceptPartial bool // false: one bad line rejects the whole request
}

// WriteResult says what became of the request's points.
type WriteResult struct {
	Accepted int
	Rejected int
	// Errors describes the rejected points in order, at most MaxReportedErrors of them.
	Errors []LineError
}

// MaxReportedErrors bounds the rejected points that an answer describes one by one.
const MaxReportedErrors = 100

// LineError is one rejected line.
type LineError struct {
	Line     int    // 1-based, counting the physical lines of the body
	Column   int    // 1-based byte within the line where the fault was found
	Original string // the line as sent, without its line end; cut at MaxOriginalBytes
	Message  string // InfluxDB 3's wording
	Limit    bool   // a limit of the catalog was hit (columns, tables): HTTP 422
}

// Errors of Write and View.
var (
	// ErrDatabaseNotFound: the database does not exist (queries) .
	ErrDatabaseNotFound = errors.New("database not found")
	// ErrEmptyWrite: the body holds no point at all.
	ErrEmptyWrite = errors.New("incoming write was empty")
	// ErrOverloaded: the memory pool is full because flushing does not keep up; retry later.
	ErrOverloaded = errors.New("memory pool exhausted")
	// ErrUnavailable: the engine cannot take writes (log failed, stopping).
	ErrUnavailable = errors.New("engine is not accepting writes")
	// ErrInvalidDatabaseName wraps the reason why a name is refused.
	ErrInvalidDatabaseName = errors.New("invalid database name")
)

// TableNotFoundError names the table that a view asked for.
type TableNotFoundError struct{ Table string }

func (e *TableNotFoundError) Error() string { return "table not found: " + e.Table }

// Write parses the body and stores its points. When it returns without error, every
// accepted point is durable and visible to every View made afterwards.
func (e *Engine) Write(ctx context.Context, req WriteRequest) (WriteResult, error) {
	return WriteResult{}, nil
}
