package query

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/influxql"
)

// InfluxQL is compiled to SQL of many levels: what its newest rows are is told by the compiler.
func TestNewestRowsOfInfluxQL(t *testing.T) {
	s := newLastStore(t, 0)
	s.write(fmt.Sprintf(`cpu,host=a,region=x a=1i,f=1.5 %d`, epoch), fmt.Sprintf(`cpu,host=b,region=x a=2i %d`, epoch),
		fmt.Sprintf(`cpu,host=b,region=y a=3i,f=3.5 %d`, epoch+1))
	s.flush()
	s.write(fmt.Sprintf(`cpu,host=b,region=x a=4i,f=4.5 %d`, epoch-5), fmt.Sprintf(`cpu,host=a,region=x a=5i,f=9 %d`, epoch+7))
	ask := func(q *Querier, text string) (rows []string) {
		t.Helper()
		statements, err := influxql.Parse(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := q.InfluxQL(t.Context(), InfluxQLRequest{Database: "db", Statement: statements[0]})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		defer r.Close()
		for r.Next() {
			rows = append(rows, fmt.Sprint(r.Record().Columns()))
		}
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		return rows
	}
	for text, isNewest := range map[string]bool{
		"SELECT last(a) FROM cpu GROUP BY *":                                       true,
		"SELECT last(a) FROM cpu":                                                  true,
		"SELECT last(a), host FROM cpu WHERE region = 'x' GROUP BY region":         true,
		"SELECT last(a) + 1 FROM cpu WHERE time > 0 GROUP BY host":                 true,
		"SELECT * FROM cpu GROUP BY * ORDER BY time DESC LIMIT 1":                  true,
		"SELECT a FROM cpu WHERE host = 'b' ORDER BY time DESC LIMIT 1":            true,
		"SHOW TAG VALUES FROM cpu WITH KEY = host":                                 true,
		"SELECT last(f) FROM cpu GROUP BY *":                                       false,
		"SELECT f FROM cpu GROUP BY * ORDER BY time DESC LIMIT 1":                  false,
		"SELECT last(a), max(a) FROM cpu GROUP BY *":                               false,
		"SELECT last(a) FROM cpu WHERE a < 4 GROUP BY *":                           false,
		"SELECT last(a) FROM cpu WHERE time > 0 AND time < '2100-01-01T00:00:00Z'": false,
		"SELECT last(a), host FROM cpu WHERE host = 'b' OR a = 1":                  false,
		"SELECT a FROM cpu ORDER BY time DESC LIMIT 2":                             false,
		"SELECT a FROM cpu ORDER BY time DESC LIMIT 1 OFFSET 1":                    false,
		"SELECT first(a) FROM cpu GROUP BY *":                                      false,
		"SELECT last(m) FROM (SELECT max(a) AS m FROM cpu GROUP BY host)":          false,
	} {
		if diff := cmp.Diff(ask(s.slow, text), ask(s.fast, text)); diff != "" {
			t.Errorf("%s\n(-whole table +newest rows)\n%s", text, diff)
		}
		log := s.fast.Queries("db")
		if read := log[len(log)-1].FilesRead; (read == 0) != isNewest {
			t.Errorf("%s read %d files", text, read)
		}
	}
}
