package influxql

import "fmt"

// SyntaxError says where a text is no InfluxQL.
type SyntaxError struct{ Err error }

func (e *SyntaxError) Error() string { return "error parsing query: " + e.Err.Error() }

func (e *SyntaxError) Unwrap() error { return e.Err }

// StatementError says why a statement means nothing, or what in it is not supported, in
// InfluxDB 1's words where it has some.
type StatementError struct{ Message string }

func (e *StatementError) Error() string { return e.Message }

// DatabaseNotFoundError occurs when a statement names a database that does not exist.
type DatabaseNotFoundError struct{ Database string }

func (e *DatabaseNotFoundError) Error() string { return "database not found: " + e.Database }

// ForbiddenError occurs when a statement names a database that the sender may not read.
type ForbiddenError struct{ Database string }

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("the token may not read database %q", e.Database)
}

func refuse(format string, args ...any) error {
	return &StatementError{Message: fmt.Sprintf(format, args...)}
}
