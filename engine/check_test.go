package engine_test

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

func exists(fs vfs.FS, name string) bool {
	_, err := fs.Stat(name)
	return err == nil
}

// checkSound checks the data directory of a closed engine, in which nothing may be wrong.
// Notes are what crashes leave.
func checkSound(t testing.TB, fs vfs.FS) engine.CheckReport {
	t.Helper()
	report, err := engine.Check(context.Background(), engine.CheckOptions{DataDir: "data", FS: fs})
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	for _, f := range report.Findings {
		if f.Severity != engine.Note {
			t.Errorf("check: %s", f)
		}
	}
	return report
}
