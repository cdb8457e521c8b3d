//go:build duckdb_arrow

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
)

// purgeDB has the tables that are purged while the server is killed.
const purgeDB = "purged"

// purgeRows is how many rows each of them has.
const purgeRows = 100

// makePurgeable writes a table, half of it in files, half in buffers.
func (s *server) makePurgeable(table string) {
	s.site.t.Helper()
	for half := range 2 {
		var lines strings.Builder
		for i := range purgeRows / 2 {
			fmt.Fprintf(&lines, "%s v=%di %d\n", table, i, half*purgeRows/2+i)
		}
		s.write(purgeDB, lines.String())
		if half == 0 {
			s.flush()
		}
	}
}

// purge deletes a table and its rows at once, and reports whether that was answered.
func (s *server) purge(table string) (isDone bool) {
	a, err := s.do(http.MethodDelete, "/api/v3/configure/table", url.Values{"db": {purgeDB}, "table": {table}, "hard_delete_at": {"now"}}, nil)
	return err == nil && a.status == http.StatusOK
}

// mustBeWholeOrGone fails where a purge was cut in two: each table has all of its rows,
// or is not there; the latter if its purge was answered.
func (s *server) mustBeWholeOrGone(purged map[string]bool) {
	s.site.t.Helper()
	if len(purged) == 0 {
		return
	}
	there := s.columns(purgeDB)
	for table, isDone := range purged {
		if there[table] == nil {
			continue
		}
		n := s.query(purgeDB, "SELECT count(*) AS n FROM "+quoteName(table))[0].number("n")
		if isDone || n != purgeRows {
			s.site.t.Errorf("table %s, whose purge was answered: %v, has %d of %d rows", table, isDone, n, purgeRows)
		}
	}
}

// mustBeSound checks the data directory while no server uses it. The check is the
// product's own; it finds neither damage nor anything else that a sound run does not leave.
func (s *site) mustBeSound(when string) {
	s.t.Helper()
	out, err := exec.Command(binary(s.t), "check", "--data-dir", s.dataDir(), "--quiet").CombinedOutput()
	if err != nil || strings.Contains(string(out), "warning") {
		s.t.Fatalf("check %s: %v\n%s", when, err, out)
	}
}
