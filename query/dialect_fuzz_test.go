package query

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// grammar writes random queries: each value of a map is one of the forms of its key, in
// which a name in capitals stands for another form.
var grammar = map[string][]string{
	"QUERY": {
		"SELECT ITEMS FROM TABLE", "SELECT ITEMS FROM TABLE WHERE BOOL", "SELECT ITEMS FROM TABLE WHERE BOOL GROUP BY ALL ORDER BY 1 LIMIT 3",
		"SELECT TIME AS t, AGG FROM TABLE WHERE BOOL GROUP BY t HAVING BOOL", "WITH c AS (QUERY) SELECT count(*) FROM c", "SELECT (SELECT AGG FROM TABLE) AS x",
		"SELECT GAP AS t, host, FILLED FROM TABLE WHERE BOOL GROUP BY 1, host", "SELECT FILLED, GAP AS t FROM TABLE WHERE BOUNDS GROUP BY t HAVING BOOL ORDER BY t",
		"SELECT GAP AS time, AGG AS host FROM TABLE GROUP BY ALL", "QUERY UNION ALL QUERY", "SELECT ITEMS FROM (QUERY) AS cpu", "SELECT AGG OVER (PARTITION BY TIME ORDER BY time) FROM TABLE",
	},
	"TABLE": {"cpu", "cpu AS c", "iox.cpu", "cpu a CROSS JOIN cpu b LEFT JOIN cpu d ON a.n = d.n", "cpu JOIN twins USING (time)", "twins", "system.databases", "information_schema.tables", "(SELECT * FROM cpu WHERE BOOL) AS cpu"},
	"ITEMS": {"*", "VALUE", "VALUE, VALUE", "TIME AS time, NUMBER", "AGG, AGG", "DISTINCT TIME", "VALUE AS n"},
	"VALUE": {"TIME", "NUMBER", "TEXT", "BOOL", "AGG", "n", "host", "time"},
	"TIME": {
		"time", "now()", "TIME + INTERVALS", "TIME - INTERVALS", "date_bin(INTERVALS, TIME)", "date_bin('7 minutes', TIME, TIME)", "date_trunc('hour', TIME)", "date_trunc('quarter', TIME)",
		"time_bucket(INTERVALS, TIME)", "tz(TIME, 'Europe/Berlin')", "to_timestamp(NUMBER)", "to_timestamp_millis(NUMBER)", "TIME AT TIME ZONE 'Europe/Berlin'", "TIME::TIMESTAMP", "TIME::timestamptz",
		"arrow_cast(TIME, 'Timestamp(Second, None)')", "to_local_time(TIME)", "'2024-01-01T00:00:00Z'", "TIMESTAMP '2024-01-01'", "DATE '2024-01-01'", "(SELECT max(TIME) FROM TABLE)", "selector_last(n, TIME)['time']", "NULL", "$1",
	},
	"INTERVALS": {"INTERVAL '1 hour'", "INTERVAL '1 month'", "INTERVAL (n) MINUTE", "'90 seconds'", "INTERVAL '1 month 2 days'", "INTERVAL '3' DAY", "n * INTERVAL '1 minute'", "$1"},
	"NUMBER":    {"n", "1", "-3", "1.5", "time::BIGINT", "NUMBER + NUMBER", "NUMBER / NUMBER", "date_part('minute', TIME)", "nvl(NUMBER, NUMBER)", "arrow_cast(TIME, 'Int64')", "to_unixtime(TIME)", "regexp_count(TEXT, 'a')", "AGG", "9223372036854775807", "NULL"},
	"TEXT":      {"host", "'a b'", "arrow_typeof(VALUE)", "initcap(TEXT)", "btrim(TEXT, 'a')", "to_char(TIME, '%Y')", "encode(TEXT, 'base64')", "substr_index(TEXT, 'a', NUMBER)", "overlay(TEXT placing 'x' from 1)", "$1"},
	"BOOL":      {"BOUNDS", "TEXT ~ 'a'", "TEXT !~* 'a'", "regexp_like(TEXT, 'a', 'i')", "NUMBER > NUMBER", "TIME = TIME", "time IN (TIME, TIME)", "time BETWEEN TIME AND TIME", "NOT BOOL", "BOOL AND BOOL", "n IS NULL", "TIME > 5"},
	"BOUNDS":    {"time >= '2023-11-14' AND time < '2023-11-16'", "time > now() - INTERVAL '1 hour' AND time < now()", "time >= TIME"},
	"AGG": {
		"count(*)", "avg(n)", "max(VALUE)", "selector_first(VALUE, TIME)", "selector_max(n, time)['value']", "selector_min(n, time) FILTER (WHERE BOOL)", "approx_percentile_cont(n, 0.5)",
		"approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY NUMBER DESC)", "first_value(VALUE ORDER BY TIME)", "nth_value(n, 2 ORDER BY time)", "approx_distinct(VALUE)", "sum(n)", "array_agg(VALUE)",
	},
	"FILLED": {"locf(AGG)", "interpolate(AGG)", "interpolate(avg(n)) + 1", "coalesce(AGG, 0)", "locf(n)"},
	"GAP":    {"date_bin_gapfill(INTERVAL '1 hour', time)", "date_bin_gapfill('1 day', TIME)", "date_bin_gapfill('1 month', time, '2000-01-05')", "date_bin_gapfill(INTERVALS, TIME, TIME)"},
}

