//go:build duckdb_arrow

package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var (
	rounds = flag.Int("rounds", 0, "how often the server is killed, or its power cut, by the tests that do so; 0 is each test's own number")
	seed   = flag.Uint64("seed", 0, "what the random tests draw from; 0 takes a new one")
)

func roundsOr(n int) int { return cmp.Or(*rounds, n) }

// buildVersion is what the linker stamps into the binary under test.
const buildVersion = "e2e-test"

// repository is the module's root, seen from the directory in which tests run.
const repository = "../.."

// built is where the binary and the one-off files of the run are.
var built struct {
	dir string
	sync.Once
	err error
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "siltstone-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built.dir = dir
	return m.Run()
}

// binary builds siltstone at the first call and returns its path.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(built.dir, "siltstone")
	built.Do(func() { built.err = build(path) })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return path
}

func build(path string) error {
	if err := touchSources(); err != nil {
		return fmt.Errorf("walking the sources: %w", err)
	}
	cmd := exec.Command("go", "build", "-tags", "duckdb_arrow", "-ldflags", "-X main.version="+buildVersion, "-o", path, "./cmd/siltstone")
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// touchSources lists every directory of the module. The go command notes which files a
// test looks at and forgets its cached result when one of them changes; what a child
// of the test compiles it does not see.
func touchSources() error {
	return filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		hidden := strings.HasPrefix(name, ".") && path != repository
		if d.IsDir() && (hidden || name == "bin" || name == "docs") {
			return fs.SkipDir
		}
		return nil
	})
}

func TestBinaryKnowsItsVersion(t *testing.T) {
	out, err := exec.Command(binary(t), "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(out), "siltstone "+buildVersion+" ") {
		t.Errorf("it says %q", out)
	}
}
