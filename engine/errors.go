package engine

import (
	"errors"
	"fmt"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/wal"
)

// Errors of the engine's calls. A rejected point is not among them: see LineError.
var (
	// ErrDatabaseNotFound is returned by View for a name that no write has created.
	ErrDatabaseNotFound = errors.New("database not found")
	// ErrEmptyWrite is returned by Write for a body without a single line.
	ErrEmptyWrite = errors.New("incoming write was empty")
	// ErrOverloaded is returned by Write when the buffers' share of the memory pool is
	// full because flushing does not keep up. Nothing was written; trying again later
	// helps.
	ErrOverloaded = errors.New("the memory pool is full")
	// ErrTooLarge is returned by Write for a body whose points do not fit one log
	// record, or need more than the buffers' share of the memory pool. Smaller bodies
	// help.
	ErrTooLarge = errors.New("the request has too many points")
	// ErrUnavailable is returned by Write when the log or catalog has failed or the
	// engine is closing. After a failure of the storage the points of the request may
	// or may not be there after a restart; writing them again is safe. A *NoSpaceError
	// matches it, too.
	ErrUnavailable = errors.New("the engine does not accept writes")
	// ErrInvalidDatabaseName is wrapped by the reason why a name is refused.
	ErrInvalidDatabaseName = errors.New("invalid database name")
	// ErrExists is wrapped by the refusal to create what exists already.
	ErrExists = catalog.ErrExists
	// ErrInvalidTable is wrapped by the reason why CreateTable refuses a description.
	ErrInvalidTable = errors.New("invalid table")
	// ErrTokenNotFound is returned by DeleteToken for a name that no token has.
	ErrTokenNotFound = errors.New("token not found")
	// ErrInUse is returned by Open when another process has the data directory.
	ErrInUse = errors.New("the data directory is in use")
	// ErrDamaged is returned by Open when files and catalog do not belong together.
	ErrDamaged = errors.New("the data directory is damaged")
)

// ErrNewerFormat is returned by Open for a data directory that a later release has written.
var ErrNewerFormat = errors.New("a newer siltstone wrote it: upgrade this one")

// isNewer reports whether an error is about a format that this release does not know.
func isNewer(err error) bool {
	var version *catalog.VersionError
	return errors.As(err, &version) || errors.Is(err, wal.ErrUnsupported) ||
		errors.Is(err, partition.ErrNewerEncoding) || errors.Is(err, persist.ErrUnknownFormat)
}

// advise adds what to do about a directory that cannot be opened as it is.
func (e *Engine) advise(err error) error {
	if isNewer(err) {
		return fmt.Errorf("%w; %w", err, ErrNewerFormat)
	}
	var log *wal.CorruptionError
	if !errors.Is(err, ErrDamaged) && !errors.As(err, &log) && !catalog.IsDamage(err) {
		return err
	}
	dir := e.opts.DataDir
	return fmt.Errorf("%w\nsiltstone check --data-dir %s says all that is damaged;\n"+
		"siltstone recover --data-dir %s --salvage keeps what verifies and sets the rest aside", err, dir, dir)
}

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
	Hint     string // the fix, where it is known
	Syntax   bool   // the line is not line protocol
	Limit    bool   // a limit on tables or columns was hit; the line itself is fine
	Expired  bool   // the time is outside the retention period

	plain string // Message with other quotes; empty where it is the same
}

// PlainMessage is Message with straight single quotes around what it repeats of the
// line, as InfluxDB's cloud services word it.
func (e LineError) PlainMessage() string {
	if e.plain != "" {
		return e.plain
	}
	return e.Message
}

// Bounds of what an answer says about rejected lines.
const (
	MaxReportedErrors = 100
	MaxOriginalBytes  = 1024
)
