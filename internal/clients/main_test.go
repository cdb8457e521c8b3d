package clients

import (
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

// update rewrites testdata/seen, to be read in review.
var update = flag.Bool("update", false, "rewrite testdata/seen with what the clients show now")

const (
	// binaryVariable names a binary to test instead of building one.
	binaryVariable = "SILTSTONE_BIN"
	// repository is the root of the product's module, seen from where tests run.
	repository = "../.."
	// buildVersion is what the linker stamps into the binary under test, and what
	// clients must read from /ping.
	buildVersion = "clients-test"
)

// built is the binary under test.
var built struct {
	sync.Once
	path string
	err  error
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "siltstone-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	defer endDrivers()
	built.path = filepath.Join(dir, "siltstone")
	return m.Run()
}

// binary builds siltstone at the first call and returns its path.
func binary(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if path := os.Getenv(binaryVariable); path != "" {
			built.path = path
			return
		}
		built.err = build(built.path)
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
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

// touchSources lists every directory of the product. The go command notes which files a
// test looks at and forgets its cached result when one of them changes; what a child of
// the test compiles it does not see.
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
