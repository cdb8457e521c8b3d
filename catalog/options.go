package catalog

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The default limits are far above what a useful schema has. They bound memory: a
// client that puts a fresh value into a name with each point must be stopped before
// the definitions, all of which are held in memory, take the machine down.
const (
	// DefaultMaxDatabases costs some 6 MB of memory when reached.
	DefaultMaxDatabases = 10_000
	// DefaultMaxTables costs some 730 MB of memory when each table has five columns.
	DefaultMaxTables = 1_000_000
	// DefaultMaxColumns keeps a definition below 1 MB and the footers of its files readable.
	DefaultMaxColumns = 10_000
)

// MaxNameBytes bounds the length of a name, so that a record's length is bounded too.
const MaxNameBytes = 64 << 10

// Options configure a Catalog.
type Options struct {
	// FS is the file system the catalog lives on; nil is the real one.
	FS vfs.FS
	// Dir is the catalog's own directory; it is created if missing. Required.
	Dir string
	// Logger receives storage failures as errors and Pebble's reports at debug
	// level; nil discards both.
	Logger *slog.Logger
	// Limits bound what Define and CreateDatabase accept.
	Limits Limits
	// MustExist refuses, with ErrNoCatalog, to begin a new catalog: there is something
	// that an older one knew.
	MustExist bool
	// Now is the clock that Created and Deleted are taken from; nil is time.Now.
	Now func() time.Time
}

// Limits bound what may be defined. What exists already stays when a limit is lowered.
type Limits struct {
	Databases int // databases in the catalog; 0 is DefaultMaxDatabases
	Tables    int // tables in all databases together; 0 is DefaultMaxTables
	Columns   int // tags and fields of one table, time not counted; 0 is DefaultMaxColumns
}

// EnsureDefaults replaces zero values by their defaults.
func (o *Options) EnsureDefaults() {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Limits.Databases == 0 {
		o.Limits.Databases = DefaultMaxDatabases
	}
	if o.Limits.Tables == 0 {
		o.Limits.Tables = DefaultMaxTables
	}
	if o.Limits.Columns == 0 {
		o.Limits.Columns = DefaultMaxColumns
	}
}

// Validate reports every fault of the options at once.
func (o *Options) Validate() error {
	var faults []error
	if o.Dir == "" {
		faults = append(faults, errors.New("catalog: Options.Dir is empty"))
	}
	for _, l := range []struct {
		name  string
		value int
	}{{"Databases", o.Limits.Databases}, {"Tables", o.Limits.Tables}, {"Columns", o.Limits.Columns}} {
		if l.value < 0 {
			faults = append(faults, fmt.Errorf("catalog: Options.Limits.%s is negative: %d", l.name, l.value))
		}
	}
	return errors.Join(faults...)
}
