package schema

import (
	"fmt"
	"slices"
	"strings"
)

// TimeColumn is the name of the column that every table has besides its tags and
// fields: UTC nanoseconds since the Unix epoch, never null. It is not listed in
// Table.Columns.
const TimeColumn = "time"

// ColumnType is what a column holds. Values are part of the file formats.
type ColumnType uint8

// The column types. A tag is a string that takes part in a point's identity.
const (
	Tag ColumnType = 1 + iota
	Float64
	Int64
	Uint64
	String
	Bool
)

// String returns the type's name as InfluxDB 3 writes it in its messages.
func (t ColumnType) String() string {
	switch t {
	case Tag:
		return "iox::column_type::tag"
	case Float64:
		return "iox::column_type::field::float"
	case Int64:
		return "iox::column_type::field::integer"
	case Uint64:
		return "iox::column_type::field::uinteger"
	case String:
		return "iox::column_type::field::string"
	case Bool:
		return "iox::column_type::field::boolean"
	}
	return fmt.Sprintf("ColumnType(%d)", uint8(t))
}

// Valid reports whether t is one of the declared types.
func (t ColumnType) Valid() bool { return t >= Tag && t <= Bool }

// Column is a tag or a field of a table. Its type never changes.
type Column struct {
	ID   ColumnID
	Name string
	Type ColumnType
}

// Table is an immutable definition of a table.
type Table struct {
	ID       TableID
	Database DatabaseID
	Name     string
	// Columns are the tags and fields in the order of their ids, which is the
	// order in which they were first accepted. IDs are 1, 2, 3, ….
	Columns []Column

	byName map[string]int
}

// NewTable returns a table with the given columns, which must be in id order,
// starting at 1 without gaps.
func NewTable(id TableID, db DatabaseID, name string, columns []Column) *Table {
	t := &Table{ID: id, Database: db, Name: name, Columns: columns, byName: make(map[string]int, len(columns))}
	for i, c := range columns {
		if c.ID != ColumnID(i+1) {
			panic(fmt.Sprintf("schema: column %q of table %q has id %d at position %d", c.Name, name, c.ID, i))
		}
		t.byName[c.Name] = i
	}
	return t
}

// Column finds a column by its name.
func (t *Table) Column(name string) (Column, bool) {
	i, ok := t.byName[name]
	if !ok {
		return Column{}, false
	}
	return t.Columns[i], true
}

// ColumnBytes is Column for a name that is still a byte slice; it does not allocate.
func (t *Table) ColumnBytes(name []byte) (Column, bool) {
	i, ok := t.byName[string(name)]
	if !ok {
		return Column{}, false
	}
	return t.Columns[i], true
}

// ColumnByID finds a column by its id.
func (t *Table) ColumnByID(id ColumnID) (Column, bool) {
	if id == 0 || int(id) > len(t.Columns) {
		return Column{}, false
	}
	return t.Columns[id-1], true
}

// Tags returns the tag columns in id order.
func (t *Table) Tags() []Column {
	return slices.DeleteFunc(slices.Clone(t.Columns), func(c Column) bool { return c.Type != Tag })
}

// With returns a table that has the given columns too; their ids are assigned here.
func (t *Table) With(columns []Column) *Table {
	all := slices.Clone(t.Columns)
	for _, c := range columns {
		c.ID = ColumnID(len(all) + 1)
		all = append(all, c)
	}
	return NewTable(t.ID, t.Database, t.Name, all)
}

// Database is an immutable view of one database and its tables.
type Database struct {
	ID     DatabaseID
	Name   string
	tables tableShards
}

// Table finds a table by name.
func (d *Database) Table(name string) (*Table, bool) {
	t, ok := d.tables.shard(name)[name]
	return t, ok
}

// TableBytes is Table for a name that is still a byte slice; it does not allocate.
func (d *Database) TableBytes(name []byte) (*Table, bool) {
	t, ok := d.tables[shardOf(name)][string(name)]
	return t, ok
}

// Tables returns every table, ordered by name.
func (d *Database) Tables() []*Table {
	var all []*Table
	for _, m := range d.tables {
		for _, t := range m {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *Table) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// TableCount returns the number of tables.
func (d *Database) TableCount() int {
	n := 0
	for _, m := range d.tables {
		n += len(m)
	}
	return n
}
