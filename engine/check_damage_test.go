package engine_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

// checksums are left out of the golden file.
var checksums = regexp.MustCompile(`\b[0-9a-f]{8}\b`)

var rewriteFlag = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

// inventory makes a data directory that holds some of everything: two tables in two files
// each, events, rows that are in several segments of the log only, and what a purge left.
// It is as a crash leaves it.
func inventory(t testing.TB) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	e := open(t, mem, func(o *engine.Options) { o.WALSegmentBytes = 4 << 10 })
	if err := createEvents(e, "events"); err != nil {
		t.Fatal(err)
	}
	for round := range int64(2) {
		for i := range int64(40) {
			write(t, e,
				point{"cpu", fmt.Sprint("host", i%5), round*day + i, "usage", i}.line(),
				fmt.Sprintf(`mem,k=a text="%d",free=%d.5,ok=%t %d`, i*i, i, i%2 == 0, round*day+i))
		}
		write(t, e, fmt.Sprintf("events,id=%d n=1i %d", round, round), "gone a=1 1")
		flush(t, e)
	}
	if err := e.DeleteTable("db", "gone", time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	for i := range int64(60) {
		write(t, e, point{"cpu", "late", 2*day + i, "usage", i}.line(), fmt.Sprintf(`mem,k=late text="%0200d" %d`, i, i))
	}
	image := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	closeEngine(t, e)
	return image
}

// check checks a directory and returns what it found, a line each.
func check(t testing.TB, fs vfs.FS) (lines string, report engine.CheckReport) {
	t.Helper()
	report, err := engine.Check(context.Background(), engine.CheckOptions{DataDir: "data", FS: fs})
	for _, f := range report.Findings {
		lines += fmt.Sprintln(f)
	}
	if err != nil {
		lines += fmt.Sprintln("error:", err)
	}
	return lines, report
}

// TestCheckNamesEachKindOfDamage damages a directory in one way after the other. The golden
// file holds what is found, in the words that users see.
func TestCheckNamesEachKindOfDamage(t *testing.T) {
	fs := inventory(t)
	files, segments, tables := below(t, fs, "data/files"), list(t, fs, "data/wal", ".wal"), list(t, fs, "data/catalog", ".sst")
	if len(files) < 5 || len(segments) < 3 {
		t.Fatalf("the inventory has the files %v and the segments %v", files, segments)
	}
	oldest, newest := segments[0], "" // behind which may be one that is being prepared
	for _, s := range segments {
		if b := content(t, fs, s); len(b) > 64 && b[64] != 0 {
			newest = s
		}
	}
	cases := []struct {
		name   string
		damage func()
	}{
		{"nothing", func() {}},
		{"a file is missing", func() { remove(t, fs, files[0]) }},
		{"a byte of a page is changed", func() { flip(t, fs, files[0], 130) }},
		{"a byte of a footer is changed", func() { flip(t, fs, files[1], len(content(t, fs, files[1]))-60) }},
		{"a file is cut", func() { store(t, fs, files[0], content(t, fs, files[0])[:200]) }},
		{"a file is empty", func() { store(t, fs, files[0], nil) }},
		{"two files are swapped", func() {
			a, b := content(t, fs, files[0]), content(t, fs, files[1])
			store(t, fs, files[0], b)
			store(t, fs, files[1], a)
		}},
		{"files that no commit names", func() {
			store(t, fs, path.Dir(files[0])+"/00000000000000aa.parquet", content(t, fs, files[0]))
			store(t, fs, path.Dir(files[0])+"/ffffffffffffffff.parquet", []byte("x"))
			store(t, fs, path.Dir(files[0])+"/00000000000000ab.parquet.tmp", []byte("x"))
			store(t, fs, path.Dir(files[0])+"/notes.txt", []byte("x"))
			store(t, fs, "data/wal/notes.txt", []byte("x"))
		}},
		{"a byte in the middle of the log is changed", func() { flip(t, fs, oldest, 500) }},
		{"a segment is missing", func() { remove(t, fs, segments[1]) }},
		{"the oldest segment is missing", func() { remove(t, fs, oldest) }},
		{"the log is missing", func() { removeAll(t, fs, "data/wal") }},
		{"the newest segment ends in a torn record", func() {
			b := content(t, fs, newest)
			b = bytes.TrimRight(b, "\x00")
			store(t, fs, newest, b[:len(b)-20])
		}},
		{"the files are missing", func() { removeAll(t, fs, "data/files") }},
		{"the catalog is missing", func() { removeAll(t, fs, "data/catalog") }},
		{"the catalog is empty", func() { removeAll(t, fs, "data/catalog"); must(t, fs.MkdirAll("data/catalog", 0o700)) }},
		{"the manifest is missing", func() {
			remove(t, fs, list(t, fs, "data/catalog", "")[index(t, list(t, fs, "data/catalog", ""), "MANIFEST")])
		}},
		{"everything is missing", func() {
			for _, dir := range []string{"data/catalog", "data/files", "data/wal"} {
				removeAll(t, fs, dir)
			}
		}},
	}
	if len(tables) > 0 {
		t.Fatalf("Pebble has tables already: %v", tables)
	}
	var got strings.Builder
	pristine := fs
	for _, c := range cases {
		fs = clone(pristine)
		c.damage()
		before := picture(t, fs)
		lines, _ := check(t, fs)
		fmt.Fprintf(&got, "# %s\n%s\n", c.name, lines)
		if after := picture(t, fs); before != after {
			t.Errorf("%s: the check changed the directory from\n%s\nto\n%s", c.name, before, after)
		}
	}
	golden(t, "testdata/check.txt", checksums.ReplaceAllString(got.String(), "########"))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *rewriteFlag {
		must(t, os.MkdirAll(path.Dir(name), 0o755))
		must(t, os.WriteFile(name, []byte(got), 0o644))
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant what is in %s; -rewrite writes it anew", got, name)
	}
}

