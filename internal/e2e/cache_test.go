//go:build duckdb_arrow

package e2e

import (
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestKilledServerKeepsItsCaches: a cache is there when its creation was answered, and gone when its deletion was, however
// soon after that the server is killed.
func TestKilledServerKeepsItsCaches(t *testing.T) {
	s := newSite(t)
	srv := s.start()
	srv.write("db", "m,k=a v=1,s=\"x\" 1700000000000000000\nm,k=b v=2 1700000000000000000\n")
	caches := []struct {
		kind, name string
		flags      []string
	}{
		{"last_cache", "newest", []string{"--key-columns", "k", "--value-columns", "v", "--ttl", "876000h"}},
		{"last_cache", "m_k_last_cache", nil},
		{"distinct_cache", "newest", []string{"--columns", "k,s", "--max-age", "876000h"}},
	}
	order := func(verb, kind string, more ...string) {
		t.Helper()
		args := append([]string{verb, kind, "-d", "db", "-t", "m", "--host", srv.url}, more...)
		if out, said, status := s.command(args...); status != 0 {
			t.Fatalf("%v: status %d: %s%s", args, status, out, said)
		}
	}
	var want [][]string // after each creation
	for i, c := range caches {
		want = append(want, srv.caches("db"))
		order("create", c.kind, append(slices.Clone(c.flags), c.name)...)
		srv.kill()
		srv = s.start()
		got := srv.caches("db")
		if len(got) <= len(want[i]) || !strings.Contains(strings.Join(got, " "), c.name) {
			t.Fatalf("%s %s was created, and after a kill there are\n%s", c.kind, c.name, strings.Join(got, "\n"))
		}
	}
	for i, c := range slices.Backward(caches) {
		order("delete", c.kind, c.name)
		srv.kill()
		srv = s.start()
		if d := gocmp.Diff(want[i], srv.caches("db")); d != "" {
			t.Errorf("%s %s was deleted, and after a kill (-before it was created +now)\n%s", c.kind, c.name, d)
		}
	}
	srv.stop()
	s.mustBeSound("at last")
}
