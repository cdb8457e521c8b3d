package query

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/engine"
)

// foldStores opens two queriers of one engine: one that folds, and one that leaves all to DuckDB.
func foldStores(t testing.TB, change func(folding *Options)) (e *engine.Engine, folding, plain *Querier) {
	return stores(t, change, func(o *Options) { o.noFold, o.noMerge = true, true })
}

// stores opens two queriers of one engine.
func stores(t testing.TB, one, other func(*Options)) (e *engine.Engine, first, second *Querier) {
	dir := t.TempDir()
	e, err := engine.Open(engine.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	open := func(change func(*Options)) *Querier {
		opts := Options{View: e.View, DataDir: dir, Threads: 2}
		change(&opts)
		q, err := Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = q.Close() })
		return q
	}
	return e, open(one), open(other)
}

// writeFoldRows writes rows of some hosts, from a random time on, with nulls, repeated points and
// fields that some rows lack. Floats are multiples of 1/8, whose sums are exact.
func writeFoldRows(t testing.TB, e *engine.Engine, rng *rand.Rand, rows int) {
	var b strings.Builder
	at := epoch + rng.Int64N(40)*int64(3600e9)
	for range rows {
		at += rng.Int64N(int64(600e9))
		b.WriteString("cpu")
		for _, tag := range []string{"host", "rack"} {
			if rng.IntN(5) > 0 {
				fmt.Fprintf(&b, ",%s=%s%d", tag, tag, rng.IntN(3))
			}
		}
		fmt.Fprintf(&b, " always=%di", rng.Int64N(200)-100)
		if rng.IntN(3) > 0 {
			fmt.Fprintf(&b, ",f=%v", float64(rng.Int64N(2000)-1000)/8)
		}
		if rng.IntN(3) > 0 {
			fmt.Fprintf(&b, ",n=%di", rng.Int64N(1<<40)-1<<39)
		}
		if rng.IntN(3) == 0 {
			fmt.Fprintf(&b, ",few=%di", rng.IntN(9))
		}
		if rng.IntN(40) == 0 {
			fmt.Fprintf(&b, ",huge=%di,u=%du", math.MaxInt64-rng.Int64N(3), rng.Uint64())
		}
		fmt.Fprintf(&b, " %d\n", at+rng.Int64N(3)-1)
	}
	req := engine.WriteRequest{Database: "db", Body: []byte(b.String()), Precision: engine.Nanosecond}
	if _, err := e.Write(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}

// foldQuery draws a SELECT, mostly of the form that is folded.
func foldQuery(rng *rand.Rand) string {
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	var items, groups []string
	bin := pick("date_trunc('hour', time)", "date_bin(INTERVAL '7 minutes', time, TIMESTAMP '2020-01-01 00:03:00')", "time_bucket(INTERVAL '1 day', time)",
		"date_trunc('month', time)", "date_bin(INTERVAL '1 hour', cpu.time)")
	if rng.IntN(3) > 0 {
		items = append(items, bin+" AS bin")
		groups = append(groups, pick("bin", "1", bin))
	}
	for _, tag := range []string{"host", "rack"} {
		if rng.IntN(2) > 0 {
			items = append(items, tag)
			groups = append(groups, pick(tag, "cpu."+tag, strconv.Itoa(len(items))))
		}
	}
	for range 1 + rng.IntN(3) {
		field := pick("f", "n", "always", "cpu.f", "huge")
		items = append(items, pick("sum(%s)", "min(%s)", "max(%s)", "count(%s)", "max(%s) - min(%[1]s) AS spread", "coalesce(sum(%s), 0)", "count(*)", "sum(u)",
			"count(DISTINCT %s)", "median(%s)", "max(%s) FILTER (WHERE host = 'host1')", "max(time)", "count(host)", "sum(%s + 1)", "round(max(%s)::DOUBLE, 1)"))
		items[len(items)-1] = strings.ReplaceAll(strings.ReplaceAll(items[len(items)-1], "%[1]s", field), "%s", field)
	}
	sql := "SELECT " + strings.Join(items, ", ") + " FROM cpu"
	at := func() string {
		return pick("TIMESTAMP '2023-11-15 03:00:00'", "'2023-11-15T20:14:07.000000001Z'", "DATE '2023-11-16'", "TIMESTAMP '2023-11-14 22:20:00'")
	}
	if rng.IntN(3) > 0 {
		sql += " WHERE " + pick("time >= "+at(), "time > "+at(), "time < "+at(), at()+" >= time", "time BETWEEN "+at()+" AND "+at(),
			"time >= "+at()+" AND time < "+at(), "host = 'host1'", "f > 3", "time > "+at()+" AND n < 0")
	}
	if len(groups) > 0 {
		sql += " GROUP BY " + strings.Join(groups, ", ")
		if rng.IntN(4) == 0 {
			sql += " HAVING " + pick("count(*) > 2", "max(f) > 10", "sum(always) > 0 OR min(n) IS NULL")
		}
	}
	order := " ORDER BY ALL"
	if rng.IntN(2) > 0 {
		order = " ORDER BY 1"
		for i := range items[1:] {
			order += fmt.Sprintf(", %d", i+2)
		}
	}
	return sql + order + pick("", " LIMIT 3")
}

// TestFoldedAnswersAreThoseOfDuckDB: whatever lies where.
func TestFoldedAnswersAreThoseOfDuckDB(t *testing.T) {
	folded := 0
	e, folding, plain := foldStores(t, func(o *Options) { o.onFold = func(*folding) { folded++ } })
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		writeFoldRows(t, e, rng, 1+rng.IntN(600))
		if rng.IntN(3) > 0 {
			if err := e.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if seed%2 > 0 {
			deleteSome(t, e, rng, "host", "rack")
		}
		for range 20 {
			sql := foldQuery(rng)
			got, want := namedAnswer(t, folding, sql), namedAnswer(t, plain, sql)
			if got != want {
				t.Fatalf("seed %d: %s\n%s\nwant\n%s", seed, sql, got, want)
			}
		}
	}
	if folded == 0 {
		t.Error("nothing was folded")
	}
}

// namedAnswer is an answer as CSV, or its error.
func namedAnswer(t testing.TB, q *Querier, sql string) string {
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql})
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	var b strings.Builder
	b.WriteString(r.Schema().String())
	if err := WriteCSV(&b, r); err != nil {
		return err.Error()
	}
	return b.String()
}

// TestMeansOfFoldedRowsAreRight: up to the last digit, which DuckDB rounds twice.
func TestMeansOfFoldedRowsAreRight(t *testing.T) {
	e, folding, plain := foldStores(t, func(*Options) {})
	rng := rand.New(rand.NewPCG(5, 5))
	writeFoldRows(t, e, rng, 3000)
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeFoldRows(t, e, rng, 1000)
	const sql = "SELECT date_trunc('hour', time) AS h, host, avg(f), avg(n), avg(always) FROM cpu GROUP BY h, host ORDER BY h, host"
	got, want := answer(t, folding, "db", sql), answer(t, plain, "db", sql)
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range got {
		a, b := strings.Split(got[i], "|"), strings.Split(want[i], "|")
		for k := range a {
			x, err1 := strconv.ParseFloat(a[k], 64)
			y, err2 := strconv.ParseFloat(b[k], 64)
			if a[k] != b[k] && (err1 != nil || err2 != nil || math.Abs(x-y) > 4e-16*math.Abs(y)) {
				t.Errorf("%s, want %s", got[i], want[i])
			}
		}
	}
}
