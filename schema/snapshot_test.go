package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestSnapshotMatchesModel applies random additions and compares each snapshot, and
// those before it, with a plain map of names.
func TestSnapshotMatchesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var history []*Snapshot
		var models []map[string]map[string]*Table
		snapshot, model, lastTable := new(Snapshot), map[string]map[string]*Table{}, TableID(0)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			model = deepClone(model)
			var databases []*Database
			var tables []*Table
			for range rapid.IntRange(0, 5).Draw(t, "changes") {
				name := fmt.Sprint("db", rapid.IntRange(0, 3).Draw(t, "database"))
				if model[name] == nil {
					model[name] = map[string]*Table{}
					databases = append(databases, &Database{ID: DatabaseID(len(model)), Name: name})
				}
				id := databaseID(snapshot, databases, name)
				table := fmt.Sprint("table", rapid.IntRange(0, 9).Draw(t, "table"))
				next, known := model[name][table]
				if known {
					next = next.With([]Column{{Name: fmt.Sprint("c", len(next.Columns)), Type: Tag}})
				} else {
					lastTable++
					next = NewTable(lastTable, id, table, nil)
				}
				model[name][table] = next
				tables = append(tables, next)
			}
			snapshot = snapshot.With(databases, tables)
			history, models = append(history, snapshot), append(models, model)
		}
		for i, s := range history {
			checkSnapshot(t, s, models[i])
		}
	})
}

func databaseID(s *Snapshot, fresh []*Database, name string) DatabaseID {
	if d, ok := s.Database(name); ok {
		return d.ID
	}
	i := slices.IndexFunc(fresh, func(d *Database) bool { return d.Name == name })
	return fresh[i].ID
}

func deepClone(m map[string]map[string]*Table) map[string]map[string]*Table {
	c := map[string]map[string]*Table{}
	for name, tables := range m {
		c[name] = maps.Clone(tables)
	}
	return c
}

func checkSnapshot(t *rapid.T, s *Snapshot, model map[string]map[string]*Table) {
	t.Helper()
	var names []string
	count := 0
	for _, d := range s.Databases() {
		names = append(names, d.Name)
		want := model[d.Name]
		count += len(want)
		if d.TableCount() != len(want) || len(d.Tables()) != len(want) {
			t.Fatalf("%s has %d tables, want %d", d.Name, d.TableCount(), len(want))
		}
		if !slices.IsSortedFunc(d.Tables(), func(a, b *Table) int { return strings.Compare(a.Name, b.Name) }) {
			t.Fatalf("the tables of %s are not in order", d.Name)
		}
		for name, table := range want {
			byName, _ := d.Table(name)
			byID, _ := s.TableByID(table.ID)
			if byName != table || byID != table {
				t.Fatalf("table %s of %s is not the one that was defined last", name, d.Name)
			}
		}
		if _, ok := d.Table("absent"); ok {
			t.Fatal("found a table that was never defined")
		}
	}
	if want := slices.Sorted(maps.Keys(model)); !slices.Equal(names, want) {
		t.Fatalf("the databases are %q, want %q", names, want)
	}
	if s.TableCount() != count {
		t.Fatalf("there are %d tables, want %d", s.TableCount(), count)
	}
}

// TestTableNamesSpreadOverShards matters because With copies a whole shard.
func TestTableNamesSpreadOverShards(t *testing.T) {
	var counts [shardCount]int
	const names = 100 * shardCount
	for i := range names {
		counts[shardOf(fmt.Sprintf("measurement_%d", i))]++
	}
	for shard, n := range counts {
		if n < names/shardCount/2 || n > names/shardCount*2 {
			t.Errorf("shard %d has %d of %d names", shard, n, names)
		}
	}
}

func TestEmptySnapshotHasNothing(t *testing.T) {
	var s Snapshot
	if _, ok := s.Database("db"); ok {
		t.Error("found a database")
	}
	for _, id := range []TableID{0, 1, 1 << 31} {
		if _, ok := s.TableByID(id); ok {
			t.Errorf("found table %d", id)
		}
	}
	if s.TableCount() != 0 || len(s.Databases()) != 0 {
		t.Error("something is counted")
	}
}
