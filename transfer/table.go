package transfer

import (
	"fmt"
	"strings"

	"github.com/siltstone-db/siltstone/schema"
)

// Column is a column of a table that is read or written.
type Column struct {
	Name string
	// Type is that of a tag or field; 0 is the time of the rows, and there is one such.
	Type schema.ColumnType
}

// Table is what rows are about.
type Table struct {
	Name    string
	Columns []Column
}

// typeNames are the names that people give types, by what InfluxDB's tools call them.
var typeNames = map[string]schema.ColumnType{
	"tag":    schema.Tag,
	"double": schema.Float64, "float": schema.Float64, "float64": schema.Float64,
	"long": schema.Int64, "int": schema.Int64, "integer": schema.Int64, "int64": schema.Int64,
	"unsignedLong": schema.Uint64, "unsigned": schema.Uint64, "uint64": schema.Uint64,
	"string": schema.String, "utf8": schema.String,
	"boolean": schema.Bool, "bool": schema.Bool,
}

// ParseType understands the name of a field's type. The error lists the names.
func ParseType(name string) (schema.ColumnType, error) {
	if t, ok := typeNames[name]; ok {
		return t, nil
	}
	return 0, fmt.Errorf("%q is not a type; the types are float, integer, unsigned, string, boolean and tag", name)
}

// checkName says why line protocol cannot hold the name of a column or the value of a tag.
func checkName(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%s is empty", what)
	case s[len(s)-1] == '\\':
		return fmt.Errorf("%s %q ends in a backslash, which line protocol cannot say", what, s)
	case strings.ContainsAny(s, "\t\r\n\x00"):
		return fmt.Errorf("%s %q has a tab, a line end or a NUL in it, which line protocol cannot say", what, s)
	}
	return nil
}

// checkTable says why line protocol cannot hold the name of a table.
func checkTable(name string) error {
	if strings.HasPrefix(name, "#") {
		return fmt.Errorf("the table's name %q begins with #, which is a comment in line protocol", name)
	}
	return checkName("the table's name", name)
}
