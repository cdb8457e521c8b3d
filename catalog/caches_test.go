package catalog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

var newestOfHosts = schema.Cache{
	Kind: schema.LastCache, Name: "newest", Columns: []schema.ColumnID{1}, AllValues: true, Limit: 1, MaxAge: time.Hour,
}

func hostsOf(name string) schema.Cache {
	return schema.Cache{Kind: schema.DistinctCache, Name: name, Columns: []schema.ColumnID{1}, Limit: 10, MaxAge: time.Minute}
}

// TestCachesLastUntilTheyAreDeleted: also across a change of their table, and in an image.
func TestCachesLastUntilTheyAreDeleted(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, cached())
	create := func(cache schema.Cache) *schema.Cache {
		t.Helper()
		made, err := c.CreateCache("db", "m", cache)
		mustDo(t, err)
		return made
	}
	newest, hosts, more := create(newestOfHosts), create(hostsOf("hosts")), create(hostsOf("newest"))
	check := func(want ...*schema.Cache) {
		t.Helper()
		for range 2 {
			m, _ := c.Schema().TableByID(1)
			if diff := cmp.Diff(want, m.Caches); diff != "" {
				t.Fatalf("caches (-want +got):\n%s", diff)
			}
			mustDo(t, c.Close())
			c = mustOpen(t, fs)
		}
	}
	check(newest, hosts, more)
	mustDefine(t, c, Change{Database: "db", Tables: []TableChange{{Name: "m", Columns: []NewColumn{{"rack", schema.Tag}}}}})
	mustDo(t, c.SetTableRetention("db", "m", time.Hour))
	check(newest, hosts, more)
	mustDo(t, c.DeleteCache("db", "m", schema.DistinctCache, "newest"))
	if err := c.DeleteCache("db", "m", schema.DistinctCache, "newest"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	check(newest, hosts)
	mustDo(t, c.DeleteTable("db", "m", 1))
	check(newest, hosts)
	mustDo(t, c.Purge([]schema.TableID{1}, nil))
	mustDo(t, c.Close())
	for key := range rawRecords(t, fs) {
		if kind(key[0]) == kindCache {
			t.Errorf("record %x is left", key)
		}
	}
}

// cached is a table with a tag, a float and a string.
func cached() Change {
	return Change{Database: "db", Tables: []TableChange{{Name: "m", Columns: []NewColumn{
		{"host", schema.Tag}, {"f", schema.Float64}, {"s", schema.String},
	}}}}
}

func TestImpossibleCachesAreRefused(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	defer mustClose(t, c)
	mustDefine(t, c, cached())
	for want, change := range map[string]func(*schema.Cache){
		"the name of a cache is empty": func(c *schema.Cache) { c.Name = "" },
		"no kind of cache":             func(c *schema.Cache) { c.Kind = 3 },
		"no row":                       func(c *schema.Cache) { c.Limit = 0 },
		"the least is a second":        func(c *schema.Cache) { c.MaxAge = time.Second - 1 },
		"no column 4":                  func(c *schema.Cache) { c.Columns = []schema.ColumnID{4} },
		"no column 0":                  func(c *schema.Cache) { c.AllValues, c.Values = false, []schema.ColumnID{0} },
		`column "host" occurs twice`:   func(c *schema.Cache) { c.Columns = []schema.ColumnID{1, 1} },
		`column "f" occurs twice`:      func(c *schema.Cache) { c.AllValues, c.Values = false, []schema.ColumnID{2, 2} },
		`column "f" has floats`:        func(c *schema.Cache) { c.Columns = []schema.ColumnID{2} },
		"says that it has others":      func(c *schema.Cache) { c.Values = []schema.ColumnID{2} },
		"it has no column":             func(c *schema.Cache) { c.Kind, c.AllValues, c.Columns = schema.DistinctCache, false, nil },
		"neither a tag nor a string":   func(c *schema.Cache) { *c = hostsOf("f"); c.Columns = []schema.ColumnID{2} },
	} {
		cache := newestOfHosts
		change(&cache)
		if _, err := c.CreateCache("db", "m", cache); !errors.Is(err, ErrInvalidChange) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := c.CreateCache("db", "none", newestOfHosts); !errors.Is(err, ErrNotFound) {
		t.Errorf("of no table: %v", err)
	}
	if _, err := c.CreateCache("none", "m", newestOfHosts); !errors.Is(err, ErrNotFound) {
		t.Errorf("of no database: %v", err)
	}
	if _, err := c.CreateCache("db", "m", newestOfHosts); err != nil {
		t.Error(err)
	}
	if _, err := c.CreateCache("db", "m", newestOfHosts); !errors.Is(err, ErrExists) {
		t.Errorf("a second of the name: %v", err)
	}
}

// TestRebuildKeepsCaches: but for those whose columns are lost.
func TestRebuildKeepsCaches(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, cached())
	_, err := c.CreateCache("db", "m", newestOfHosts)
	mustDo(t, err)
	lost := hostsOf("texts")
	lost.Columns = []schema.ColumnID{3}
	_, err = c.CreateCache("db", "m", lost)
	mustDo(t, err)
	mustDo(t, c.Close())
	db := rawOpen(t, fs)
	mustDo(t, db.Delete(columnKey(1, 3), nil))
	mustDo(t, db.Close())

	r, err := ReadRemains(Options{FS: fs, Dir: testDir})
	mustDo(t, err)
	notes, err := r.Build(Options{FS: fs, Dir: "rebuilt"})
	mustDo(t, err)
	mustDo(t, r.Close())
	if len(notes) != 1 || !strings.Contains(notes[0], `distinct_cache "texts" of table "m" is left out`) {
		t.Errorf("the notes are %q", notes)
	}
	c, err = Open(Options{FS: fs, Dir: "rebuilt"})
	mustDo(t, err)
	defer mustClose(t, c)
	m, _ := c.Schema().TableByID(1)
	if _, ok := m.Cache(schema.LastCache, "newest"); !ok || len(m.Caches) != 1 {
		t.Errorf("the caches are %v", m.Caches)
	}
}
