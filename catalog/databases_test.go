package catalog

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

func TestNamesOfDeletedThingsAreFree(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, table("db", "t", "f"))
	mustDo(t, c.DeleteTable("db", "t", 77))
	s := mustDefine(t, c, Change{Database: "db", Tables: []TableChange{{Name: "t", Columns: []NewColumn{{"f", schema.String}}}}})
	db, _ := s.Database("db")
	if fresh, _ := db.Table("t"); fresh == nil || fresh.ID != 2 || fresh.Columns[0].Type != schema.String {
		t.Errorf("the new table is %+v", fresh)
	}
	if old, ok := s.TableByID(1); !ok || old.Deleted == nil || old.Deleted.PurgeAt != 77 || s.TableCount() != 1 {
		t.Errorf("the deleted table is %+v", old)
	}
	mustDo(t, c.DeleteDatabase("db", 88))
	mustDo(t, c.CreateDatabase("db", time.Hour))
	s = c.Schema()
	if db, _ := s.Database("db"); db.ID != 2 || db.TableCount() != 0 || db.Retention != time.Hour {
		t.Errorf("the new database is %+v", db)
	}
	if name := s.DatabaseName(1); name != "db" {
		t.Errorf("the deleted database is called %q", name)
	}
	for id, purgeAt := range map[schema.TableID]int64{1: 77, 2: 88} { // each keeps its own deletion
		if old, ok := s.TableByID(id); !ok || old.Deleted == nil || old.Deleted.PurgeAt != purgeAt {
			t.Errorf("table %d is %+v", id, old)
		}
	}
	want := observe(c)
	mustClose(t, c)
	c = mustOpen(t, fs)
	defer mustClose(t, c)
	mustHave(t, c, want)
}

func TestDatabaseCallsNameWhatIsWrong(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	defer mustClose(t, c)
	mustDefine(t, c, table("db", "t"))
	mustDefine(t, c, table("db", "live"))
	mustDefine(t, c, table("gone", "t"))
	mustDo(t, c.DeleteTable("db", "t", 0))
	mustDo(t, c.DeleteDatabase("gone", 0))
	before := observe(c)
	for name, test := range map[string]struct {
		err   error
		cause error
		text  string
	}{
		"create twice":          {c.CreateDatabase("db", 0), ErrExists, `database "db" exists already`},
		"create without name":   {c.CreateDatabase("", 0), ErrInvalidChange, ""},
		"negative retention":    {c.CreateDatabase("other", -1), ErrInvalidChange, ""},
		"negative new period":   {c.SetRetention("db", -1), ErrInvalidChange, ""},
		"period of nothing":     {c.SetRetention("gone", 1), ErrNotFound, `database "gone" does not exist`},
		"table of nothing":      {c.SetTableRetention("db", "t", 1), ErrNotFound, `table "t" does not exist`},
		"negative of a table":   {c.SetTableRetention("db", "live", -1), ErrInvalidChange, ""},
		"delete nothing":        {c.DeleteDatabase("gone", 0), ErrNotFound, `database "gone" does not exist`},
		"delete table twice":    {c.DeleteTable("db", "t", 0), ErrNotFound, `table "t" does not exist`},
		"delete table nowhere":  {c.DeleteTable("gone", "t", 0), ErrNotFound, `database "gone" does not exist`},
		"purge a live database": {c.Purge(nil, []schema.DatabaseID{1}), ErrInvalidChange, ""},
		"purge no table":        {c.Purge([]schema.TableID{1, 9}, nil), ErrInvalidChange, ""},
	} {
		if !errors.Is(test.err, test.cause) || test.text != "" && test.err.Error() != test.text {
			t.Errorf("%s: got %v, want %v %q", name, test.err, test.cause, test.text)
		}
	}
	var missing *NotFoundError
	if err := c.DeleteTable("db", "t", 0); !errors.As(err, &missing) || *missing != (NotFoundError{ObjectTable, "t"}) {
		t.Errorf("got %#v", err)
	}
	mustHave(t, c, before)
}

