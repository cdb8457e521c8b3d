package engine_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// TestLogThatLostItsEndIsRefused removes, cuts and replaces the newest file of a log whose
// last records are older than a second: nothing in what is left of the log says that there
// were more.
func TestLogThatLostItsEndIsRefused(t *testing.T) {
	const records = 10
	disk := vfs.NewCrashableMem()
	e := open(t, disk, func(o *engine.Options) { o.MarkInterval = time.Millisecond })
	var older []byte
	for i := range records {
		write(t, e, fmt.Sprintf("cpu,host=h%d v=%di %d", i, i, i))
		if i == records/2-1 {
			_, older, _ = logOf(t, disk)
		}
	}
	awaitReached(t, disk, records)
	killed := disk.CrashClone(everything())
	closeEngine(t, e)
	name, whole, ends := logOf(t, killed)
	damages := map[string]func(fs *vfs.MemFS){
		"removed":       func(fs *vfs.MemFS) { mustRemove(t, fs, name) },
		"empty":         func(fs *vfs.MemFS) { overwrite(t, fs, name, nil) },
		"cut in half":   func(fs *vfs.MemFS) { overwrite(t, fs, name, whole[:ends[records/2]]) },
		"an older copy": func(fs *vfs.MemFS) { overwrite(t, fs, name, older) },
		"zeroed": func(fs *vfs.MemFS) {
			overwrite(t, fs, name, append(append([]byte(nil), whole[:ends[2]]...), make([]byte, len(whole)-ends[2])...))
		},
	}
	for what, damage := range damages {
		fs := killed.CrashClone(everything())
		damage(fs)
		expectRefused(t, fs)
		report := mustSalvage(t, fs)
		if n := len(report.Log.Lost); report.IsLossless() || n != 1 || report.Log.Lost[0].Max != schema.Seq(records) {
			t.Errorf("%s: the report says that records %v are lost", what, report.Log.Lost)
		}
		lost := int(report.Log.Lost[0].Min)
		kept := make(contents)
		for i := range lost - 1 {
			kept[fmt.Sprintf("cpu,host=h%d %d", i, i)] = map[string]any{"v": int64(i)}
		}
		expectSalvaged(t, fs, kept)
	}
}

// awaitReached returns when the note beside the log says that a record is durable.
func awaitReached(t *testing.T, fs vfs.FS, record uint64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		<-tick.C
		if _, err := fs.Stat("data/REACHED"); err != nil {
			continue
		}
		b := fileBytes(t, fs, "data/REACHED")
		for at := 0; at+8 <= len(b); at += 64 {
			if binary.LittleEndian.Uint64(b[at:]) == record {
				return
			}
		}
	}
	t.Fatalf("it was not noted that record %d is durable", record)
}

// everything is what a kill leaves.
func everything() vfs.CrashCloneCfg {
	return vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}
}

func mustRemove(t *testing.T, fs vfs.FS, name string) {
	t.Helper()
	if err := fs.Remove(name); err != nil {
		t.Fatal(err)
	}
}
