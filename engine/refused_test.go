package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestLostCommitsAreFoundAndSalvaged cuts commits off the end of the catalog's log, which Pebble
// takes for a write that was cut short. What a start refuses for it, a check must name and a
// salvage mend, keys of events included: these were last in that log.
func TestLostCommitsAreFoundAndSalvaged(t *testing.T) {
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprint("all=", all), func(t *testing.T) {
			scene := newSalvageScene(t)
			fs := scene.clone()
			e := open(t, fs)
			must(t, createEvents(e, "events"))
			write(t, e, "events,id=1 n=1i 1")
			flush(t, e)
			must(t, e.CreateDatabase("lost", 0))
			want := read(t, e, fs, "db")
			fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
			closeEngine(t, e)

			newest := slices.Max(list(t, fs, "data/catalog", ".log"))
			kept := 0
			if !all {
				kept = len(bytes.TrimRight(content(t, fs, newest), "\x00")) - 8
			}
			store(t, fs, newest, content(t, fs, newest)[:kept])
			expectRefused(t, fs)
			if lines, report := check(t, fs); report.Damage == 0 || !strings.Contains(lines, "last commits are missing") {
				t.Errorf("a check does not say what a start refuses: %q", lines)
			}

			if report := mustSalvage(t, fs); !strings.Contains(report.Catalog.Unreadable, "last commits are missing") {
				t.Errorf("the salvage reports of the catalog: %+v", report.Catalog)
			}
			expectSalvaged(t, fs, want)
			e = open(t, fs)
			defer closeEngine(t, e)
			if r, err := e.Write(context.Background(), request("events,id=1 n=2i 2")); err != nil || r.Discarded != 1 {
				t.Errorf("an event is repeated: %+v, %v", r, err)
			}
		})
	}
}

// TestCheckNamesAnInterruptedSalvage: a check must name whatever a start refuses.
func TestCheckNamesAnInterruptedSalvage(t *testing.T) {
	scene := newSalvageScene(t)
	fs := scene.clone()
	must(t, fs.MkdirAll("data/salvaging", 0o700))
	expectRefused(t, fs)
	if lines, report := check(t, fs); report.Damage == 0 {
		t.Errorf("a check finds nothing of what a start refuses: %q", lines)
	}
	mustSalvage(t, fs)
	expectSalvaged(t, fs, scene.contentsWithout(t, nil))
}