func TestTimesComeFromTheClock(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	defer mustClose(t, c)
	now := func(ns int64) { testClock.Store(ns) }
	now(100)
	mustDefine(t, c, table("db", "t", "a"))
	now(200)
	mustDefine(t, c, table("db", "t", "a", "b"))
	now(300)
	mustDo(t, c.DeleteTable("db", "t", 400))
	got, _ := c.Schema().TableByID(1)
	db, _ := c.Schema().Database("db")
	if db.Created != 100 || got.Created != 100 || got.Columns[0].Created != 100 || got.Columns[1].Created != 200 {
		t.Errorf("database %d, table %d, columns %+v", db.Created, got.Created, got.Columns)
	}
	if *got.Deleted != (schema.Deletion{At: 300, PurgeAt: 400}) {
		t.Errorf("deleted %+v", *got.Deleted)
	}
}

func TestSameRetentionWritesNothing(t *testing.T) {
	writes := 0
	c := mustOpen(t, hookFS(vfs.NewMem(), countWrites(&writes)))
	defer mustClose(t, c)
	mustDo(t, c.CreateDatabase("db", time.Hour))
	mustDefine(t, c, table("db", "t"))
	mustDo(t, c.SetTableRetention("db", "t", time.Minute))
	before := writes
	mustDo(t, c.SetRetention("db", time.Hour))
	mustDo(t, c.SetTableRetention("db", "t", time.Minute))
	if writes != before {
		t.Errorf("%d writes", writes-before)
	}
}

// TestLimitsCountWhatUsersHave deletes, and uses an internal database, at the limits.
func TestLimitsCountWhatUsersHave(t *testing.T) {
	o := testOptions(vfs.NewMem())
	o.Limits = Limits{Databases: 1, Tables: 1}
	c, err := Open(o)
	mustDo(t, err)
	defer mustClose(t, c)
	mustDefine(t, c, table("_internal", "a"))
	mustDefine(t, c, table("_internal", "b"))
	mustDo(t, c.CreateDatabase("_another", 0))
	mustDefine(t, c, table("db", "t"))
	mustDefine(t, c, table("_internal", "c"))
	var limit *LimitError
	if _, err := c.Define(table("db", "u")); !errors.As(err, &limit) || limit.Have != 1 {
		t.Errorf("a second table: %v", err)
	}
	if err := c.CreateDatabase("other", 0); !errors.As(err, &limit) || limit.Have != 1 {
		t.Errorf("a second database: %v", err)
	}
	mustDo(t, c.DeleteTable("db", "t", 0))
	mustDefine(t, c, table("db", "u"))
	mustDo(t, c.DeleteDatabase("db", 0))
	mustDefine(t, c, table("other", "v"))
	if s := c.Schema(); s.TableCount() != 4 || s.LimitedTableCount() != 1 || s.LimitedDatabaseCount() != 1 {
		t.Errorf("%d tables, %d and %d databases count", s.TableCount(), s.LimitedTableCount(), s.LimitedDatabaseCount())
	}
}

func TestTableKeyIsGivenOnce(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	key := schema.TableKey{Rule: schema.FirstByTag, Tag: "id"}
	events := func(key schema.TableKey, columns ...NewColumn) Change {
		return Change{Database: "db", Tables: []TableChange{{Name: "events", Key: key, Columns: columns}}}
	}
	id := NewColumn{"id", schema.Tag}
	for name, change := range map[string]Change{
		"a key of no column":  events(key, NewColumn{"other", schema.Tag}),
		"a key of a field":    events(key, NewColumn{"id", schema.String}),
		"a key without tag":   events(schema.TableKey{Rule: schema.LatestByTag}, id),
		"a point key of tags": events(schema.TableKey{Tag: "id"}, id),
		"an unknown rule":     events(schema.TableKey{Rule: 3, Tag: "id"}, id),
		"two keys": {Database: "db", Tables: []TableChange{
			{Name: "t", Key: key, Columns: []NewColumn{id}},
			{Name: "t", Key: schema.TableKey{Rule: schema.LatestByTag, Tag: "id"}, Columns: []NewColumn{id}},
		}},
	} {
		if _, err := c.Define(change); !errors.Is(err, ErrInvalidChange) {
			t.Errorf("%s: got %v, want ErrInvalidChange", name, err)
		}
	}
	mustDefine(t, c, events(key, NewColumn{"f", schema.Bool}, id))
	mustDefine(t, c, events(schema.TableKey{}, NewColumn{"g", schema.Bool})) // as a write does
	mustDefine(t, c, events(key))
	if _, err := c.Define(events(schema.TableKey{Rule: schema.LatestByTag, Tag: "id"})); !errors.Is(err, ErrInvalidChange) {
		t.Errorf("another key: %v", err)
	}
	mustClose(t, c)
	c = mustOpen(t, fs)
	defer mustClose(t, c)
	if got, _ := c.Schema().TableByID(1); got.Key != key || len(got.Columns) != 3 {
		t.Errorf("the table is %+v", got)
	}
}

