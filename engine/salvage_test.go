package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// salvageScene is a directory whose process was killed, with the write of each log record.
type salvageScene struct {
	fs     *vfs.MemFS
	writes []string // line of record i+1
	files  int
}

// newSalvageScene writes two tables, over two days, with points that are overwritten, in
// two flushes; the last writes are in the log only.
func newSalvageScene(t testing.TB) salvageScene {
	t.Helper()
	fs := vfs.NewCrashableMem()
	e := open(t, fs)
	var s salvageScene
	for i := range 18 {
		line := fmt.Sprintf("cpu,host=h%d usage=%d %d", i%3, i, int64(i%2)*86400e9+int64(i%4))
		if i%3 == 2 {
			line = fmt.Sprintf("mem,host=m free=%di,total=%di %d", i, 100+i, i%2)
		}
		write(t, e, line)
		s.writes = append(s.writes, line)
		if i == 5 || i == 11 {
			flush(t, e)
		}
	}
	s.files = e.Stats().Files
	s.fs = fs.CrashClone(vfs.CrashCloneCfg{})
	closeEngine(t, e)
	return s
}

func (s *salvageScene) clone() *vfs.MemFS { return s.fs.CrashClone(vfs.CrashCloneCfg{}) }

// contentsWithout is what the database holds if some writes are lost.
func (s *salvageScene) contentsWithout(t testing.TB, lost func(record int, line string) bool) contents {
	t.Helper()
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	if _, err := e.Write(context.Background(), request("nothing x=1 1")); err != nil {
		t.Fatal(err)
	}
	for i, line := range s.writes {
		if lost == nil || !lost(i+1, line) {
			write(t, e, line)
		}
	}
	all := read(t, e, fs, "db")
	delete(all, "nothing 1")
	return all
}

func salvageOptions(fs vfs.FS) engine.Options {
	return engine.Options{DataDir: "data", FS: fs, Gen1Duration: -1, WALSegmentBytes: 64 << 10}
}

func mustSalvage(t testing.TB, fs vfs.FS) engine.SalvageReport {
	t.Helper()
	report, err := engine.Salvage(context.Background(), salvageOptions(fs))
	if err != nil {
		t.Fatalf("Salvage: %v", err)
	}
	return report
}

// expectRefused makes sure that a start is refused, and that the error says what to do.
func expectRefused(t testing.TB, fs vfs.FS) {
	t.Helper()
	e, err := engine.Open(salvageOptions(fs))
	if err == nil {
		closeEngine(t, e)
		t.Fatal("the damaged directory was opened")
	}
	for _, command := range []string{"siltstone check --data-dir data", "siltstone recover --data-dir data --salvage"} {
		if !strings.Contains(err.Error(), command) {
			t.Errorf("%q does not name %q", err, command)
		}
	}
}

// expectSalvaged makes sure that the directory is sound, holds what it should, and that
// another salvage finds nothing to do.
func expectSalvaged(t testing.TB, fs vfs.FS, want contents) {
	t.Helper()
	if checked := checkSound(t, fs); checked.Damage > 0 {
		t.Errorf("there is damage after the salvage")
	}
	if again := mustSalvage(t, fs); !again.Nothing {
		t.Errorf("a second salvage found %v", again.Findings)
	}
	e := open(t, fs)
	defer closeEngine(t, e)
	if got := read(t, e, fs, "db"); !reflect.DeepEqual(got, want) {
		t.Errorf("the database holds\n%v\nwant\n%v", got, want)
	}
	write(t, e, "cpu,host=new usage=1 5")
	want = maps.Clone(want)
	want["cpu,host=new 5"] = map[string]any{"usage": 1.0}
	expect(t, e, fs, want)
}

// snapshotOf returns every file of the data directory.
func snapshotOf(t testing.TB, fs vfs.FS, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file := fs.PathJoin(dir, name)
		info, err := fs.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			maps.Copy(all, snapshotOf(t, fs, file))
			continue
		}
		all[file] = string(fileBytes(t, fs, file))
	}
	return all
}

