package query

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/sqltext"
)

// What is not refused by the gate must still fail on the settings.
func TestTheDatabaseIsLockedBehindTheGate(t *testing.T) {
	s := newStore(t)
	q := s.querier()
	outside := filepath.Join(t.TempDir(), "x.csv")
	for _, sql := range []string{
		"SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/hostname')", "SELECT * FROM glob('/etc/*')",
		"FROM '/etc/passwd'", "COPY (SELECT 1) TO " + sqltext.Literal(outside), "ATTACH " + sqltext.Literal(outside),
		"SET memory_limit = '1TB'", "SET enable_external_access = true", "SET lock_configuration = false", "RESET allowed_directories",
		"SET allowed_directories = ['/']", "INSTALL httpfs", "LOAD httpfs", "PRAGMA enable_logging", "SET threads = 64",
		"SELECT * FROM read_text(" + sqltext.Literal(s.dir+"/../x") + ")", "SELECT * FROM siltstone_buffer('x')",
	} {
		if err := exec(q.root, sql); err == nil {
			t.Errorf("%s: no error", sql)
		}
	}
}

func TestQueriesPassTheGateUnchanged(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "host:tag usage:float n:int")
	for i, host := range []string{"a", "b", "c"} {
		s.addBuffer(v, []row{{at: epoch + int64(i)*int64(time.Minute), tags: map[string]string{"host": host}, fields: map[string]any{"usage": float64(i), "n": int64(i)}}}, 10)
	}
	s.table("db", "Mixed", "host:tag")
	q := s.querier(func(o *Options) { o.Now = func() time.Time { return time.Unix(0, epoch).Add(time.Hour) } })
	for sql, want := range map[string]string{
		"SELECT 1 -- comment":                                   "1",
		"SELECT 1; /* comment */ ;":                             "1",
		"/* a */ -- b\n SELECT 1":                               "1",
		"(SELECT 1)":                                            "1",
		"VALUES (1, 'x')":                                       "1|x",
		"FROM cpu SELECT host ORDER BY n LIMIT 1":               "a",
		"SELECT host FROM iox.cpu ORDER BY n DESC LIMIT 1":      "c",
		"SELECT host FROM public.iox.cpu ORDER BY n OFFSET 2":   "c",
		"SELECT c.host FROM cpu AS c WHERE c.n = 1":             "b",
		"SELECT cpu.host FROM iox.cpu WHERE cpu.n = 1":          "b",
		"SELECT cpu FROM cpu WHERE n = 1":                       `{"host":"b","n":1,"time":"2023-11-14T22:14:20","usage":1}`,
		"SELECT x FROM cpu AS c(x, y, z, w) ORDER BY 1 LIMIT 1": "a",
		"SELECT host FROM CPU WHERE N = 2":                      "c",
		`SELECT count(*) FROM "Mixed"`:                          "0",
		"WITH cpu AS (SELECT 7 AS n) SELECT n FROM cpu":         "7",
		"WITH x AS (SELECT * FROM cpu), cpu AS (SELECT max(n) AS m FROM x) SELECT m FROM cpu":                   "2",
		"WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r WHERE x < 4) SELECT sum(x) FROM r":      "10",
		"WITH a AS (SELECT 2 AS x), b AS MATERIALIZED (SELECT x * 2 AS y FROM a) SELECT x + y FROM a, b":        "6",
		"SELECT (SELECT max(n) FROM cpu) + (SELECT min(n) FROM cpu)":                                            "2",
		"SELECT count(*) FROM cpu a JOIN cpu b USING (host) JOIN cpu c ON a.n = c.n":                            "3",
		"SELECT count(*) FROM cpu a, LATERAL (SELECT a.n + 1 AS m) WHERE m > 1":                                 "2",
		"SELECT count(*) FROM cpu a SEMI JOIN cpu b ON a.n = b.n + 1":                                           "2",
		"SELECT sum(n) FROM cpu NATURAL JOIN cpu AS d":                                                          "3",
		"SELECT host FROM cpu WHERE host IN (SELECT host FROM cpu WHERE n = 2)":                                 "c",
		"SELECT count(*) FROM cpu WHERE time > now() - INTERVAL '1 hour'":                                       "2",
		"SELECT count(*) FROM cpu WHERE time >= now() - INTERVAL 1 HOUR AND time < current_timestamp":           "3",
		"SELECT count(*) FROM cpu WHERE time > '2023-11-14T22:13:20Z'":                                          "2",
		"SELECT count(*) FROM cpu WHERE time > TIMESTAMP '2023-11-14 22:13:20'":                                 "2",
		"SELECT count(*) FROM cpu WHERE time >= DATE '2023-11-14' AND time < '2023-11-15'":                      "3",
		"SELECT count(*) FROM cpu WHERE time BETWEEN '2023-11-14T22:13:20' AND '2023-11-14 22:14:20.000000000'": "2",
		"SELECT now(), current_date": "2023-11-14T23:13:20|2023-11-14",
		"SELECT epoch_ns(date_bin(INTERVAL '7 minutes', TIMESTAMP_NS '1969-12-31 23:59:59.999999999'))":                       "-420000000000",
		"SELECT date_bin(INTERVAL '1 month', TIMESTAMP '2024-02-29 12:00:00')":                                                "2024-02-01T00:00:00",
		"SELECT date_bin('1 hour', '2024-01-01T01:45:00', '2024-01-01T00:30:00')":                                             "2024-01-01T01:30:00",
		"SELECT (selector_last(usage, time))['value'], (selector_max(n, time)).time FROM cpu":                                 "2|2023-11-14T22:15:20",
		"SELECT approx_percentile_cont(n, 0.5) FROM cpu":                                                                      "1",
		"SELECT sum(n), sum(usage), avg(n), 5 // 2, 1.5, 170141183460469231731687303715884105727 FROM cpu":                    "3|3|1|2|1.5|1.7014118346046923e+38",
		"SELECT host, sum(n) OVER (ORDER BY time ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) s FROM cpu QUALIFY s = 3":          "c|3",
		"SELECT CASE WHEN n > 1 THEN 'x' ELSE 'y' END AS v, count(*) FROM cpu GROUP BY ALL ORDER BY ALL LIMIT 1":              "x|1",
		"SELECT * EXCLUDE (time) REPLACE (n + 1 AS n) FROM cpu WHERE host = 'a'":                                              "a|1|0",
		"SELECT COLUMNS('^n$') FROM cpu WHERE host = 'b'":                                                                     "1",
		"SELECT host FROM cpu GROUP BY GROUPING SETS ((host), ()) HAVING count(*) = 3":                                        "(null)",
		"SELECT DISTINCT ON (n % 2) host FROM cpu ORDER BY n % 2 DESC, n LIMIT 1":                                             "b",
		"SELECT host ~ '^a', host LIKE 'a%', host ILIKE 'A', host SIMILAR TO 'a', host IS NOT NULL FROM cpu LIMIT 1 OFFSET 0": "true|true|true|true|true",
		"SELECT list_transform([1, 2], lambda x: x + 1)[1], {'a': 1}.a, MAP {'k': 2}['k'], [3, 4][2:]":                        "2|1|2|[4]",
		"SELECT extract(hour FROM time), date_trunc('hour', time), date_part('day', time), time::DATE FROM cpu WHERE n = 0":   "22|2023-11-14T22:00:00|14|2023-11-14",
		"SELECT time AT TIME ZONE 'UTC' FROM cpu WHERE n = 0":                                                                 "2023-11-14T22:13:20Z",
		"SELECT 'it''s' || E'\\n', '$x', \"host\" FROM cpu WHERE n = 0":                                                       "it's\n|$x|a",
		"SELECT count(*) FROM range(10) r(x), unnest([1, 2]) u(y), generate_series(1, 3)":                                     "60",
		"SELECT unnest([5])": "5",
		"SELECT try_cast('x' AS INT), 1::DECIMAL(10, 2), '[1]'::JSON, '1'::HUGEINT, TRY('x'::INT)":        "(null)|1|[1]|1|(null)",
		"SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'cp%'":                    "cpu",
		"SELECT data_type FROM information_schema.columns WHERE table_name = 'cpu' AND column_name = 'n'": "Int64",
		"/* x */ show columns in \"Mixed\" ;":                                                             "public|iox|Mixed|host|Dictionary(Int32, Utf8)|YES\npublic|iox|Mixed|time|Timestamp(Nanosecond, None)|NO",
		"DESCRIBE iox.\"Mixed\"":                                                                          "host|Dictionary(Int32, Utf8)|YES\ntime|Timestamp(Nanosecond, None)|NO",
	} {
		rows, err := tryAnswer(t, q, Request{Database: "db", SQL: sql})
		if got := strings.Join(rows, "\n"); err != nil || got != want {
			t.Errorf("%s\n got %s (%v)\nwant %s", sql, got, err, want)
		}
	}
}

