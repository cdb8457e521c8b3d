package engine

import (
	"fmt"
	"testing"

	"github.com/siltstone-db/siltstone/schema"
)

func manyFiles(n int) *table {
	t := &table{}
	var files []*schema.File
	for i := range n {
		files = append(files, &schema.File{ID: schema.FileID(i + 1), Order: uint64(i + 1)})
	}
	t.addFilesLocked(files)
	return t
}

// Views show the files that the table has, whatever was shown before.
func TestReferencesFollowTheTable(t *testing.T) {
	table := manyFiles(3)
	check := func(want ...schema.FileID) {
		t.Helper()
		for range 2 {
			var got []schema.FileID
			for _, ref := range table.references(nil, table.mu.files, nil, func(name string) string { return "dir/" + name }) {
				got = append(got, ref.ID)
				if ref.Path != "dir/"+filePath(ref.File) {
					t.Errorf("file %d is at %s", ref.ID, ref.Path)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("shown are %v, not %v", got, want)
			}
		}
	}
	check(1, 2, 3)
	table.addFilesLocked([]*schema.File{{ID: 4, Order: 4}})
	check(1, 2, 3, 4)
	table.doomLocked(table.mu.files[:1])
	check(2, 3, 4)
	table.addFilesLocked([]*schema.File{{ID: 9, Order: 9}})
	check(2, 3, 4, 9)
}

func BenchmarkReferencesOf10000Files(b *testing.B) {
	table := manyFiles(10_000)
	path := (&Engine{opts: Options{DataDir: "/var/lib/data"}}).path
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			table.shown.Store(nil)
			table.references(nil, table.mu.files, nil, path)
		}
	})
	b.Run("next", func(b *testing.B) {
		for b.Loop() {
			table.references(nil, table.mu.files, nil, path)
		}
	})
}
