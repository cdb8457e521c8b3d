package persist

import (
	"errors"
	"flag"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

// smallTable has a column of every type and two series.
func smallTable() table {
	var tb table
	for i, typ := range allTypes {
		tb.columns = append(tb.columns, schema.Column{ID: schema.ColumnID(i + 1), Name: fmt.Sprintf("c%d", i), Type: typ})
	}
	for i := range 20 {
		n := int64(i)
		tb.rows = append(tb.rows, row{time: n * 1e9, values: []any{
			fmt.Sprintf("host-%d", i%2), float64(i) / 4, n, uint64(i), strings.Repeat("s", i), i%3 == 0,
		}})
	}
	tb.sort()
	return tb
}

// traced returns fs with its changes appended to the trace.
func traced(fs vfs.FS, trace *strings.Builder) vfs.FS {
	return vfs.WithLogging(fs, func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		if !strings.HasPrefix(line, "write-at") && !strings.HasPrefix(line, "write:") {
			fmt.Fprintln(trace, line)
		}
	})
}

func TestFileIsSyncedBeforeItIsNamedAndItsDirectoryAfter(t *testing.T) {
	var trace strings.Builder
	tb := smallTable()
	fs := traced(vfs.NewMem(), &trace)
	for _, name := range []string{"1.parquet", "2.parquet"} {
		fmt.Fprintf(&trace, "# %s\n", name)
		if _, err := tb.write(fs, "files/7", name, 8, 3); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "trace.txt", trace.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Fatalf("%s differs; rewrite with -rewrite if that is meant: %s", path, diff)
	}
}

func TestErrorOfAnyOperationLeavesNoFile(t *testing.T) {
	tb := smallTable()
	failures := 0
	for n := int32(0); ; n++ {
		mem := vfs.NewMem()
		injector := errorfs.OnIndex(n)
		file, err := tb.write(errorfs.Wrap(mem, injector), "files/7", "f.parquet", 8, 3)
		if err == nil {
			// Every operation has had its turn, or the error was not one that matters.
			if err := Verify(mem, "files/7/f.parquet", &file); err != nil {
				t.Fatalf("operation %d: %v", n, err)
			}
			if injector.Load() >= 0 {
				break
			}
			t.Fatalf("operation %d: the error was swallowed", n)
		}
		failures++
		if !errors.Is(err, errorfs.ErrInjected) {
			t.Fatalf("operation %d: error does not wrap the cause: %v", n, err)
		}
		if left := files(t, mem, ""); len(left) > 0 {
			t.Fatalf("operation %d: %v leaves %v", n, err, left)
		}
		// The same name is free for another try.
		if _, err := tb.write(mem, "files/7", "f.parquet", 8, 3); err != nil {
			t.Fatalf("after operation %d: %v", n, err)
		}
	}
	if failures < 10 {
		t.Fatalf("only %d operations failed", failures)
	}
}

// files lists the files below dir.
func files(t testing.TB, fs vfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			found = append(found, files(t, fs, path)...)
		} else {
			found = append(found, path)
		}
	}
	return found
}

func TestCrashLeavesTheWholeFileOrNone(t *testing.T) {
	tb := smallTable()
	const path = "files/7/f.parquet"
	for _, unsynced := range []int{0, 50, 100} {
		mem := vfs.NewCrashableMem()
		var clones []*vfs.MemFS
		rng := rand.New(rand.NewPCG(1, uint64(unsynced)))
		snapshot := func() {
			clones = append(clones, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rng}))
		}
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(errorfs.Op) error { snapshot(); return nil }))
		file, err := tb.write(fs, "files/7", "f.parquet", 8, 3)
		if err != nil {
			t.Fatal(err)
		}
		snapshot()
		for i, clone := range clones {
			err := Verify(clone, path, &file)
			missing := errors.Is(err, iofs.ErrNotExist)
			if err != nil && (!missing || i == len(clones)-1) {
				t.Fatalf("crash %d of %d, %d%% of what was not synced survives: %v", i, len(clones), unsynced, err)
			}
		}
	}
}

func TestExistingFileIsNotReplaced(t *testing.T) {
	tb := smallTable()
	fs := vfs.NewMem()
	file, err := tb.write(fs, "d", "f.parquet", 8, 3)
	if err != nil {
		t.Fatal(err)
	}
	other := table{columns: tb.columns, rows: tb.rows[:1]}
	if _, err := other.write(fs, "d", "f.parquet", 8, 3); !errors.Is(err, iofs.ErrExist) {
		t.Fatalf("got %v, want ErrExist", err)
	}
	if err := Verify(fs, "d/f.parquet", &file); err != nil {
		t.Fatal(err)
	}
}

func TestLeftOverTemporaryFileIsReplaced(t *testing.T) {
	tb := smallTable()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("d", 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, fs, "d/f.parquet"+TempSuffix, []byte(strings.Repeat("left over", 10_000)))
	file, err := tb.write(fs, "d", "f.parquet", 8, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(fs, "d/f.parquet", &file); err != nil {
		t.Fatal(err)
	}
	if left := files(t, fs, ""); len(left) != 1 {
		t.Fatalf("got %v", left)
	}
}

func TestFileIsDurableWhenItsDirectoryWasMadeByAnotherWrite(t *testing.T) {
	tb := smallTable()
	mem := vfs.NewCrashableMem()
	errs := make(chan error)
	const writers = 8
	for i := range writers {
		go func() {
			dir, name := fmt.Sprintf("files/%d", i%2), fmt.Sprintf("%d.parquet", i)
			file, err := tb.write(mem, dir, name, 8, 3)
			if err == nil {
				clone := mem.CrashClone(vfs.CrashCloneCfg{})
				err = Verify(clone, clone.PathJoin(dir, name), &file)
			}
			errs <- err
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