func TestExplainShowsThePlan(t *testing.T) {
	s := newStore(t)
	s.table("db", "cpu", "host:tag")
	q := s.querier()
	for _, sql := range []string{"EXPLAIN SELECT * FROM cpu", "explain analyze select count(*) from cpu", "EXPLAIN SHOW TABLES"} {
		got := strings.Join(answer(t, q, "db", sql), "\n")
		if !strings.Contains(got, "physical_plan|") && !strings.Contains(got, "Plan with Metrics|") {
			t.Errorf("%s: %s", sql, got)
		}
	}
}

func TestErrorsSuggestColumnsOfTheTable(t *testing.T) {
	s := newStore(t)
	s.table("db", "weather", "location:tag temp_max:float temp_min:float")
	for _, sql := range []string{"SELECT temp FROM weather", "SELECT location FROM weather ORDER BY temp"} {
		_, err := tryAnswer(t, s.querier(), Request{Database: "db", SQL: sql})
		var user *UserError
		if !errors.As(err, &user) || !strings.Contains(user.Message, `"temp_max"`) || strings.Contains(user.Message, "siltstone_scan") {
			t.Errorf("%s: error %v", sql, err)
		}
	}
}

func TestErrorsSayWhoseFaultItIs(t *testing.T) {
	s := newStore(t)
	s.table("db", "cpu", "host:tag n:int")
	q := s.querier()
	for sql, want := range map[string]string{
		"SELECT * FROM foo":                    "Error during planning: table 'public.iox.foo' not found",
		"DESCRIBE foo":                         "Error during planning: table 'public.iox.foo' not found",
		"SELECT nope FROM cpu":                 `Error during planning: Binder Error: Referenced column "nope" not found in FROM clause!`,
		"SELEC 1":                              `SQL error: ParserError("syntax error at or near \"SELEC\"")`,
		"SELECT * FROM cpu WHERE host = $host": "Error during planning: No value found for placeholder with name $host",
		"SELECT 'x'::INT":                      "Conversion Error: Could not convert string 'x' to INT32",
		"SELECT nope('x')":                     `Error during planning: function "nope" is not supported`,
		"SELECT " + strings.Repeat("abs(", 300) + "1" + strings.Repeat(")", 300): "Error during planning: the query is nested too deeply or too large",
		"SELECT 1 " + strings.Repeat("/**/", 1000):                               "Error during planning: the query has more than 256 operators in a row",
		"SELECT 1" + strings.Repeat(";", 1000):                                   "Error during planning: the query has more than 256 semicolons",
		"SELECT 1 WHERE " + strings.Repeat("1=1 OR ", 2500) + "1=2":              "Error during planning: more than 2500 conditions are joined by AND or OR; use IN",
		"SELECT '\xff'": "Error during planning: the query is not valid UTF-8 text",
		"SELECT '" + strings.Repeat("x", DefaultMaxSQLBytes) + "'": "Error during planning: the query is longer than 262144 bytes",
	} {
		_, err := tryAnswer(t, q, Request{Database: "db", SQL: sql})
		var user *UserError
		if !errors.As(err, &user) || !strings.HasPrefix(user.Message, want) {
			t.Errorf("%.80s: error %v, want %s", sql, err, want)
		}
	}
	var missing *engine.TableNotFoundError
	if _, err := tryAnswer(t, q, Request{Database: "db", SQL: "SELECT * FROM foo"}); !errors.As(err, &missing) {
		t.Errorf("the cause is lost: %v", err)
	}
	if _, err := tryAnswer(t, q, Request{Database: "none", SQL: "SELECT 1"}); !errors.Is(err, engine.ErrDatabaseNotFound) {
		t.Errorf("unknown database: %v", err)
	}
}

