package schema

import (
	"fmt"
	"slices"
	"time"
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
	// Created is when the column was first accepted, in nanoseconds since the Unix
	// epoch; 0 where that is not known. Columns that were read from a file do not know
	// it, so that columns are told apart by ID, never with ==.
	Created int64
}

// Table is an immutable definition of a table.
type Table struct {
	ID       TableID
	Database DatabaseID
	Name     string
	// Columns are the tags and fields in the order of their ids, which is the
	// order in which they were first accepted. IDs are 1, 2, 3, ….
	Columns []Column
	// Key says what identifies a row.
	Key TableKey
	// Retention is how long its rows are kept, counted from their time, whatever the database
	// says; 0 is as the database says. See Database.RetentionOf.
	Retention time.Duration
	// Rollup is nil for a table that is none.
	Rollup *Rollup
	// Caches are those that have a name, by id.
	Caches []*Cache
	// Created is when the table was defined, in nanoseconds since the Unix epoch; 0
	// where that is not known.
	Created int64
	// Deleted is nil for a table that exists. A deleted one is found by its id only,
	// until it is purged, because its rows and log records are still there.
	Deleted *Deletion

	byName map[string]int
}

// TableKey says what identifies a row of a table beyond its tags and time, and which
// of the rows with one identity counts.
type TableKey struct {
	Rule KeyRule
	// Tag is the tag column that FirstByTag and LatestByTag go by; empty for PointKey.
	Tag string
}

// KeyRule is the kind of a TableKey. Values are part of the catalog's format.
type KeyRule uint8

const (
	// PointKey is the rule of time series: tags and time identify a row, and the later
	// write wins, field by field.
	PointKey KeyRule = iota
	// FirstByTag is the rule of events: a row whose value of the tag is stored already
	// is discarded.
	FirstByTag
	// LatestByTag is the rule of records that change: rows are versions. For each value
	// of the tag a query sees the row with the greatest time, and none when the bool
	// field DeletedColumn of that row is true.
	LatestByTag
)

// DeletedColumn is the name of the bool field that ends a record of a LatestByTag table.
const DeletedColumn = "_deleted"

// Valid reports whether r is one of the declared rules.
func (r KeyRule) Valid() bool { return r <= LatestByTag }

func (r KeyRule) String() string {
	switch r {
	case PointKey:
		return "point"
	case FirstByTag:
		return "first by tag"
	case LatestByTag:
		return "latest by tag"
	}
	return fmt.Sprintf("KeyRule(%d)", uint8(r))
}

// Deletion says that a table or database was deleted, and when its data goes. Both are
// in nanoseconds since the Unix epoch.
type Deletion struct {
	At      int64
	PurgeAt int64 // 0: never
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

// TagNames returns the names of the tags in id order.
func (t *Table) TagNames() (names []string) {
	for _, c := range t.Tags() {
		names = append(names, c.Name)
	}
	return names
}

// With returns a table that has the given columns too; their ids are assigned here.
func (t *Table) With(columns []Column) *Table {
	all := slices.Clone(t.Columns)
	for _, c := range columns {
		c.ID = ColumnID(len(all) + 1)
		all = append(all, c)
	}
	next := NewTable(t.ID, t.Database, t.Name, all)
	next.Key, next.Created, next.Deleted, next.Retention, next.Rollup = t.Key, t.Created, t.Deleted, t.Retention, t.Rollup
	next.Caches = t.Caches
	return next
}

// WithRetention returns the table with another retention period of its own.
func (t *Table) WithRetention(retention time.Duration) *Table {
	next := *t
	next.Retention = retention
	return &next
}

// Delete returns the table as it is after its deletion. One that is deleted already
// stays as it is.
func (t *Table) Delete(d Deletion) *Table {
	if t.Deleted != nil {
		return t
	}
	next := *t
	next.Deleted = &d
	return &next
}