// TestAStartWithoutItsCatalogRemovesNothing takes parts of the catalog away, after which it
// is missing or seems to be new. Data must not be taken for what nobody committed.
func TestAStartWithoutItsCatalogRemovesNothing(t *testing.T) {
	pristine := inventory(t)
	names := list(t, pristine, "data/catalog", "")
	lost := map[string]func(vfs.FS){
		"the directory":     func(fs vfs.FS) { removeAll(t, fs, "data/catalog") },
		"all files":         func(fs vfs.FS) { removeAll(t, fs, "data/catalog"); must(t, fs.MkdirAll("data/catalog", 0o700)) },
		"the manifest mark": func(fs vfs.FS) { remove(t, fs, names[index(t, names, "marker.manifest")]) },
		"the log":           func(fs vfs.FS) { remove(t, fs, names[index(t, names, ".log")]) },
	}
	for name, lose := range lost {
		t.Run(name, func(t *testing.T) {
			fs := clone(pristine)
			lose(fs)
			if _, report := check(t, fs); report.Damage == 0 {
				t.Error("the check finds nothing")
			}
			before := below(t, fs, "data/files")
			_, err := engine.Open(engine.Options{DataDir: "data", FS: fs})
			if !errors.Is(err, engine.ErrDamaged) {
				t.Errorf("Open: %v", err)
			}
			if after := below(t, fs, "data/files"); !slices.Equal(before, after) {
				t.Errorf("of %v there are left %v", before, after)
			}
		})
	}
}

