package engine_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

// wideScene is a killed directory with one file of 20 rows, which have three fields, and a
// younger file of another day. The log has the given records only.
func wideScene(t testing.TB) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	e := open(t, fs)
	for i := range 20 {
		line := fmt.Sprintf(`cpu,host=h%d usage=%d.5,state="s%d" %d`, i%4, i, i, i)
		if i%5 > 0 {
			line = strings.Replace(line, " usage", fmt.Sprintf(",rack=r%d free=%di,usage", i%2, i), 1)
		}
		write(t, e, line)
	}
	flush(t, e)
	write(t, e, "cpu,host=h1 usage=1 86400000000000")
	flush(t, e)
	write(t, e, "cpu,host=h1 usage=2 86400000000000")
	killed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeEngine(t, e)
	return killed
}

// lostOf counts the points and values that are in want and not in got. Others must be the same.
func lostOf(t testing.TB, want, got contents) (rows uint64, values map[string]uint64) {
	t.Helper()
	values = make(map[string]uint64)
	for point, fields := range want {
		have, ok := got[point]
		if !ok {
			rows++
		}
		for name, v := range fields {
			if w, is := have[name]; is && w != v {
				t.Errorf("point %s: field %s is %v, not %v", point, name, w, v)
			} else if ok && !is {
				values[name]++
			}
		}
		for name := range have {
			if _, ok := fields[name]; !ok {
				t.Errorf("point %s has a field %s", point, name)
			}
		}
	}
	for point := range got {
		if want[point] == nil {
			t.Errorf("point %s was never written", point)
		}
	}
	return rows, values
}

