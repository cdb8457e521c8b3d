package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/catalog"
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
	// FrozenBefore is the first instant whose intervals Source has all rows of; math.MinInt64 if it has all. What is
	// stored before it stays as it is.
	FrozenBefore int64
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
	// ErrHasRollups says that a table cannot be deleted while it is the source of rollups.
	ErrHasRollups = catalog.ErrHasRollups
)

// RollupRowsError says that rows of a rollup cannot be deleted, since they follow from those of its source.
type RollupRowsError struct {
	Rollup string
	// FrozenBefore is the first instant of which that is true; math.MinInt64 if it is of all.
	FrozenBefore int64
}

func (e *RollupRowsError) Error() string {
	text := fmt.Sprintf("table %q is a rollup, whose rows follow from those of its source; delete rows of the source", e.Rollup)
	if e.FrozenBefore == math.MinInt64 {
		return text
	}
	return fmt.Sprintf("%s, or rows before %s here, which stay as they are stored", text, time.Unix(0, e.FrozenBefore).UTC().Format(time.RFC3339Nano))
}

// MaxRollups bounds those of one table: each flush of the table marks what is stale in all of them.
const MaxRollups = 16

// CreateRollup makes a rollup. It is exact at once: what is not stored yet is computed by queries. The errors match ErrRollup,
// ErrExists, ErrDatabaseNotFound, *TableNotFoundError, *LimitError and ErrUnavailable.
func (e *Engine) CreateRollup(spec RollupSpec) (*schema.Table, error) {
	if err := checkUserDatabase(spec.Database); err != nil {
		return nil, err
	}
	e.flusher.mu.Lock() // no flush of the source is to miss it
	defer e.flusher.mu.Unlock()
	source, err := e.findTable(spec.Database, spec.Source)
	if err != nil {
		return nil, err
	}
	change, err := spec.change(source)
	if err != nil {
		return nil, err
	}
	if n := len(e.catalog.Schema().Rollups(source.ID)); n >= MaxRollups {
		return nil, fmt.Errorf("%w: table %q has %d rollups, as many as it can have", ErrRollup, source.Name, n)
	}
	if floor := e.floorNow(source); floor > math.MinInt64 {
		change.FrozenBefore = change.Rollup.Start(floor)
	}
	next, err := e.catalog.Define(catalog.Change{Database: spec.Database, MustExist: true, Tables: []catalog.TableChange{change}})
	if err != nil {
		if errors.Is(err, catalog.ErrInvalidChange) {
			err = fmt.Errorf("%w: %w", ErrRollup, err)
		}
		return nil, e.noTable(err, spec.Database, spec.Source)
	}
	db, _ := next.Database(spec.Database)
	def, _ := db.Table(spec.Name)
	e.showRollups(e.catalog.RollupState(def.ID))
	e.rollups.kick()
	return def, nil
}

// change is what the catalog is to define. The errors match ErrRollup.
func (s *RollupSpec) change(source *schema.Table) (c catalog.TableChange, err error) {
	refuse := func(format string, args ...any) (catalog.TableChange, error) {
		return c, fmt.Errorf("%w: %s", ErrRollup, fmt.Sprintf(format, args...))
	}
	switch {
	case source.Rollup != nil:
		return refuse("table %q is a rollup itself; take the table that it is made of", source.Name)
	case source.Key.Rule == schema.LatestByTag:
		return refuse("table %q keeps versions of records, not points", source.Name)
	case !schema.ValidInterval(s.Interval):
		return refuse("the interval %s neither divides a day nor is a multiple of one; take 5m, 1h or 24h", s.Interval)
	case len(s.Aggregates) == 0:
		return refuse("it has no aggregate; name one, as mean(usage)")
	case len(s.Aggregates) > schema.MaxAggregates:
		return refuse("it has %d aggregates; at most %d can be", len(s.Aggregates), schema.MaxAggregates)
	}
	c = catalog.TableChange{Name: s.Name, Retention: s.Retention, MustBeNew: true, FrozenBefore: math.MinInt64}
	c.Rollup = &schema.Rollup{Source: source.ID, Interval: s.Interval, AllTags: s.Tags == nil, Aggregates: slices.Clone(s.Aggregates)}
	names := map[string]bool{schema.TimeColumn: true}
	for _, t := range source.Tags() {
		if s.Tags == nil || slices.Contains(s.Tags, t.Name) {
			c.Columns = append(c.Columns, catalog.NewColumn{Name: t.Name, Type: schema.Tag})
			names[t.Name] = true
		}
	}
	for _, name := range s.Tags {
		if t, ok := source.Column(name); !ok || t.Type != schema.Tag {
			return refuse("table %q has no tag %q", source.Name, name)
		}
	}
	for _, a := range s.Aggregates {
		field, ok := source.Column(a.Field)
		if !ok || field.Type == schema.Tag {
			return refuse("table %q has no field %q", source.Name, a.Field)
		}
		result, ok := a.Func.Result(field.Type)
		if !ok {
			return refuse("there is no %s of field %q, which is of type %s", a.Func, a.Field, field.Type)
		}
		if names[a.Name] {
			return refuse("two of its columns are called %q, or it is %q or a tag's name", a.Name, schema.TimeColumn)
		}
		names[a.Name] = true
		c.Columns = append(c.Columns, catalog.NewColumn{Name: a.Name, Type: result})
	}
	return c, nil
}

// DropRollup deletes a rollup and its rows for good. The errors are ErrDatabaseNotFound, *TableNotFoundError for a name that is not a
// rollup's, and ErrUnavailable.
func (e *Engine) DropRollup(database, name string) error {
	if _, err := e.Rollup(database, name); err != nil {
		return err
	}
	return e.DeleteTable(database, name, time.Unix(0, 1)) // it is due
}

// Rollup finds a rollup by its name. The errors are ErrDatabaseNotFound and a *TableNotFoundError.
func (e *Engine) Rollup(database, name string) (*schema.Table, error) {
	def, err := e.findTable(database, name)
	if err == nil && def.Rollup == nil {
		return nil, &TableNotFoundError{name}
	}
	return def, err
}

// Rollups returns those of a database, of all for "", by database and name. The error is ErrDatabaseNotFound.
func (e *Engine) Rollups(database string) ([]RollupInfo, error) {
	if err := e.mustHave(database, ""); err != nil {
		return nil, err
	}
	snapshot := e.catalog.Schema()
	var all []RollupInfo
	for _, def := range snapshot.Rollups(0) {
		source, ok := snapshot.TableByID(def.Rollup.Source)
		name := snapshot.DatabaseName(def.Database)
		if ok && (database == "" || name == database) {
			all = append(all, e.describeRollup(name, def, source))
		}
	}
	slices.SortFunc(all, func(a, b RollupInfo) int {
		return strings.Compare(a.Database+"\x00"+a.Table.Name, b.Database+"\x00"+b.Table.Name)
	})
	return all, nil
}

func (e *Engine) describeRollup(database string, def, source *schema.Table) RollupInfo {
	tv, release := e.rollupView(def)
	defer release()
	info := RollupInfo{
		Database: database, Table: tv.Table, Source: source, FrozenBefore: tv.Rollup.FrozenBefore, Stale: tv.Rollup.Stale,
	}
	for _, f := range tv.Files {
		info.Rows, info.Bytes = info.Rows+f.Rows, info.Bytes+f.Bytes
	}
	e.rollups.describe(def.ID, &info)
	return info
}
