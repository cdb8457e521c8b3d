package schema

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Database is an immutable view of one database and its tables.
type Database struct {
	ID   DatabaseID
	Name string
	// Created is when the database was defined, in nanoseconds since the Unix epoch; 0
	// where that is not known.
	Created int64
	// Retention is how long rows are kept, counted from their time; 0 is for ever.
	Retention time.Duration

	tables  tableShards
	deleted []*Table // by id
}

// internalPrefix starts the names of the databases that Siltstone keeps for itself.
const internalPrefix = "_"

// IsInternal reports whether Siltstone keeps the database for itself. Such a database
// and its tables do not count against limits.
func (d *Database) IsInternal() bool { return IsInternalName(d.Name) }

// IsInternalName reports whether a database of this name is Siltstone's own.
func IsInternalName(name string) bool { return strings.HasPrefix(name, internalPrefix) }

// WithName returns the database with another name.
func (d *Database) WithName(name string) *Database {
	next := *d
	next.Name = name
	return &next
}

// WithRetention returns the database with another retention period.
func (d *Database) WithRetention(retention time.Duration) *Database {
	next := *d
	next.Retention = retention
	return &next
}

// RetentionOf is how long the rows of a table are kept: the table's own period, which may be
// longer than the database's as well as shorter, or else the database's; 0 is for ever.
func (d *Database) RetentionOf(t *Table) time.Duration { return cmp.Or(t.Retention, d.Retention) }

// Delete returns the database as it is after its deletion.
func (d *Database) Delete(deletion Deletion) *DeletedDatabase {
	tables := slices.Clone(d.deleted)
	for _, shard := range d.tables {
		for _, t := range shard {
			tables = append(tables, t.Delete(deletion))
		}
	}
	slices.SortFunc(tables, compareTableIDs)
	return &DeletedDatabase{
		ID: d.ID, Name: d.Name, Created: d.Created, Retention: d.Retention, Deleted: deletion, Tables: tables,
	}
}

// Table finds a table by name.
func (d *Database) Table(name string) (*Table, bool) {
	t, ok := d.tables.shard(name)[name]
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

// DeletedTables returns the tables that were deleted and not yet purged, ordered by id.
// Several of them, and a table that exists, may have one name.
func (d *Database) DeletedTables() []*Table { return slices.Clone(d.deleted) }

// TableCount returns the number of tables that exist.
func (d *Database) TableCount() int {
	n := 0
	for _, m := range d.tables {
		n += len(m)
	}
	return n
}

// DeletedDatabase is a database that was deleted and not yet purged. Its name may have
// been given to another database since.
type DeletedDatabase struct {
	ID        DatabaseID
	Name      string
	Created   int64
	Retention time.Duration
	Deleted   Deletion
	// Tables are all its tables, ordered by id. Those that were not deleted before the
	// database share its Deletion.
	Tables []*Table
}

func compareTableIDs(a, b *Table) int { return cmp.Compare(a.ID, b.ID) }
