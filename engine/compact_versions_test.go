package engine_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// records makes a table of versions of records.
func records(t *testing.T, e *engine.Engine) {
	t.Helper()
	must(t, e.CreateTable("db", engine.TableSpec{
		Name: "m", Key: schema.TableKey{Rule: schema.LatestByTag, Tag: "k"},
		Columns: []engine.ColumnSpec{{Name: "k", Type: schema.Tag}, {Name: schema.DeletedColumn, Type: schema.Bool}},
	}))
}

// shown is what queries see of versions: the newest of each record, unless it ends it.
func (c contents) shown() contents {
	rows := c.newestOf()
	maps.DeleteFunc(rows, func(_ string, fields map[string]any) bool { return fields[schema.DeletedColumn] == true })
	return rows
}

// TestOldVersionsLeaveAndNoneComesBack writes versions in any order, ends records, flushes, compacts, lets time pass and
// restarts. Queries see what a map says at each step, and in the end the file has nothing else.
func TestOldVersionsLeaveAndNoneComesBack(t *testing.T) {
	for n := range uint64(8) {
		seed := *seedFlag + n
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng, fs, clock := rand.New(rand.NewPCG(seed, 11)), vfs.NewMem(), &handClock{}
			e := open(t, fs, clock.option)
			records(t, e)
			want := contents{}
			for step := range 120 {
				switch rng.IntN(10) {
				case 0, 1:
					flush(t, e)
				case 2:
					compact(t, e)
				case 3:
					clock.set(time.Duration(clock.after.Load()) + time.Duration(rng.IntN(40))*time.Hour)
				case 4:
					closeEngine(t, e)
					e = open(t, fs, clock.option)
				default:
					key, fields := fmt.Sprint("m,k=", rng.IntN(4)), map[string]any{"n": int64(step)}
					line := fmt.Sprintf("n=%di", step)
					if rng.IntN(3) == 0 {
						fields[schema.DeletedColumn] = true
						line += ",_deleted=true"
					}
					at := clock.now().Add(-time.Duration(rng.IntN(70)) * time.Hour).UnixNano()
					write(t, e, fmt.Sprintf("%s %s %d", key, line, at))
					want.merge(fmt.Sprint(key, " ", at), fields)
				}
				if d := difference(want.shown(), read(t, e, fs, "db").shown()); d != "" {
					t.Fatalf("step %d: %s", step, d)
				}
			}
			write(t, e, fmt.Sprintf("m,k=9 n=1i %d", clock.now().UnixNano()))
			want.merge(fmt.Sprint("m,k=9 ", clock.now().UnixNano()), map[string]any{"n": int64(1)})
			flush(t, e)
			clock.set(time.Duration(clock.after.Load()) + 200*time.Hour)
			write(t, e, fmt.Sprintf("m,k=8 n=1i %d", clock.now().UnixNano())) // so that there is something to merge
			want.merge(fmt.Sprint("m,k=8 ", clock.now().UnixNano()), map[string]any{"n": int64(1)})
			flush(t, e)
			compactAll(t, e, fs)
			if d := difference(want.shown(), read(t, e, fs, "db").shown()); d != "" {
				t.Errorf("in the end: %s", d)
			}
			closeEngine(t, e)
			checkSound(t, fs)
		})
	}
}

// TestFilesOfRecordsHaveOneVersion of each, and none of those that ended long ago.
func TestFilesOfRecordsHaveOneVersion(t *testing.T) {
	fs, clock := vfs.NewMem(), &handClock{}
	e := open(t, fs, clock.option)
	defer closeEngine(t, e)
	records(t, e)
	want := contents{}
	for day := range 10 {
		at := noon.Add(time.Duration(day-9) * 24 * time.Hour).UnixNano()
		lines := []string{fmt.Sprintf("m,k=changed n=%di %d", day, at)}
		switch day {
		case 0:
			lines = append(lines, fmt.Sprintf("m,k=ended n=1i %d", at), fmt.Sprintf("m,k=just\\ ended n=1i %d", at), fmt.Sprintf("m,k=same n=1i %d", at))
			want.merge(fmt.Sprint("m,k=same ", at), map[string]any{"n": int64(1)})
		case 1:
			lines = append(lines, fmt.Sprintf("m,k=ended _deleted=true %d", at))
		case 9:
			lines = append(lines, fmt.Sprintf("m,k=just\\ ended _deleted=true %d", at))
			want.merge(fmt.Sprint("m,k=just ended ", at), map[string]any{"_deleted": true})
			want.merge(fmt.Sprint("m,k=changed ", at), map[string]any{"n": int64(9)})
		}
		write(t, e, lines...)
		flush(t, e)
	}
	compact(t, e)
	expectFiles(t, fs, 1, "after a compaction")
	expect(t, e, fs, want)
}

// compactAll compacts and fails if a version of one of the records is left that was ended or replaced, where all are in
// one file.
func compactAll(t *testing.T, e *engine.Engine, fs vfs.FS) {
	t.Helper()
	compact(t, e)
	if len(parquetFiles(t, fs)) > 1 {
		return
	}
	seen := make(map[string]bool)
	for key, fields := range read(t, e, fs, "db") {
		series, _, _ := strings.Cut(key, " ")
		if seen[series] || fields[schema.DeletedColumn] == true {
			t.Errorf("%s is left", key)
		}
		seen[series] = true
	}
}
