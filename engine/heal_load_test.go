package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// fullRounds is how often TestFullDiskUnderLoadHeals fills the disk.
const fullRounds = 6

// fullLoad is what writers have submitted to an engine whose disk fills up and empties, and
// what they know to be stored.
type fullLoad struct {
	e         *engine.Engine
	submitted atomic.Int64 // points of table "plain"

	mu     sync.Mutex
	plain  contents       // what was acknowledged of it
	stored map[string]int // how often an event was acknowledged as new
}

// snapshot returns what was acknowledged.
func (l *fullLoad) snapshot() (all contents, events int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.plain.clone(), len(l.stored)
}

// TestFullDiskUnderLoadHeals fills the disk again and again while everything goes on: writers,
// synced and not, events that are repeated, flushes, deletions with their purges, tokens, checks
// and views. What was acknowledged is there once, what was refused is not, no view misses a
// row, and a power cut at any of several moments takes nothing.
func TestFullDiskUnderLoadHeals(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("go test ./engine -count 1 -run %s -seed %d", t.Name(), *seedFlag)
		}
	})
	rng := rand.New(rand.NewPCG(*seedFlag, 9))
	disk := &fillable{MemFS: vfs.NewCrashableMem(), left: 1 << 30}
	l := &fullLoad{plain: contents{}, stored: make(map[string]int)}
	l.e = open(t, disk.fs(), func(o *engine.Options) { o.WALSegmentBytes = 16 << 10 })
	must(t, createEvents(l.e, "events"))
	write(t, l.e, "plain,k=first f=0i 0")
	l.submitted.Store(1)
	l.plain.set(point{"plain", "first", 0, "f", 0})

	done := make(chan struct{})
	var others sync.WaitGroup
	for w, act := range []func(t *testing.T, w, i int){
		l.writePlain, l.writePlain, l.writePlain, l.writeEvent, l.writeEvent, l.writeLoose, l.flush, l.define, l.check, l.view, l.view,
	} {
		others.Go(func() {
			for i := 0; !isClosed(done) && !t.Failed(); i++ {
				act(t, w, i)
			}
		})
	}
	for round := range fullRounds {
		if t.Failed() {
			break
		}
		disk.fillAfter(rng.IntN(120))
		for deadline := time.Now().Add(time.Minute); !disk.wasFull() && !t.Failed() && time.Now().Before(deadline); {
			_ = l.e.Flush(context.Background())
		}
		_ = l.e.Flush(context.Background())
		disk.empty()
		healNow(t, l.e)
		if round%4 == 2 {
			l.crash(t, disk, rng)
		}
	}
	close(done)
	others.Wait()
	disk.fillAfter(1 << 30)
	healNow(t, l.e)
	l.compare(t, l.e, disk)
	l.crash(t, disk, rng)
	closeEngine(t, l.e)
	checkSound(t, disk.MemFS)
}

// tolerate reports whether a call succeeded; the only other outcome is a full disk.
func tolerate(t *testing.T, what string, err error) bool {
	if err != nil && !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("%s: %v", what, err)
	}
	return err == nil
}

func (l *fullLoad) writePlain(t *testing.T, w, i int) {
	p := point{"plain", fmt.Sprint("w", w), int64(i), "f", int64(i)}
	l.submitted.Add(1)
	if _, err := l.e.Write(context.Background(), request(p.line())); tolerate(t, "write", err) {
		l.mu.Lock()
		l.plain.set(p)
		l.mu.Unlock()
	}
}

// writeEvent is called by two writers with the same events.
func (l *fullLoad) writeEvent(t *testing.T, w, i int) {
	id := fmt.Sprint("e", i/3)
	r, err := l.e.Write(context.Background(), request(fmt.Sprintf("events,id=%s n=%di %d", id, w, 1000*w+i)))
	if tolerate(t, "write an event", err) && r.Discarded == 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.stored[id]++; l.stored[id] > 1 {
			t.Errorf("event %s was new %d times", id, l.stored[id])
		}
	}
}

