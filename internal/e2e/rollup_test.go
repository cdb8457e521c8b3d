//go:build duckdb_arrow

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// rollupQuestions are pairs of a query for a rollup and of one for its source that must have the same answer.
var rollupQuestions = [][2]string{
	{
		"SELECT time, host, region, usage_mean, usage_max, usage_count, n_sum, n_last FROM cpu_5m ORDER BY time, host, region",
		"SELECT date_bin(INTERVAL '5 minutes', time) AS time, host, region, avg(usage) AS usage_mean, max(usage) AS usage_max, count(usage) AS usage_count, " +
			"sum(n)::BIGINT AS n_sum, arg_max(n, time) AS n_last FROM cpu GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
	},
	{
		"SELECT region, sum(c)::BIGINT AS c, min(low) AS low FROM cpu_1h WHERE time >= '2025-10-09T12:00:00Z' GROUP BY region ORDER BY region",
		"SELECT region, count(usage) AS c, min(usage) AS low FROM cpu WHERE time >= '2025-10-09T12:00:00Z' GROUP BY region ORDER BY region",
	},
	{
		"SELECT region, max(time) AS time FROM cpu_1h GROUP BY region ORDER BY region",
		"SELECT region, date_bin(INTERVAL '1 hour', max(time)) AS time FROM cpu GROUP BY region ORDER BY region",
	},
}

// mustFollow compares each rollup with its source.
func (s *server) mustFollow(when string) {
	s.site.t.Helper()
	for _, q := range rollupQuestions {
		if d := gocmp.Diff(s.query("db", q[1]), s.query("db", q[0])); d != "" {
			s.site.t.Fatalf("%s: %s (-source +rollup)\n%s", when, q[0], d)
		}
	}
	dashboard := "SELECT max(%s) FROM %s WHERE time >= '2025-10-09T00:00:00Z' AND time < '2025-10-10T00:00:00Z' GROUP BY time(1h), host fill(none)"
	want := s.influxQL("db", fmt.Sprintf(dashboard, "usage", "cpu"))
	got := s.influxQL("db", fmt.Sprintf(dashboard, "usage_max", "cpu_5m"))
	for i := range got {
		got[i].Name = "cpu"
	}
	if d := gocmp.Diff(want, got); d != "" {
		s.site.t.Fatalf("%s: InfluxQL (-source +rollup)\n%s", when, d)
	}
}

// writeCPU writes points of two days, some of which are there already.
func (s *server) writeCPU(rng *rand.Rand, n int) {
	const begin, seconds = 1_760_000_000, 2 * 86_400
	var lines strings.Builder
	for range n {
		h := rng.IntN(5)
		fmt.Fprintf(&lines, "cpu,host=h%d,region=r%d usage=%d,n=%di %d\n", h, h%2, rng.IntN(100), rng.IntN(1000), (begin+rng.Int64N(seconds)/20*20)*1e9)
	}
	s.write("db", lines.String())
}

// mustRollup runs a command about rollups.
func (s *site) mustRollup(srv *server, args ...string) string {
	s.t.Helper()
	out, said, status := s.command(append([]string{"rollup"}, append(args, "-d", "db", "--host", srv.url)...)...)
	if status != 0 {
		s.t.Fatalf("%v: status %d: %s", args, status, said)
	}
	return out
}

