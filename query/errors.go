package query

import (
	"errors"
	"fmt"
	"time"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// UserError says what is wrong with a query: its syntax, the names in it, its types,
// something that is not allowed, or a value it cannot be computed for.
type UserError struct {
	Message string
	Err     error // the cause, where there is one
}

func (e *UserError) Error() string { return e.Message }

func (e *UserError) Unwrap() error { return e.Err }

// ResourceError occurs when a query needs more memory or spill than it may have.
type ResourceError struct {
	Message string
	limits  bool // the message names them
}

func (e *ResourceError) Error() string { return e.Message }

// ErrClosed occurs when a query arrives after Close.
var ErrClosed = errors.New("query: closed")

// ErrKilled occurs when a query is ended by KILL QUERY.
var ErrKilled = errors.New("the query was killed by KILL QUERY")

// TimeoutError occurs when a query outlives Options.Timeout.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the query was stopped after %v: it outlived --query-timeout; ask for a shorter range of time, or raise the flag", e.After)
}

// BusyError occurs when as many queries run as may, and as many wait as may.
type BusyError struct{ Running, Waiting int }

func (e *BusyError) Error() string {
	return fmt.Sprintf("%d queries are running and %d are waiting; retry soon, or raise --max-concurrent-queries", e.Running, e.Waiting)
}

// QueryNotFoundError occurs when no query with an id waits or runs that the sender may kill.
type QueryNotFoundError struct{ ID uint64 }

func (e *QueryNotFoundError) Error() string {
	return fmt.Sprintf("no query %d of yours is running; SELECT id, state, query_text FROM system.queries lists them", e.ID)
}

// refuse returns a UserError in the words of InfluxDB 3.
func refuse(format string, args ...any) error {
	return &UserError{Message: "Error during planning: " + fmt.Sprintf(format, args...)}
}

// classify gives an error of DuckDB its type by DuckDB's own classification.
func classify(kind mapping.ErrorType, message string) error {
	switch kind {
	case mapping.ErrorTypeOutOfMemory:
		return &ResourceError{Message: message}
	case mapping.ErrorTypeBinder:
		return &UserError{Message: "Error during planning: " + message, Err: errUnbound}
	case mapping.ErrorTypeParser, mapping.ErrorTypeSyntax, mapping.ErrorTypeCatalog,
		mapping.ErrorTypeParameterNotResolved, mapping.ErrorTypeParameterNotAllowed, mapping.ErrorTypePermission:
		return refuse("%s", message)
	case mapping.ErrorTypeConversion, mapping.ErrorTypeOutOfRange, mapping.ErrorTypeInvalidInput,
		mapping.ErrorTypeMismatchType, mapping.ErrorTypeDivideByZero, mapping.ErrorTypeExpression,
		mapping.ErrorTypeNotImplemented, mapping.ErrorTypeInvalidType, mapping.ErrorTypeDecimal,
		mapping.ErrorTypeUnknownType, mapping.ErrorTypeExecutor, mapping.ErrorTypeObjectSize:
		return &UserError{Message: message}
	}
	return fmt.Errorf("query: duckdb: %s", message)
}
