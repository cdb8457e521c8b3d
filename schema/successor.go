package schema

import (
	"maps"
	"slices"
)

// With returns a snapshot in which the given databases exist and the given tables are
// defined as given, new or replaced. Each table's database must exist afterwards, and a
// database that replaces another must be made from it. A table with Deleted set leaves
// its name free.
func (s *Snapshot) With(databases []*Database, tables []*Table) *Snapshot {
	next := s.succeed()
	for _, d := range databases {
		next.putDatabase(d)
	}
	for _, t := range tables {
		next.putTable(t)
	}
	return next.Snapshot
}

// WithDeleted returns a snapshot in which the given databases, whether they are in this
// one or not, are deleted.
func (s *Snapshot) WithDeleted(databases []*DeletedDatabase) *Snapshot {
	next := s.succeed()
	for _, d := range databases {
		next.deleteDatabase(d)
	}
	return next.Snapshot
}

// WithPurged returns a snapshot in which nothing is left of the given tables and
// databases, nor of the tables of those databases. None of them may exist in this one,
// unless deleted.
func (s *Snapshot) WithPurged(tables []TableID, databases []DatabaseID) *Snapshot {
	next := s.succeed()
	for _, id := range databases {
		next.purgeDatabase(id)
	}
	next.purgeTables(tables)
	return next.Snapshot
}

// successor is a snapshot in the making. It shares databases, shards and lists with its
// predecessor until it changes them.
type successor struct {
	*Snapshot
	// fresh and shards are the databases and the shards of theirs that were copied, and
	// so may be changed.
	fresh  map[DatabaseID]*Database
	shards map[*map[string]*Table]bool
}

func (s *Snapshot) succeed() *successor {
	next := *s
	next.databases = cloneOrMake(s.databases)
	next.byID, next.tables = slices.Clone(s.byID), slices.Clone(s.tables)
	next.deleted = slices.Clone(s.deleted)
	return &successor{
		Snapshot: &next, fresh: make(map[DatabaseID]*Database), shards: make(map[*map[string]*Table]bool),
	}
}

// count adds to the numbers that d takes part in.
func (s *successor) count(d *Database, databases, tables int) {
	s.all.databases += databases
	s.all.tables += tables
	if !d.IsInternal() {
		s.limited.databases += databases
		s.limited.tables += tables
	}
}

func (s *successor) putDatabase(d *Database) {
	if before := s.databaseByID(d.ID); before != nil {
		s.removeDatabase(before)
	}
	s.databases[d.Name] = d
	s.byID = put(s.byID, int(d.ID), d)
	s.count(d, 1, d.TableCount())
}

func (s *successor) removeDatabase(d *Database) {
	delete(s.databases, d.Name)
	s.byID[d.ID] = nil
	s.count(d, -1, -d.TableCount())
}

// own returns a copy of the database that may be changed; its shards may not.
func (s *successor) own(id DatabaseID) *Database {
	if d := s.fresh[id]; d != nil {
		return d
	}
	d := *s.byID[id]
	d.deleted = slices.Clone(d.deleted)
	s.fresh[id], s.byID[id], s.databases[d.Name] = &d, &d, &d
	return &d
}

// ownShard returns the shard of an owned database that holds the name; it may be changed.
func (s *successor) ownShard(d *Database, name string) map[string]*Table {
	shard := &d.tables[shardOf(name)]
	if !s.shards[shard] {
		*shard, s.shards[shard] = cloneOrMake(*shard), true
	}
	return *shard
}

func (s *successor) putTable(t *Table) {
	d := s.own(t.Database)
	s.tables = put(s.tables, int(t.ID), t)
	if t.Rollup != nil && !slices.Contains(s.rollups, t.ID) {
		s.rollups = append(slices.Clip(s.rollups), t.ID)
	}
	if t.Deleted != nil {
		s.deleteTable(d, t)
		return
	}
	shard := s.ownShard(d, t.Name)
	if shard[t.Name] == nil {
		s.count(d, 0, 1)
	}
	shard[t.Name] = t
}

// deleteTable frees the name of t, if t has it, and lists t as deleted.
func (s *successor) deleteTable(d *Database, t *Table) {
	s.deletions++
	if before, ok := d.Table(t.Name); ok && before.ID == t.ID {
		delete(s.ownShard(d, t.Name), t.Name)
		s.count(d, 0, -1)
	}
	at, found := slices.BinarySearchFunc(d.deleted, t, compareTableIDs)
	if !found {
		d.deleted = slices.Insert(d.deleted, at, t)
	}
}

func (s *successor) deleteDatabase(d *DeletedDatabase) {
	s.deletions++
	if before := s.databaseByID(d.ID); before != nil {
		s.removeDatabase(before)
	}
	at, _ := s.findDeleted(d.ID)
	s.deleted = slices.Insert(s.deleted, at, d)
	for _, t := range d.Tables {
		s.tables = put(s.tables, int(t.ID), t)
	}
}

func (s *successor) purgeDatabase(id DatabaseID) {
	at, ok := s.findDeleted(id)
	if !ok {
		return
	}
	for _, t := range s.deleted[at].Tables {
		s.tables[t.ID] = purgedTable
	}
	s.deleted = slices.Delete(s.deleted, at, at+1)
}

// purgeTables marks the tables as purged before it takes them out of their databases'
// lists, so that each list is read once.
func (s *successor) purgeTables(ids []TableID) {
	touched := make(map[DatabaseID]bool)
	for _, id := range ids {
		if t, ok := s.TableByID(id); ok {
			touched[t.Database] = true
		}
		s.tables = put(s.tables, int(id), purgedTable)
	}
	isPurged := func(t *Table) bool { return s.IsPurged(t.ID) }
	s.rollups = slices.DeleteFunc(slices.Clone(s.rollups), s.IsPurged)
	for id := range touched {
		if s.databaseByID(id) != nil {
			d := s.own(id)
			d.deleted = slices.DeleteFunc(d.deleted, isPurged)
		} else if at, ok := s.findDeleted(id); ok {
			d := *s.deleted[at]
			d.Tables = slices.DeleteFunc(slices.Clone(d.Tables), isPurged)
			s.deleted[at] = &d
		}
	}
}

// put sets an element of a list that is indexed by id, which it makes longer if need be.
func put[T any](list []*T, id int, v *T) []*T {
	for id >= len(list) {
		list = append(list, nil)
	}
	list[id] = v
	return list
}

func cloneOrMake[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return make(map[K]V)
	}
	return maps.Clone(m)
}
