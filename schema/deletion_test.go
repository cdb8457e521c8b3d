package schema

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// lifeModel says in the plainest form what has become of each table and database.
type lifeModel struct {
	databases map[DatabaseID]string // the names, of those not purged
	dropped   map[DatabaseID]bool   // deleted
	tables    map[TableID]lifeTable // of those not purged
	purged    map[TableID]bool
	nextDB    DatabaseID
	nextTable TableID
}

type lifeTable struct {
	database DatabaseID
	name     string
	deleted  int64 // when; 0: not
}

func (m *lifeModel) live(name string) (DatabaseID, bool) {
	for id, n := range m.databases {
		if n == name && !m.dropped[id] {
			return id, true
		}
	}
	return 0, false
}

// TestDeletionsMatchModel defines, deletes and purges at random, and checks every snapshot
// after all later ones were made.
func TestDeletionsMatchModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &lifeModel{map[DatabaseID]string{}, map[DatabaseID]bool{}, map[TableID]lifeTable{}, map[TableID]bool{}, 1, 1}
		s := new(Snapshot)
		var checks []func()
		for step := range int64(rapid.IntRange(1, 40).Draw(t, "steps")) {
			s = m.step(t, s, step+1)
			then := &lifeModel{
				maps.Clone(m.databases), maps.Clone(m.dropped), maps.Clone(m.tables), maps.Clone(m.purged), m.nextDB, m.nextTable,
			}
			now := s
			checks = append(checks, func() { then.check(t, now) })
		}
		for _, check := range checks {
			check()
		}
	})
}

func (m *lifeModel) step(t *rapid.T, s *Snapshot, now int64) *Snapshot {
	name := rapid.SampledFrom([]string{"a", "b", "_c"}).Draw(t, "database")
	table := fmt.Sprint("t", rapid.IntRange(0, 3).Draw(t, "table"))
	id, exists := m.live(name)
	if !exists {
		m.databases[m.nextDB] = name
		m.nextDB++
		return s.With([]*Database{{ID: m.nextDB - 1, Name: name}}, nil)
	}
	d, _ := s.Database(name)
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0:
		m.dropped[id] = true
		for tid, have := range m.tables {
			if have.database == id && have.deleted == 0 {
				have.deleted = now
				m.tables[tid] = have
			}
		}
		return s.WithDeleted([]*DeletedDatabase{d.Delete(Deletion{At: now})})
	case 1, 2:
		return m.purge(t, s)
	case 3, 4:
		have, ok := d.Table(table)
		if !ok {
			return s
		}
		m.tables[have.ID] = lifeTable{id, table, now}
		return s.With(nil, []*Table{have.Delete(Deletion{At: now})})
	case 5:
		return s.With([]*Database{d.WithRetention(time.Duration(now))}, nil)
	default:
		if have, ok := d.Table(table); ok {
			return s.With(nil, []*Table{have.With([]Column{{Name: fmt.Sprint(now), Type: Tag}})})
		}
		m.tables[m.nextTable] = lifeTable{id, table, 0}
		m.nextTable++
		return s.With(nil, []*Table{NewTable(m.nextTable-1, id, table, nil)})
	}
}

func (m *lifeModel) purge(t *rapid.T, s *Snapshot) *Snapshot {
	var tables []TableID
	var databases []DatabaseID
	for _, id := range slices.Sorted(maps.Keys(m.dropped)) {
		if rapid.Bool().Draw(t, "purge database") {
			databases = append(databases, id)
			delete(m.databases, id)
			delete(m.dropped, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.tables)) {
		chosen := m.tables[id].deleted != 0 && rapid.Bool().Draw(t, "purge table")
		if chosen {
			tables = append(tables, id)
		}
		if chosen || m.databases[m.tables[id].database] == "" {
			delete(m.tables, id)
			m.purged[id] = true
		}
	}
	return s.WithPurged(tables, databases)
}

func (m *lifeModel) check(t *rapid.T, s *Snapshot) {
	t.Helper()
	var all, limited counts
	for id, name := range m.databases {
		if got := s.DatabaseName(id); got != name {
			t.Fatalf("database %d is called %q, want %q", id, got, name)
		}
		if _, ok := s.DeletedDatabase(id); ok != m.dropped[id] {
			t.Fatalf("database %d: deleted %v, want %v", id, ok, m.dropped[id])
		}
		if d, ok := s.Database(name); !m.dropped[id] && (!ok || d.ID != id) {
			t.Fatalf("database %s is not found", name)
		}
		if !m.dropped[id] {
			all.databases++
			if name[0] != '_' {
				limited.databases++
			}
		}
	}
	for id := range m.nextTable + 1 {
		want, exists := m.tables[id]
		got, ok := s.TableByID(id)
		if ok != exists || s.IsPurged(id) != m.purged[id] {
			t.Fatalf("table %d: found %v, purged %v", id, ok, s.IsPurged(id))
		}
		if !exists {
			continue
		}
		if got.Name != want.name || (got.Deleted != nil) != (want.deleted != 0) || got.Deleted != nil && got.Deleted.At != want.deleted {
			t.Fatalf("table %d is %+v, want %+v", id, got, want)
		}
		if !slices.Contains(m.listed(s, want), got) {
			t.Fatalf("table %d is not listed", id)
		}
		if want.deleted == 0 {
			all.tables++
			if m.databases[want.database][0] != '_' {
				limited.tables++
			}
		}
	}
	have := counts{s.DatabaseCount(), s.TableCount()}
	haveLimited := counts{s.LimitedDatabaseCount(), s.LimitedTableCount()}
	if have != all || haveLimited != limited || len(s.Databases()) != all.databases || len(s.DeletedDatabases()) != len(m.dropped) {
		t.Fatalf("counted %+v and %+v, want %+v and %+v", have, haveLimited, all, limited)
	}
}

// listed returns the list in which the table ought to be.
func (m *lifeModel) listed(s *Snapshot, want lifeTable) []*Table {
	if d, ok := s.DeletedDatabase(want.database); ok {
		return d.Tables
	}
	d, _ := s.Database(m.databases[want.database])
	if want.deleted != 0 {
		return d.DeletedTables()
	}
	return d.Tables()
}

func TestColumnsAreAddedToTheSameTable(t *testing.T) {
	before := NewTable(1, 1, "t", nil)
	before.Key, before.Created = TableKey{LatestByTag, "id"}, 7
	after := before.With([]Column{{Name: "id", Type: Tag, Created: 8}})
	if after.Key != before.Key || after.Created != 7 || after.Columns[0].Created != 8 {
		t.Errorf("the table is %+v", after)
	}
	gone := after.Delete(Deletion{At: 9})
	if after.Deleted != nil || gone.Deleted.At != 9 || gone.Delete(Deletion{At: 10}).Deleted.At != 9 {
		t.Errorf("the deleted table is %+v", gone)
	}
}

// TestKeyRulesKeepTheirNumbers pins values that are in the catalog.
func TestKeyRulesKeepTheirNumbers(t *testing.T) {
	for rule, want := range map[KeyRule]uint8{PointKey: 0, FirstByTag: 1, LatestByTag: 2} {
		if uint8(rule) != want || !rule.Valid() {
			t.Errorf("rule %s is %d, want %d", rule, rule, want)
		}
	}
	if KeyRule(3).Valid() {
		t.Error("rule 3 is valid")
	}
}
