package query

import (
	"errors"
	"fmt"

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
type ResourceError struct{ Message string }

func (e *ResourceError) Error() string { return e.Message }

// ErrClosed occurs when a query arrives after Close.
var ErrClosed = errors.New("query: closed")

// refuse returns a UserError in the words of InfluxDB 3.
func refuse(format string, args ...any) error {
	return &UserError{Message: "Error during planning: " + fmt.Sprintf(format, args...)}
}

// classify gives an error of DuckDB its type by DuckDB's own classification.
func classify(kind mapping.ErrorType, message string) error {
	switch kind {
	case mapping.ErrorTypeOutOfMemory:
		return &ResourceError{Message: message}
	case mapping.ErrorTypeParser, mapping.ErrorTypeSyntax, mapping.ErrorTypeBinder, mapping.ErrorTypeCatalog,
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
