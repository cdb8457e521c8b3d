package catalog

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/schema"
)

// countWrites counts the bytes' way to disk: writes and syncs of files.
func countWrites(n *int) func(errorfs.Op) error {
	var mu sync.Mutex
	return func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData:
			mu.Lock()
			defer mu.Unlock()
			*n++
		}
		return nil
	}
}

var partitionOne = schema.PartitionKey{Database: 1, Table: 1, Day: -3}

func TestCommitRefusesContradictions(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, table("db", "t", "f", "g"))
	mustDefine(t, c, table("other db", "u"))
	existing, fresh := c.AllocateFileID(), c.AllocateFileID()
	mustCommit(t, c, Edit{
		Add: []*schema.File{sampleFile(existing, 1)}, Position: 10,
		Flushed: map[schema.PartitionKey]schema.Seq{partitionOne: 20},
	})
	before := observe(c)
	add := func(change func(*schema.File)) Edit {
		f := sampleFile(fresh, 2)
		change(f)
		// A sound file goes first, so that a partial commit would show.
		return Edit{Add: []*schema.File{sampleFile(c.AllocateFileID(), 9), f}, Position: 50}
	}
	flushed := func(k schema.PartitionKey, seq schema.Seq) Edit {
		return Edit{Flushed: map[schema.PartitionKey]schema.Seq{k: seq}, Position: 50}
	}
	for name, e := range map[string]Edit{
		"an id twice in the edit":    {Add: []*schema.File{sampleFile(fresh, 1), sampleFile(fresh, 2)}},
		"an id that exists":          add(func(f *schema.File) { f.ID = existing }),
		"id 0":                       add(func(f *schema.File) { f.ID = 0 }),
		"an id never handed out":     add(func(f *schema.File) { f.ID = 1 << 20 }),
		"an id of a later run":       add(func(f *schema.File) { f.ID = 1<<runShift + 1 }),
		"an unknown table":           add(func(f *schema.File) { f.Table = 3 }),
		"a table of another db":      add(func(f *schema.File) { f.Table = 2 }),
		"an unknown database":        add(func(f *schema.File) { f.Database = 9 }),
		"no days":                    add(func(f *schema.File) { f.DayMax = f.DayMin - 1 }),
		"no time":                    add(func(f *schema.File) { f.Time = schema.EmptyTimeRange }),
		"no log positions":           add(func(f *schema.File) { f.Seq.Max = f.Seq.Min - 1 }),
		"an unknown column":          add(func(f *schema.File) { f.Columns[0].Column = 3 }),
		"column 0":                   add(func(f *schema.File) { f.Columns[0].Column = 0 }),
		"a column twice":             add(func(f *schema.File) { f.Columns = append(f.Columns, f.Columns[0]) }),
		"a long bound":               add(func(f *schema.File) { f.Columns[0].Max = make([]byte, schema.MaxStatBytes+1) }),
		"removal of an unknown file": {Remove: []schema.FileID{fresh}, Position: 50},
		"removal twice":              {Remove: []schema.FileID{existing, existing}, Position: 50},
		"a replacement of itself":    {Remove: []schema.FileID{existing}, Add: []*schema.File{sampleFile(existing, 3)}},
		"a position that goes back":  {Position: 9},
		"a partition that goes back": flushed(partitionOne, 19),
		"a partition behind all":     flushed(schema.PartitionKey{Database: 1, Table: 1, Day: 7}, 9),
		"an unknown partition":       flushed(schema.PartitionKey{Database: 1, Table: 2}, 60),
	} {
		if err := c.Commit(e); !errors.Is(err, ErrInvalidEdit) {
			t.Errorf("%s: got %v, want ErrInvalidEdit", name, err)
		}
		mustHave(t, c, before)
	}
	mustClose(t, c)
	c = mustOpen(t, fs)
	defer mustClose(t, c)
	mustHave(t, c, before)
}

func TestFlushedEntriesAreDroppedWhenThePositionPassesThem(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, table("db", "t", "f"))
	day := func(d schema.Day) schema.PartitionKey {
		return schema.PartitionKey{Database: 1, Table: 1, Day: d}
	}
	mustCommit(t, c, Edit{Flushed: map[schema.PartitionKey]schema.Seq{day(-1): 5, day(0): 6, day(1): 7}})
	mustCommit(t, c, Edit{Flushed: map[schema.PartitionKey]schema.Seq{day(2): 6}, Position: 6})
	want, err := newState().define(table("db", "t", "f"), noLimits)
	if err != nil {
		t.Fatal(err)
	}
	want.Position = 6
	want.Flushed = map[schema.PartitionKey]schema.Seq{day(1): 7}
	mustHave(t, c, want)
	mustClose(t, c)
	for key := range rawRecords(t, fs) {
		if kind(key[0]) == kindFlushed && key != string(flushedKey(day(1))) {
			t.Errorf("record %x is still there", key)
		}
	}
	c = mustOpen(t, fs)
	defer mustClose(t, c)
	mustHave(t, c, want)
}

func TestReturnedFlushedMapIsTheCallers(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	defer mustClose(t, c)
	mustDefine(t, c, table("db", "t", "f"))
	mustCommit(t, c, Edit{Flushed: map[schema.PartitionKey]schema.Seq{partitionOne: 5}})
	clear(c.Flushed())
	if got := c.Flushed()[partitionOne]; got != 5 {
		t.Errorf("the flushed position is %d, want 5", got)
	}
}

func TestEmptyEditWritesNothing(t *testing.T) {
	writes := 0
	c := mustOpen(t, hookFS(vfs.NewMem(), countWrites(&writes)))
	defer mustClose(t, c)
	before := writes
	mustCommit(t, c, Edit{})
	if writes != before {
		t.Errorf("an empty edit made %d writes", writes-before)
	}
}

// TestDefineAndCommitRunConcurrently has definers, committers and readers at once and
// compares the outcome with what each of them was told.
func TestDefineAndCommitRunConcurrently(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, table("db", "t", "f"))
	const writers, rounds = 3, 40
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				if _, err := c.Define(table("db", fmt.Sprint("table ", w, "/", i), "a")); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				id := c.AllocateFileID()
				if err := c.Commit(Edit{Add: []*schema.File{sampleFile(id, uint64(id))}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for last := 0; last < writers*rounds; {
			n := len(c.Files())
			if n < last {
				t.Errorf("a reader saw %d files after %d", n, last)
				return
			}
			last = n
			if t.Failed() {
				return
			}
		}
	})
	wg.Wait()
	want := observe(c)
	if len(want.Files) != writers*rounds || len(want.Tables) != writers*rounds+1 {
		t.Errorf("there are %d files and %d tables", len(want.Files), len(want.Tables))
	}
	mustClose(t, c)
	c = mustOpen(t, fs)
	defer mustClose(t, c)
	mustHave(t, c, want)
}

// TestNamesAreData uses names that would do harm as parts of a file name.
func TestNamesAreData(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	names := []string{"../../etc", "a/b", "nul\x00byte", "\xff\xfe", "…", " ", strings.Repeat("n", MaxNameBytes)}
	for _, name := range names {
		mustDefine(t, c, table(name, name, name))
	}
	want := observe(c)
	mustClose(t, c)
	c = mustOpen(t, fs)
	defer mustClose(t, c)
	mustHave(t, c, want)
	if len(want.Databases) != len(names) {
		t.Errorf("there are %d databases, want %d", len(want.Databases), len(names))
	}
	listed, err := fs.List("/data")
	if err != nil || len(listed) != 1 {
		t.Errorf("beside the catalog's directory there is %q (%v)", listed, err)
	}
}