// TestRollupsFromOutside: whatever is written, overwritten, deleted, flushed, merged, refreshed, stopped or killed, a rollup
// says what its source says.
func TestRollupsFromOutside(t *testing.T) {
	s := newSite(t)
	srv := s.start()
	seed, rerun := drawnSeed(t, "")
	rng := rand.New(rand.NewPCG(seed, 0))
	srv.writeCPU(rng, 3000)
	srv.flush()
	srv.writeCPU(rng, 500)
	s.mustRollup(srv, "create", "cpu_5m", "--source", "cpu", "--interval", "5m", "--aggregates", "mean,max,count,sum,last", "--wait")
	s.mustRollup(srv, "create", "cpu_1h", "--source", "cpu", "--interval", "1h", "--aggregate", "count(usage) AS c", "--aggregate", "min(usage) AS low",
		"--tags", "region", "--retention-period", "100y")
	srv.mustFollow("at first")
	if list := s.mustRollup(srv, "list"); !strings.Contains(list, "cpu_5m") || !strings.Contains(list, "min(usage) AS low") {
		t.Errorf("the list: %s", list)
	}
	for step := range roundsOr(25) {
		when := fmt.Sprintf("step %d, %s", step, rerun)
		switch rng.IntN(8) {
		case 0, 1:
			srv.writeCPU(rng, 1+rng.IntN(300))
		case 2:
			srv.deleteCPU(rng)
		case 3:
			srv.flush()
		case 4:
			srv.flush()
			s.mustRollup(srv, "refresh", []string{"cpu_5m", "cpu_1h"}[rng.IntN(2)])
		case 5:
			if _, said, status := s.command("compact", "--host", srv.url, "--wait"); status != 0 {
				t.Fatalf("%s: %s", when, said)
			}
		case 6:
			srv.stop()
			srv = s.start()
		case 7:
			srv.killWhileRefreshing()
			s.mustBeSound(when)
			srv = s.start()
		}
		srv.mustFollow(when)
	}
	srv.flush()
	for _, name := range []string{"cpu_5m", "cpu_1h"} {
		s.mustRollup(srv, "refresh", name)
	}
	srv.mustFollow("at last")
	s.mustRollup(srv, "drop", "cpu_1h", "--yes")
	if a, err := srv.do(http.MethodGet, "/api/v3/query_sql", url.Values{"db": {"db"}, "q": {"SELECT * FROM cpu_1h"}}, nil); err != nil || a.status != http.StatusBadRequest {
		t.Errorf("a rollup that was dropped: %+v, %v", a, err)
	}
	srv.stop()
	s.mustBeSound("after a stop")
}

// deleteCPU deletes points of a host for some hours.
func (s *server) deleteCPU(rng *rand.Rand) {
	s.site.t.Helper()
	from := 9*24 + rng.IntN(48) // hours of October
	body := fmt.Sprintf(`{"start":"2025-10-%02dT%02d:10:00Z","stop":"2025-10-%02dT%02d:59:00Z","predicate":"_measurement=cpu AND host=h%d"}`,
		from/24, from%24, from/24, min(from%24+rng.IntN(6), 23), rng.IntN(5))
	a, err := s.do(http.MethodPost, "/api/v2/delete", url.Values{"bucket": {"db"}}, []byte(body))
	if err != nil || a.status != http.StatusNoContent {
		s.site.t.Fatalf("deleting %s: %v %d %s", body, err, a.status, a.body)
	}
}

// killWhileRefreshing kills the server while rollups are stored, or just were.
func (s *server) killWhileRefreshing() {
	s.flush()
	var group sync.WaitGroup
	begun := make(chan struct{})
	group.Go(func() {
		close(begun)
		// The server dies before it answers, or just has.
		_, _ = s.do(http.MethodPost, "/api/v3/configure/rollup/refresh", url.Values{"db": {"db"}, "name": {"cpu_5m"}}, nil)
	})
	<-begun
	s.kill()
	group.Wait()
}

// TestRollupsCannotBeWrittenTo: lines for a rollup are rejected one by one, and the others are stored.
func TestRollupsCannotBeWrittenTo(t *testing.T) {
	s := newSite(t)
	srv := s.start()
	srv.write("db", "cpu,host=a usage=1 1\n")
	s.mustRollup(srv, "create", "cpu_5m", "--source", "cpu", "--interval", "5m", "--aggregate", "max(usage)")
	for range 2 { // the second time it is known what comes
		a, err := srv.post("db", []byte("cpu,host=a usage=2 2\ncpu_5m,host=a usage_max=9 1\ncpu,host=a usage=3 3\n"))
		if err != nil || a.status/100 != 4 || !strings.Contains(a.body, "is a rollup") || !strings.Contains(a.body, `"line_number":2`) {
			t.Errorf("%v %d %s", err, a.status, a.body)
		}
	}
	if got := srv.query("db", "SELECT usage_max FROM cpu_5m"); len(got) != 1 || fmt.Sprint(got[0]["usage_max"]) != "3.0" {
		t.Errorf("the rollup has %v", got)
	}
	srv.stop()
	s.mustBeSound("after a stop")
}
