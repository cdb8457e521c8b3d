package catalog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// doomedDir names the directory to the process that TestProcessEndsSoundly starts.
const doomedDir = "SILTSTONE_TEST_DOOMED_CATALOG"

// TestProcessEndsSoundly is about the failure that Pebble does not let us survive: it
// cannot create its next log file. The process ends, and what it acknowledged is there.
func TestProcessEndsSoundly(t *testing.T) {
	if dir := os.Getenv(doomedDir); dir != "" {
		defineUntilDoom(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestProcessEndsSoundly$", "-test.count=1")
	cmd.Env = append(os.Environ(), doomedDir+"="+dir)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("the process ended with %v and said %q", err, out)
	}
	var acknowledged []string
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "defined "); ok {
			acknowledged = append(acknowledged, name)
		}
	}
	if len(acknowledged) == 0 {
		t.Fatalf("the process acknowledged nothing; it said %q", out)
	}
	c, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, c)
	for _, name := range acknowledged {
		if db, ok := c.Schema().Database(name); !ok || db.TableCount() != 500 {
			t.Errorf("database %q was acknowledged and is not there whole", name)
		}
	}
}

// defineUntilDoom fills memtables until Pebble needs a new log file and gets none.
func defineUntilDoom(t *testing.T, dir string) {
	var open atomic.Bool
	c, err := Open(Options{Dir: dir, FS: hookFS(vfs.Default, func(op errorfs.Op) error {
		isLog := strings.HasSuffix(op.Path, ".log")
		if open.Load() && isLog && (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite) {
			return syscall.ENOSPC
		}
		return nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	open.Store(true)
	for i := range 1_000 {
		change := manyTables(500)
		change.Database = fmt.Sprint("db", i)
		if _, err := c.Define(change); err != nil {
			fmt.Println("refused", err)
			os.Exit(0) // the test expects another end
		}
		fmt.Println("defined", change.Database)
	}
	os.Exit(0)
}
