package engine

import (
	"errors"
	"fmt"

	"github.com/siltstone-db/siltstone/catalog"
)

// Errors of the engine's calls. A rejected point is not among them: see LineError.
var (
	// ErrDatabaseNotFound is returned by View for a name that no write has created.
	ErrDatabaseNotFound = errors.New("database not found")
	// ErrEmptyWrite is returned by Write for a body without a single line.
	ErrEmptyWrite = errors.New("incoming write was empty")
	// ErrOverloaded is returned by Write when the buffers' share of the memory pool is
	// full because flushing does not keep up, or when the request alone needs more
	// than the share. Nothing was written; trying again later helps.
	ErrOverloaded = errors.New("the memory pool is full")
	// ErrTooLarge is returned by Write for a body whose points do not fit one log
	// record. Smaller bodies help.
	ErrTooLarge = errors.New("the request's points do not fit one log record; split it")
	// ErrUnavailable is returned by Write when the log or catalog has failed or the
	// engine is closing. After a failure of the storage the points of the request may
	// or may not be there after a restart; writing them again is safe.
	ErrUnavailable = errors.New("the engine does not accept writes")
	// ErrInvalidDatabaseName is wrapped by the reason why a name is refused.
	ErrInvalidDatabaseName = errors.New("invalid database name")
	// ErrInUse is returned by Open when another process has the data directory.
	ErrInUse = errors.New("the data directory is in use")
	// ErrDamaged is returned by Open when files and catalog do not belong together.
	ErrDamaged = errors.New("the data directory is damaged")
)

// LimitError says which limit on databases, tables or columns a write would exceed.
type LimitError = catalog.LimitError

// TableNotFoundError names a table that a view asked for and that does not exist.
type TableNotFoundError struct{ Table string }

func (e *TableNotFoundError) Error() string { return fmt.Sprintf("table %q not found", e.Table) }

// LineError is one rejected line.
type LineError struct {
	Line     int    // 1-based, counting the physical lines of the body
	Column   int    // 1-based byte of that line where the fault was found
	Original string // the line as sent, cut at MaxOriginalBytes
	Message  string // what is wrong, in InfluxDB 3's wording
	Limit    bool   // a limit on tables or columns was hit; the line itself is fine
}

// Bounds of what an answer says about rejected lines.
const (
	MaxReportedErrors = 100
	MaxOriginalBytes  = 1024
)
