package query

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
)

// selectStores opens two queriers of one engine: one that selects rows, and one that leaves all to DuckDB.
func selectStores(t testing.TB) (e *engine.Engine, selecting, plain *Querier) {
	return stores(t, func(*Options) {}, func(o *Options) { o.noSelect = true })
}

// writeSelectRows writes rows with fields of all types, at times that no other rows of the host have.
func writeSelectRows(t testing.TB, e *engine.Engine, rng *rand.Rand, at *int64, rows int) {
	var b strings.Builder
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	for range rows {
		*at += 1 + rng.Int64N(int64(600e9))
		b.WriteString("cpu")
		if rng.IntN(6) > 0 {
			b.WriteString(",host=" + pick("a", "b", `with\ space`, `q"uote\,ü`, "host_7"))
		}
		if rng.IntN(3) > 0 {
			b.WriteString(",rack=r" + pick("1", "2"))
		}
		fmt.Fprintf(&b, " n=%di", rng.Int64N(200)-100)
		if rng.IntN(3) > 0 {
			b.WriteString(",f=" + pick("0", "-0", "1.5", "90", "90.5", "-3e300", "0.1", "1e16"))
		}
		if rng.IntN(3) > 0 {
			b.WriteString(",big=" + pick("9223372036854775807i", "-9223372036854775808i", "9007199254740993i", "0i"))
		}
		if rng.IntN(3) > 0 {
			b.WriteString(",u=" + pick("0u", "18446744073709551615u", "9223372036854775808u", "7u"))
		}
		if rng.IntN(3) > 0 {
			b.WriteString(",s=" + pick(`""`, `"a"`, `"b,c"`, `"line\nfeed\"x"`, `"ü"`))
		}
		if rng.IntN(3) > 0 {
			b.WriteString(",ok=" + pick("true", "false"))
		}
		fmt.Fprintf(&b, " %d\n", *at)
	}
	req := engine.WriteRequest{Database: "db", Body: []byte(b.String()), Precision: engine.Nanosecond}
	if _, err := e.Write(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}

// selectQueryText draws a SELECT, mostly of the form that is answered without DuckDB.
func selectQueryText(rng *rand.Rand) string {
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	items := []string{"*"}
	if rng.IntN(3) > 0 {
		items = nil
		for range 1 + rng.IntN(4) {
			items = append(items, pick("host", "rack", "time", "n", "f", "big", "u", "s", "ok", "cpu.n", "host AS h", "N", `"time" AS at`,
				"cpu.*", "n + 1", "* EXCLUDE (host)", "n AS f", "count(*) OVER ()"))
		}
	}
	sql := "SELECT " + strings.Join(items, ", ") + " FROM cpu"
	var where []string
	number := func() string {
		return pick("0", "-5", "50", "50.0", "49.5", "-0.5", "1e2", "2.5e0", "9007199254740992.0", "9007199254740993", "9223372036854775807", "90.50000",
			"-9223372036854775808", "18446744073709551615", "1e300", "0.1", "'7'", "NULL", "'x'", "CAST('50' AS BIGINT)", "CAST('50.5' AS DOUBLE)",
			"12345678901234567890.5", "-100", "99", "1.5::FLOAT", "true")
	}
	text := func() string { return pick("'a'", "'b'", "'with space'", "''", "'r1'", "'ü'", "NULL", "'b,c'") }
	at := func() string {
		return pick("TIMESTAMP '2023-11-15 03:00:00'", "'2023-11-15T20:14:07.000000001Z'", "DATE '2023-11-16'", "TIMESTAMP '2023-11-14 22:20:00'")
	}
	op := func() string { return pick("<", "<=", ">", ">=", "=", "<>", "!=") }
	for range rng.IntN(4) {
		field, word := pick("n", "f", "big", "u", "cpu.n"), pick("host", "rack", "s", "cpu.host")
		where = append(where, pick(field+" "+op()+" "+number(), number()+" "+op()+" "+field, word+" "+op()+" "+text(), "time "+op()+" "+at(),
			field+" BETWEEN "+number()+" AND "+number(), "time BETWEEN "+at()+" AND "+at(), word+" IN ("+text()+", "+text()+")",
			word+" NOT IN ("+text()+", "+text()+")", field+" IS NULL", word+" IS NOT NULL", word+" IS NULL", "ok IS NOT NULL", "ok", "ok = true",
			field+" IN ("+number()+", 3)", "(host = 'a' OR n > 3)", "NOT n > 3", "n > f", "length(host) > 1", "time IS NOT NULL"))
	}
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	return sql
}

// TestSelectedRowsAreThoseOfDuckDB: whatever lies where, and in every format.
func TestSelectedRowsAreThoseOfDuckDB(t *testing.T) {
	e, selecting, plain := selectStores(t)
	at, own := epoch, 0
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		writeSelectRows(t, e, rng, &at, 1+rng.IntN(900))
		if rng.IntN(3) > 0 {
			if err := e.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if seed%4 == 3 {
			deleteSome(t, e, rng, "host", "rack")
		}
		for range 40 {
			sql := selectQueryText(rng)
			if isSelected(t, selecting, sql) {
				own++
			}
			name := []string{"json", "jsonl", "csv", "pretty"}[rng.IntN(4)]
			got, want := formatted(t, selecting, sql, writers[name]), formatted(t, plain, sql, writers[name])
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, %s: %s (-want +got)\n%s", seed, name, sql, cmp.Diff(want, got))
			}
		}
	}
	if own < 50 {
		t.Errorf("%d queries were answered without DuckDB", own)
	}
}

