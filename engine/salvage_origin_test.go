package engine_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

// TestSalvageRestoresKeysFromFiles: the catalog is lost, and with it which events were seen; and
// of their file a column. Repeating an event stays without effect, whether the file or the log has it.
func TestSalvageRestoresKeysFromFiles(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, fs)
	events(t, e)
	for i := range 10 {
		write(t, e, fmt.Sprintf("events,id=file%d n=%di %d", i, i, i))
	}
	flush(t, e)
	for i := range 5 {
		write(t, e, fmt.Sprintf("events,id=log%d n=%di %d", i, i, 20+i))
	}
	whole := read(t, e, fs, "db")
	killed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeEngine(t, e)
	flipField(t, killed, filesBelow(t, killed, "data/files", ".parquet")[0], "n")
	if err := killed.RemoveAll("data/catalog"); err != nil {
		t.Fatal(err)
	}
	syncAll(t, killed, "data")
	for _, withLog := range []bool{true, false} {
		fs, want, lost := killed.CrashClone(vfs.CrashCloneCfg{}), maps.Clone(whole), map[string]uint64{}
		if !withLog {
			removeLog(t, fs)
			lost["n"] = 10
			for i := range 10 {
				want[fmt.Sprintf("events,id=file%d %d", i, i)] = map[string]any{}
			}
			for i := range 5 {
				delete(want, fmt.Sprintf("events,id=log%d %d", i, 20+i))
			}
		}
		report := mustSalvage(t, fs)
		expectReported(t, &report, 0, lost)
		if report.Catalog.KeysFrom == "" {
			t.Error("the keys were not taken from the files")
		}
		checkSound(t, fs)
		expectNoRepetition(t, fs, want)
	}
}

// expectNoRepetition repeats the events that there are.
func expectNoRepetition(t testing.TB, fs vfs.FS, want contents) {
	t.Helper()
	e := open(t, fs)
	defer closeEngine(t, e)
	expect(t, e, fs, want)
	for point := range want {
		event, _, _ := strings.Cut(point, " ")
		write(t, e, event+" n=77i 1000")
	}
	expect(t, e, fs, want)
	write(t, e, "events,id=new n=1i 3000")
	flush(t, e)
	want["events,id=new 3000"] = map[string]any{"n": int64(1)}
	expect(t, e, fs, want)
}

// TestSalvageReplaysMoreRowsThanFit replays a log of several times the smallest pool.
func TestSalvageReplaysMoreRowsThanFit(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, fs, func(o *engine.Options) { o.PoolBytes = 1 << 30; o.WALSegmentBytes = 8 << 20 })
	const requests, rows, fields = 60, 2000, 24
	var b strings.Builder
	for i := range requests {
		b.Reset()
		for r := range rows {
			fmt.Fprintf(&b, "wide,host=h%d ", r%7)
			for f := range fields {
				fmt.Fprintf(&b, "f%d=%di,", f, i*rows+r+f)
			}
			fmt.Fprintf(&b, "last=%di %d\n", i, int64(i%3)*86400e9+int64(i*rows+r))
		}
		write(t, e, strings.TrimSuffix(b.String(), "\n"))
	}
	if held := e.Stats().BufferBytes; held < engine.MinPoolBytes {
		t.Fatalf("only %d bytes are buffered", held)
	}
	killed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeEngine(t, e)
	damageRecord(t, killed, requests/2)
	opts := salvageOptions(killed)
	opts.PoolBytes = engine.MinPoolBytes
	report, err := engine.Salvage(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if want := (requests - 1) * rows; report.Log.Rows != want || len(report.Log.Lost) != 1 {
		t.Errorf("%d rows were replayed, want %d; records %v are lost", report.Log.Rows, want, report.Log.Lost)
	}
	checked := checkSound(t, killed)
	if checked.Rows != (requests-1)*rows || checked.Files < 4 {
		t.Errorf("%d files have %d rows, want %d", checked.Files, checked.Rows, (requests-1)*rows)
	}
	t.Logf("%d files", checked.Files)
}

// placeOldFile puts a file of the first release, which says neither of which log records its rows
// are nor any checksum, where the engine would have it as its first.
func placeOldFile(t testing.TB, fs vfs.FS, file string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "persist", "testdata", "v1.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if err := fs.MkdirAll(fs.PathDir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	replaceOrCreate(t, fs, file, raw)
}

func replaceOrCreate(t testing.TB, fs vfs.FS, file string, raw []byte) {
	t.Helper()
	f, err := fs.Create(file, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(raw)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSalvageOfFilesOfTheFirstRelease: a directory of which the catalog is lost, and whose
// file says nothing but its rows.
func TestSalvageOfFilesOfTheFirstRelease(t *testing.T) {
	const point = "tbl,c0=host-0 0"
	t.Run("the log is whole", func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		e := open(t, fs)
		// The columns get the ids that they have in the file.
		write(t, e, `tbl,c0=host-0 c1=7.5,c2=1i,c3=1u,c4="a",c5=true 99`)
		file := "data/files/1/1/0000001000000001.parquet"
		flush(t, e)
		if files := filesBelow(t, fs, "data/files", ".parquet"); len(files) == 1 {
			file = files[0]
		}
		write(t, e, "tbl,c0=host-0 c1=8.5 0")
		killed := fs.CrashClone(vfs.CrashCloneCfg{})
		closeEngine(t, e)
		placeOldFile(t, killed, file)
		if err := killed.RemoveAll("data/catalog"); err != nil {
			t.Fatal(err)
		}
		report := mustSalvage(t, killed)
		checkSound(t, killed)
		all := contentsOf(t, killed)
		if len(all) != 21 || all[point]["c1"] != 8.5 || all["tbl,c0=host-0 99"]["c1"] != 7.5 || len(report.Log.SetAside) > 0 {
			t.Errorf("%d points, %v, set aside %v", len(all), all[point], report.Log.SetAside)
		}
	})
	t.Run("the log has a hole", func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		e := open(t, fs)
		write(t, e, `tbl,c0=host-0 c1=7.5,c2=1i,c3=1u,c4="a",c5=true 99`)
		write(t, e, "tbl,c0=host-0 c1=8.5 0")
		write(t, e, "tbl,c0=host-0 c1=9.5 1", "other a=1 1")
		write(t, e, "tbl,c0=host-0 c1=9.5 2")
		killed := fs.CrashClone(vfs.CrashCloneCfg{})
		closeEngine(t, e)
		placeOldFile(t, killed, "data/files/1/1/0000001000000001.parquet")
		if err := killed.RemoveAll("data/catalog"); err != nil {
			t.Fatal(err)
		}
		damageRecord(t, killed, 3)
		report := mustSalvage(t, killed)
		checkSound(t, killed)
		all := contentsOf(t, killed)
		// Records 1 and 2 may be older than the file's rows, which stay.
		if all[point]["c1"] == 8.5 || all["tbl,c0=host-0 2"]["c1"] != 9.5 || report.IsLossless() {
			t.Errorf("%d points, %v, %+v", len(all), all[point], report.Log)
		}
		for _, s := range report.Log.SetAside {
			t.Logf("record %d is set aside: %s", s.Record, s.Reason)
		}
	})
}
