package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// sentEvents is how many events eventScenario sends.
const sentEvents = 8

// createEvents makes a table that keeps the first row of each id.
func createEvents(e *engine.Engine, name string) error {
	return e.CreateTable("db", engine.TableSpec{
		Name: name, Key: schema.TableKey{Rule: schema.FirstByTag, Tag: "id"},
		Columns: []engine.ColumnSpec{{Name: "id", Type: schema.Tag}, {Name: "n", Type: schema.Int64}},
	})
}

// acknowledgedEvents are the ids of the events of which the sender knows that they are
// stored.
type acknowledgedEvents struct {
	mu  sync.Mutex
	ids []int
}

func (a *acknowledgedEvents) add(id int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids = append(a.ids, id)
}

func (a *acknowledgedEvents) all() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ids[:len(a.ids):len(a.ids)]
}

// eventScenario sends events, each followed by repetitions of earlier ones, with flushes,
// the purge of another such table, and a restart. What fails is sent once more. It calls
// begin when the tables are there, and returns the engine's first error.
func eventScenario(fs vfs.FS, begin func(), acknowledged *acknowledgedEvents) (first error) {
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	for restart := range 2 {
		e, err := engine.Open(engine.Options{DataDir: "data", FS: fs, Gen1Duration: -1, WALSegmentBytes: 8 << 10})
		if err != nil {
			note(err)
			return first
		}
		if restart == 0 {
			note(createEvents(e, "events"))
			note(createEvents(e, "other"))
			begin()
		}
		for id := restart * sentEvents / 2; id < (restart+1)*sentEvents/2; id++ {
			note(sendEvent(e, id, acknowledged))
			if id%3 == 1 {
				note(e.Flush(context.Background()))
			}
			if id == sentEvents/4 {
				note(e.DeleteTable("db", "other", time.Unix(1, 0)))
				note(createEvents(e, "other"))
			}
		}
		note(e.Close())
	}
	return first
}

// sendEvent sends an event as a client does that tries again, and repeats an older one.
// One line is of the other table, which may not be there.
func sendEvent(e *engine.Engine, id int, acknowledged *acknowledgedEvents) (err error) {
	req := request(
		fmt.Sprintf("events,id=%d n=0i %d", id, id),
		fmt.Sprintf("events,id=%d n=1i %d", max(0, id-3), 1000+id),
		fmt.Sprintf("other,id=%d n=0i %d", id, id))
	req.NoSync = id%2 == 0
	req.NoNewTables = true
	for range 2 {
		var r engine.WriteResult
		if r, err = e.Write(context.Background(), req); err == nil && r.Accepted >= 2 {
			acknowledged.add(id)
			break
		}
	}
	return err
}

// eventImage is the disk as a crash leaves it, and what was acknowledged before.
type eventImage struct {
	op           int
	what         string
	fs           *vfs.MemFS
	acknowledged []int
}

// TestEventsAreStoredOnceWheneverItCrashes takes an image of the disk before each
// operation that changes it, with nothing that was not synced, with half of it, with all.
// In each image are the acknowledged events. When the client sends all of them again,
// each is there once: as it was first, if that was acknowledged.
func TestEventsAreStoredOnceWheneverItCrashes(t *testing.T) {
	for _, unsynced := range []int{0, 50, 100} {
		t.Run(fmt.Sprintf("%d%% of unsynced data kept", unsynced), func(t *testing.T) {
			t.Parallel()
			images, tried := eventImages(t, unsynced), 0
			defer func() { t.Logf("figures: crashes=%d", tried) }()
			for i := firstCall(); i < len(images) && !t.Failed(); i += *strideFlag {
				image := images[i]
				tried++
				resendEvents(t, image.fs, image.acknowledged)
				if t.Failed() {
					t.Logf("crash before operation %d: %s (rerun with -seed %d)", image.op, image.what, *seedFlag)
				}
			}
		})
	}
}

