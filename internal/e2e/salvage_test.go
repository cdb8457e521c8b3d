//go:build duckdb_arrow

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/engine"
)

// salvageWrites are one request each; the first two are flushed.
const salvageWrites = 8

// damagedSite is a site whose server was killed, with rows in files and in the log.
func damagedSite(t *testing.T, damage func(s *site)) *site {
	t.Helper()
	s := newSite(t)
	srv := s.start()
	for i := range salvageWrites {
		srv.write("db", fmt.Sprintf("m,host=h%d v=%di %d\n", i, 1<<i, i))
		if i < 2 {
			srv.flush()
		}
	}
	srv.kill()
	damage(s)
	return s
}

func onlyFile(s *site, pattern string) string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dataDir(), pattern))
	if err != nil || len(files) == 0 {
		s.t.Fatal("no file", pattern, err)
	}
	return files[0]
}

// change rewrites a file.
func change(s *site, file string, edit func([]byte)) {
	s.t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		edit(b)
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// command runs siltstone and returns what it printed, and its exit status.
func (s *site) command(args ...string) (stdout, stderr string, status int) {
	s.t.Helper()
	cmd := exec.Command(binary(s.t), args...)
	cmd.Env = plainEnvironment()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// TestDamagedDirectoryIsSalvaged damages a directory in one way after the other: the start
// is refused and says what to do, which then is done, and the server has all the rest.
func TestDamagedDirectoryIsSalvaged(t *testing.T) {
	const all = 1<<salvageWrites - 1
	for _, test := range []struct {
		name   string
		damage func(s *site)
		left   int // the sum of what is there afterwards
		lost   uint64
	}{
		{"a byte in the middle of the log", func(s *site) {
			change(s, onlyFile(s, "wal/*.wal"), func(b []byte) {
				for off := 64; ; off += 8 { // the record of the fourth write
					if string(b[off:off+4]) == "SLTR" && b[off+16] == 4 {
						b[off+52] ^= 1
						return
					}
				}
			})
		}, all - 1<<3, 0},
		{"a missing file", func(s *site) {
			if err := os.Remove(onlyFile(s, "files/1/1/*.parquet")); err != nil {
				s.t.Fatal(err)
			}
		}, all, 0},
		{"a missing file and its log records", func(s *site) {
			if err := os.Remove(onlyFile(s, "files/1/1/*.parquet")); err != nil {
				s.t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(s.dataDir(), "wal")); err != nil {
				s.t.Fatal(err)
			}
		}, 1 << 1, 1},
		{"a magic of a file, and its log records", func(s *site) {
			change(s, onlyFile(s, "files/1/1/*.parquet"), func(b []byte) { copy(b[len(b)-4:], "oops") })
			if err := os.RemoveAll(filepath.Join(s.dataDir(), "wal")); err != nil {
				s.t.Fatal(err)
			}
		}, 1<<0 + 1<<1, 0},
		{"no catalog", func(s *site) {
			if err := os.RemoveAll(filepath.Join(s.dataDir(), "catalog")); err != nil {
				s.t.Fatal(err)
			}
		}, all, 0},
		{"a catalog without its manifest", func(s *site) {
			if err := os.Remove(onlyFile(s, "catalog/MANIFEST-*")); err != nil {
				s.t.Fatal(err)
			}
		}, all, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := damagedSite(t, test.damage)
			salvageSite(t, s, test.lost)
			srv := s.start()
			if got := srv.query("db", "SELECT sum(v) AS n FROM m")[0].number("n"); got != test.left {
				t.Errorf("the sum is %b, want %b", got, test.left)
			}
			srv.write("db", "m,host=new v=1000i 1\n")
			srv.stop()
			if out, said, status := s.command("check", "--data-dir", s.dataDir(), "--quiet"); status != 0 {
				t.Errorf("check: %d\n%s%s", status, out, said)
			}
		})
	}
}

// salvageSite tries the start, the dry run and the salvage.
func salvageSite(t *testing.T, s *site, lost uint64) {
	t.Helper()
	_, said, status := s.command("serve", "--data-dir", s.dataDir(), "--http-bind", "127.0.0.1:0")
	if status != 1 {
		t.Fatalf("the start of a damaged directory ended with %d\n%s", status, said)
	}
	for _, advice := range []string{"siltstone check --data-dir " + s.dataDir(), "siltstone recover --data-dir " + s.dataDir() + " --salvage"} {
		if !strings.Contains(said, advice) {
			t.Errorf("the message lacks %q\n%s", advice, said)
		}
	}
	if _, said, status := s.command("recover", "--data-dir", s.dataDir()); status != 1 || !strings.Contains(said, "--salvage") {
		t.Errorf("recover without --salvage ended with %d\n%s", status, said)
	}
	if out, said, status := s.command("recover", "--data-dir", s.dataDir(), "--salvage", "--dry-run"); status != 0 || !strings.Contains(out, "nothing was changed") {
		t.Errorf("the dry run ended with %d\n%s%s", status, out, said)
	}
	if _, said, status := s.command("recover", "--data-dir", s.dataDir(), "--salvage"); status != 1 || !strings.Contains(said, "--yes") {
		t.Errorf("a salvage that nobody confirms ended with %d\n%s", status, said)
	}
	out, said, status := s.command("recover", "--data-dir", s.dataDir(), "--salvage", "--yes", "--format", "json")
	var report engine.SalvageReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != 0 {
		t.Fatalf("the salvage ended with %d, %v\n%s%s", status, err, out, said)
	}
	var got uint64
	for _, table := range report.Tables {
		got += table.Lost
	}
	if got != lost {
		t.Errorf("the report says that %d rows are lost, want %d\n%s", got, lost, out)
	}
	text, err := os.ReadFile(filepath.Join(s.dataDir(), report.Dir, "report.txt"))
	if err != nil || !strings.Contains(string(text), "Lost:") {
		t.Errorf("the report in the directory: %v\n%s", err, text)
	}
	if out, said, status := s.command("recover", "--data-dir", s.dataDir()); status != 0 || !strings.Contains(out, "is sound") {
		t.Errorf("recover after the salvage ended with %d\n%s%s", status, out, said)
	}
}
