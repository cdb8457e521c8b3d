package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// The tests here act between the last reading of a request and the definition of what
// it brings. They step in where a key is looked up: a request with keys is read twice,
// the second time under the lock of firsts, so that with one such line it is the second
// look-up.

// openEvents opens an engine with the table a, which keeps the first row of each id, and
// calls act in a look-up of a key, counted from 1.
func openEvents(t *testing.T, lookUp int, act func(*Engine)) *Engine {
	t.Helper()
	e, err := Open(Options{DataDir: "data", FS: vfs.NewMem(), Gen1Duration: -1})
	if err != nil {
		t.Fatal(err)
	}
	makeEvents(t, e, "a")
	lookUps := 0
	e.ingesters.isStored = func(key firstKey) (bool, error) {
		if lookUps++; lookUps == lookUp {
			act(e)
		}
		return e.isStored(key)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if lookUps < lookUp {
			t.Error("the test did not step in")
		}
	})
	return e
}

func makeEvents(t *testing.T, e *Engine, name string) {
	t.Helper()
	err := e.CreateTable("db", TableSpec{
		Name: name, Key: schema.TableKey{Rule: schema.FirstByTag, Tag: "id"},
		Columns: []ColumnSpec{{"id", schema.Tag}, {"n", schema.Int64}},
	})
	if err != nil {
		t.Error(err)
	}
}

// makePlain makes table b, which has no key.
func makePlain(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.CreateTable("db", TableSpec{Name: "b", Columns: []ColumnSpec{{"n", schema.Int64}}}); err != nil {
		t.Error(err)
	}
}

func eventRequest(lines ...string) WriteRequest {
	return WriteRequest{Database: "db", Body: []byte(strings.Join(lines, "\n")), Precision: Nanosecond, AcceptPartial: true}
}

func TestTableWithAKeyMadeWhileItIsWrittenToChecksIt(t *testing.T) {
	e := openEvents(t, 2, func(e *Engine) { makeEvents(t, e, "events") })
	r, err := e.Write(context.Background(), eventRequest("a,id=1 n=1i 1", "events,id=x n=1i 1", "events,id=x n=2i 2", "events n=3i 3"))
	if err != nil || r.Accepted != 3 || r.Discarded != 1 || r.Rejected != 1 {
		t.Errorf("got %+v, %v, want the second x discarded and the row without a key rejected", r, err)
	}
	r, err = e.Write(context.Background(), eventRequest("events,id=x n=4i 4"))
	if err != nil || r.Discarded != 1 {
		t.Errorf("a repeated event was not discarded: %+v, %v", r, err)
	}
}

// deletions are what may come between the reading of a request and its definition.
var deletions = map[string]func(*testing.T, *Engine){
	"deleted": func(t *testing.T, e *Engine) {
		if err := e.DeleteDatabase("db", time.Time{}); err != nil {
			t.Error(err)
		}
	},
	"purged": func(t *testing.T, e *Engine) {
		if err := e.DeleteDatabase("db", time.Unix(1, 0)); err != nil {
			t.Error(err)
		}
	},
}

func TestWriteToADatabaseThatMustExistDoesNotBringItBack(t *testing.T) {
	for how, act := range deletions {
		for what, line := range map[string]string{"a table": "fresh f=1 1", "a column": "b n=1i,fresh=1i 1"} {
			t.Run(how+" while a write adds "+what, func(t *testing.T) {
				e := openEvents(t, 2, func(e *Engine) { act(t, e) })
				makePlain(t, e)
				req := eventRequest("a,id=1 n=1i 1", line)
				req.MustExist = true
				if r, err := e.Write(context.Background(), req); !errors.Is(err, ErrDatabaseNotFound) {
					t.Errorf("the write says %+v, %v", r, err)
				}
				if names := e.Databases(); len(names) != 0 {
					t.Errorf("the databases are %v", names)
				}
				if n := e.Stats().BufferBytes; n != 0 {
					t.Errorf("%d bytes are still reserved", n)
				}
			})
		}
	}
}

func TestWriteThatMakesNoTablesDoesNotBringADeletedOneBack(t *testing.T) {
	e := openEvents(t, 2, func(e *Engine) {
		if err := e.DeleteTable("db", "b", time.Unix(1, 0)); err != nil {
			t.Error(err)
		}
	})
	makePlain(t, e)
	req := eventRequest("a,id=1 n=1i 1", "b n=1i,fresh=1i 1")
	req.NoNewTables = true
	r, err := e.Write(context.Background(), req)
	if err != nil || r.Accepted != 1 || r.Rejected != 1 {
		t.Errorf("got %+v, %v, want the line of the deleted table rejected", r, err)
	}
	db, _ := e.Schema().Database("db")
	if _, ok := db.Table("b"); ok {
		t.Error("the deleted table is back")
	}
}

// TestWriteIsReadAgainWhenItsTableWasReplaced deletes a table with a key and makes it
// anew without one: the rows belong to the new table, whether the request has a new
// column for it or only another table.
func TestWriteIsReadAgainWhenItsTableWasReplaced(t *testing.T) {
	for what, lines := range map[string]string{"a column": "b,id=1 n=1i,fresh=2i 1", "another table": "b,id=1 n=1i 1\nfresh f=1 1"} {
		t.Run("by a write that adds "+what, func(t *testing.T) {
			e := openEvents(t, 3, func(e *Engine) { // of a, b and a again
				if err := e.DeleteTable("db", "b", time.Time{}); err != nil {
					t.Error(err)
				}
				makePlain(t, e)
			})
			makeEvents(t, e, "b")
			r, err := e.Write(context.Background(), eventRequest("a,id=1 n=1i 1", lines, "b n=1i 2"))
			if err != nil || r.Rejected != 0 || r.Discarded != 0 {
				t.Errorf("got %+v, %v, want all accepted", r, err)
			}
			v, err := e.View(context.Background(), "db", []string{"b"})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			rows := 0
			for _, s := range v.Tables[0].Buffers {
				rows += s.Rows
			}
			if rows != 2 {
				t.Errorf("the new table has %d rows, want 2; its columns are %v", rows, v.Tables[0].Table.Columns)
			}
		})
	}
}