// isSelected reports whether a query is answered without DuckDB.
func isSelected(t testing.TB, q *Querier, sql string) bool {
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql})
	if err != nil {
		return false
	}
	defer r.Close()
	return r.selected != nil
}

// formatted is an answer, sorted by lines, which are rows, behind its schema. Of an error only that it is
// one counts.
func formatted(t testing.TB, q *Querier, sql string, write func(io.Writer, Rows) error) []string {
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql})
	if err != nil {
		return []string{err.Error()}
	}
	defer r.Close()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		return []string{err.Error()}
	}
	text := strings.ReplaceAll(b.String(), "},{", "}\n{")
	lines := strings.Split(strings.Trim(text, "[]\n"), "\n")
	return append([]string{r.Schema().String()}, sorted(lines)...)
}

// TestLimitsOfSelectedRows: LIMIT and OFFSET count rows, which are some of all.
func TestLimitsOfSelectedRows(t *testing.T) {
	e, selecting, plain := selectStores(t)
	at, rng := epoch, rand.New(rand.NewPCG(3, 1))
	for range 3 {
		writeSelectRows(t, e, rng, &at, 5000)
		if err := e.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	all := formatted(t, plain, "SELECT * FROM cpu WHERE n > 3", WriteJSONL)
	for _, c := range []struct{ limit, offset int }{{0, 0}, {1, 0}, {4097, 0}, {10, 4095}, {5000, 3000}, {1 << 20, len(all) - 3}, {3, 1 << 20}} {
		sql := fmt.Sprintf("SELECT * FROM cpu WHERE n > 3 LIMIT %d OFFSET %d", c.limit, c.offset)
		if !isSelected(t, selecting, sql) {
			t.Errorf("%s: left to DuckDB", sql)
		}
		got := answer(t, selecting, "db", sql)
		want := max(0, min(c.limit, len(all)-1-c.offset))
		if len(got) != want {
			t.Errorf("%s: %d rows, want %d", sql, len(got), want)
		}
		seen := make(map[string]bool)
		for _, line := range formatted(t, selecting, sql, WriteJSONL)[1:] {
			if _, found := slices.BinarySearch(all[1:], line); line != "" && (!found || seen[line]) {
				t.Fatalf("%s: %s is no row, or there twice", sql, line)
			}
			seen[line] = true
		}
	}
}

// TestOverlappingRowsAreSelectedAsDuckDBMergesThem: of a point that several files and buffers have, each field is the last
// value, and what WHERE sees is that.
func TestOverlappingRowsAreSelectedAsDuckDBMergesThem(t *testing.T) {
	merged := 0
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 4))
		e, selecting, plain := stores(t, func(o *Options) { o.unitRows = []int{1, 7, 50, 0}[seed] }, func(o *Options) { o.noSelect, o.noMerge = true, true })
		pick := func(from ...string) string { return from[rng.IntN(len(from))] }
		for range 4 {
			writeOverlaps(t, e, rng, 1+rng.IntN(300))
			if rng.IntN(3) > 0 {
				if err := e.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if seed > 1 {
				deleteSome(t, e, rng, "host", "rack", "zone")
			}
			for range 12 {
				sql := "SELECT " + pick("*", "time, host, f", "n, always, n", "u, time", "rack", "huge, host AS h, time")
				sql += " FROM cpu WHERE " + pick("n > 3", "f <= 12.5", "always < 0", "huge IS NULL", "f IS NOT NULL", "time > '2023-11-14T23:13:20Z'", "host <> 'host1'")
				sql += pick("", "", " AND host IN ('host0', 'host3')", " AND n < 200", " AND rack IS NULL", " AND time <= '2023-11-15T00:33:20Z'")
				name := pick("json", "csv", "pretty")
				if r, err := selecting.Query(t.Context(), Request{Database: "db", SQL: sql}); err == nil {
					if r.selected != nil && r.selected.merging != nil {
						merged++
					}
					r.Close()
				}
				got, want := formatted(t, selecting, sql, writers[name]), formatted(t, plain, sql, writers[name])
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d, %s: %s (-want +got)\n%s", seed, name, sql, cmp.Diff(want, got))
				}
			}
		}
	}
	if merged < 50 {
		t.Errorf("%d queries merged rows without DuckDB", merged)
	}
}
