// Package sqltext writes the parts of SQL that take care to write: names, text and types of
// DuckDB. What writes SQL for the query engine uses it, so that quoting is in one place.
//
// It is pure; its functions may be called concurrently.
package sqltext

import (
	"strings"

	"github.com/siltstone-db/siltstone/schema"
)

// Name makes an identifier of a name.
func Name(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// Names writes a list of names of columns.
func Names(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = Name(name)
	}
	return strings.Join(quoted, ", ")
}

// Literal makes a constant of a text.
func Literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Type is what DuckDB calls a column's type; that of a column without one is an instant's.
func Type(t schema.ColumnType) string {
	switch t {
	case schema.Tag, schema.String:
		return "VARCHAR"
	case schema.Float64:
		return "DOUBLE"
	case schema.Int64:
		return "BIGINT"
	case schema.Uint64:
		return "UBIGINT"
	case schema.Bool:
		return "BOOLEAN"
	}
	return "TIMESTAMP_NS"
}
