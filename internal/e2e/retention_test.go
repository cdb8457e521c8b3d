//go:build duckdb_arrow

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRetentionFromOutside: rows out of the period of a table or database are out of sight at once, files
// go, and the commands say what would go before.
func TestRetentionFromOutside(t *testing.T) {
	s := newSite(t)
	srv := s.start("--compaction", "off")
	now := time.Now()
	for _, age := range []int{100, 50, 1, 0} {
		for _, table := range []string{"long", "short"} {
			srv.write("db", fmt.Sprintf("%s,host=h%d v=%di %d", table, age, age, now.Add(-time.Duration(age)*24*time.Hour).UnixNano()))
		}
		if age > 0 {
			srv.flush()
		}
	}
	run := func(args ...string) string {
		t.Helper()
		out, said, status := s.command(append(args, "--host", srv.url)...)
		if status != 0 {
			t.Fatalf("%v: status %d: %s", args, status, said)
		}
		return out
	}
	hosts := func(table string) (all []string) {
		t.Helper()
		for _, r := range srv.query("db", "SELECT DISTINCT host FROM "+table+" ORDER BY host") {
			all = append(all, fmt.Sprint(r["host"]))
		}
		return all
	}
	mustHave := func(table string, want ...string) {
		t.Helper()
		if got := hosts(table); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", table, got, want)
		}
	}
	listed := run("update", "table", "short", "-d", "db", "--retention-period", "10d", "--dry-run")
	if !strings.Contains(listed, "short") || !strings.Contains(listed, "240h") && !strings.Contains(listed, "10d") {
		t.Errorf("what would go: %s", listed)
	}
	mustHave("short", "h0", "h1", "h100", "h50")
	files := len(s.parquetFiles())
	run("update", "table", "short", "-d", "db", "--retention-period", "10d")
	mustHave("short", "h0", "h1")
	mustHave("long", "h0", "h1", "h100", "h50")
	run("update", "database", "db", "--retention-period", "60d")
	mustHave("short", "h0", "h1")
	mustHave("long", "h0", "h1", "h50")
	if listed = run("show", "retention"); !strings.Contains(listed, "60d") || !strings.Contains(listed, "10d") {
		t.Errorf("the periods: %s", listed)
	}
	if a, err := srv.post("db", []byte(fmt.Sprintf("short,host=late v=1i %d", now.Add(-20*24*time.Hour).UnixNano()))); err != nil || a.status/100 != 4 {
		t.Errorf("a point that is too old: %+v, %v", a, err)
	}
	srv.kill() // a start purges, and nothing comes back
	srv = s.start("--compaction", "off")
	srv.await("the expired files to go", func() bool { return len(s.parquetFiles()) == files-3 })
	mustHave("short", "h0", "h1")
	mustHave("long", "h0", "h1", "h50")
	run("delete", "database", "db", "--hard-delete-at", "now", "--yes")
	if left := s.parquetFiles(); len(left) > 0 {
		t.Errorf("files of a deleted database are left: %v", left)
	}
	srv.write("db", "short v=\"text\" 1")
	srv.stop()
	s.mustBeSound("after a stop")
}
