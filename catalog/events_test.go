package catalog

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

func mustRemember(t testing.TB, c *Catalog, r remembered) {
	t.Helper()
	mustDo(t, c.Remember(r.table, r.ids()))
}

func mustSee(t testing.TB, c *Catalog, r remembered, want bool) {
	t.Helper()
	if got, err := r.seen(c); err != nil || got != want {
		t.Fatalf("%+v: seen %v (%v), want %v", r, got, err, want)
	}
}

func TestEventIdsBelongToTheirTable(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	defer mustClose(t, c)
	mustDefine(t, c, Change{Database: "db", Tables: []TableChange{{Name: "a"}, {Name: "b"}}})
	mustRemember(t, c, remembered{1, 0, 3})
	mustSee(t, c, remembered{1, 0, 3}, true)
	mustSee(t, c, remembered{1, 3, 1}, false)
	mustSee(t, c, remembered{2, 0, 3}, false)
	mustRemember(t, c, remembered{1, 0, 3}) // again: nothing changes
	mustSee(t, c, remembered{1, 0, 3}, true)
}

// TestNextWrittenChangeMakesEventIdsDurable remembers enough for Pebble to change its log
// and flush, makes one change of each kind, and crashes with nothing that was not synced.
func TestNextWrittenChangeMakesEventIdsDurable(t *testing.T) {
	for name, change := range map[string]func(*Catalog) error{
		"a position":   func(c *Catalog) error { return c.Commit(Edit{Position: 7}) },
		"a definition": func(c *Catalog) error { _, err := c.Define(table("db", "u")); return err },
		"a token":      func(c *Catalog) error { _, err := c.PutToken(schema.Token{Name: "t"}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			c := mustOpen(t, disk)
			defer mustClose(t, c)
			mustDefine(t, c, table("db", "events"))
			var calls []remembered
			for i := range 40 {
				calls = append(calls, remembered{1, 1_000 * i, 1_000})
				mustRemember(t, c, calls[i])
			}
			mustDo(t, change(c))
			wreck := mustOpen(t, disk.CrashClone(vfs.CrashCloneCfg{}))
			defer mustClose(t, wreck)
			mustDo(t, checkEvents(wreck, calls, len(calls)))
		})
	}
}

func TestRememberDoesNotSync(t *testing.T) {
	disk := vfs.NewCrashableMem()
	c := mustOpen(t, disk)
	defer mustClose(t, c)
	mustDefine(t, c, table("db", "events"))
	mustRemember(t, c, remembered{1, 0, 3})
	wreck := mustOpen(t, disk.CrashClone(vfs.CrashCloneCfg{}))
	defer mustClose(t, wreck)
	mustSee(t, wreck, remembered{1, 0, 3}, false)
}

func TestRememberRefusesTablesThatAreNotThere(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	defer mustClose(t, c)
	mustDefine(t, c, table("db", "deleted"))
	mustDo(t, c.DeleteTable("db", "deleted", 0))
	mustRemember(t, c, remembered{1, 0, 1}) // its log records are still replayed
	mustDo(t, c.Purge([]schema.TableID{1}, nil))
	for _, id := range []schema.TableID{0, 1, 2} {
		if err := c.Remember(id, remembered{count: 1}.ids()); !errors.Is(err, ErrInvalidEdit) {
			t.Errorf("table %d: got %v, want ErrInvalidEdit", id, err)
		}
	}
	mustSee(t, c, remembered{1, 0, 1}, false)
}

// TestPurgeRemovesEventIdsOfItsTablesOnly has neighbours on both sides.
func TestPurgeRemovesEventIdsOfItsTablesOnly(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, Change{Database: "db", Tables: []TableChange{{Name: "a"}, {Name: "b"}, {Name: "c"}}})
	calls := []remembered{{1, 0, 100}, {2, 0, 100}, {3, 0, 100}}
	for _, r := range calls {
		mustRemember(t, c, r)
	}
	mustDo(t, c.DeleteTable("db", "b", 0))
	mustSee(t, c, calls[1], true)
	mustDo(t, c.Purge([]schema.TableID{2}, nil))
	mustDo(t, checkEvents(c, calls, len(calls)))
	mustClose(t, c)
	count := map[byte]int{}
	for key := range rawRecords(t, fs) {
		if kind(key[0]) == kindEvent {
			count[key[4]]++
		}
	}
	if count[1] != 100 || count[2] != 0 || count[3] != 100 {
		t.Errorf("the records by table are %v", count)
	}
}

func TestDamagedEventIdIsReported(t *testing.T) {
	fs := smallCatalog(t)
	key := eventKey(1, eventID(0))
	rawPut(t, fs, key, []byte{recordVersion, 1, 2, 3, 4})
	c := mustOpen(t, fs)
	defer mustClose(t, c)
	var corrupt *CorruptError
	if _, err := c.Seen(1, eventID(0)); !errors.As(err, &corrupt) || string(corrupt.Key) != string(key) {
		t.Errorf("got %v, want a CorruptError of record %x", err, key)
	}
}

