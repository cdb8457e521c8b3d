package catalog

import (
	"flag"
	"fmt"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/siltstone-db/siltstone/schema"
)

var (
	rewrite   = flag.Bool("rewrite", false, "rewrite the files in testdata")
	seedCount = flag.Int("seeds", 10, "how many random workloads TestCrashKeepsWhatWasAcknowledged runs")
	firstSeed = flag.Uint64("seed", 1, "the first of them")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testDir = "/data/catalog"

func testOptions(fs vfs.FS) Options { return Options{FS: fs, Dir: testDir, Now: testNow} }

func mustOpen(t testing.TB, fs vfs.FS) *Catalog {
	t.Helper()
	c, err := Open(testOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustClose(t testing.TB, c *Catalog) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustDo(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustDefine(t testing.TB, c *Catalog, change Change) *schema.Snapshot {
	t.Helper()
	s, err := c.Define(change)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustCommit(t testing.TB, c *Catalog, e Edit) {
	t.Helper()
	if err := c.Commit(e); err != nil {
		t.Fatal(err)
	}
}

// mustHave compares a catalog with the model.
func mustHave(t testing.TB, c *Catalog, want *state) {
	t.Helper()
	if got := observe(c); !reflect.DeepEqual(want, got) { // cmp is slow on thousands of tables
		t.Fatalf("the catalog differs from the model (-model +catalog):\n%s", cmp.Diff(want, got))
	}
	if err := checkNames(c.Schema(), want.LastTable); err != nil {
		t.Fatal(err)
	}
}

// table is a change that defines one table with the given fields of type Float64.
func table(db, name string, fields ...string) Change {
	t := TableChange{Name: name}
	for _, f := range fields {
		t.Columns = append(t.Columns, NewColumn{f, schema.Float64})
	}
	return Change{Database: db, Tables: []TableChange{t}}
}

// sampleFile describes a file of table 1 in database 1.
func sampleFile(id schema.FileID, order uint64) *schema.File {
	return &schema.File{
		ID: id, Database: 1, Table: 1, DayMin: 20_000, DayMax: 20_001, Rows: 1_000, Bytes: 65_536,
		Time: schema.TimeRange{Min: 20_000 * schema.NanosPerDay, Max: 20_002*schema.NanosPerDay - 1},
		Seq:  schema.SeqRange{Min: 1, Max: 9}, Order: order, CRC32C: 0xdeadbeef,
		Columns: []schema.ColumnStats{{
			Column: 1, Nulls: 3,
			Min: schema.SortableFloat64(-1.5), Max: schema.SortableFloat64(2.5),
		}},
	}
}

// hookFS calls before ahead of each operation that changes something.
func hookFS(fs vfs.FS, before func(op errorfs.Op) error) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		return before(op)
	}))
}

// rawRecords returns every record of a closed catalog, by key.
func rawRecords(t testing.TB, fs vfs.FS) map[string]string {
	t.Helper()
	db := rawOpen(t, fs)
	defer db.Close()
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for it.First(); it.Valid(); it.Next() {
		all[string(it.Key())] = string(it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// rawPut changes a record of a closed catalog behind its back; nil removes it.
func rawPut(t testing.TB, fs vfs.FS, key, stored []byte) {
	t.Helper()
	db := rawOpen(t, fs)
	var err error
	if stored == nil {
		err = db.Delete(key, pebble.Sync)
	} else {
		err = db.Set(key, stored, pebble.Sync)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func rawOpen(t testing.TB, fs vfs.FS) *pebble.DB {
	t.Helper()
	db, err := pebble.Open(testDir, &pebble.Options{
		FS: fs, FormatMajorVersion: pebbleFormat, Logger: silent{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

type silent struct{}

func (silent) Infof(string, ...any)              {}
func (silent) Errorf(string, ...any)             {}
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
