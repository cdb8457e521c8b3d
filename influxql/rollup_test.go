package influxql

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

// commandIn parses a statement that changes something.
func commandIn(t *testing.T, text string) Command {
	t.Helper()
	all, err := Parse(text, nil)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return all[0].Command(time.Unix(0, 0))
}

func TestAContinuousQueryIsARollup(t *testing.T) {
	for text, want := range map[string]*CreateRollup{
		`CREATE CONTINUOUS QUERY cpu_5m ON home BEGIN SELECT mean(usage), max(usage) AS peak, mean(idle) INTO cpu_5m FROM cpu GROUP BY time(5m), * END`: {
			Database: "home", Name: "cpu_5m", Source: "cpu", Interval: 5 * time.Minute,
			Aggregates: []RollupAggregate{{schema.Mean, "usage", "mean"}, {schema.Max, "usage", "peak"}, {schema.Mean, "idle", "mean_1"}},
		},
		`CREATE CONTINUOUS QUERY "b c" ON home BEGIN SELECT last(*) INTO home.autogen."b c" FROM home..cpu GROUP BY time(1d), host, "a b" fill(none) END`: {
			Database: "home", Name: "b c", Source: "cpu", Interval: 24 * time.Hour, Tags: []string{"host", "a b"},
			Aggregates: []RollupAggregate{{Func: schema.Last}},
		},
		`CREATE CONTINUOUS QUERY c ON home BEGIN SELECT count(usage) INTO c FROM cpu GROUP BY time(90s) END`: {
			Database: "home", Name: "c", Source: "cpu", Interval: 90 * time.Second, Tags: []string{},
			Aggregates: []RollupAggregate{{schema.Count, "usage", "count"}},
		},
	} {
		if diff := cmp.Diff(Command(want), commandIn(t, text)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", text, diff)
		}
	}
}

func TestContinuousQueriesThatAreNoRollupsAreRefusedByName(t *testing.T) {
	for text, want := range map[string]string{
		`RESAMPLE EVERY 1m BEGIN SELECT mean(f) INTO r FROM m GROUP BY time(5m) END`:         "RESAMPLE",
		`BEGIN SELECT mean(f) INTO other.autogen.r FROM m GROUP BY time(5m) END`:             "another database",
		`BEGIN SELECT mean(f) INTO "1y"."r" FROM m GROUP BY time(5m) END`:                    "retention policy",
		`BEGIN SELECT mean(f) INTO target FROM m GROUP BY time(5m) END`:                      "call the query target too",
		`BEGIN SELECT mean(f) INTO r FROM m WHERE a = 'x' GROUP BY time(5m) END`:             "WHERE",
		`BEGIN SELECT mean(f) INTO r FROM m GROUP BY time(5m) fill(0) END`:                   "fill()",
		`BEGIN SELECT mean(f) INTO r FROM m GROUP BY time(5m) LIMIT 3 END`:                   "LIMIT",
		`BEGIN SELECT mean(f) INTO r FROM m, n GROUP BY time(5m) END`:                        "one measurement",
		`BEGIN SELECT mean(f) INTO r FROM /m/ GROUP BY time(5m) END`:                         "one measurement",
		`BEGIN SELECT mean(f) INTO r FROM m GROUP BY time(5m, 1m) END`:                       "offset",
		`BEGIN SELECT mean(f) INTO r FROM m GROUP BY time(5m), /a/ END`:                      "/a/",
		`BEGIN SELECT percentile(f, 90) INTO r FROM m GROUP BY time(5m) END`:                 "percentile(f, 90)",
		`BEGIN SELECT median(f) INTO r FROM m GROUP BY time(5m) END`:                         "median(f)",
		`BEGIN SELECT mean(f) * 2 INTO r FROM m GROUP BY time(5m) END`:                       "mean(f) * 2",
		`BEGIN SELECT mean(/f/) INTO r FROM m GROUP BY time(5m) END`:                         "mean(/f/)",
		`BEGIN SELECT count(distinct(f)) INTO r FROM m GROUP BY time(5m) END`:                "count(distinct(f))",
		`BEGIN SELECT mean(f) INTO r FROM (SELECT max(f) AS f FROM m) GROUP BY time(5m) END`: "one measurement",
	} {
		command := commandIn(t, "CREATE CONTINUOUS QUERY r ON home "+text)
		refused, ok := command.(*Unsupported)
		if !ok || !strings.Contains(refused.Error(), want) {
			t.Errorf("%s: %#v, expected a refusal that says %q", text, command, want)
		}
	}
}

func TestTheTextOfARollupMakesIt(t *testing.T) {
	source := schema.NewTable(1, 1, `my "cpu"`, []schema.Column{{ID: 1, Name: "host", Type: schema.Tag}, {ID: 2, Name: "usage user", Type: schema.Float64}})
	rollup := schema.NewTable(2, 1, "cpu 5m", []schema.Column{{ID: 1, Name: "host", Type: schema.Tag}})
	for _, isAll := range []bool{true, false} {
		rollup.Rollup = &schema.Rollup{
			Source: 1, Interval: 5 * time.Minute, AllTags: isAll,
			Aggregates: []schema.Aggregate{{Func: schema.Mean, Field: "usage user", Name: "average use"}},
		}
		want := &CreateRollup{
			Database: "db", Name: rollup.Name, Source: source.Name, Interval: 5 * time.Minute,
			Aggregates: []RollupAggregate{{schema.Mean, "usage user", "average use"}},
		}
		if !isAll {
			want.Tags = []string{"host"}
		}
		text := rollupText("db", rollup, source)
		if diff := cmp.Diff(Command(want), commandIn(t, text)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", text, diff)
		}
	}
}
