package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// TestPurgeDuringAWriteKeepsTheKeysOfOtherTables purges one of two tables with keys while
// the record that has rows of both is being synced.
func TestPurgeDuringAWriteKeepsTheKeysOfOtherTables(t *testing.T) {
	g, fs := newGate(isLogSync), vfs.NewMem()
	e := open(t, g.around(fs))
	defer closeEngine(t, e)
	for _, name := range []string{"purged", "stays"} {
		if err := createEvents(e, name); err != nil {
			t.Fatal(err)
		}
	}
	g.shut()
	written := make(chan error, 1)
	go func() {
		_, err := e.Write(context.Background(), request("purged,id=1 n=1i 1", "stays,id=1 n=1i 1"))
		written <- err
	}()
	receive(t, "the sync of the write", g.reached)
	if err := e.DeleteTable("db", "purged", time.Unix(1, 0)); err != nil {
		t.Error(err)
	}
	g.open()
	if err := receive(t, "the write", written); err != nil {
		t.Fatal(err)
	}
	if r := write(t, e, "stays,id=1 n=2i 2"); r.Discarded != 1 {
		t.Errorf("the repeated event was not discarded: %+v", r)
	}
	expect(t, e, fs, contents{"stays,id=1 1": {"n": int64(1)}})
}

// TestViewDuringAPurgeHasAllRowsOrNone pins the table behind thousands of others, so that
// the deletion comes in the middle of most views.
func TestViewDuringAPurgeHasAllRowsOrNone(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	write(t, e, "other f=1 1")
	names := append(slices.Repeat([]string{"other"}, 3000), "m")
	for range 40 {
		write(t, e, "m f=1 1")
		flush(t, e)
		write(t, e, "m f=1 2")
		isDeleted := make(chan struct{})
		var readers sync.WaitGroup
		began := make(chan struct{})
		var begin sync.Once
		readers.Go(func() {
			for !isClosed(isDeleted) {
				begin.Do(func() { close(began) })
				checkRowsOfLast(t, e, names)
				checkRowsOfLast(t, e, nil)
			}
		})
		<-began
		if err := e.DeleteTable("db", "m", time.Unix(1, 0)); err != nil {
			t.Error(err)
		}
		close(isDeleted)
		readers.Wait()
	}
}

// checkRowsOfLast views tables of which m has two rows, if it is there.
func checkRowsOfLast(t *testing.T, e *engine.Engine, names []string) {
	v, err := e.View(context.Background(), "db", names)
	var missing *engine.TableNotFoundError
	if errors.As(err, &missing) && missing.Table == "m" {
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer v.Close()
	if names != nil && len(v.Tables) != len(names) {
		t.Errorf("a view of %d tables has %d", len(names), len(v.Tables))
	}
	for _, tv := range v.Tables {
		if tv.Table.Name != "m" {
			continue
		}
		rows := 0
		for _, f := range tv.Files {
			rows += int(f.Rows)
		}
		for _, s := range tv.Buffers {
			rows += s.Rows
		}
		if rows != 2 {
			t.Errorf("a view has %d of 2 rows of the table that is purged", rows)
		}
	}
}

func TestDeletionWithoutAPurgeDoesNotWaitForAFlush(t *testing.T) {
	g := newGate(isNewFile)
	e := open(t, g.around(vfs.NewMem()))
	defer closeEngine(t, e)
	write(t, e, "m f=1 1", "later f=1 1", "never f=1 1")
	g.shut()
	flushed := make(chan error, 1)
	go func() { flushed <- e.Flush(context.Background()) }()
	receive(t, "the flush", g.reached)
	deleted := make(chan error, 2)
	go func() {
		deleted <- e.DeleteTable("db", "never", time.Time{})
		deleted <- e.DeleteTable("db", "later", time.Now().Add(time.Hour))
	}()
	for range 2 {
		if err := receive(t, "the deletion during a flush", deleted); err != nil {
			t.Error(err)
		}
	}
	g.open()
	if err := receive(t, "the flush", flushed); err != nil {
		t.Error(err)
	}
}

// TestDeletionIsDoneThoughItsPurgeFails fails the second sync of the catalog, which is
// the purge's.
func TestDeletionIsDoneThoughItsPurgeFails(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var isArmed atomic.Bool
	var syncs atomic.Int64
	e := open(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if isArmed.Load() && isSync(op) && strings.Contains(op.Path, "data/catalog") && syncs.Add(1) > 1 {
			return errorfs.ErrInjected
		}
		return nil
	})))
	write(t, e, "m f=1 1", "other f=1 1")
	isArmed.Store(true)
	if err := e.DeleteTable("db", "m", time.Unix(1, 0)); err != nil {
		t.Errorf("the deletion is durable, and says %v", err)
	}
	if syncs.Load() < 2 {
		t.Fatal("no purge was tried")
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	_ = e.Close() // the catalog has failed
	e = open(t, crashed)
	defer closeEngine(t, e)
	expect(t, e, crashed, contents{"other 1": {"f": 1.0}})
}