func TestParametersAreConstants(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "host:tag n:int")
	s.addBuffer(v, []row{{at: 1, tags: map[string]string{"host": "it's; DROP"}, fields: map[string]any{"n": int64(5)}}}, 1)
	q := s.querier()
	params := map[string]any{
		"host": "it's; DROP", "n": float64(5), "limit": 10, "none": nil, "yes": true, "big": uint64(1 << 63), "tiny": 5e-324,
	}
	req := Request{Database: "db", Params: params, SQL: "SELECT n, $none, $yes, $big, $tiny FROM cpu WHERE host = $host AND n = $n LIMIT $limit"}
	got, err := tryAnswer(t, q, req)
	if want := "5|(null)|true|9223372036854775808|5e-324"; err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	for _, bad := range []any{[]int{1}, "a\x00b", struct{}{}} {
		_, err := tryAnswer(t, q, Request{Database: "db", Params: map[string]any{"x": bad}, SQL: "SELECT $x"})
		var user *UserError
		if !errors.As(err, &user) {
			t.Errorf("parameter %v: %v", bad, err)
		}
	}
}

// TestParserMayLackMemory: it shares the memory of the queries that run.
func TestParserMayLackMemory(t *testing.T) {
	q := newStore(t).querier(func(o *Options) { o.MemoryBytes = minMemoryBytes })
	_, _, err := q.gate.tree(t.Context(), "SELECT '"+strings.Repeat("x", 64<<20)+"'")
	if !lacksMemory(err) {
		t.Errorf("a text larger than the memory: %.300v", err)
	}
}

