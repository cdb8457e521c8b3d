package catalog

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// openOnDisk opens a catalog in a directory of its own on the real file system, so
// that benchmarks include its syncs.
func openOnDisk(b *testing.B) (*Catalog, string) {
	b.Helper()
	dir := b.TempDir()
	c, err := Open(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	return c, dir
}

// BenchmarkDefineColumn adds one column to one of 100 tables, synced.
func BenchmarkDefineColumn(b *testing.B) {
	c, _ := openOnDisk(b)
	defer mustClose(b, c)
	for i := range 100 {
		mustDefine(b, c, table("db", fmt.Sprint("table ", i), "a"))
	}
	i := 0
	for b.Loop() {
		mustDefine(b, c, table("db", fmt.Sprint("table ", i%100), fmt.Sprint("column ", i)))
		i++
	}
}

// BenchmarkDefine10000Tables creates 10,000 tables of three columns in one change.
func BenchmarkDefine10000Tables(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		c, _ := openOnDisk(b)
		change := manyTables(10_000)
		b.StartTimer()
		mustDefine(b, c, change)
		b.StopTimer()
		mustClose(b, c)
		b.StartTimer()
	}
}

// BenchmarkCommitFile replaces one of 10,000 files, synced.
func BenchmarkCommitFile(b *testing.B) {
	c, _ := openOnDisk(b)
	defer mustClose(b, c)
	fillCatalog(b, c, 100, 10_000)
	oldest := c.Files()[0].ID
	for b.Loop() {
		id := c.AllocateFileID()
		mustCommit(b, c, Edit{Add: []*schema.File{wideFile(id, 1)}, Remove: []schema.FileID{oldest}})
		oldest = id
	}
}

// BenchmarkOpen opens a catalog of 2,000 tables and 10,000 files, ten columns each.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []struct{ tables, files int }{{0, 0}, {2_000, 10_000}, {2_000, 100_000}} {
		b.Run(fmt.Sprintf("tables=%d/files=%d", size.tables, size.files), func(b *testing.B) {
			c, dir := openOnDisk(b)
			fillCatalog(b, c, size.tables, size.files)
			mustClose(b, c)
			for b.Loop() {
				c, err := Open(Options{Dir: dir})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if n := len(c.Files()); n != size.files {
					b.Fatalf("there are %d files, want %d", n, size.files)
				}
				mustClose(b, c)
				b.StartTimer()
			}
		})
	}
}

// BenchmarkOpenAfterCrash replays the log of 400 commits.
func BenchmarkOpenAfterCrash(b *testing.B) {
	disk := vfs.NewCrashableMem()
	c := mustOpen(b, disk)
	fillCatalog(b, c, 100, 100)
	for range 400 {
		mustCommit(b, c, Edit{Add: []*schema.File{wideFile(c.AllocateFileID(), 1)}})
	}
	for b.Loop() {
		b.StopTimer()
		wreck := disk.CrashClone(vfs.CrashCloneCfg{})
		b.StartTimer()
		mustClose(b, mustOpen(b, wreck))
	}
	b.StopTimer()
	mustClose(b, c)
}

func fillCatalog(b *testing.B, c *Catalog, tables, files int) {
	b.Helper()
	fields := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	change := Change{Database: "db"}
	for i := range tables {
		change.Tables = append(change.Tables, table("", fmt.Sprint("table ", i), fields...).Tables...)
	}
	mustDefine(b, c, change)
	for i := 0; i < files; {
		var e Edit
		for ; i < files && len(e.Add) < 100; i++ {
			e.Add = append(e.Add, wideFile(c.AllocateFileID(), schema.TableID(i%tables+1)))
		}
		mustCommit(b, c, e)
	}
}

// wideFile describes a file with ten columns.
func wideFile(id schema.FileID, table schema.TableID) *schema.File {
	f := sampleFile(id, uint64(id))
	f.Table = table
	stats := f.Columns[0]
	f.Columns = nil
	for i := range 10 {
		stats.Column = schema.ColumnID(i + 1)
		f.Columns = append(f.Columns, stats)
	}
	return f
}