func eventImages(t *testing.T, unsynced int) (images []eventImage) {
	mem := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(*seedFlag, uint64(unsynced)))
	var acknowledged acknowledgedEvents
	var mu sync.Mutex
	var hasBegun atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !hasBegun.Load() || op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		ids := acknowledged.all()
		clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rng})
		images = append(images, eventImage{len(images), fmt.Sprint(op.Kind, " ", op.Path), clone, ids})
		return nil
	}))
	if err := eventScenario(fs, func() { hasBegun.Store(true) }, &acknowledged); err != nil {
		t.Fatalf("the scenario itself: %v", err)
	}
	if n := len(acknowledged.all()); n != sentEvents {
		t.Fatalf("the scenario acknowledged %d of %d events", n, sentEvents)
	}
	return images
}

// resendEvents opens the disk, looks for the acknowledged events, and sends all of them
// again: before a flush, after it, and after another crash.
func resendEvents(t *testing.T, fs *vfs.MemFS, acknowledged []int) {
	t.Helper()
	e := open(t, fs)
	checkEvents(t, e, fs, acknowledged, 0)
	var lines []string
	for id := range sentEvents {
		lines = append(lines, fmt.Sprintf("events,id=%d n=2i %d", id, 2000+id))
	}
	write(t, e, lines[:sentEvents/2]...)
	flush(t, e)
	write(t, e, lines...)
	checkEvents(t, e, fs, acknowledged, sentEvents)
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeEngine(t, e)
	e = open(t, crashed)
	if r := write(t, e, lines...); r.Discarded != sentEvents {
		t.Errorf("of %d events that are stored %d were discarded", sentEvents, r.Discarded)
	}
	checkEvents(t, e, crashed, acknowledged, sentEvents)
	closeEngine(t, e)
}

// checkEvents fails unless each acknowledged event is there as it was sent first, no id
// is there twice, and there are at least as many as given.
func checkEvents(t *testing.T, e *engine.Engine, fs vfs.FS, acknowledged []int, least int) {
	t.Helper()
	times := make(map[string]string) // by id
	for key := range read(t, e, fs, "db") {
		series, ns, _ := strings.Cut(key, " ")
		id, ok := strings.CutPrefix(series, "events,id=")
		if !ok {
			continue
		}
		if other, isThere := times[id]; isThere {
			t.Errorf("event %s is there twice: at %s and %s", id, other, ns)
		}
		times[id] = ns
	}
	for _, id := range acknowledged {
		if s := fmt.Sprint(id); times[s] != s {
			t.Errorf("event %d was acknowledged with the time %d; stored is %q", id, id, times[s])
		}
	}
	if len(times) < least {
		t.Errorf("%d of %d events are stored", len(times), least)
	}
}

// TestEventsAreStoredOnceWhateverFails fails each operation of the scenario in turn, once
// or from then on.
func TestEventsAreStoredOnceWhateverFails(t *testing.T) {
	for _, persistent := range []bool{false, true} {
		t.Run(fmt.Sprintf("persistent=%v", persistent), func(t *testing.T) {
			t.Parallel()
			n := firstCall()
			for hit := true; hit && !t.Failed(); n += *strideFlag {
				hit = failEvents(t, n, persistent)
			}
		})
	}
}

// failEvents reports whether the scenario came as far as the nth operation.
func failEvents(t *testing.T, n int, persistent bool) (hit bool) {
	mem := vfs.NewCrashableMem()
	var mu sync.Mutex
	count, what := 0, ""
	var hasBegun atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !hasBegun.Load() {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		count++
		if count-1 == n {
			what = fmt.Sprint(op.Kind, " ", op.Path)
		}
		if count-1 == n || persistent && count-1 > n {
			return errorfs.ErrInjected
		}
		return nil
	}))
	var acknowledged acknowledgedEvents
	err := eventScenario(fs, func() { hasBegun.Store(true) }, &acknowledged)
	resendEvents(t, mem.CrashClone(vfs.CrashCloneCfg{}), acknowledged.all())
	mu.Lock()
	defer mu.Unlock()
	if t.Failed() {
		t.Logf("error at operation %d: %s; the scenario said %v", n, what, err)
	}
	return count > n
}