func fileBytes(t testing.TB, fs vfs.FS, file string) []byte {
	t.Helper()
	f, err := fs.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

// replaceBytes changes a file behind everybody's back.
func replaceBytes(t testing.TB, fs vfs.FS, file string, change func([]byte) []byte) {
	t.Helper()
	b := change(fileBytes(t, fs, file))
	f, err := fs.Create(file, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func flipAt(off int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[off] ^= 1 << (off % 8)
		return b
	}
}

func filesBelow(t testing.TB, fs vfs.FS, dir, suffix string) []string {
	t.Helper()
	files := slices.Sorted(maps.Keys(snapshotOf(t, fs, dir)))
	return slices.DeleteFunc(files, func(f string) bool { return !strings.HasSuffix(f, suffix) })
}

func TestSalvageOfASoundDirectoryChangesNothing(t *testing.T) {
	scene := newSalvageScene(t)
	fs := scene.clone()
	before := snapshotOf(t, fs, "data")
	if report := mustSalvage(t, fs); !report.Nothing {
		t.Fatalf("found %v", report.Findings)
	}
	if !maps.Equal(before, snapshotOf(t, fs, "data")) {
		t.Error("a file was changed")
	}
}

// TestSalvageLosesOnlyTheDamagedLogRecord flips a byte in each record of the log in turn.
// The last one is not told from a write that was cut short.
func TestSalvageLosesOnlyTheDamagedLogRecord(t *testing.T) {
	scene := newSalvageScene(t)
	tried := 0
	for _, file := range filesBelow(t, scene.fs, "data/wal", ".wal") {
		b := fileBytes(t, scene.fs, file)
		for off := 64; off+48 <= len(b); off += 8 {
			if string(b[off:off+4]) != "SLTR" {
				continue
			}
			record := int(b[off+16])
			if record <= 12 || record == len(scene.writes) {
				continue
			}
			tried++
			for _, at := range []int{off + 17, off + 50} {
				fs := scene.clone()
				replaceBytes(t, fs, file, flipAt(at))
				expectRefused(t, fs)
				report := mustSalvage(t, fs)
				want := []schema.SeqRange{{Min: schema.Seq(record), Max: schema.Seq(record)}}
				if !slices.Equal(report.Log.Lost, want) || report.IsLossless() {
					t.Errorf("record %d: the report says that %v are lost", record, report.Log.Lost)
				}
				expectSalvaged(t, fs, scene.contentsWithout(t, func(r int, _ string) bool { return r == record }))
			}
		}
	}
	if tried != 5 {
		t.Errorf("%d records were damaged, want 5", tried)
	}
}

// TestSalvageReplacesLostFiles damages or removes each Parquet file in turn. Its rows are
// lost unless the log still has them.
func TestSalvageReplacesLostFiles(t *testing.T) {
	scene := newSalvageScene(t)
	files := filesBelow(t, scene.fs, "data/files", ".parquet")
	if len(files) != scene.files || len(files) < 4 {
		t.Fatalf("there are %d files", len(files))
	}
	whole := scene.contentsWithout(t, nil)
	for _, file := range files {
		for _, withLog := range []bool{true, false} {
			for _, damage := range []string{"removed", "flipped"} {
				fs := scene.clone()
				if damage == "removed" {
					if err := fs.Remove(file); err != nil {
						t.Fatal(err)
					}
				} else {
					replaceBytes(t, fs, file, flipAt(30))
				}
				if !withLog {
					removeLog(t, fs)
				}
				report := mustSalvage(t, fs)
				var lost uint64
				for _, f := range report.Files {
					lost += f.Lost
				}
				if withLog {
					if lost > 0 {
						t.Errorf("%s %s: %d rows are lost, although the log has them", file, damage, lost)
					}
					expectSalvaged(t, fs, whole)
					continue
				}
				got := contentsOf(t, fs)
				if lost == 0 || len(report.Files) != 1 {
					t.Errorf("%s %s: %d rows of %d files are lost", file, damage, lost, len(report.Files))
				}
				for point := range got {
					if whole[point] == nil {
						t.Errorf("%s %s: point %s was never written", file, damage, point)
					}
				}
			}
		}
	}
}

// removeLog removes the whole log.
func removeLog(t testing.TB, fs vfs.FS) {
	t.Helper()
	if err := fs.RemoveAll("data/wal"); err != nil {
		t.Fatal(err)
	}
}

func contentsOf(t testing.TB, fs vfs.FS) contents {
	t.Helper()
	e := open(t, fs)
	defer closeEngine(t, e)
	return read(t, e, fs, "db")
}

// TestSalvageBuildsALostCatalogFromTheFiles removes the catalog, and damages each of its
// files in turn. The tables of this scene all have a file, so that nothing else is lost.
func TestSalvageBuildsALostCatalogFromTheFiles(t *testing.T) {
	scene := newSalvageScene(t)
	whole := scene.contentsWithout(t, nil)
	for _, file := range append(filesBelow(t, scene.fs, "data/catalog", ""), "data/catalog") {
		for _, damage := range []string{"removed", "zeroed"} {
			fs := scene.clone()
			if damage == "removed" {
				if err := fs.RemoveAll(file); err != nil {
					t.Fatal(err)
				}
			} else if file != "data/catalog" {
				replaceBytes(t, fs, file, func(b []byte) []byte {
					clear(b[len(b)/4:])
					return b
				})
			}
			report := mustSalvage(t, fs)
			if report.Nothing { // Pebble can do without the file
				if got := contentsOf(t, fs); !reflect.DeepEqual(got, whole) {
					t.Errorf("%s %s: nothing was found, and the database holds\n%v", file, damage, got)
				}
				continue
			}
			t.Logf("%s %s: %d records lost, notes %q", file, damage, len(report.Catalog.Lost), report.Catalog.Notes)
			expectSalvaged(t, fs, whole)
		}
	}
}

// TestSalvageMayBeKilledAnywhere kills a salvage before each operation that changes the
// disk, and repeats it.
func TestSalvageMayBeKilledAnywhere(t *testing.T) {
	scene := newSalvageScene(t)
	files := filesBelow(t, scene.fs, "data/files", ".parquet")
	whole := scene.contentsWithout(t, nil)
	for name, damage := range map[string]func(fs vfs.FS){
		"file": func(fs vfs.FS) { replaceBytes(t, fs, files[0], flipAt(30)) },
		"catalog": func(fs vfs.FS) {
			if err := fs.RemoveAll("data/catalog"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			damaged := scene.clone()
			damage(damaged)
			syncAll(t, damaged, "data")
			var killed []*vfs.MemFS
			fs := damaged.CrashClone(vfs.CrashCloneCfg{})
			var mu sync.Mutex // Pebble works in goroutines of its own
			ops := 0
			hooked := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() != errorfs.OpIsRead {
					mu.Lock()
					defer mu.Unlock()
					if ops++; ops%*salvageStride == 0 {
						unsynced := vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(uint64(ops), 1))}
						killed = append(killed, fs.CrashClone(vfs.CrashCloneCfg{}), fs.CrashClone(unsynced))
					}
				}
				return nil
			}))
			if report, err := engine.Salvage(context.Background(), salvageOptions(hooked)); err != nil || report.Nothing {
				t.Fatal(report.Nothing, err)
			}
			t.Logf("figures: operations=%d kills=%d", ops, len(killed))
			for i, fs := range killed {
				report := mustSalvage(t, fs)
				if checked := checkSound(t, fs); checked.Damage > 0 {
					t.Fatalf("killed before operation %d: there is damage", i/2**salvageStride)
				}
				if !report.Nothing && name == "file" && !report.IsLossless() {
					t.Fatalf("killed before operation %d: files %+v", i/2**salvageStride, report.Files)
				}
				if got := contentsOf(t, fs); !reflect.DeepEqual(got, whole) {
					t.Fatalf("killed before operation %d: the database holds\n%v\nwant\n%v", i/2**salvageStride, got, whole)
				}
			}
		})
	}
}

