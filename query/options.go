package query

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// Options configure a Querier. Zero values mean the default.
type Options struct {
	// View pins the named tables of a database; Engine.View is one. With an empty,
	// non-nil list it pins nothing and only answers what is defined. Required.
	View func(ctx context.Context, database string, tables []string) (*engine.View, error)
	// Schema answers what all databases are, for the system tables of the internal one;
	// Engine.Schema is one. With nil they tell about the internal database only.
	Schema func() *schema.Snapshot
	// Tokens answers which tokens exist; Engine.Tokens is one. With nil there are none.
	Tokens func() []*schema.Token
	// Stats answers what the engine holds, for system.wal; Engine.Stats is one. With nil that
	// is empty.
	Stats func() engine.Stats
	// Compactions answers which files were merged; Engine.Compactions is one. With nil
	// system.compactions is empty.
	Compactions func() []engine.Compaction
	// Rollups answers what is known of the rollups of a database, of all for ""; Engine.Rollups is one. With nil
	// system.rollups is empty.
	Rollups func(database string) ([]engine.RollupInfo, error)
	// DataDir is the directory below which all Parquet files lie. Required.
	DataDir string
	// TempDir holds the directory "query-spill" for what does not fit into memory;
	// empty means that such queries fail.
	TempDir string
	// MemoryBytes bounds DuckDB's memory for all queries together; 0 is 1 GiB.
	MemoryBytes int64
	// Threads is the number of threads that work on queries; 0 is GOMAXPROCS.
	Threads int
	// MaxConcurrent bounds the running queries; others wait for their turn or the end
	// of their context. 0 is twice Threads, at least 8.
	MaxConcurrent int
	// MaxQueued bounds the waiting queries; more fail with a *BusyError. 0 is
	// DefaultMaxQueued.
	MaxQueued int
	// Timeout bounds the time from a query's arrival to the end of its answer, waiting and
	// the client's reading included; 0 is no bound.
	Timeout time.Duration
	// SpillBytes bounds the spill directory; 0 leaves it to the disk.
	SpillBytes int64
	// ProcessBytes is the size of the process from which queries are ended that run longer
	// than moments: not all that they allocate counts against MemoryBytes. 0 is no bound.
	ProcessBytes int64
	// ProcessSize measures the process; nil asks Linux, and answers 0 elsewhere.
	ProcessSize func() int64
	// LogSize is how many ended queries the log keeps; 0 is DefaultLogSize, and a
	// negative number keeps none.
	LogSize int
	// Observe is told of every query that has ended; nil tells nobody. It must not block.
	Observe func(QueryInfo)
	// MaxSQLBytes bounds the length of a query's text; 0 is DefaultMaxSQLBytes.
	MaxSQLBytes int
	// Now is the clock that now() answers; nil is time.Now.
	Now func() time.Time

	ignoreNewest bool                   // for tests: what the engine keeps of newest rows is not used
	noNewest     bool                   // for tests: likewise, but for which sets of tags there are
	noFold       bool                   // for tests and comparisons: aggregates are all DuckDB's
	noMerge      bool                   // for tests and comparisons: rows that are not folded are merged by DuckDB
	noSelect     bool                   // for tests and comparisons: plain SELECTs are all DuckDB's
	unitRows     int                    // of merging; 0 is unitRows
	onFold       func(work *folding)    // for tests: told of what is folded; nil tells nobody
	onMerge      func(rows *mergedRows) // likewise, of what is merged and not folded
}

// DefaultMaxSQLBytes bounds a query's text, because parsing and planning are not
// interruptible and cost more than linearly.
const DefaultMaxSQLBytes = 256 << 10

// DefaultMaxQueued bounds the waiting queries. Each costs a connection and a few KiB, and a
// queue that is longer than this is not worked off before most clients give up.
const DefaultMaxQueued = 1000

// DefaultLogSize is the number of ended queries that the log keeps, as in InfluxDB 3.
const DefaultLogSize = 1000

// EnsureDefaults replaces zero values by defaults.
func (o *Options) EnsureDefaults() {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = 1 << 30
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.MaxConcurrent == 0 {
		o.MaxConcurrent = max(8, 2*o.Threads)
	}
	if o.MaxSQLBytes == 0 {
		o.MaxSQLBytes = DefaultMaxSQLBytes
	}
	if o.MaxQueued == 0 {
		o.MaxQueued = DefaultMaxQueued
	}
	if o.ProcessSize == nil {
		o.ProcessSize = residentSize
	}
	if o.LogSize == 0 {
		o.LogSize = DefaultLogSize
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// minMemoryBytes is what DuckDB needs to run anything useful.
const minMemoryBytes = 16 << 20

// Validate reports every fault at once.
func (o *Options) Validate() error {
	var errs []error
	if o.View == nil {
		errs = append(errs, errors.New("query: Options.View is nil"))
	}
	if o.DataDir == "" || filepath.Clean(o.DataDir) == string(filepath.Separator) {
		errs = append(errs, fmt.Errorf("query: Options.DataDir %q is not a directory of its own", o.DataDir))
	}
	if o.MemoryBytes < minMemoryBytes {
		errs = append(errs, fmt.Errorf("query: Options.MemoryBytes is %d, at least %d are needed", o.MemoryBytes, minMemoryBytes))
	}
	if o.Threads < 1 || o.MaxConcurrent < 1 || o.MaxSQLBytes < 1 {
		errs = append(errs, fmt.Errorf("query: Threads %d, MaxConcurrent %d and MaxSQLBytes %d must be positive",
			o.Threads, o.MaxConcurrent, o.MaxSQLBytes))
	}
	if o.MaxQueued < 1 || o.Timeout < 0 || o.SpillBytes < 0 || o.ProcessBytes < 0 {
		errs = append(errs, fmt.Errorf("query: MaxQueued %d must be positive, Timeout %v, SpillBytes %d and ProcessBytes %d not negative",
			o.MaxQueued, o.Timeout, o.SpillBytes, o.ProcessBytes))
	}
	return errors.Join(errs...)
}
