package query

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// directFoldQuery draws a SELECT, mostly one that is answered without DuckDB.
func directFoldQuery(rng *rand.Rand) string {
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	var items, groups, names []string
	item := func(text, name string) {
		if name != "" && rng.IntN(2) > 0 {
			name = pick(name, strings.ToUpper(name), `"a b"`, "f", "host")
			text += " AS " + name
		}
		items, names = append(items, text), append(names, name)
	}
	if rng.IntN(3) > 0 {
		bin := pick("date_trunc('hour', time)", "date_bin(INTERVAL '7 minutes', time, TIMESTAMP '2020-01-01 00:03:00')", "time_bucket(INTERVAL '1 day', time)")
		item(bin, "bin")
		groups = append(groups, pick("1", bin))
	}
	for _, tag := range []string{"host", "rack"} {
		if rng.IntN(3) == 0 {
			item(pick(tag, tag, "cpu."+tag, strings.ToUpper(tag)), pick("", "t"))
			groups = append(groups, pick(tag, "cpu."+tag))
		}
	}
	for range 1 + rng.IntN(3) {
		field := pick("f", "n", "always", "cpu.f", "few")
		text := pick("sum(%s)", "min(%s)", "max(%s)", "MAX(%s)", "count(%s)", "count(*)", "count()", "avg(f)", "mean(f)", "avg(few)", "sum(huge)", "sum(n)", "max(n)", "max(s)", "max(f) + 1")
		item(strings.ReplaceAll(text, "%s", field), "v")
	}
	rng.Shuffle(len(items), func(i, j int) {
		if len(groups) == 0 || groups[0] != "1" {
			items[i], items[j], names[i], names[j] = items[j], items[i], names[j], names[i]
		}
	})
	sql := "SELECT " + strings.Join(items, ", ") + " FROM cpu"
	at := func() string {
		return pick("TIMESTAMP '2023-11-15 03:00:00'", "'2023-11-15T20:14:07.000000001Z'", "DATE '2023-11-16'", "TIMESTAMP '2023-11-14 22:20:00'")
	}
	var conditions []string
	for rng.IntN(3) == 0 {
		conditions = append(conditions, pick("time >= "+at(), "time < "+at(), at()+" >= time", "time BETWEEN "+at()+" AND "+at(), "host = 'host1'",
			"'host2' = host", "host IN ('host0', 'host1')", "host IN ('host1', 'x', 'host2')", "rack = 'rack0'", "rack IN ('rack1')", "host = ''",
			"host = 'host1'", "host IN ('host0', 'host2')", "host <> 'host1'", "host IN ('host1', NULL)", "f > 0", "host IS NULL", "host = rack", "rack NOT IN ('rack1')", "host = 1"))
	}
	if len(conditions) > 0 {
		sql += " WHERE " + strings.Join(conditions, " AND ")
	}
	if len(groups) > 0 {
		sql += " GROUP BY " + strings.Join(groups, ", ") + pick("", "", "", "", "", " HAVING count(*) > 1")
	}
	// An order of all items, so that there is one answer.
	directions := func() string { return pick("", " ASC", " DESC") + pick("", " NULLS FIRST", " NULLS LAST") }
	if rng.IntN(4) == 0 {
		sql += " ORDER BY ALL" + directions()
	} else {
		var orders []string
		for _, i := range rng.Perm(len(items)) {
			by := fmt.Sprint(i + 1)
			if expression, _, _ := strings.Cut(items[i], " AS "); rng.IntN(3) == 0 {
				by = expression
			} else if names[i] != "" && strings.Contains(items[i], " AS ") && rng.IntN(2) == 0 {
				by = names[i]
			}
			orders = append(orders, by+directions())
		}
		sql += " ORDER BY " + strings.Join(orders, ", ")
	}
	return sql + pick("", "", " LIMIT 3", " LIMIT 2 OFFSET 1", " LIMIT 0", " OFFSET 100", " LIMIT 50%", " LIMIT 1+1")
}

// TestFoldedRowsAreAnsweredAsByDuckDB: names, types, metadata, order and errors, with rows in files
// and in buffers, that need merging and that do not.
func TestFoldedRowsAreAnsweredAsByDuckDB(t *testing.T) {
	direct, answers := 0, 0
	for seed := range uint64(6) {
		e, folding, plain := foldStores(t, func(*Options) {})
		rng := rand.New(rand.NewPCG(seed, 2))
		for range 1 + seed%2*rng.Uint64N(3) { // several overlap
			writeFoldRows(t, e, rng, 1+rng.IntN(300))
			if rng.IntN(3) > 0 {
				if err := e.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 60 {
			sql := directFoldQuery(rng)
			got, want := namedAnswer(t, folding, sql), namedAnswer(t, plain, sql)
			if got != want {
				t.Fatalf("seed %d: %s\n%s\nwant\n%s", seed, sql, got, want)
			}
			answers++
			if isDirect(t, folding, sql) {
				direct++
			}
		}
	}
	t.Logf("%d of %d without DuckDB", direct, answers)
	if direct < answers/8 {
		t.Errorf("only %d of %d answers were made without DuckDB", direct, answers)
	}
}

// TestWhatDashboardsAskIsAnsweredWithoutDuckDB: and where it is not known what DuckDB would say, it is asked.
func TestWhatDashboardsAskIsAnsweredWithoutDuckDB(t *testing.T) {
	e, folding, _ := foldStores(t, func(*Options) {})
	writeFoldRows(t, e, rand.New(rand.NewPCG(7, 7)), 300)
	for sql, want := range map[string]bool{
		"SELECT date_trunc('minute', time) AS minute, max(f) AS max_f FROM cpu WHERE host IN ('host1') AND time >= TIMESTAMP '2023-11-15 03:00:00' GROUP BY minute ORDER BY minute": true,
		"SELECT date_bin(INTERVAL '10 seconds', time) AS t, host, avg(f) FROM cpu WHERE time >= now() - INTERVAL '1 hour' GROUP BY t, host ORDER BY t, host":                        true,
		"SELECT date_trunc('minute', time) AS minute, max(f) FROM cpu WHERE time < TIMESTAMP '2023-11-16 03:00:00' GROUP BY minute ORDER BY minute DESC NULLS FIRST LIMIT 5":        true,
		"SELECT count(*) FROM cpu": true,
		"SELECT sum(n), host FROM cpu GROUP BY host ORDER BY sum(n) DESC":  true,
		"SELECT count(*) AS a, count(*) AS A FROM cpu":                     false,
		"SELECT HOST, count(*) FROM cpu GROUP BY host":                     false,
		"SELECT max(f) - min(f) FROM cpu":                                  false,
		"SELECT host, count(*) FROM cpu GROUP BY host HAVING count(*) > 1": false,
		"SELECT DISTINCT host, count(*) FROM cpu GROUP BY host":            false,
		"WITH x AS (SELECT 1) SELECT count(*) FROM cpu":                    false,
		"SELECT * FROM (SELECT count(*) FROM cpu)":                         false,
		"EXPLAIN SELECT count(*) FROM cpu":                                 false,
	} {
		if got := isDirect(t, folding, sql); got != want {
			t.Errorf("%s: without DuckDB: %v, want %v", sql, got, want)
		}
	}
}

// isDirect reports whether a query is answered without DuckDB.
func isDirect(t testing.TB, q *Querier, sql string) bool {
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql})
	if err != nil {
		return false
	}
	defer r.Close()
	return r.direct != nil
}
