package schema

import (
	"maps"
	"slices"
	"strings"
)

// shardCount splits a database's tables, so that adding one table copies 1/64th of
// the names: a request that creates 10,000 tables one by one stays affordable.
const shardCount = 64

type tableShards [shardCount]map[string]*Table

// shardOf is FNV-1a over the name, folded to a shard number.
func shardOf[T string | []byte](name T) int {
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
	tables    []*Table // every table of every database, indexed by id; nil where there is none
}

// Database finds a database by name.
func (s *Snapshot) Database(name string) (*Database, bool) {
	d, ok := s.databases[name]
	return d, ok
}

// TableByID finds a table of any database.
func (s *Snapshot) TableByID(id TableID) (*Table, bool) {
	if int(id) >= len(s.tables) || s.tables[id] == nil {
		return nil, false
	}
	return s.tables[id], true
}

// DatabaseName returns the name of a database, empty if there is none with the id.
func (s *Snapshot) DatabaseName(id DatabaseID) string {
	for name, d := range s.databases {
		if d.ID == id {
			return name
		}
	}
	return ""
}

// Databases returns every database, ordered by name.
func (s *Snapshot) Databases() []*Database {
	all := slices.Collect(maps.Values(s.databases))
	slices.SortFunc(all, func(a, b *Database) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// TableCount returns the number of tables in all databases.
func (s *Snapshot) TableCount() int {
	n := 0
	for _, t := range s.tables {
		if t != nil {
			n++
		}
	}
	return n
}

// With returns a snapshot in which the given databases exist and the given tables
// are defined as given, new or replaced. Each table's database must exist afterwards.
func (s *Snapshot) With(databases []*Database, tables []*Table) *Snapshot {
	next := &Snapshot{databases: maps.Clone(s.databases), tables: slices.Clone(s.tables)}
	if next.databases == nil {
		next.databases = make(map[string]*Database)
	}
	byID := make(map[DatabaseID]*Database, len(next.databases))
	for _, d := range databases {
		next.databases[d.Name] = d
	}
	for _, d := range next.databases {
		byID[d.ID] = d
	}
	fresh := make(map[DatabaseID]*Database)
	copied := make(map[*map[string]*Table]bool)
	for _, t := range tables {
		d := fresh[t.Database]
		if d == nil {
			c := *byID[t.Database]
			d = &c
			fresh[t.Database], next.databases[d.Name] = d, d
		}
		shard := &d.tables[shardOf(t.Name)]
		if !copied[shard] {
			*shard, copied[shard] = cloneOrMake(*shard), true
		}
		(*shard)[t.Name] = t
		for int(t.ID) >= len(next.tables) {
			next.tables = append(next.tables, nil)
		}
		next.tables[t.ID] = t
	}
	return next
}

func cloneOrMake(m map[string]*Table) map[string]*Table {
	if m == nil {
		return make(map[string]*Table)
	}
	return maps.Clone(m)
}