// syncAll makes what a test did to a directory durable.
func syncAll(t testing.TB, fs vfs.FS, dir string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if info, err := fs.Stat(fs.PathJoin(dir, name)); err == nil && info.IsDir() {
			syncAll(t, fs, fs.PathJoin(dir, name))
		}
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestOverlayShowsWhatASalvageWouldDo runs a salvage over a read-only view of a directory.
func TestOverlayShowsWhatASalvageWouldDo(t *testing.T) {
	scene := newSalvageScene(t)
	fs := scene.clone()
	replaceBytes(t, fs, filesBelow(t, fs, "data/files", ".parquet")[0], flipAt(30))
	if err := fs.RemoveAll("data/catalog"); err != nil {
		t.Fatal(err)
	}
	before := snapshotOf(t, fs, "data")
	overlay, err := engine.Overlay(fs, "data")
	if err != nil {
		t.Fatal(err)
	}
	would := mustSalvage(t, overlay)
	if !maps.Equal(before, snapshotOf(t, fs, "data")) {
		t.Fatal("a file was changed")
	}
	did := mustSalvage(t, fs)
	would.Begun, would.Dir = did.Begun, did.Dir
	if diff := gocmp.Diff(would, did); diff != "" {
		t.Errorf("it did what it had not said: %s", diff)
	}
	if got, want := contentsOf(t, overlay), contentsOf(t, fs); !reflect.DeepEqual(got, want) {
		t.Errorf("the overlay holds\n%v\nthe directory\n%v", got, want)
	}
}

// TestSalvageDeletesNothing looks for the bytes of every file of a damaged directory.
func TestSalvageDeletesNothing(t *testing.T) {
	scene := newSalvageScene(t)
	fs := scene.clone()
	files := filesBelow(t, fs, "data/files", ".parquet")
	replaceBytes(t, fs, files[0], flipAt(30))
	for _, file := range filesBelow(t, fs, "data/catalog", "") {
		if strings.HasPrefix(fs.PathBase(file), "MANIFEST") {
			replaceBytes(t, fs, file, func(b []byte) []byte { return b[:len(b)/2] })
		}
	}
	before := snapshotOf(t, fs, "data")
	mustSalvage(t, fs)
	left := make(map[string]bool)
	for _, content := range snapshotOf(t, fs, "data") {
		left[content] = true
	}
	for file, content := range before {
		if !left[content] {
			t.Errorf("%s is gone", file)
		}
	}
}

func TestInterruptedSalvageRefusesTheStart(t *testing.T) {
	scene := newSalvageScene(t)
	fs := scene.clone()
	if err := fs.MkdirAll("data/salvaging", 0o700); err != nil {
		t.Fatal(err)
	}
	expectRefused(t, fs)
	mustSalvage(t, fs)
	expectSalvaged(t, fs, scene.contentsWithout(t, nil))
}

// TestSalvageOfACatalogThatLostItsLastCommit damages the end of the catalog's own log,
// where a token is, which is nowhere else.
func TestSalvageOfACatalogThatLostItsLastCommit(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, fs)
	write(t, e, "cpu,host=a usage=1 1")
	flush(t, e)
	for _, name := range []string{"first", "last"} {
		if _, err := e.CreateToken(schema.Token{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	killed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}) // no power was lost
	closeEngine(t, e)
	log := filesBelow(t, killed, "data/catalog", ".log")[0]
	replaceBytes(t, killed, log, func(b []byte) []byte {
		b[bytes.LastIndex(b, []byte("last"))] ^= 1
		return b
	})
	expectRefused(t, killed)
	report := mustSalvage(t, killed)
	if !report.Catalog.Rebuilt || report.IsLossless() {
		t.Errorf("the report says %+v", report.Catalog)
	}
	expectSalvaged(t, killed, contents{"cpu,host=a 1": {"usage": 1.0}})
	e = open(t, killed)
	defer closeEngine(t, e)
	if tokens := e.Tokens(); len(tokens) != 1 || tokens[0].Name != "first" {
		t.Errorf("the tokens are %v", tokens)
	}
}
