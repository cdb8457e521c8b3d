package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/siltstone-db/siltstone/schema"
)

// frameDamages are what happens to a file of Pebble's frame.
var frameDamages = map[string]func(content string) (string, bool){
	"flipped": func(s string) (string, bool) {
		b := []byte(s)
		for at := len(b) / 8; at < len(b); at += max(len(b)/4, 1) {
			b[at] ^= 0x21
		}
		return string(b), true
	},
	"cut":     func(s string) (string, bool) { return s[:len(s)/2], true },
	"emptied": func(string) (string, bool) { return "", true },
	"removed": func(string) (string, bool) { return "", false },
}

// isFrame tells the frame's files from those that hold records.
func isFrame(name string) bool {
	return strings.HasPrefix(name, optionsPrefix) || strings.HasPrefix(name, markerPrefix) || strings.HasPrefix(name, manifestPrefix)
}

// frameCases are catalogs with tables and logs, and with things that were deleted.
func frameCases(t *testing.T) map[string]map[string]string {
	cases := rottenCases(t)
	cases["every kind of record"] = contentsOf(t, smallCatalog(t))
	fs := smallCatalog(t)
	var purge []schema.TableID
	for i := range 6 { // each opening flushes what is in the log
		c := mustOpen(t, fs)
		name := fmt.Sprint("short-lived-", i)
		db, ok := mustDefine(t, c, table("db", name, "a", "b")).Database("db")
		if !ok {
			t.Fatal("there is no database")
		}
		def, ok := db.Table(name)
		if !ok {
			t.Fatal("there is no table", name)
		}
		mustDo(t, c.Remember(def.ID, [][eventIDBytes]byte{eventID(i), eventID(i + 100)}))
		mustDo(t, c.Remember(1, [][eventIDBytes]byte{eventID(i + 200)}))
		_, err := c.PutToken(schema.Token{Name: name})
		mustDo(t, err)
		if i%2 == 0 {
			mustDo(t, c.DeleteToken(name))
			mustDo(t, c.DeleteTable("db", name, 0))
			purge = append(purge, def.ID)
		}
		if i >= 3 {
			mustDo(t, c.Purge(purge, nil))
			purge = nil
		}
		mustClose(t, c)
	}
	cases["many openings"] = contentsOf(t, fs)
	disk := directoryOf(t, cases["many openings"])
	c := mustOpen(t, disk) // what it removes was set in tables, and is removed in the log
	mustDo(t, c.DeleteToken("short-lived-1"))
	mustDo(t, c.DeleteTable("db", "short-lived-3", 0))
	db, _ := c.Schema().Database("db")
	mustDo(t, c.Purge([]schema.TableID{db.DeletedTables()[0].ID}, nil))
	cases["deletions in the log"] = contentsOf(t, killed(disk))
	mustClose(t, c)
	return cases
}

// eventsOf returns the keys of all event ids.
func eventsOf(t *testing.T, c *Catalog) (keys []string) {
	t.Helper()
	it, err := c.store.db.NewIter(&pebble.IterOptions{LowerBound: []byte{byte(kindEvent)}})
	mustDo(t, err)
	for ok := it.First(); ok; ok = it.Next() {
		keys = append(keys, string(it.Key()))
	}
	mustDo(t, it.Close())
	return keys
}

// wantNoColumns makes sure that what a purge removed is not read: a rebuilt catalog would not
// have it in any case.
func wantNoColumns(t *testing.T, fs vfs.FS, purged map[schema.TableID]bool) {
	t.Helper()
	r, err := ReadRemains(testOptions(fs))
	mustDo(t, err)
	for id := range purged {
		if n := len(r.table(id).columns); n > 0 {
			t.Errorf("%d columns of the purged table %d are back", n, id)
		}
	}
	mustDo(t, r.Close())
}

// TestRemainsOfABrokenFrame damages the files of Pebble that hold no record: then no
// record is lost.
func TestRemainsOfABrokenFrame(t *testing.T) {
	for name, contents := range frameCases(t) {
		t.Run(name, func(t *testing.T) {
			c := mustOpen(t, directoryOf(t, contents))
			want, wantEvents := observe(c), eventsOf(t, c)
			mustClose(t, c)
			for _, file := range slices.Sorted(maps.Keys(contents)) {
				for how, damage := range frameDamages {
					if !isFrame(file) {
						continue
					}
					broken := maps.Clone(contents)
					delete(broken, file)
					if content, isThere := damage(contents[file]); isThere {
						broken[file] = content
					}
					fs := directoryOf(t, broken)
					wantNoColumns(t, fs, want.Purged)
					_, r := rebuildCatalog(t, fs, nil)
					if r.Unreadable != nil || len(r.Lost) > 0 {
						t.Errorf("%s %s: not readable: %v, lost: %v", file, how, r.Unreadable, r.Lost)
					}
					if said := strings.Join(r.Notes, "; "); strings.Contains(said, "MAY BE BACK") && !strings.HasPrefix(file, manifestPrefix) {
						t.Errorf("%s %s: the manifest was not used: %s", file, how, said)
					}
					c := mustOpen(t, fs)
					if diff := cmp.Diff(want, observe(c), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("%s %s (-want +got)\n%s", file, how, diff)
					}
					if diff := cmp.Diff(wantEvents, eventsOf(t, c)); diff != "" {
						t.Errorf("%s %s: event ids (-want +got)\n%s", file, how, diff)
					}
					mustClose(t, c)
				}
			}
		})
	}
}
