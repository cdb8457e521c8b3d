package query

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCachesOfInfluxDBAreQueriesForNewestRows: the table functions answer as the queries that
// they stand for, from the newest rows that the engine keeps, also after a restart.
func TestCachesOfInfluxDBAreQueriesForNewestRows(t *testing.T) {
	s := newLastStore(t, 64<<20)
	s.write("cpu,host=a,dc=x v=1,n=1i 10", "cpu,host=a,dc=x v=2 20", "cpu,host=b v=3 15", "cpu,host=b,dc=y v=4,n=4i 5", "plain v=1 1", "plain v=2 2", `od\"d,ta\"g=x v=1 1`)
	s.flush()
	s.write("cpu,host=c v=9 1")
	for range 2 {
		for call, query := range map[string]string{
			"SELECT host, dc, v, n, time FROM last_cache('cpu') ORDER BY ALL":                  "SELECT DISTINCT ON (host, dc) host, dc, v, n, time FROM cpu ORDER BY host, dc, time DESC",
			"SELECT c.host, c.v FROM Last_Cache('cpu') AS c WHERE c.v > 2 ORDER BY 1, 2":       "SELECT host, v FROM cpu WHERE v > 2 ORDER BY 1, 2",
			"SELECT count(*) FROM last_cache('cpu') JOIN distinct_cache('cpu') d USING (host)": "SELECT 6",
			"SELECT * FROM distinct_cache('cpu') ORDER BY ALL":                                 "SELECT DISTINCT host, dc FROM cpu ORDER BY ALL",
			"WITH newest AS (SELECT * FROM last_cache('plain')) SELECT v FROM newest":          "SELECT v FROM plain ORDER BY time DESC LIMIT 1",
			`SELECT last_cache.v FROM last_cache('od\"d')`:                                     `SELECT 1.0`,
			"SELECT host FROM cpu WHERE v = (SELECT max(v) FROM last_cache('cpu'))":            "SELECT 'c'",
		} {
			if diff := cmp.Diff(answer(t, s.slow, "db", query), answer(t, s.fast, "db", call)); diff != "" {
				t.Errorf("%s: %s", call, diff)
			}
		}
		if !s.usesNewest("SELECT * FROM last_cache('cpu')") {
			t.Error("the newest rows were not used")
		}
		s.close()
		s.open()
	}
	for sql, want := range map[string]string{
		"SELECT * FROM last_cache('none')":        "table 'public.iox.none' not found",
		"SELECT * FROM last_cache()":              "last_cache takes the name of a table, such as last_cache('cpu')",
		"SELECT * FROM last_cache('cpu', 'mine')": "each table has the cache of all its tags, and no other",
		"SELECT * FROM last_cache(5)":             "table",
		"SELECT * FROM distinct_cache('plain')":   `table "plain" has no tags`,
		"SELECT last_cache('cpu')":                `function "last_cache" is not supported`,
	} {
		_, err := s.fast.Query(t.Context(), Request{Database: "db", SQL: sql})
		var user *UserError
		if !errors.As(err, &user) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if _, _, err := s.fast.describe(context.Background(), Request{Database: "db", SQL: "SELECT * FROM last_cache('cpu')"}, false); err != nil {
		t.Error(err)
	}
}
