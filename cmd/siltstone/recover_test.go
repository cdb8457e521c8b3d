package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

// damagedDir is a data directory of which the only file is damaged.
func damagedDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	e, err := engine.Open(engine.Options{DataDir: dir, FS: vfs.Default, Gen1Duration: -1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Write(context.Background(), engine.WriteRequest{Database: "db", Body: []byte("m v=1 1"), Precision: engine.Nanosecond})
	if err == nil {
		err = e.Flush(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "files", "*", "*", "*.parquet"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Truncate(files[0], 10); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSalvageAsksBeforeItChangesAnything(t *testing.T) {
	dir := damagedDir(t)
	for _, c := range []struct {
		typed string
		isTTY bool
		does  bool
		says  string
	}{
		{"yes\n", false, false, "add --yes"}, // a script, or ssh without a terminal
		{"no\n", true, false, "nothing was changed"},
		{"\n", true, false, "nothing was changed"},
		{"y\n", true, false, "nothing was changed"},
		{"", true, false, "nothing was changed"}, // the terminal was closed
		{" yes\r\n", true, true, "Go on? [yes/no]"},
	} {
		var out, said bytes.Buffer
		env := environment{stdin: io.Reader(strings.NewReader(c.typed)), stdout: &out, stderr: &said, stdinTTY: c.isTTY}
		status := run(context.Background(), env, []string{"recover", "--data-dir", dir, "--salvage"})
		if (status == 0) != c.does || !strings.Contains(said.String(), c.says) {
			t.Errorf("%+v: status %d\n%s%s", c, status, out.String(), said.String())
		}
		if c.isTTY && !strings.Contains(said.String(), "1 taken from the log, 0 lost\n\nLost:\n  nothing") {
			t.Errorf("%+v: the report is not shown before the question\n%s", c, said.String())
		}
		if set, err := filepath.Glob(filepath.Join(dir, "salvag*")); err != nil || len(set) > 0 != c.does {
			t.Errorf("%+v: %v, %v", c, set, err)
		}
	}
	var out, said bytes.Buffer
	env := environment{stdin: strings.NewReader(""), stdout: &out, stderr: &said, stdinTTY: true}
	if status := run(context.Background(), env, []string{"recover", "--data-dir", dir, "--salvage"}); status != 0 || strings.Contains(said.String(), "Go on?") {
		t.Errorf("a sound directory: status %d\n%s%s", status, out.String(), said.String())
	}
}
