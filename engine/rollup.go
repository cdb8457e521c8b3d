package engine

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/schema"
)

// RollupSpec describes a rollup that CreateRollup makes.
type RollupSpec struct {
	Database, Name string // of the table that it becomes
	Source         string // a table of the same database
	Interval       time.Duration
	// Tags are those of the source that are kept; nil is all, also those that it gets later.
	Tags       []string
	Aggregates []schema.Aggregate
	// Retention is how long its rows are kept; 0 is as long as the database keeps points.
	Retention time.Duration
}

// RollupInfo is what is known of a rollup.
type RollupInfo struct {
	Database string
	Table    *schema.Table // Table.Rollup says what it is
	Source   *schema.Table
	// FrozenBefore is the first instant whose intervals are computed from the source; math.MinInt64 if all are.
	FrozenBefore int64
	// Stale are the ranges of time whose intervals are not stored as they should be: queries compute them. Ranges of
	// buffered rows are among them.
	Stale []schema.TimeRange
	// Rows and Bytes are those of its files.
	Rows, Bytes uint64
	// Refreshed is when intervals were stored last, since the start; the zero time if they were not.
	Refreshed time.Time
	// Error is that of the last refresh, "" if it had none.
	Error string
}

// RollupProgress says how far a refresh is.
type RollupProgress struct {
	Done, Total uint64 // rows of the source, by the descriptions of its files
	Rows        uint64 // that were stored
}

// RollupView is what a view of a rollup has besides the rows that are stored. The rows of the rollup are those stored rows that are
// in no range of Stale, and, for each range of Stale, what the aggregates of Source's rows are. All of it is of one instant.
type RollupView struct {
	// Source are all rows that the source still has, also some beyond its retention period: Kept is all time.
	Source *TableView
	// Stale are ranges of whole intervals, ascending and apart.
	Stale []schema.TimeRange
}

// RollupJob is what an Aggregator computes.
type RollupJob struct {
	Rollup *schema.Table
	Source *TableView
	// Ranges are whole intervals, ascending and apart. Only rows of the source in them are aggregated.
	Ranges []schema.TimeRange
}

// Aggregator computes the rows of rollups. The records have the layout of persist.ArrowSchema(Rollup.Columns), in which tags are
// dictionary-coded or plain strings. Rows are in strictly ascending order of the tags in id order, null before all strings, and then of time.
// The engine releases each record.
type Aggregator interface {
	Aggregate(ctx context.Context, job RollupJob) iter.Seq2[arrow.RecordBatch, error]
}

var (
	// ErrRollup is matched by an error that says what is wrong with a RollupSpec.
	ErrRollup = errors.New("invalid rollup")
	// ErrReadOnlyRollup says that rows of a rollup cannot be written or deleted: they follow from its source.
	ErrReadOnlyRollup = errors.New("the table is a rollup, whose rows follow from those of its source")
	// ErrHasRollups says that a table cannot be deleted while it is the source of rollups.
	ErrHasRollups = errors.New("the table is the source of rollups; drop them first")
)

// CreateRollup makes a rollup. It is exact at once: what is not stored yet is computed by queries. The errors match ErrRollup,
// ErrExists, ErrDatabaseNotFound, *TableNotFoundError, *LimitError and ErrUnavailable.
func (e *Engine) CreateRollup(spec RollupSpec) (*schema.Table, error) {
	return nil, errors.ErrUnsupported
}

// DropRollup deletes a rollup and its rows for good. The errors are ErrDatabaseNotFound, *TableNotFoundError for a name that is not a
// rollup's, and ErrUnavailable.
func (e *Engine) DropRollup(database, name string) error { return errors.ErrUnsupported }

// Rollups returns those of a database, of all for "", by database and name. The error is ErrDatabaseNotFound.
func (e *Engine) Rollups(database string) ([]RollupInfo, error) { return nil, nil }

// RefreshRollup stores what is stale, but for the intervals of buffered rows. progress may be nil. The errors are
// ErrDatabaseNotFound, *TableNotFoundError, ErrUnavailable, those of the Aggregator and that of ctx.
func (e *Engine) RefreshRollup(ctx context.Context, database, name string, progress func(RollupProgress)) error {
	return errors.ErrUnsupported
}

// ServeRollups gives the engine what computes rollups, and begins to refresh them in the background until Close. It is called
// once at most; without it queries compute what is stale.
func (e *Engine) ServeRollups(a Aggregator) {}
