package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
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
		"SELECT * FROM last_cache()":              "last_cache takes the name of a table and that of a cache, such as last_cache('cpu')",
		"SELECT * FROM last_cache('cpu', 'mine')": "could not find last_cache 'mine' for the given arguments: table 'cpu' has none with a name; siltstone create last_cache makes one",
		"SELECT * FROM last_cache('cpu', 'a', 1)": "last_cache takes the name of a table and that of a cache",
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

// TestNamedCachesAreQueriesToo: a cache's count, age and columns are what a query with them answers.
func TestNamedCachesAreQueriesToo(t *testing.T) {
	s := newLastStore(t, 64<<20)
	now := time.Now()
	at := func(age time.Duration) int64 { return now.Add(-age).UnixNano() }
	for i := range 4 {
		s.write(
			fmt.Sprintf(`cpu,host=h%d,dc=x v=%d,n=%di,s="%c" %d`, i, i, i%2, 'a'+i, at(time.Duration(i)*time.Hour+10*time.Minute)),
			fmt.Sprintf(`cpu,host=h%d v=%d,s="b" %d`, i, 10+i, at(time.Duration(i)*time.Hour+20*time.Minute)),
			fmt.Sprintf("plain v=%d %d", i, at(time.Duration(i)*time.Hour+time.Minute)),
		)
		if i == 1 {
			s.flush()
		}
	}
	create := func(c engine.CacheSpec) string {
		t.Helper()
		c.Database = "db"
		_, made, err := s.engine.CreateCache(c)
		if err != nil {
			t.Fatal(err)
		}
		return made.Name
	}
	same := func(call, sql string) {
		t.Helper()
		want, got := answer(t, s.slow, "db", sql), answer(t, s.fast, "db", "SELECT * FROM "+call+" ORDER BY ALL")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", call, diff)
		}
	}
	all := create(engine.CacheSpec{Table: "cpu", Kind: schema.LastCache})
	if all != "cpu_host_dc_last_cache" {
		t.Errorf("the cache is called %q", all)
	}
	const four = " WHERE time >= now() - INTERVAL '4 hours'"
	for range 2 {
		for _, call := range []string{"last_cache('cpu')", "last_cache('cpu', 'cpu_host_dc_last_cache')"} {
			same(call, "SELECT DISTINCT ON (host, dc) host, dc, v, n, s, time FROM cpu"+four+" ORDER BY ALL")
		}
		if !s.usesNewest("SELECT * FROM last_cache('cpu')") {
			t.Error("the newest rows were not used")
		}
		s.close()
		s.open()
	}
	create(engine.CacheSpec{Table: "cpu", Kind: schema.LastCache, Name: "one", Columns: []string{"host"}, Values: []string{"s", "v"}, MaxAge: 2 * time.Hour})
	same("last_cache('cpu', 'one')", "SELECT DISTINCT ON (host) host, s, v, time FROM cpu WHERE time >= now() - INTERVAL '2 hours' ORDER BY host, time DESC")
	create(engine.CacheSpec{Table: "cpu", Kind: schema.LastCache, Name: "two", Columns: []string{"dc"}, Values: []string{"v"}, Limit: 2})
	same("last_cache('cpu', 'two')", "SELECT dc, v, time FROM (SELECT *, row_number() OVER (PARTITION BY dc ORDER BY time DESC) AS nr FROM cpu"+four+") WHERE nr <= 2 ORDER BY ALL")
	create(engine.CacheSpec{Table: "cpu", Kind: schema.LastCache, Name: "text", Columns: []string{"s"}, Values: []string{}})
	same("last_cache('cpu', 'text')", "SELECT s, max(time) FROM cpu"+four+" GROUP BY s ORDER BY ALL")
	create(engine.CacheSpec{Table: "plain", Kind: schema.LastCache, Limit: 3})
	same("last_cache('plain', 'plain__last_cache')", "SELECT v, time FROM plain ORDER BY time DESC LIMIT 3")
	create(engine.CacheSpec{Table: "cpu", Kind: schema.DistinctCache, Columns: []string{"s", "host"}, MaxAge: 3 * time.Hour})
	same("distinct_cache('cpu', 'cpu_s_host_distinct_cache')", "SELECT DISTINCT s, host FROM cpu WHERE time >= now() - INTERVAL '3 hours' ORDER BY ALL")
	create(engine.CacheSpec{Table: "cpu", Kind: schema.DistinctCache, Name: `wo"rld`, Columns: []string{"dc"}})
	same(`distinct_cache('cpu', 'wo"rld')`, "SELECT DISTINCT dc FROM cpu ORDER BY ALL")

	s.write(fmt.Sprintf("cpu,host=h0,dc=x,rack=r new=1 %d", at(0)))
	same("last_cache('cpu', '"+all+"')", "SELECT DISTINCT ON (host, dc) host, dc, v, n, s, rack, new, time FROM cpu"+four+" ORDER BY host, dc, time DESC")
	for sql, want := range map[string]string{
		"SELECT * FROM last_cache('cpu')":              "could not find last_cache for the given arguments: table 'cpu' has 'cpu_host_dc_last_cache', 'one', 'two', 'text'; name one of them",
		"SELECT * FROM last_cache('cpu', 'wo\"rld')":   "could not find last_cache 'wo\"rld'",
		"SELECT * FROM distinct_cache('plain', 'one')": "table 'plain' has none with a name; siltstone create distinct_cache makes one",
	} {
		if _, err := s.fast.Query(t.Context(), Request{Database: "db", SQL: sql}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if err := s.engine.DeleteCache("db", "plain", schema.LastCache, "plain__last_cache"); err != nil {
		t.Error(err)
	}
	same("last_cache('plain')", "SELECT * FROM plain ORDER BY time DESC LIMIT 1")
}
