package influxql

import (
	"errors"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// fuzzEnvironment has a table with a column of each type.
func fuzzEnvironment() *Environment {
	db := &schema.Database{ID: 1, Name: "t"}
	table := func(id schema.TableID, name string) *schema.Table {
		return schema.NewTable(id, 1, name, []schema.Column{
			{ID: 1, Name: "host", Type: schema.Tag},
			{ID: 2, Name: "dc", Type: schema.Tag},
			{ID: 3, Name: "x", Type: schema.Float64},
			{ID: 4, Name: "i", Type: schema.Int64},
			{ID: 5, Name: "u", Type: schema.Uint64},
			{ID: 6, Name: "s", Type: schema.String},
			{ID: 7, Name: "b", Type: schema.Bool},
		})
	}
	snapshot := (&schema.Snapshot{}).With([]*schema.Database{db}, []*schema.Table{table(1, "m"), table(2, "n")})
	return &Environment{Database: "t", Schema: snapshot, Now: time.Unix(1e9, 0)}
}

// A text is a syntax error, is refused, or has a plan; it never panics.
func FuzzPlan(f *testing.F) {
	for _, text := range []string{
		"SELECT x, i + u / 2 AS y, host FROM m WHERE host =~ /^a/ AND (s != 'a' OR b = true) GROUP BY dc LIMIT 3 OFFSET 1 SLIMIT 2",
		"SELECT mean(x), percentile(i, 90), count(distinct(s)) FROM m, n WHERE time > now() - 1h GROUP BY time(5m, 1m), * fill(linear) ORDER BY time DESC TZ('Europe/Berlin')",
		"SELECT derivative(mean(x), 1s), difference(first(i)), moving_average(max(u), 3) FROM /m|n/ GROUP BY time(1d), /h/ fill(previous)",
		"SELECT top(x, host, dc, 3), s FROM m; SELECT bottom(i, 2) FROM m; SELECT max(b), * FROM n; SELECT sample(s, 2) FROM m",
		"SELECT mean(a) FROM (SELECT abs(max(x)) AS a FROM m GROUP BY host, time(1m)), (SELECT x AS a FROM n) WHERE host = 'a' GROUP BY time(1h)",
		"SELECT integral(u, 1m), mode(s), stddev(i), spread(u) FROM m GROUP BY time(1h); SHOW TAG KEYS; SELECT cumulative_sum(x), elapsed(s) FROM t..m",
		"SELECT *::field, x::integer, s::tag FROM t.autogen.m fill(3); SELECT pow(x, 2), log(i, 3), i & 3, b | b, -x % 2 FROM m; EXPLAIN SELECT x FROM m",
	} {
		f.Add(text)
	}
	env := fuzzEnvironment()
	f.Fuzz(func(t *testing.T, text string) {
		statements, err := Parse(text, map[string]any{"p": "a", "n": int64(3)})
		if err != nil {
			var syntax *SyntaxError
			var refused *StatementError
			if !errors.As(err, &syntax) && !errors.As(err, &refused) {
				t.Fatalf("%q: %T %v", text, err, err)
			}
			return
		}
		for _, s := range statements {
			_ = s.Text()
			if s.Command(time.Unix(0, 0)) != nil {
				continue
			}
			plan, err := s.Plan(env)
			var refused *StatementError
			var missing *DatabaseNotFoundError
			if err != nil && !errors.As(err, &refused) && !errors.As(err, &missing) {
				t.Fatalf("%q: %T %v", s.Text(), err, err)
			}
			if err == nil && len(plan.Columns) == 0 {
				t.Fatalf("%q has a plan without columns", s.Text())
			}
		}
	})
}

func TestParseHidesSecrets(t *testing.T) {
	statements, err := Parse("CREATE USER a WITH PASSWORD 'geheim'; SELECT x FROM m WHERE s = $p", map[string]any{"p": "a"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := statements[0].Text(), "CREATE USER a WITH PASSWORD [REDACTED]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := statements[1].Text(), "SELECT x FROM m WHERE s = 'a'"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
