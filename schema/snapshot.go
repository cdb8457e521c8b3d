package schema

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// shardCount splits a database's tables, so that adding one table copies 1/64th of
// the names: a request that creates 10,000 tables one by one stays affordable.
const shardCount = 64

type tableShards [shardCount]map[string]*Table

// shardOf is FNV-1a over the name, folded to a shard number.
func shardOf(name string) int {
	h := uint32(2166136261)
	for i := 0; i < len(name); i++ {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return int((h ^ h>>16) % shardCount)
}

func (s *tableShards) shard(name string) map[string]*Table { return s[shardOf(name)] }

// Snapshot is an immutable picture of every database and table. The zero value is empty.
type Snapshot struct {
	databases map[string]*Database
	byID      []*Database        // the same, indexed by id; nil where there is none
	deleted   []*DeletedDatabase // by id
	tables    []*Table           // every table of every database, indexed by id; nil where there is none
	rollups   []TableID          // those of tables, in the order of their definition; some may be deleted

	all, limited counts
	deletions    uint64
}

// counts are the numbers of databases and tables that exist.
type counts struct{ databases, tables int }

// purgedTable takes the place of a purged table in Snapshot.tables.
var purgedTable = &Table{Name: "purged"}

// Database finds a database by name.
func (s *Snapshot) Database(name string) (*Database, bool) {
	d, ok := s.databases[name]
	return d, ok
}

// TableByID finds a table of any database. Deleted tables and those of deleted
// databases are found too, with Deleted set, until they are purged.
func (s *Snapshot) TableByID(id TableID) (*Table, bool) {
	if int(id) >= len(s.tables) || s.tables[id] == nil || s.tables[id] == purgedTable {
		return nil, false
	}
	return s.tables[id], true
}

// Rollups returns the rollups of a table that exist, of all tables for 0, in the order of their definition.
func (s *Snapshot) Rollups(source TableID) []*Table {
	return slices.DeleteFunc(s.UnpurgedRollups(source), func(t *Table) bool { return t.Deleted != nil })
}

// UnpurgedRollups is Rollups with those that were deleted and not purged yet.
func (s *Snapshot) UnpurgedRollups(source TableID) (all []*Table) {
	for _, id := range s.rollups {
		if t, ok := s.TableByID(id); ok && (source == 0 || t.Rollup.Source == source) {
			all = append(all, t)
		}
	}
	return all
}

// IsPurged reports whether there was a table with the id of which nothing is left.
func (s *Snapshot) IsPurged(id TableID) bool {
	return int(id) < len(s.tables) && s.tables[id] == purgedTable
}

// DatabaseName returns the name of a database, also of a deleted one; it is empty if
// there is none with the id, or no more.
func (s *Snapshot) DatabaseName(id DatabaseID) string {
	if d := s.databaseByID(id); d != nil {
		return d.Name
	}
	if d, ok := s.DeletedDatabase(id); ok {
		return d.Name
	}
	return ""
}

// DatabaseByID finds a database that exists.
func (s *Snapshot) DatabaseByID(id DatabaseID) (*Database, bool) {
	d := s.databaseByID(id)
	return d, d != nil
}

func (s *Snapshot) databaseByID(id DatabaseID) *Database {
	if int(id) >= len(s.byID) {
		return nil
	}
	return s.byID[id]
}

// findDeleted returns where the deleted database is, or would be, in s.deleted.
func (s *Snapshot) findDeleted(id DatabaseID) (int, bool) {
	return slices.BinarySearchFunc(s.deleted, id, func(d *DeletedDatabase, id DatabaseID) int {
		return cmp.Compare(d.ID, id)
	})
}

// Databases returns every database that exists, ordered by name.
func (s *Snapshot) Databases() []*Database {
	all := slices.Collect(maps.Values(s.databases))
	slices.SortFunc(all, func(a, b *Database) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// DeletedDatabases returns the databases that were deleted and not yet purged, ordered
// by id.
func (s *Snapshot) DeletedDatabases() []*DeletedDatabase { return slices.Clone(s.deleted) }

// Deletions counts the tables and databases that were deleted in the life of this
// picture's predecessors: as long as it stays the same, a name that was looked up
// still means the same table.
func (s *Snapshot) Deletions() uint64 { return s.deletions }

// After returns the same picture as a successor of another one, in which names may have
// meant other tables.
func (s *Snapshot) After(before *Snapshot) *Snapshot {
	next := *s
	next.deletions = before.deletions + 1
	return &next
}

// DeletedDatabase finds a database that was deleted and not yet purged.
func (s *Snapshot) DeletedDatabase(id DatabaseID) (*DeletedDatabase, bool) {
	at, ok := s.findDeleted(id)
	if !ok {
		return nil, false
	}
	return s.deleted[at], true
}

// DatabaseCount returns the number of databases that exist.
func (s *Snapshot) DatabaseCount() int { return s.all.databases }

// TableCount returns the number of tables that exist, in all databases.
func (s *Snapshot) TableCount() int { return s.all.tables }

// LimitedDatabaseCount is DatabaseCount without internal databases: what counts
// against a limit.
func (s *Snapshot) LimitedDatabaseCount() int { return s.limited.databases }

// LimitedTableCount is TableCount without the tables of internal databases: what
// counts against a limit.
func (s *Snapshot) LimitedTableCount() int { return s.limited.tables }