// writeLoose writes what a crash or a full disk may take.
func (l *fullLoad) writeLoose(t *testing.T, _, i int) {
	r := request(fmt.Sprintf("loose f=%di %d", i, i))
	r.NoSync = true
	_, err := l.e.Write(context.Background(), r)
	tolerate(t, "write without a sync", err)
}

func (l *fullLoad) flush(t *testing.T, _, _ int) {
	tolerate(t, "flush", l.e.Flush(context.Background()))
}

// define makes columns, tables and tokens, and deletes them.
func (l *fullLoad) define(t *testing.T, _, i int) {
	_, err := l.e.Write(context.Background(), request(fmt.Sprintf("gone%d f%d=%di %d", i%3, i, i, i)))
	tolerate(t, "write a new column", err)
	if err := l.e.DeleteTable("db", fmt.Sprint("gone", i%3), time.Unix(1, 0)); err != nil && !isMissing(err) {
		tolerate(t, "delete a table", err)
	}
	_, err = l.e.CreateToken(schema.Token{Name: fmt.Sprint("token", i)})
	tolerate(t, "create a token", err)
	if err := l.e.DeleteToken(fmt.Sprint("token", i)); !errors.Is(err, engine.ErrTokenNotFound) {
		tolerate(t, "delete a token", err)
	}
}

func isMissing(err error) bool {
	var table *engine.TableNotFoundError
	return errors.As(err, &table)
}

func (l *fullLoad) check(t *testing.T, _, _ int) {
	report, err := l.e.Check(context.Background(), engine.CheckOptions{})
	if tolerate(t, "check", err) && report.Err() != nil {
		t.Error(report.Err())
	}
}

func (l *fullLoad) view(t *testing.T, _, _ int) {
	all, _ := l.snapshot()
	v, err := l.e.View(context.Background(), "db", []string{"plain"})
	if err != nil {
		t.Error(err)
		return
	}
	defer v.Close()
	rows := 0
	for _, f := range v.Tables[0].Files {
		rows += int(f.Rows)
	}
	for _, b := range v.Tables[0].Buffers {
		rows += b.Rows
	}
	if may := int(l.submitted.Load()); rows < len(all) || rows > may {
		t.Errorf("a view holds %d rows; %d were acknowledged before it, and %d submitted", rows, len(all), may)
	}
}

// crash cuts the power and looks at what is left.
func (l *fullLoad) crash(t *testing.T, disk *fillable, rng *rand.Rand) {
	before, events := l.snapshot()
	image := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	e := open(t, image)
	defer closeEngine(t, e)
	got := read(t, e, image, "db")
	for key := range before {
		if got[key] == nil {
			t.Errorf("%s was acknowledged, and lost in a power cut", key)
		}
	}
	if n := countEvents(t, got); n < events {
		t.Errorf("%d events are left of %d in a power cut", n, events)
	}
}

// compare reads what is there: no more and no less than what was acknowledged.
func (l *fullLoad) compare(t *testing.T, e *engine.Engine, fs vfs.FS) {
	want, events := l.snapshot()
	got := read(t, e, fs, "db")
	if n := countEvents(t, got); n != events {
		t.Errorf("there are %d events, %d were acknowledged", n, events)
	}
	for key := range got {
		if !strings.HasPrefix(key, "plain,") {
			delete(got, key)
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %d points, %d were acknowledged", len(got), len(want))
	}
	for key, fields := range want {
		if got[key]["f"] != fields["f"] {
			t.Errorf("%s is %v, and was acknowledged as %v", key, got[key], fields)
		}
	}
}

// countEvents counts the events, of which each may be there once.
func countEvents(t *testing.T, all contents) (n int) {
	seen := make(map[string]bool)
	for key := range all {
		if strings.HasPrefix(key, "events,") {
			id, _, _ := strings.Cut(key, " ")
			if seen[id] {
				t.Errorf("%s is there twice", id)
			}
			seen[id] = true
			n++
		}
	}
	return n
}
