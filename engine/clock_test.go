package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

const year = 365 * 24 * time.Hour

// jumps are clocks that are wrong by little, by much, and by all there is.
var jumps = map[string]time.Duration{
	"an hour ahead":      time.Hour + time.Second,
	"an hour back":       -time.Hour - time.Second,
	"a year ahead":       year,
	"a year back":        -year,
	"in 1970":            -time.Duration(noon.UnixNano()),
	"before 1970":        -60 * year,
	"at the end of time": time.Duration(math.MaxInt64 - noon.UnixNano()),
	"behind all time":    math.MaxInt64,
}

// logText is a log that may be read while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func (l *logText) option(o *engine.Options) { o.Logger = slog.New(slog.NewTextHandler(l, nil)) }

// pass lets time pass, hour by hour, with what the engine does from time to time.
func (c *handClock) pass(e *engine.Engine, d time.Duration) {
	for end := c.after.Load() + int64(d); c.after.Load() < end; {
		c.after.Store(min(end, c.after.Load()+int64(time.Hour)))
		e.PurgeDue()
	}
}

// TestAClockThatJumpsDeletesNothingEarly shows E10 for purges: whatever the clock does, a
// table stays for the time that its deletion gave, and goes when that has passed and the
// clock is right, or has stood long enough.
func TestAClockThatJumpsDeletesNothingEarly(t *testing.T) {
	for name, jump := range jumps {
		for _, mended := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, put right %v", name, mended), func(t *testing.T) {
				t.Parallel()
				jumpAndPurge(t, jump, mended)
			})
		}
	}
}

func jumpAndPurge(t *testing.T, jump time.Duration, mended bool) {
	const kept = 24 * time.Hour
	fs, clock, log := vfs.NewMem(), &handClock{}, &logText{}
	e := open(t, fs, clock.option, log.option)
	defer closeEngine(t, e)
	write(t, e, "m f=1 1", "other f=1 1")
	flush(t, e)
	if err := e.DeleteTable("db", "m", clock.now().Add(kept)); err != nil {
		t.Fatal(err)
	}
	clock.pass(e, time.Hour)
	clock.jump(jump)
	clock.pass(e, kept-time.Hour-time.Second)
	if n := len(parquetFiles(t, fs)); n != 2 {
		t.Fatalf("%d of 2 files are left before its time has come", n)
	}
	if n := log.count("level=WARN"); n != 1 {
		t.Errorf("%d warnings about the clock, want one", n)
	}
	if mended {
		clock.jump(0)
		clock.pass(e, 2*time.Hour)
	} else {
		clock.pass(e, 73*time.Hour)
		if jump < 0 { // its time comes when the clock is there
			return
		}
	}
	if n := len(parquetFiles(t, fs)); n != 1 {
		t.Errorf("%d files are left when its time has come, want 1\n%s", n, log.text.String())
	}
}

// TestATableDeletedByAWrongClockIsKeptAsLong: the deadline of a deletion is a time, and
// when the clock is put right the other way round that time may be long past.
func TestATableDeletedByAWrongClockIsKeptAsLong(t *testing.T) {
	for name, wrong := range jumps {
		if wrong > 0 {
			continue // its deadline is far away then; it comes late
		}
		t.Run(name, func(t *testing.T) {
			const kept = 72 * time.Hour
			fs, clock := vfs.NewMem(), &handClock{}
			clock.jump(wrong)
			e := open(t, fs, clock.option)
			defer closeEngine(t, e)
			write(t, e, "m f=1 1")
			flush(t, e)
			if err := e.DeleteTable("db", "m", clock.now().Add(kept)); err != nil {
				t.Fatal(err)
			}
			clock.pass(e, time.Minute)
			clock.jump(0)
			clock.pass(e, kept-2*time.Minute)
			if n := len(parquetFiles(t, fs)); n != 1 {
				t.Fatal("it was purged early")
			}
			clock.pass(e, 2*time.Hour)
			if n := len(parquetFiles(t, fs)); n != 0 {
				t.Error("it was not purged")
			}
		})
	}
}

// TestAClockIsTriedAcrossRestarts: a server that starts with a wrong clock knows when it
// ran last, and one that is restarted again and again comes to believe its clock.
func TestAClockIsTriedAcrossRestarts(t *testing.T) {
	for _, c := range []struct {
		name     string
		downtime time.Duration // in which the clock runs on
		jump     time.Duration
		want     int // files after a day
	}{
		{"a downtime of a day", 24 * time.Hour, 0, 0},
		{"a downtime of a month", 30 * 24 * time.Hour, 0, 1},
		{"a year ahead", 0, year, 1},
		{"a year back", 0, -year, 1},
		{"behind all time", 0, math.MaxInt64, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs, clock := vfs.NewMem(), &handClock{}
			e := open(t, fs, clock.option)
			write(t, e, "m f=1 1")
			flush(t, e)
			if err := e.DeleteTable("db", "m", clock.now().Add(23*time.Hour)); err != nil {
				t.Fatal(err)
			}
			closeEngine(t, e)
			clock.set(c.downtime)
			clock.jump(c.jump)
			for range 5 { // restarts
				e = open(t, fs, clock.option)
				clock.pass(e, 2*time.Hour)
				closeEngine(t, e)
			}
			if n := len(parquetFiles(t, fs)); n != c.want {
				t.Fatalf("%d files, want %d", n, c.want)
			}
			for range 8 {
				e = open(t, fs, clock.option)
				clock.pass(e, 10*time.Hour)
				closeEngine(t, e)
			}
			if n := len(parquetFiles(t, fs)); c.jump >= 0 && n != 0 {
				t.Errorf("%d files after the clock stood for three days", n)
			}
		})
	}
}

