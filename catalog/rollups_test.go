package catalog

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

// rollupOf makes a rollup of table 1, which keeps its tags.
func rollupOf(name string, r schema.Rollup) Change {
	return Change{Database: "db", Tables: []TableChange{{
		Name: name, MustBeNew: true, Rollup: &r, FrozenBefore: -600,
		Columns: []NewColumn{{"host", schema.Tag}, {"f_max", schema.Float64}},
	}}}
}

var maxOfF = schema.Rollup{
	Source: 1, Interval: time.Minute, AllTags: true, Aggregates: []schema.Aggregate{{Func: schema.Max, Field: "f", Name: "f_max"}},
}

func TestRollupsLastUntilTheyArePurged(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, table("db", "m", "f"))
	mustDefine(t, c, rollupOf("r", maxOfF))
	const source, id = schema.TableID(1), schema.TableID(2)
	check := func(want *schema.RollupState) {
		t.Helper()
		for range 2 {
			if diff := cmp.Diff(want, c.RollupState(id)); diff != "" {
				t.Fatalf("state (-want +got):\n%s", diff)
			}
			if want != nil && (len(c.Schema().Rollups(source)) != 1 || !cmp.Equal(*c.Schema().Rollups(source)[0].Rollup, maxOfF)) {
				t.Fatalf("the rollups are %v", c.Schema().Rollups(source))
			}
			mustDo(t, c.Close())
			c = mustOpen(t, fs)
		}
	}
	all := schema.TimeRange{Min: -600, Max: schema.MaxTimeRange.Max}
	check(&schema.RollupState{Table: id, FrozenBefore: -600, Stale: []schema.StaleRange{{Time: all}}})
	next := c.RollupState(id).Unmark(all).Mark(schema.StaleRange{Time: schema.TimeRange{Min: 0, Max: 599}, Shrunk: true})
	mustDo(t, c.Commit(Edit{Rollups: []*schema.RollupState{next}}))
	check(next)
	if err := c.DeleteTable("db", "m", 1); !errors.Is(err, ErrHasRollups) {
		t.Errorf("the source is deleted: %v", err)
	}
	mustDo(t, c.DeleteTable("db", "r", 1))
	mustDo(t, c.DeleteTable("db", "m", 1))
	mustDo(t, c.Purge([]schema.TableID{source}, nil)) // before the rollup
	mustDo(t, c.Close())
	c = mustOpen(t, fs)
	mustDo(t, c.Purge([]schema.TableID{id}, nil))
	check(nil)
	mustDo(t, c.Close())
}

func TestRollupsOfNothingAreRefused(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	mustDefine(t, c, table("db", "m", "f"))
	mustDefine(t, c, rollupOf("r", maxOfF))
	mustDefine(t, c, table("other", "m", "f"))
	for what, change := range map[string]func(*schema.Rollup){
		"source":        func(r *schema.Rollup) { r.Source = 99 },
		"rollup":        func(r *schema.Rollup) { r.Source = 2 },
		"other's table": func(r *schema.Rollup) { r.Source = 3 },
		"interval":      func(r *schema.Rollup) { r.Interval = 7 * time.Minute },
		"aggregates":    func(r *schema.Rollup) { r.Aggregates = nil },
	} {
		r := maxOfF
		change(&r)
		if _, err := c.Define(rollupOf("s", r)); !errors.Is(err, ErrInvalidChange) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.Define(rollupOf("r", maxOfF)); !errors.Is(err, ErrExists) {
		t.Errorf("one of the same name: %v", err)
	}
	if _, err := c.Define(table("db", "r", "g")); !errors.Is(err, ErrReadOnlyRollup) {
		t.Errorf("a writer defines a column: %v", err)
	}
	for _, bad := range []*schema.RollupState{
		{Table: 1},
		{Table: 2, FrozenBefore: 60, Stale: []schema.StaleRange{{Time: schema.TimeRange{Min: 0, Max: 99}}}},
		{Table: 2, Stale: []schema.StaleRange{{Time: schema.TimeRange{Min: 0, Max: 99}}, {Time: schema.TimeRange{Min: 99, Max: 100}}}},
	} {
		if err := c.Commit(Edit{Rollups: []*schema.RollupState{bad}}); !errors.Is(err, ErrInvalidEdit) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	mustDo(t, c.Close())
}

// TestNewTagsReachRollups: those that keep all tags get them with the source; a name that is taken is left out.
func TestNewTagsReachRollups(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, table("db", "m", "f"))
	mustDefine(t, c, rollupOf("r", maxOfF))
	some := maxOfF
	some.AllTags = false
	mustDefine(t, c, rollupOf("some", some))
	mustDefine(t, c, Change{Database: "db", Tables: []TableChange{{Name: "m", Columns: []NewColumn{
		{"rack", schema.Tag}, {"f_max", schema.Tag}, {"g", schema.Float64},
	}}}})
	for range 2 {
		db, _ := c.Schema().Database("db")
		for name, want := range map[string]int{"r": 3, "some": 2} {
			if r, _ := db.Table(name); len(r.Columns) != want || want == 3 && r.Columns[2].Name != "rack" {
				t.Errorf("the columns of %s are %v", name, r.Columns)
			}
		}
		mustDo(t, c.Close())
		c = mustOpen(t, fs)
	}
	mustDo(t, c.Close())
}