// countingFS counts the bytes that are read.
type countingFS struct {
	vfs.FS
	bytes *atomic.Int64
}

func (fs countingFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	return countingFile{f, fs.bytes}, nil
}

type countingFile struct {
	vfs.File
	bytes *atomic.Int64
}

func (f countingFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.bytes.Add(int64(n))
	return n, err
}

func (f countingFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	f.bytes.Add(int64(n))
	return n, err
}

var _ io.ReaderAt = countingFile{}

// TestOpenDoesNotReadEventIds counts the bytes that Open reads with a few event ids on
// disk, and with very many.
func TestOpenDoesNotReadEventIds(t *testing.T) {
	read := func(batches int) (atOpen, stored int64) {
		fs := vfs.NewMem()
		c := mustOpen(t, fs)
		mustDefine(t, c, table("db", "events", "f"))
		for i := range batches {
			mustRemember(t, c, remembered{1, 1_000 * i, 1_000})
		}
		mustDo(t, c.store.db.Flush())
		mustDo(t, c.store.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false))
		stored = int64(c.store.db.Metrics().Total().TablesSize)
		mustClose(t, c)
		var n atomic.Int64
		mustClose(t, mustOpen(t, countingFS{fs, &n}))
		return n.Load(), stored
	}
	few, _ := read(1)
	many, stored := read(200)
	t.Logf("open reads %d bytes with 1,000 ids, %d with 200,000 in %d bytes", few, many, stored)
	if stored < 2<<20 {
		t.Fatalf("the ids take %d bytes only", stored)
	}
	if many > few+2*64<<10 { // the store is opened twice, see checkAcknowledged
		t.Errorf("open reads %d bytes with 1,000 ids and %d with 200,000", few, many)
	}
}

// TestUnknownEventIdsAreRuledOutByFilters looks at what Pebble counts: lookups that ended
// at a filter, where the ids are on the last level.
func TestUnknownEventIdsAreRuledOutByFilters(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	defer mustClose(t, c)
	mustDefine(t, c, table("db", "events"))
	mustRemember(t, c, remembered{1, 0, 20_000})
	mustDo(t, c.store.db.Flush())
	mustDo(t, c.store.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false))
	if m := c.store.db.Metrics(); m.Levels[6].TablesCount == 0 {
		t.Fatalf("nothing is on the last level:\n%s", m)
	}
	before := c.store.db.Metrics().Filter.Hits
	const lookups = 1_000
	for i := range lookups {
		if found, err := c.Seen(1, eventID(1<<30+i)); err != nil || found {
			t.Fatalf("found %v (%v)", found, err)
		}
	}
	if hits := c.store.db.Metrics().Filter.Hits - before; hits < lookups*9/10 {
		t.Errorf("filters ruled out %d of %d ids", hits, lookups)
	}
}

// TestEventsAreUsedWhileTheCatalogChanges has everything at once, a purge and Close
// included.
func TestEventsAreUsedWhileTheCatalogChanges(t *testing.T) {
	disk := vfs.NewCrashableMem()
	c := mustOpen(t, disk)
	mustDefine(t, c, Change{Database: "db", Tables: []TableChange{{Name: "events"}, {Name: "doomed"}}})
	mustDo(t, c.DeleteTable("db", "doomed", 0))
	const rounds = 200
	var wg sync.WaitGroup
	for id := range schema.TableID(2) {
		wg.Go(func() {
			for i := range rounds {
				r := remembered{id + 1, 3 * i, 3}
				err := c.Remember(r.table, r.ids())
				if id == 1 && errors.Is(err, ErrInvalidEdit) {
					return // purged
				}
				if err != nil {
					t.Error(err)
					return
				}
				if id == 1 {
					continue // the purge may come between two lookups
				}
				if found, err := r.seen(c); err != nil || !found {
					t.Errorf("%+v: seen %v (%v)", r, found, err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range rounds {
			if _, err := c.Define(table("db", fmt.Sprint("table ", i))); err != nil {
				t.Error(err)
			}
			if i == rounds/2 {
				if err := c.Purge([]schema.TableID{2}, nil); err != nil {
					t.Error(err)
				}
			}
		}
	})
	wg.Wait()
	mustDo(t, c.Commit(Edit{Position: 1}))
	wreck := mustOpen(t, disk.CrashClone(vfs.CrashCloneCfg{}))
	defer mustClose(t, wreck)
	calls := []remembered{{1, 0, 3 * rounds}, {2, 0, 3 * rounds}}
	mustDo(t, checkEvents(wreck, calls, len(calls)))
	wg.Go(func() {
		for {
			if _, err := c.Seen(1, eventID(0)); err != nil {
				if !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
				return
			}
		}
	})
	mustClose(t, c)
	wg.Wait()
}