// TestAJumpIsKnownAfterACrash: how far the clock jumped is in the catalog at once.
func TestAJumpIsKnownAfterACrash(t *testing.T) {
	fs, clock := vfs.NewCrashableMem(), &handClock{}
	e := open(t, fs, clock.option)
	write(t, e, "m f=1 1")
	flush(t, e)
	if err := e.DeleteTable("db", "m", clock.now().Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	clock.jump(3 * 24 * time.Hour) // less than a server may be down
	clock.pass(e, 2*time.Minute)
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeEngine(t, e)
	e = open(t, crashed, clock.option)
	defer closeEngine(t, e)
	clock.pass(e, 22*time.Hour)
	if n := len(parquetFiles(t, crashed)); n != 1 {
		t.Error("after a restart the jump was believed")
	}
}

// TestAClockThatIsSetALittleDoesNotGetFar: many steps that are small enough one by one.
func TestAClockThatIsSetALittleDoesNotGetFar(t *testing.T) {
	fs, clock := vfs.NewMem(), &handClock{}
	e := open(t, fs, clock.option)
	defer closeEngine(t, e)
	write(t, e, "m f=1 1")
	flush(t, e)
	if err := e.DeleteTable("db", "m", clock.now().Add(72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for step := range 100 {
		clock.jump(time.Duration(step) * 50 * time.Minute)
		clock.pass(e, 10*time.Minute)
	}
	if n := len(parquetFiles(t, fs)); n != 1 {
		t.Error("it was purged after 17 hours")
	}
}

// TestWritesDoNotDependOnTheClock: points with a time are stored whatever the clock says,
// also where there is a retention period; those without one are refused line by line when
// the clock shows no time that there is.
func TestWritesDoNotDependOnTheClock(t *testing.T) {
	for name, jump := range jumps {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			var clock handClock
			e := open(t, fs, clock.option, keepRejected)
			defer closeEngine(t, e)
			if err := e.CreateDatabase("db", 30*24*time.Hour); err != nil {
				t.Fatal(err)
			}
			clock.jump(jump)
			if jump == math.MaxInt64 { // and beyond what nanoseconds can express
				clock.set(jump / 2)
			}
			if jump < math.MaxInt64 {
				r := write(t, e, fmt.Sprintf("m,at=now f=1 %d", noon.UnixNano()), fmt.Sprintf("m,at=before f=1 %d", noon.Add(-29*24*time.Hour).UnixNano()))
				if r.Accepted != 2 {
					t.Errorf("points with a time: %+v", r)
				}
			}
			r := write(t, e, "m,at=none f=1", "nonsense", fmt.Sprintf("m,at=then f=1 %d", clock.now().Add(time.Hour).UnixNano()))
			if at := clock.now(); at.Year() > 2261 {
				if r.Accepted != 0 || r.Rejected != 3 || !strings.Contains(r.Errors[0].Message, "clock") {
					t.Errorf("points without a time are answered %+v", r)
				}
			} else if r.Accepted != 2 || r.Rejected != 1 {
				t.Errorf("points without a time are answered %+v", r)
			}
			flush(t, e)
			if rejected := read(t, e, fs, engine.InternalDatabase); len(rejected) != r.Rejected {
				t.Errorf("%d lines are in the log of rejected points, want %d", len(rejected), r.Rejected)
			}
		})
	}
}

// TestRejectedPointsOutliveAJumpOfTheClock shows E10 for the log of rejected points.
func TestRejectedPointsOutliveAJumpOfTheClock(t *testing.T) {
	for name, jump := range jumps {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			var clock handClock
			e := open(t, fs, clock.option, keepRejected)
			defer closeEngine(t, e)
			write(t, e, "nonsense")
			flush(t, e)
			clock.jump(jump)
			if _, err := e.Write(context.Background(), request("more nonsense")); err != nil {
				t.Fatal(err)
			}
			flush(t, e)
			flush(t, e)
			if got := read(t, e, fs, engine.InternalDatabase); len(got) != 2 {
				t.Errorf("%d of 2 rejected points are left: %v", len(got), got)
			}
		})
	}
}

// TestTimersRunWhereverTheClockIs: the engine looks at the clock once a minute, neither
// less often nor without a pause, when the clock jumps about.
func TestTimersRunWhereverTheClockIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock handClock
		start := time.Now()
		var looks atomic.Int64
		e := open(t, vfs.NewMem(), func(o *engine.Options) {
			o.Now = clock.now
			o.Elapsed = func() time.Duration { looks.Add(1); return time.Since(start) }
		})
		defer closeEngine(t, e)
		for name, jump := range jumps {
			clock.jump(jump)
			before := looks.Load()
			time.Sleep(time.Hour)
			if n := looks.Load() - before; n < 59 || n > 61 {
				t.Errorf("%s: the engine looked at the clock %d times in an hour, want 60", name, n)
			}
		}
	})
}
