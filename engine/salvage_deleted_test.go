package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// TestSalvageWithoutACatalogBringsNothingBack: whatever was written, deleted, flushed and compacted, a
// directory that lost its catalog has the rows that it had, and none of those that were deleted, although
// the log and files still have them.
func TestSalvageWithoutACatalogBringsNothingBack(t *testing.T) {
	for n := range 8 {
		seed := *seedFlag + uint64(n)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng, fs := rand.New(rand.NewPCG(seed, 8)), vfs.NewMem()
			a := newActor(0, false, rng)
			e := open(t, fs)
			want := make(contents)
			rows := func(count int) {
				var lines []string
				for _, r := range a.newRows(count, "t0", "t1") {
					lines = append(lines, r.line())
					want.merge(r.series+" "+fmt.Sprint(r.ns), r.fields)
				}
				write(t, e, lines...)
			}
			rows(3)
			for range 40 {
				switch rng.IntN(10) {
				case 0, 1:
					flush(t, e)
				case 2:
					compact(t, e)
				case 3:
					closeEngine(t, e)
					e = open(t, fs)
				case 4, 5:
					spec := engine.DeleteSpec{Database: "db", Time: a.drawTime()}
					if rng.IntN(4) > 0 {
						spec.Where = a.drawPredicate()
					}
					deleteRows(t, e, want, spec)
				default:
					rows(1 + rng.IntN(12))
				}
			}
			rows(30)
			flush(t, e) // a file for each table, with all its columns
			deleteRows(t, e, want, engine.DeleteSpec{Database: "db", Tables: []string{"t0"}, Time: a.drawTime(), Where: a.drawPredicate()})
			if rng.IntN(2) == 0 {
				compact(t, e)
			}
			expect(t, e, fs, want)
			closeEngine(t, e)
			if err := fs.RemoveAll("data/catalog"); err != nil {
				t.Fatal(err)
			}
			mustSalvage(t, fs)
			expectSalvaged(t, fs, want)
		})
	}
}

// TestSalvageHealsASweptFileWithoutDeletedRows: the log still has what a compaction left out of a file.
func TestSalvageHealsASweptFileWithoutDeletedRows(t *testing.T) {
	for _, isSwept := range []bool{false, true} {
		fs := vfs.NewMem()
		e := open(t, fs)
		write(t, e, "m,k=a f=1i 1", "m,k=b f=1i 1")
		flush(t, e)
		write(t, e, "m,k=a f=2i 2", "m,k=b f=2i 2")
		flush(t, e)
		want := contents{"m,k=b 1": {"f": int64(1)}, "m,k=b 2": {"f": int64(2)}}
		deleteRows(t, e, want, engine.DeleteSpec{Database: "db", Time: schema.MaxTimeRange, Where: &schema.Predicate{Op: schema.Equal, Tag: "k", Text: "a"}})
		if isSwept {
			compact(t, e)
		}
		expect(t, e, fs, want)
		closeEngine(t, e)
		for _, name := range parquetFiles(t, fs) {
			if err := fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		report := mustSalvage(t, fs)
		for _, f := range report.Files {
			if f.FromLog == 0 {
				t.Errorf("swept %v: %+v", isSwept, f)
			}
		}
		expectSalvaged(t, fs, want)
	}
}

// TestNotesOfDeletionsGo when neither the catalog nor the log needs them.
func TestNotesOfDeletionsGo(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	notes := func() int {
		t.Helper()
		names, err := fs.List("data/deletions")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	for i := range 300 {
		write(t, e, fmt.Sprintf("m,k=k%d f=1i 1", i), "m,k=rest f=1i 2")
		deleteRows(t, e, make(contents), engine.DeleteSpec{
			Database: "db", Time: schema.MaxTimeRange, Where: &schema.Predicate{Op: schema.Equal, Tag: "k", Text: fmt.Sprint("k", i)},
		})
	}
	if n := notes(); n < 200 || n > 300 {
		t.Errorf("there are %d notes of 300 deletions", n)
	}
	flush(t, e)
	if n := notes(); n != 1 {
		t.Errorf("%d notes were not joined", n)
	}
	compact(t, e)
	rng := rand.New(rand.NewPCG(*seedFlag, 9))
	for range 3 { // until the log has other segments, and these have taken the place of spares
		for range 20 {
			text := make([]byte, 30_000)
			for i := range text {
				text[i] = 'a' + byte(rng.IntN(26))
			}
			write(t, e, fmt.Sprintf("m,k=rest s=%q 3", text))
		}
		flush(t, e)
	}
	if n := notes(); n != 0 {
		t.Errorf("%d notes are left, which nothing needs", n)
	}
	closeEngine(t, e)
	checkSound(t, fs)
}