// expectReported compares what a report says with what is lost.
func expectReported(t testing.TB, report *engine.SalvageReport, rows uint64, values map[string]uint64) {
	t.Helper()
	var saidRows uint64
	said := make(map[string]uint64)
	for _, table := range report.Tables {
		saidRows += table.Lost
		for _, v := range table.Values {
			said[v.Column] += v.Rows
		}
	}
	if saidRows != rows || !reflect.DeepEqual(said, values) {
		t.Errorf("the report says that %d rows and %v values are lost; they are %d and %v", saidRows, said, rows, values)
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	_, lost, _ := strings.Cut(text.String(), "\nLost:\n")
	for name, n := range values {
		if line := fmt.Sprintf("  field %q of %d rows of table ", name, n); !strings.Contains(lost, line) {
			t.Errorf("the text lacks %q:\n%s", line, lost)
		}
	}
	isLossless := rows == 0 && len(values) == 0 && !report.Catalog.Rebuilt
	for _, f := range report.Files {
		isLossless = isLossless && f.PerhapsOlder == 0
	}
	if report.IsLossless() != isLossless || strings.Contains(lost, "  nothing\n") != isLossless {
		t.Errorf("whether nothing is lost: %v, %q", report.IsLossless(), lost)
	}
}

// TestSalvageReportsExactlyWhatIsLost damages every so manieth byte of a file, of which the log
// has nothing, everything, or all but one record.
func TestSalvageReportsExactlyWhatIsLost(t *testing.T) {
	scene := wideScene(t)
	whole := contentsOf(t, scene.CrashClone(vfs.CrashCloneCfg{}))
	file := filesBelow(t, scene, "data/files", ".parquet")[0]
	size := len(fileBytes(t, scene, file))
	outcomes := make(map[string]int)
	for _, log := range []string{"whole", "gone", "damaged"} {
		for at := 2; at < size; at += 7 * *salvageStride {
			fs := scene.CrashClone(vfs.CrashCloneCfg{})
			replaceBytes(t, fs, file, flipAt(at))
			switch log {
			case "gone":
				removeLog(t, fs)
			case "damaged":
				damageRecord(t, fs, 7)
			}
			want := whole
			if log == "gone" { // the last record was in the log only
				want = contentsOf(t, scene.CrashClone(vfs.CrashCloneCfg{}))
				want["cpu,host=h1 86400000000000"] = map[string]any{"usage": 1.0}
			}
			report := mustSalvage(t, fs)
			checkSound(t, fs)
			rows, values := lostOf(t, want, contentsOf(t, fs))
			if log == "damaged" && len(report.Log.Lost) > 0 {
				t.Fatalf("byte %d: log records %v are said to be lost, which were flushed", at, report.Log.Lost)
			}
			expectReported(t, &report, rows, values)
			outcomes[fmt.Sprintf("log %s: %d rows, %d columns lost", log, rows, len(values))]++
			if t.Failed() {
				t.Fatalf("byte %d, log %s", at, log)
			}
		}
	}
	for o, n := range outcomes {
		t.Logf("%4d: %s", n, o)
	}
	// More than half of so small a file is its footer.
	if outcomes["log gone: 0 rows, 0 columns lost"] < outcomes["log gone: 20 rows, 0 columns lost"] || outcomes["log gone: 0 rows, 1 columns lost"] == 0 {
		t.Error("the outcomes are not what was expected")
	}
}

// damageRecord flips a bit of a log record.
func damageRecord(t testing.TB, fs vfs.FS, record byte) {
	t.Helper()
	for _, file := range filesBelow(t, fs, "data/wal", ".wal") {
		b := fileBytes(t, fs, file)
		for off := 64; off+48 <= len(b); off += 8 {
			if string(b[off:off+4]) == "SLTR" && b[off+16] == record {
				replaceBytes(t, fs, file, flipAt(off+52))
				return
			}
		}
	}
	t.Fatalf("there is no log record %d", record)
}

// flipField damages the chunk of a field in the only row group of a file.
func flipField(t testing.TB, fs vfs.FS, file, field string) {
	t.Helper()
	b := fileBytes(t, fs, file)
	for at := 4; at < len(b); at += 8 {
		damaged := slices.Clone(b)
		damaged[at] ^= 1
		replaceBytes(t, fs, file, func([]byte) []byte { return damaged })
		report, err := engine.Check(t.Context(), engine.CheckOptions{DataDir: "data", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range report.Findings {
			if strings.Contains(f.What, fmt.Sprintf("checksum of column %q", field)) {
				return
			}
		}
	}
	t.Fatalf("no byte is of column %q", field)
}

// TestOlderValueShowsWhereTheNewerIsLost: the fields of rows that are kept are merged with
// those of older files, as ever.
func TestOlderValueShowsWhereTheNewerIsLost(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, fs)
	write(t, e, "m a=1,b=1 1", "m a=1,b=1 2")
	flush(t, e)
	write(t, e, "m a=2,b=2 1", "m b=2 3")
	flush(t, e)
	killed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeEngine(t, e)
	removeLog(t, killed)
	flipField(t, killed, filesBelow(t, killed, "data/files", ".parquet")[1], "b")
	report := mustSalvage(t, killed)
	expectReported(t, &report, 0, map[string]uint64{"b": 2})
}

// TestSecondSalvageKeepsTheOrderOfTheFirst: what the log had of a damaged file stays below
// what was left of it, whichever of the two is damaged next.
func TestSecondSalvageKeepsTheOrderOfTheFirst(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, fs)
	write(t, e, "m v=1,w=1 1")
	write(t, e, "m v=2,w=2 1", "m v=2 2")
	write(t, e, "m v=3 3")
	flush(t, e)
	killed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeEngine(t, e)
	damageRecord(t, killed, 2)
	flipField(t, killed, filesBelow(t, killed, "data/files", ".parquet")[0], "w")
	first := mustSalvage(t, killed)
	want := contents{"m 1": {"v": 2.0, "w": 1.0}, "m 2": {"v": 2.0}, "m 3": {"v": 3.0}}
	if got := contentsOf(t, killed); !reflect.DeepEqual(got, want) {
		t.Fatalf("the first salvage left %v", got)
	}
	if f := first.Files[0]; f.Lost > 0 || len(f.Values) > 0 || f.PerhapsOlder != 1 || first.IsLossless() {
		t.Errorf("the report says %+v", f) // the value of w is an older one
	}
	checkSound(t, killed)
	files := filesBelow(t, killed, "data/files", ".parquet")
	if len(files) != 2 {
		t.Fatalf("the first salvage left %v", files)
	}
	for _, file := range files {
		again := killed.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		replaceBytes(t, again, file, func(b []byte) []byte {
			b[len(b)-1] ^= 1
			return b
		})
		if report := mustSalvage(t, again); report.Nothing || !report.IsLossless() {
			t.Errorf("%s: %+v", file, report.Files)
		}
		checkSound(t, again)
		if got := contentsOf(t, again); !reflect.DeepEqual(got, want) {
			t.Errorf("after the second salvage there is %v, want %v", got, want)
		}
	}
}