func TestOfTwoThatCreateTheSameOneWins(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	for what, create := range map[string]func(name string) error{
		"table":    func(name string) error { return createEvents(e, name) },
		"database": func(name string) error { return e.CreateDatabase(name, 0) },
		"datasource": func(name string) error {
			_, err := e.CreateDatasource("project", name)
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			for i := range 100 {
				answers := make(chan error, 2)
				for range cap(answers) {
					go func() { answers <- create(fmt.Sprint("x", i)) }()
				}
				first, second := <-answers, <-answers
				if first != nil {
					first, second = second, first
				}
				if first != nil || !errors.Is(second, engine.ErrExists) {
					t.Fatalf("round %d: %v and %v, want one success and ErrExists", i, first, second)
				}
			}
		})
	}
}

func TestCloseWaitsForDeletions(t *testing.T) {
	for range 20 {
		fs := vfs.NewMem()
		e := open(t, fs)
		write(t, e, "t0 f=1 1", "t1 f=1 1", "t2 f=1 1")
		var deletions sync.WaitGroup
		for i := range 3 {
			deletions.Go(func() {
				if err := e.DeleteTable("db", fmt.Sprint("t", i), time.Unix(1, 0)); err != nil && !errors.Is(err, engine.ErrUnavailable) {
					t.Error(err)
				}
			})
		}
		closeEngine(t, e)
		deletions.Wait()
	}
}

// TestAMergeKeepsDeletionsByTagsThatItDoesNotKnow: a tag, a file with it and a deletion by it come while a merge is under way.
func TestAMergeKeepsDeletionsByTagsThatItDoesNotKnow(t *testing.T) {
	var e *engine.Engine
	var isDue atomic.Bool
	mem := vfs.NewMem()
	fs := atNextFile(mem, &isDue, func() {
		write(t, e, "m,new=x f=3 3", "m,new=y f=4 4")
		flush(t, e)
		spec := engine.DeleteSpec{Database: "db", Time: schema.MaxTimeRange, Where: &schema.Predicate{Op: schema.Equal, Tag: "new", Text: "x"}}
		must(t, e.DeleteRows(context.Background(), spec))
	})
	e = open(t, fs)
	defer func() { closeEngine(t, e) }()
	for _, line := range []string{"m f=1 1", "m f=2 1"} {
		write(t, e, line)
		flush(t, e)
	}
	isDue.Store(true)
	report, err := e.Compact(context.Background(), engine.CompactOptions{})
	if err != nil || report.Merges == 0 || isDue.Load() {
		t.Fatalf("%+v, %v", report, err)
	}
	want := contents{"m 1": {"f": 2.0}, "m,new=y 4": {"f": 4.0}}
	expect(t, e, mem, want)
}
