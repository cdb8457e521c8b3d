package catalog

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"

	"github.com/siltstone-db/siltstone/schema"
)

var (
	// ErrClosed is returned after Close by all that would use the storage.
	ErrClosed = errors.New("catalog is closed")
	// ErrFailed is returned by the call whose write failed and by every later one:
	// the storage refused a write, so nothing more is accepted until the catalog is
	// opened again (C6). It wraps the cause.
	ErrFailed = errors.New("catalog storage failed; it must be opened again")
	// ErrNoSpace is matched, beside ErrFailed, when the write failed because the disk or
	// the quota is full: Reopen helps when there is space again.
	ErrNoSpace = errors.New("no space left for the catalog")
	// ErrInvalidChange is returned for a change of the schema that no sound caller
	// makes: an empty or overlong name, an unknown type, the reserved name "time", a
	// negative retention period, another key for a table, a purge of what is not deleted.
	ErrInvalidChange = errors.New("invalid schema change")
	// ErrExists is matched by an *ExistsError.
	ErrExists = errors.New("exists already")
	// ErrNotFound is matched by a *NotFoundError.
	ErrNotFound = errors.New("does not exist")
	// ErrHasRollups is returned by DeleteTable for the source of rollups.
	ErrHasRollups = errors.New("is the source of rollups")
	// ErrReadOnlyRollup is returned by Define for columns of a rollup: it has those that it was made with, and tags of
	// its source.
	ErrReadOnlyRollup = errors.New("is a rollup")
	// ErrInvalidToken is returned by PutToken for a token without a usable name, or
	// with a permission for no database.
	ErrInvalidToken = errors.New("invalid token")
	// ErrInvalidEdit is returned by Commit and Remember for an edit that contradicts the
	// catalog: an id that occurs twice, a file or table that does not exist, a position
	// that goes back.
	ErrInvalidEdit = errors.New("invalid catalog edit")
)

// noSpaceError is a failure that passes.
type noSpaceError struct{ cause error }

func (e *noSpaceError) Error() string { return fmt.Sprintf("%v: %v", ErrNoSpace, e.cause) }
func (e *noSpaceError) Unwrap() error { return e.cause }
func (e *noSpaceError) Is(target error) bool {
	return target == ErrNoSpace || target == ErrFailed
}

// ObjectKind names what an ExistsError or a NotFoundError is about.
type ObjectKind string

// The kinds of objects.
const (
	ObjectDatabase   ObjectKind = "database"
	ObjectTable      ObjectKind = "table"
	ObjectToken      ObjectKind = "token"
	ObjectDatasource ObjectKind = "datasource"
	ObjectCache      ObjectKind = "cache"
)

// ExistsError says that the name of something new is taken. Nothing was changed. It
// matches ErrExists.
type ExistsError struct {
	Kind ObjectKind
	Name string
}

func (e *ExistsError) Error() string { return fmt.Sprintf("%s %q %v", e.Kind, e.Name, ErrExists) }
func (e *ExistsError) Unwrap() error { return ErrExists }

// NotFoundError says that there is nothing of the name. Nothing was changed. It matches
// ErrNotFound.
type NotFoundError struct {
	Kind ObjectKind
	Name string
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("%s %q %v", e.Kind, e.Name, ErrNotFound) }
func (e *NotFoundError) Unwrap() error { return ErrNotFound }

// ConflictError says that a column exists with another type than the change wants:
// another writer came first, or the change contradicts itself. Nothing was changed.
type ConflictError struct {
	Table, Column string
	Have, Want    schema.ColumnType
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("table %q: invalid column type for column '%s', expected %s, got %s",
		e.Table, e.Column, e.Have, e.Want)
}

// LimitKind names the limit that a change would exceed.
type LimitKind uint8

// The kinds of limits.
const (
	LimitDatabases LimitKind = 1 + iota
	LimitTables
	LimitColumns
)

// LimitError says that a change would exceed a limit. Nothing was changed.
type LimitError struct {
	Kind     LimitKind
	Database string
	Table    string // empty when Kind is LimitDatabases
	Have     int    // what exists, counting what the same change defines before it
	Limit    int
}

// Error is worded as InfluxDB 3 words it, because clients match on the text.
func (e *LimitError) Error() string {
	switch e.Kind {
	case LimitDatabases:
		return fmt.Sprintf("Adding a new database would exceed limit of %d databases", e.Limit)
	case LimitTables:
		return fmt.Sprintf("Update to schema would exceed number of tables limit: "+
			"attempted to create table but already have %d table(s) (limit: %d)", e.Have, e.Limit)
	default:
		return fmt.Sprintf("Update to schema would exceed number of columns per table limit of %d columns", e.Limit)
	}
}

// VersionError says that the directory was written in a format this program does
// not know. No record was changed.
type VersionError struct {
	Dir             string
	Have, Supported uint64
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("catalog %s has format version %d, but this program reads versions up to %d: use a newer release",
		e.Dir, e.Have, e.Supported)
}

// CorruptError says that a stored record is not what this package wrote (C7).
type CorruptError struct {
	Dir string
	Key []byte // as stored: see docs/format/catalog.md; empty when a record is missing
	Err error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("catalog %s: record %x is corrupt: %v", e.Dir, e.Key, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// IsDamage reports whether the error of an Open says that the directory is damaged, as
// opposed to newer than this program, in use, full or not readable.
func IsDamage(err error) bool {
	var corrupt *CorruptError
	return errors.As(err, &corrupt) || pebble.IsCorruptionError(err) || errors.Is(err, fs.ErrNotExist)
}
