package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestCheckTellsSoundFromDamagedFromUnreadable checks a directory through its server,
// beside it, after it was killed, and with a damaged file.
func TestCheckTellsSoundFromDamagedFromUnreadable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serve(t, "--data-dir", dir)
	if r := finish(t, p.client("write", "-d", "db"), "cpu,host=a v=1 1\ncpu,host=b v=2 2\n"); r.code != 0 {
		t.Fatalf("write: %+v", r)
	}
	p.must("", "flush")
	if r := finish(t, p.client("write", "-d", "db"), "cpu,host=c v=3 3\n"); r.code != 0 {
		t.Fatalf("write: %+v", r)
	}
	const sound = "No damage: 1 files with 2 rows, 1 log records with 1 rows"
	if r := finish(t, p.client("check"), ""); r.code != 0 || r.out != "" || !strings.Contains(r.errors, sound) {
		t.Errorf("through the server: %+v", r)
	}
	if r := finish(t, siltstone(t, "check", "--data-dir", dir), ""); r.code != 2 || !strings.Contains(r.errors, "is locked by another siltstone process") {
		t.Errorf("beside the server: %+v", r)
	}
	p.end(syscall.SIGKILL)
	if r := finish(t, siltstone(t, "check", "--data-dir", dir), ""); r.code != 0 || !strings.Contains(r.errors, sound) {
		t.Errorf("after a kill: %+v", r)
	}
	files, err := filepath.Glob(filepath.Join(dir, "files", "*", "*", "*.parquet"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/4] ^= 1
	if err := os.WriteFile(files[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := finish(t, siltstone(t, "check", "--data-dir", dir), "")
	if r.code != 1 || !strings.HasPrefix(r.out, "damage: files/1/1/"+filepath.Base(files[0])) || !strings.Contains(r.out, `2 rows of table "cpu" of database "db"`) {
		t.Errorf("with a changed byte: %+v", r)
	}
	r = finish(t, siltstone(t, "check", "--data-dir", dir, "--format", "json"), "")
	if r.code != 1 || strings.Count(r.out, "\n") != 2 || !strings.HasPrefix(r.out, `{"finding":{"severity":"damage"`) || !strings.Contains(r.out, `{"summary":{"damage":1,`) {
		t.Errorf("as JSON: %+v", r)
	}
	if r := finish(t, siltstone(t, "check", "--data-dir", dir+"/nothing"), ""); r.code != 2 {
		t.Errorf("without a directory: %+v", r)
	}
}
