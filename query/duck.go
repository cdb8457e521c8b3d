package query

import (
	"errors"
	"strings"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// cutContext removes the excerpt of the statement that DuckDB appends to a message:
// it would show the rewritten text, which the user never saw.
func cutContext(message string) string {
	message, _, _ = strings.Cut(message, "\n\nLINE ")
	return message
}

// connect opens a connection of a database.
func connect(db mapping.Database) (mapping.Connection, error) {
	var conn mapping.Connection
	if mapping.Connect(db, &conn) == mapping.StateError {
		return conn, errors.New("query: duckdb refuses a connection")
	}
	return conn, nil
}

// exec runs text of our own and discards its rows.
func exec(conn mapping.Connection, sql string) error {
	var res mapping.Result
	defer mapping.DestroyResult(&res)
	if mapping.Query(conn, sql, &res) == mapping.StateError {
		return classify(mapping.ResultErrorType(&res), cutContext(mapping.ResultError(&res)))
	}
	return nil
}

// textFunction is a prepared "SELECT f($1)" from text to text.
type textFunction struct{ stmt mapping.PreparedStatement }

func prepareTextFunction(conn mapping.Connection, sql string) (textFunction, error) {
	var f textFunction
	if mapping.Prepare(conn, sql, &f.stmt) == mapping.StateError {
		err := errors.New("query: prepare " + sql + ": " + mapping.PrepareError(f.stmt))
		mapping.DestroyPrepare(&f.stmt)
		return f, err
	}
	return f, nil
}

func (f *textFunction) close() { mapping.DestroyPrepare(&f.stmt) }

// call returns the function's value for text.
func (f *textFunction) call(text string) (string, error) {
	mapping.BindVarcharLength(f.stmt, 1, text, mapping.IdxT(len(text)))
	var res mapping.Result
	state := mapping.ExecutePrepared(f.stmt, &res)
	defer mapping.DestroyResult(&res)
	if state == mapping.StateError {
		return "", classify(mapping.ResultErrorType(&res), cutContext(mapping.ResultError(&res)))
	}
	chunk := mapping.FetchChunk(res)
	if chunk.Ptr == nil {
		return "", errors.New("query: duckdb returned no row for a constant")
	}
	defer mapping.DestroyDataChunk(&chunk)
	column := mapping.DataChunkGetVector(chunk, 0)
	if valid := mapping.VectorGetValidity(column); valid != nil && *(*uint64)(valid)&1 == 0 {
		return "", errors.New("query: duckdb returned null for a constant")
	}
	value := (*mapping.StringT)(mapping.VectorGetData(column))
	return stringOf(unsafe.Pointer(value)), nil
}

// stringOf copies the string in a duckdb_string_t.
func stringOf(p unsafe.Pointer) string {
	n := *(*uint32)(p)
	if n <= inlineBytes {
		return string(unsafe.Slice((*byte)(unsafe.Add(p, 4)), n))
	}
	return string(unsafe.Slice(*(**byte)(unsafe.Add(p, 8)), n))
}