// drawSQL writes a form; what is nested deeply takes its first or last form.
func drawSQL(r *rapid.T, name string, depth int) string {
	forms := grammar[name]
	if depth > 5 {
		forms = forms[:1]
	}
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(rapid.SampledFrom(forms).Draw(r, name)+" ", func(rune) bool { return false }) {
		for word != "" {
			end := strings.IndexFunc(word, func(c rune) bool { return c < 'A' || c > 'Z' })
			if end > 0 && grammar[word[:end]] != nil {
				b.WriteString(drawSQL(r, word[:end], depth+1))
			} else if end <= 0 {
				end = 1
				b.WriteString(word[:1])
			} else {
				b.WriteString(word[:end])
			}
			word = word[end:]
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

// checkRewriting rewrites a random query. What comes out reads nothing but the scans of the
// tables that it named; whatever is wrong with it is the user's fault.
func checkRewriting(t *testing.T, q *Querier) func(*rapid.T) {
	params := map[string]any{"1": "1 hour"}
	return func(r *rapid.T) {
		sql := drawSQL(r, "QUERY", 0)
		stmt, err := q.gate.parse(t.Context(), sql)
		if err != nil {
			return
		}
		if _, err := stmt.rewrite(t.Context(), q.gate, params, time.Unix(0, epoch)); err != nil {
			isUsersFault(r, sql, err)
			return
		}
		text, err := stmt.text(t.Context(), q.gate, nil)
		if err != nil {
			r.Fatalf("%s: %v", sql, err)
		}
		root, _, err := q.gate.tree(t.Context(), text)
		if err != nil {
			r.Fatalf("%s\nis printed as %s: %v", sql, text, err)
		}
		names := map[string]bool{binsName: true}
		for i := range stmt.tables {
			names[scanName(i)] = true
		}
		walk(root, func(n node) {
			if kind := n.str("type"); kind == "BASE_TABLE" && !names[n.str("table_name")] && n.str("table_name") != "c" || kind == "TABLE_FUNCTION" {
				r.Fatalf("%s\nreads %v", sql, n)
			}
		})
		if _, err := tryAnswer(t, q, Request{Database: "db", SQL: sql, Params: params}); err != nil {
			isUsersFault(r, sql, err)
		}
	}
}

func isUsersFault(r *rapid.T, sql string, err error) {
	var user *UserError
	var resource *ResourceError
	if !errors.As(err, &user) && !errors.As(err, &resource) {
		r.Fatalf("%s: %v is not the user's error", sql, err)
	}
	for _, ours := range []string{scanPrefix, "query:", "template"} {
		if strings.Contains(fmt.Sprint(err), ours) {
			r.Fatalf("%s: the error tells of what the user did not write: %v", sql, err)
		}
	}
}

func fuzzStore(t testing.TB) *Querier {
	s := dialectStore(t)
	v := s.table("db", "cpu", "host:tag n:int")
	s.addBuffer(v, []row{everythingCPU(1), everythingCPU(2)}, 2)
	return s.querier(func(o *Options) { o.Now = dialectNow })
}

func TestRewrittenQueriesReadOnlyTheirScans(t *testing.T) {
	rapid.Check(t, checkRewriting(t, fuzzStore(t)))
}

func FuzzDialect(f *testing.F) {
	q := fuzzStore(f)
	f.Fuzz(func(t *testing.T, seed []byte) { rapid.MakeFuzz(checkRewriting(t, q))(t, seed) })
}

func FuzzStandardNames(f *testing.F) {
	f.Add("SELECT approx_percentile_cont(0.5, f(1, 2)) WITHIN GROUP (ORDER BY 'approx_percentile_cont' || \"within\") -- within")
	f.Add("approx_percentile_cont(0.5 within /* within */ approx_percentile_cont) ) within $$ within $$ $a$ ( $a$")
	f.Fuzz(func(t *testing.T, text string) {
		normal, places := standardNames(text)
		if len(normal) != len(text) {
			t.Fatalf("%q becomes %q", text, normal)
		}
		if len(places) == 0 && normal != text {
			t.Fatalf("%q becomes %q without a place", text, normal)
		}
	})
}