// TestCheckFindsDamageInTablesOfTheCatalog flips bytes of a catalog whose records are in
// tables of Pebble.
func TestCheckFindsDamageInTablesOfTheCatalog(t *testing.T) {
	mem := vfs.NewCrashableMem()
	for range 3 { // each opening flushes what the last one logged
		closeEngine(t, open(t, mem))
		e := open(t, mem)
		write(t, e, "cpu usage=1 1")
		closeEngine(t, e)
	}
	lines, _ := check(t, mem)
	tables := list(t, mem, "data/catalog", ".sst")
	if lines != "" || len(tables) == 0 {
		t.Fatalf("of %v it found %s", tables, lines)
	}
	found := 0
	for _, table := range tables {
		for at := 0; at < len(content(t, mem, table)); at += 37 {
			fs := clone(mem)
			flip(t, fs, table, at)
			_, report := check(t, fs)
			if report.Damage > 0 {
				found++
				if first := report.Findings[0]; !strings.HasPrefix(first.File, "catalog") {
					t.Errorf("byte %d of %s: %s", at, table, first)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d changed bytes were found", found)
	}
}

// TestCheckSurvivesAnyBytes replaces pieces of each file by random bytes. Whatever is in
// them, the check ends, and what it says of Parquet files is that they are damaged.
func TestCheckSurvivesAnyBytes(t *testing.T) {
	pristine := inventory(t)
	rng := rand.New(rand.NewPCG(*seedFlag, 7))
	for _, name := range below(t, pristine, "data") {
		b := content(t, pristine, name)
		for range 12 {
			fs, at := clone(pristine), rng.IntN(len(b)+1)
			piece := bytes.Clone(b)
			for i := at; i < min(at+1+rng.IntN(64), len(piece)); i++ {
				piece[i] = byte(rng.Uint32())
			}
			if rng.IntN(4) == 0 {
				piece = piece[:at]
			}
			store(t, fs, name, piece)
			lines, report := check(t, fs)
			isOrphan := strings.Contains(name, "/4/") // of the table that was purged
			if strings.HasSuffix(name, ".parquet") && !isOrphan && !bytes.Equal(piece, b) && report.Damage == 0 {
				t.Errorf("%s with other bytes at %d: found %q (rerun with -seed %d)", name, at, lines, *seedFlag)
			}
		}
	}
}

// TestCheckOfAnEngineAtWork checks again and again while rows are written and flushed and
// tables come and go. Nothing may be found, and nothing may wait for it.
func TestCheckOfAnEngineAtWork(t *testing.T) {
	mem := vfs.NewMem()
	e := open(t, mem, func(o *engine.Options) { o.WALSegmentBytes = 8 << 10 })
	defer closeEngine(t, e)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range int64(600) {
			write(t, e, point{"cpu", fmt.Sprint("host", i%5), i, "usage", i}.line(), fmt.Sprintf("t%d v=%d %d", i/50, i, i))
			if i%20 == 19 {
				flush(t, e)
			}
			if i%50 == 49 && i > 100 {
				must(t, e.DeleteTable("db", fmt.Sprint("t", i/50-1), time.Unix(1, 0)))
			}
		}
	}()
	checks := 0
	for running := true; running; checks++ {
		select {
		case <-done:
			running = false
		default:
		}
		report, err := e.Check(context.Background(), engine.CheckOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range report.Findings {
			t.Errorf("check %d: %s", checks, f)
		}
	}
	t.Logf("%d checks", checks)
}

func TestOneCheckAtATimeAndNoneAfterClose(t *testing.T) {
	mem := vfs.NewMem()
	e := open(t, mem)
	write(t, e, "cpu usage=1 1")
	flush(t, e)
	begun, held := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		_, err := e.Check(context.Background(), engine.CheckOptions{Progress: func(engine.CheckProgress) {
			select {
			case <-begun:
			default:
				close(begun)
			}
			<-held
		}})
		first <- err
	}()
	<-begun
	if _, err := e.Check(context.Background(), engine.CheckOptions{}); !errors.Is(err, engine.ErrCheckRunning) {
		t.Errorf("a second check: %v", err)
	}
	if _, err := engine.Check(context.Background(), engine.CheckOptions{DataDir: "data", FS: mem}); !errors.Is(err, engine.ErrInUse) {
		t.Errorf("a check beside the engine: %v", err)
	}
	closed := make(chan error)
	go func() { closed <- e.Close() }()
	close(held)
	<-first // it may have come to its end
	must(t, <-closed)
	if _, err := e.Check(context.Background(), engine.CheckOptions{}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("a check of a closed engine: %v", err)
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	fs := inventory(t)
	ctx, cancel := context.WithCancel(context.Background())
	report, err := engine.Check(ctx, engine.CheckOptions{DataDir: "data", FS: fs, Progress: func(engine.CheckProgress) { cancel() }})
	if !errors.Is(err, context.Canceled) || len(report.Findings) > 0 {
		t.Errorf("err %v, findings %v", err, report.Findings)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func clone(fs *vfs.MemFS) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

func content(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func store(t testing.TB, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(bytes.Clone(b))
	must(t, errors.Join(err, f.Sync(), f.Close()))
}

func flip(t testing.TB, fs vfs.FS, name string, at int) {
	t.Helper()
	b := content(t, fs, name)
	b[at] ^= 0x10
	store(t, fs, name, b)
}

func remove(t testing.TB, fs vfs.FS, name string) { t.Helper(); must(t, fs.Remove(name)) }

func removeAll(t testing.TB, fs vfs.FS, name string) { t.Helper(); must(t, fs.RemoveAll(name)) }

// list returns the paths in a directory whose names end in a suffix, in order.
func list(t testing.TB, fs vfs.FS, dir, suffix string) (paths []string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, suffix) {
			paths = append(paths, path.Join(dir, name))
		}
	}
	return paths
}

func index(t testing.TB, paths []string, part string) int {
	t.Helper()
	i := slices.IndexFunc(paths, func(p string) bool { return strings.Contains(p, part) })
	if i < 0 {
		t.Fatalf("there is no %s among %v", part, paths)
	}
	return i
}

// below returns all files below a directory, in order.
func below(t testing.TB, fs vfs.FS, dir string) (paths []string) {
	t.Helper()
	for _, name := range list(t, fs, dir, "") {
		info, err := fs.Stat(name)
		switch {
		case err != nil:
			t.Fatal(err)
		case info.IsDir():
			paths = append(paths, below(t, fs, name)...)
		default:
			paths = append(paths, name)
		}
	}
	return paths
}

// picture lists all files but the lock with their sizes.
func picture(t testing.TB, fs vfs.FS) string {
	t.Helper()
	var s strings.Builder
	for _, name := range below(t, fs, "data") {
		if path.Base(name) != "LOCK" {
			fmt.Fprintf(&s, "%s %x\n", name, len(content(t, fs, name)))
		}
	}
	return s.String()
}
