package catalog

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// smallLimits are near enough that a random workload meets them.
var smallLimits = Limits{Databases: 3, Tables: 16, Columns: 5}

// TestRandomWorkloadMatchesModel checks C1 to C4 against the model, with reopening.
func TestRandomWorkloadMatchesModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := vfs.NewMem()
		o := testOptions(fs)
		o.Limits = smallLimits
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		c, err := Open(o)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { mustClose(t, c) }()
		instance, model, lastID := c.InstanceID(), newState(), schema.FileID(0)
		allocate := func() schema.FileID {
			id := c.AllocateFileID()
			if id <= lastID {
				rt.Fatalf("file id %d was handed out after %d", id, lastID)
			}
			lastID = id
			return id
		}
		var events []remembered
		rt.Repeat(map[string]func(*rapid.T){
			"change": func(rt *rapid.T) {
				op := randomOperation(rng, model, smallLimits, allocate)
				if err := op.check(op.call(c)); err != nil {
					rt.Fatal(err)
				}
				model = op.next
			},
			"remember": func(rt *rapid.T) {
				r, ok := randomRemembered(rng, model, events, logChange)
				if !ok {
					rt.Skip()
				}
				if err := c.Remember(r.table, r.ids()); err != nil {
					rt.Fatal(err)
				}
				events = append(events, r)
			},
			"lose an id": func(*rapid.T) { allocate() },
			"reopen": func(rt *rapid.T) {
				mustClose(t, c)
				if c, err = Open(o); err != nil {
					rt.Fatal(err)
				}
				if c.InstanceID() != instance {
					rt.Fatalf("the instance id was %s and is %s", instance, c.InstanceID())
				}
			},
			"": func(rt *rapid.T) {
				mustHave(t, c, model)
				if err := checkEvents(c, events, len(events)); err != nil {
					rt.Fatal(err)
				}
			},
		})
	})
}

func TestFilesAreSortedByOrderThenID(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	defer mustClose(t, c)
	mustDefine(t, c, table("db", "t", "f"))
	a, b, d := c.AllocateFileID(), c.AllocateFileID(), c.AllocateFileID()
	mustCommit(t, c, Edit{Add: []*schema.File{sampleFile(b, 7), sampleFile(a, 7)}})
	before := c.Files()
	mustCommit(t, c, Edit{Add: []*schema.File{sampleFile(d, 2)}})
	for i, want := range []schema.FileID{d, a, b} {
		if got := c.Files()[i].ID; got != want {
			t.Errorf("file %d is %d, want %d", i, got, want)
		}
	}
	if len(before) != 2 || before[0].ID != a || before[1].ID != b {
		t.Error("a slice that was returned earlier has changed")
	}
}

func TestIdsOfUncommittedFilesAreNotReused(t *testing.T) {
	fs := vfs.NewMem()
	seen := make(map[schema.FileID]bool)
	for range 4 {
		c := mustOpen(t, fs)
		for range 3 {
			id := c.AllocateFileID()
			if seen[id] {
				t.Fatalf("file id %d was handed out twice", id)
			}
			seen[id] = true
		}
		mustClose(t, c)
	}
	if !seen[1] {
		t.Error("the first id of a catalog is not 1")
	}
}

func TestClosedCatalogRefusesChangesAndStillReads(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	mustDefine(t, c, table("db", "t", "f"))
	mustClose(t, c)
	mustClose(t, c)
	for name, call := range everyCall {
		if err := call(c); !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if _, ok := c.Schema().TableByID(1); !ok {
		t.Error("the schema is gone after Close")
	}
}