// TestPurgeLeavesTheIdOnly purges one of two tables, each with a file and a position,
// and then the database of both.
func TestPurgeLeavesTheIdOnly(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, table("db", "t", "f"))
	mustDefine(t, c, table("db", "u", "f"))
	addTo := func(id schema.TableID) Edit {
		f := sampleFile(c.AllocateFileID(), 1)
		f.Table = id
		k := schema.PartitionKey{Database: 1, Table: id, Day: 3}
		return Edit{Add: []*schema.File{f}, Flushed: map[schema.PartitionKey]schema.Seq{k: c.Flushed()[k] + 1}}
	}
	mustCommit(t, c, addTo(1))
	mustCommit(t, c, addTo(2))
	mustDo(t, c.DeleteTable("db", "t", 0))
	mustCommit(t, c, addTo(1)) // its buffers are flushed all the same
	mustDo(t, c.Purge([]schema.TableID{1}, nil))
	if err := c.Commit(addTo(1)); !errors.Is(err, ErrInvalidEdit) {
		t.Errorf("a file of a purged table: %v", err)
	}
	k := schema.PartitionKey{Database: 1, Table: 1, Day: 3}
	if err := c.Commit(Edit{Flushed: map[schema.PartitionKey]schema.Seq{k: 99}}); !errors.Is(err, ErrInvalidEdit) {
		t.Errorf("a position of a purged table: %v", err)
	}
	if err := c.Purge([]schema.TableID{1}, nil); !errors.Is(err, ErrInvalidChange) {
		t.Errorf("purged again: %v", err)
	}
	if files := c.Files(); len(files) != 1 || files[0].Table != 2 || len(c.Flushed()) != 1 {
		t.Errorf("%d files, flushed %v", len(files), c.Flushed())
	}
	mustDo(t, c.DeleteDatabase("db", 0))
	mustDo(t, c.Purge(nil, []schema.DatabaseID{1}))
	s := c.Schema()
	if !s.IsPurged(1) || !s.IsPurged(2) || s.IsPurged(3) || s.DatabaseName(1) != "" || len(c.Files()) != 0 {
		t.Error("something is left")
	}
	mustDefine(t, c, table("db", "t", "f"))
	if _, ok := c.Schema().TableByID(3); !ok {
		t.Error("the next table is not table 3")
	}
	want := observe(c)
	mustClose(t, c)
	for key := range rawRecords(t, fs) {
		switch k := kind(key[0]); k {
		case kindFile, kindFlushed:
			t.Errorf("record %x is left", key)
		case kindColumn:
			if key[4] != 3 {
				t.Errorf("record %x is left", key)
			}
		}
	}
	c = mustOpen(t, fs)
	defer mustClose(t, c)
	mustHave(t, c, want)
}

// TestPurgeIsOneSyncedBatch compares the number of syncs of a purge with that of a
// definition.
func TestPurgeIsOneSyncedBatch(t *testing.T) {
	writes := 0
	c := mustOpen(t, hookFS(vfs.NewMem(), countWrites(&writes)))
	defer mustClose(t, c)
	cost := func(err error) int {
		mustDo(t, err)
		n := writes
		writes = 0
		return n
	}
	_, err := c.Define(manyTables(20))
	cost(err)
	mustCommit(t, c, Edit{Add: []*schema.File{sampleFile(c.AllocateFileID(), 1)}, Position: 1})
	mustDo(t, c.CreateDatabase("other", 0))
	_, err = c.Define(table("other", "t"))
	cost(err)
	_, err = c.Define(table("other", "u"))
	one := cost(err)
	cost(c.DeleteDatabase("many", 0))
	if n := cost(c.Purge(nil, []schema.DatabaseID{1})); n != one {
		t.Errorf("a purge makes %d writes and syncs, a definition %d", n, one)
	}
	if n := cost(c.Purge(nil, nil)); n != 0 {
		t.Errorf("a purge of nothing makes %d writes", n)
	}
}
