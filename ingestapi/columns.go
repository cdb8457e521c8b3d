package ingestapi

import (
	"fmt"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// columns finds what contradicts the columns of a table: those that it has, and those that
// earlier items of the same batch gave it. The engine checks all of it again; the check
// here says it in the terms of an item, and is all there is in a dry run.
type columns struct {
	table *schema.Table            // nil while it does not exist
	fresh map[string]schema.Column // by folded name
}

// named is a value for a column.
type named struct {
	attribute string // as the item calls it
	column    string
	value     value
}

// accept checks an item's values. Without a problem, the columns that they bring are there
// for the items that follow.
func (c *columns) accept(values []named) problems {
	var faults problems
	added := make(map[string]schema.Column)
	for _, v := range values {
		if p := c.check(v, added); p != "" {
			faults.add(v.attribute, p)
		}
	}
	if faults != nil {
		return faults
	}
	for folded, column := range added {
		if c.fresh == nil {
			c.fresh = make(map[string]schema.Column)
		}
		c.fresh[folded] = column
	}
	return nil
}

// check compares a value with its column; one that does not exist yet is added.
func (c *columns) check(v named, added map[string]schema.Column) problem {
	column, ok := c.find(v.column, added)
	switch {
	case !ok:
		added[fold(v.column)] = schema.Column{Name: v.column, Type: v.value.kind}
		return ""
	case column.Name != v.column:
		return problem(fmt.Sprintf("Differs from %q in nothing but case, which SQL does not tell apart", strings.TrimPrefix(column.Name, v.prefix())))
	case column.Type != v.value.kind:
		return typeConflict(column)
	}
	return ""
}

// prefix is what a column's name has in front of the attribute's.
func (v named) prefix() string { return strings.TrimSuffix(v.column, v.attribute) }

// find looks for a column whose name SQL takes for the given one.
func (c *columns) find(name string, added map[string]schema.Column) (schema.Column, bool) {
	if c.table != nil {
		if column, ok := c.table.Column(name); ok {
			return column, true
		}
	}
	folded := fold(name)
	for _, known := range []map[string]schema.Column{c.fresh, added} {
		if column, ok := known[folded]; ok {
			return column, true
		}
	}
	if c.table != nil { // only a new attribute comes this far
		for _, column := range c.table.Columns {
			if fold(column.Name) == folded {
				return column, true
			}
		}
	}
	return schema.Column{}, false
}

// typeConflict says what a column takes, and since when.
func typeConflict(c schema.Column) problem {
	if c.Created == 0 { // an earlier item of the batch has just brought it
		return problem(fmt.Sprintf("Should be %s, as it was before", typeNames[c.Type]))
	}
	return problem(fmt.Sprintf("Should be %s, as it has been since %s", typeNames[c.Type], formatDate(time.Unix(0, c.Created))))
}

var typeNames = map[schema.ColumnType]string{
	schema.Tag:     "nothing here: it is a tag of the table",
	schema.Float64: "a number",
	schema.Int64:   "an integer, which line protocol writes",
	schema.Uint64:  "an unsigned integer, which line protocol writes",
	schema.String:  "a string",
	schema.Bool:    "a boolean",
}

// fold makes names equal that SQL does not tell apart: it ignores the case of ASCII only.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}