func FuzzGate(f *testing.F) {
	refused, _ := readAttacks(f)
	for _, sql := range refused {
		f.Add(sql)
	}
	f.Add("SELECT host, sum(n) FROM cpu WHERE time > now() - INTERVAL '1 hour' GROUP BY host ORDER BY 2 DESC LIMIT 5")
	s := newStore(f)
	s.table("db", "cpu", "host:tag n:int")
	q := s.querier()
	f.Fuzz(func(t *testing.T, sql string) {
		stmt, err := q.gate.parse(t.Context(), sql)
		if err != nil {
			return
		}
		if _, err := stmt.rewrite(t.Context(), q.gate, nil, time.Unix(0, 0)); err != nil {
			return
		}
		printed, err := stmt.text(t.Context(), q.gate, nil)
		if err != nil {
			t.Skip(err) // the printer cannot say everything that the parser reads
		}
		// What is printed must be as harmless as what was checked, or no SQL at all: the printer
		// cannot spell a table without a name, which no database has either.
		if _, err := q.gate.parse(t.Context(), printed); err != nil && !strings.HasPrefix(err.Error(), "SQL error") {
			t.Fatalf("%q is printed as %q, which is refused: %v", sql, printed, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r, err := q.Query(ctx, Request{Database: "db", SQL: "EXPLAIN " + printed}); err == nil {
			r.Close()
		}
	})
}
