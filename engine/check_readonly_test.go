package engine_test

import (
	"context"
	"errors"
	iofs "io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/engine"
)

// TestCheckOfAReadOnlyMountGoesWithoutTheLock lets every change of the disk fail as on a
// read-only mount. Another lock that cannot be made still ends the check.
func TestCheckOfAReadOnlyMountGoesWithoutTheLock(t *testing.T) {
	scene := newSalvageScene(t)
	for _, errno := range []syscall.Errno{syscall.EROFS, syscall.EACCES} {
		fs := errorfs.Wrap(scene.clone(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpLock || op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				return &iofs.PathError{Op: "open", Path: op.Path, Err: errno}
			}
			return nil
		}))
		report, err := engine.Check(context.Background(), engine.CheckOptions{DataDir: "data", FS: fs})
		if errno != syscall.EROFS {
			if !errors.Is(err, errno) {
				t.Errorf("%v: the check ended with %v", errno, err)
			}
			continue
		}
		if err != nil || report.Damage > 0 || report.Rows == 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		if len(report.Findings) == 0 || !strings.Contains(report.Findings[0].What, "read-only") {
			t.Errorf("no note says that there was no lock: %v", report.Findings)
		}
	}
}
