package query

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// rollupOf defines the rollup r of a table with all aggregates of its fields, which are named as in
// f_mean, and with the given tags.
func (s *store) rollupOf(source *engine.TableView, interval time.Duration, tags ...string) *engine.TableView {
	definition := &schema.Rollup{Source: source.Table.ID, Interval: interval}
	var columns []string
	for _, tag := range tags {
		columns = append(columns, tag+":tag")
	}
	kinds := map[schema.ColumnType]string{
		schema.Float64: "float", schema.Int64: "int", schema.Uint64: "uint", schema.String: "string", schema.Bool: "bool",
	}
	for _, c := range source.Table.Columns {
		for _, f := range schema.AggregateFuncs {
			if result, ok := f.Result(c.Type); ok {
				name := c.Name + "_" + f.String()
				definition.Aggregates = append(definition.Aggregates, schema.Aggregate{Func: f, Field: c.Name, Name: name})
				columns = append(columns, name+":"+kinds[result])
			}
		}
	}
	view := s.table("db", "r", strings.Join(columns, " "))
	view.Table.Rollup = definition
	view.Rollup = &engine.RollupView{Source: source}
	return view
}

// modelAggregate is an aggregate of values, in the order of their time; null for none.
func modelAggregate(f schema.AggregateFunc, values []any) any {
	if f == schema.Count {
		return int64(len(values))
	}
	if len(values) == 0 {
		return nil
	}
	total := 0.0
	for _, v := range values {
		total += toFloat(v)
	}
	switch f {
	case schema.Sum:
		return fromFloat(total, values[0])
	case schema.Mean:
		return total / float64(len(values))
	case schema.First:
		return values[0]
	case schema.Last:
		return values[len(values)-1]
	}
	ordered := slices.SortedFunc(slices.Values(values), compareValues)
	if f == schema.Min {
		return ordered[0]
	}
	return ordered[len(ordered)-1]
}

func toFloat(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	}
	return 0
}

func fromFloat(total float64, like any) any {
	switch like.(type) {
	case int64:
		return int64(total)
	case uint64:
		return uint64(total)
	}
	return total
}

func compareValues(a, b any) int {
	switch a := a.(type) {
	case string:
		return strings.Compare(a, b.(string))
	case bool:
		return map[bool]int{true: 1}[a] - map[bool]int{true: 1}[b.(bool)]
	}
	return int(2 * (toFloat(a) - toFloat(b)))
}

// modelRollup computes the rows of a rollup.
func modelRollup(rollup *schema.Table, points []row) (rows []row) {
	groups := make(map[string][]row)
	for _, p := range points {
		g := row{at: rollup.Rollup.Start(p.at), tags: map[string]string{}}
		for _, tag := range rollup.Tags() {
			if v, ok := p.tags[tag.Name]; ok {
				g.tags[tag.Name] = v
			}
		}
		key := pointKey(g)
		if groups[key] == nil {
			groups[key] = []row{g}
		}
		groups[key] = append(groups[key], p)
	}
	for _, g := range groups {
		r := row{at: g[0].at, tags: g[0].tags, fields: map[string]any{}}
		isThere := false
		for _, a := range rollup.Rollup.Aggregates {
			var some []row
			for _, p := range g[1:] {
				if p.fields[a.Field] != nil {
					some = append(some, p)
				}
			}
			slices.SortFunc(some, func(x, y row) int {
				if x.at != y.at {
					return int(x.at - y.at)
				}
				return compareValues(x.fields[a.Field], y.fields[a.Field])
			})
			var values []any
			for _, p := range some {
				values = append(values, p.fields[a.Field])
			}
			isThere = isThere || len(values) > 0
			if v := modelAggregate(a.Func, values); v != nil {
				r.fields[a.Name] = v
			}
		}
		if isThere {
			rows = append(rows, r)
		}
	}
	return rows
}

// rollupLines are rows of a rollup as SELECT * EXCLUDE (time), epoch_ns(time) gives them.
func rollupLines(rollup *schema.Table, rows []row) (lines []string) {
	for _, r := range rows {
		var line []string
		for _, c := range rollup.ShownColumns() {
			if c.ID != 0 {
				line = append(line, text(value(r, c)))
			}
		}
		lines = append(lines, strings.Join(append(line, fmt.Sprint(r.at)), "|"))
	}
	return sorted(lines)
}

// drawStale draws ranges of whole intervals.
func drawStale(t *rapid.T, interval time.Duration) (ranges []schema.TimeRange) {
	rollup := schema.Rollup{Interval: interval}
	for range rapid.IntRange(0, 3).Draw(t, "stale") {
		from := epoch + int64(rapid.IntRange(-5, 45).Draw(t, "from"))*int64(time.Minute)
		length := int64(rapid.IntRange(0, 15).Draw(t, "length")) * int64(time.Minute)
		ranges = append(ranges, rollup.Covering(schema.TimeRange{Min: from, Max: from + length}))
	}
	return schema.JoinRanges(ranges)
}

// spoil changes what is stored for stale intervals: some rows are missing, some have other values,
// and some should not be there.
func spoil(t *rapid.T, rows []row, stale []schema.TimeRange) (stored []row) {
	for _, r := range rows {
		if !inWindow(stale, r.at) {
			stored = append(stored, r)
			continue
		}
		if rapid.Bool().Draw(t, "is there") {
			stored = append(stored, row{at: r.at, tags: r.tags, fields: map[string]any{"f_mean": math.Pi}})
		}
	}
	for _, s := range stale {
		stored = append(stored, row{at: s.Min, tags: map[string]string{"a": "nobody"}, fields: map[string]any{"f_mean": 1.0}})
	}
	return stored
}

// rollupShapes are questions for a rollup that are asked of a table with the rows that it should have as well.
func drawRollupQuery(t *rapid.T) string {
	where := "true"
	if rapid.Bool().Draw(t, "some time") {
		low := epoch + int64(rapid.IntRange(-5, 45).Draw(t, "low"))*int64(time.Minute)
		high := low + int64(rapid.IntRange(0, 20).Draw(t, "span"))*int64(time.Minute)
		where = fmt.Sprintf("time >= '%s' AND time < '%s'", stamp(low), stamp(high))
	}
	if rapid.Bool().Draw(t, "some tag") {
		where += fmt.Sprintf(" AND a = '%s'", rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "value"))
	}
	return strings.ReplaceAll(rapid.SampledFrom([]string{
		"SELECT * EXCLUDE (time), epoch_ns(time) FROM TABLE WHERE @",
		"SELECT time, a, f_mean FROM TABLE WHERE @",
		"SELECT a, sum(n_count), max(f_max), min(s_min) FROM TABLE WHERE @ GROUP BY a",
		"SELECT date_bin(INTERVAL '10 minutes', time) AS t, a, sum(n_sum), max(n_max), count(u_mean) FROM TABLE WHERE @ GROUP BY 1, 2 ORDER BY 1, 2",
		"SELECT date_trunc('hour', time) AS t, median(n_mean), max(n_mean) FROM TABLE WHERE @ GROUP BY 1",
		"SELECT count(*), count(DISTINCT a), max(time) FROM TABLE WHERE @",
		"SELECT DISTINCT ON (a) a, time, n_sum FROM TABLE WHERE @ ORDER BY a, time DESC, n_sum",
		"SELECT max(time) FROM TABLE WHERE @",
		"SELECT DISTINCT a FROM TABLE WHERE @",
		"SELECT n_last FROM TABLE WHERE @ AND n_last > 3",
		"SELECT count(*) FROM TABLE x JOIN TABLE y USING (time, a) WHERE x.n_sum >= y.n_sum AND EXISTS (SELECT 1 FROM TABLE WHERE @)",
	}).Draw(t, "query"), "@", where)
}

func TestARollupIsWhatItsSourceSays(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		s := newStore(outer)
		source := s.table("db", "m", "a:tag b:tag f:float n:int ok:bool s:string u:uint")
		written := s.drawFiles(t, source, 3)
		if rapid.Bool().Draw(t, "buffered") {
			rows := rapid.SliceOfN(rapid.Custom(drawRow), 1, 40).Draw(t, "buffer")
			s.addBuffer(source, rows, 16)
			written = append(written, rows...)
		}
		tags := rapid.SampledFrom([][]string{{"a", "b"}, {"a"}, {"b", "a", "later"}}).Draw(t, "tags")
		interval := rapid.SampledFrom([]time.Duration{time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "interval")
		rollup := s.rollupOf(source, interval, tags...)
		rows := modelRollup(rollup.Table, merge(written))
		rollup.Rollup.Stale = drawStale(t, interval)
		if stored := spoil(t, rows, rollup.Rollup.Stale); len(stored) > 0 {
			half := rapid.IntRange(0, len(stored)).Draw(t, "half")
			for _, part := range [][]row{stored[:half], stored[half:]} {
				if len(part) > 0 {
					s.addFile(rollup, part)
				}
			}
		}
		plain := s.table("db", "plain", columnsText(rollup.Table))
		s.addBuffer(plain, rows, 16)
		q, err := Open(Options{View: s.view, DataDir: s.dir, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		all := "SELECT * EXCLUDE (time), epoch_ns(time) FROM r"
		if diff := cmp.Diff(rollupLines(rollup.Table, rows), sorted(answer(outer, q, "db", all))); diff != "" {
			t.Fatalf("%s (-want +got)\n%s\nstale %v\n%s", all, diff, rollup.Rollup.Stale, describePlan(rollup))
		}
		for range 3 {
			sql := drawRollupQuery(t)
			want := sorted(answer(outer, q, "db", strings.ReplaceAll(sql, "TABLE", "plain")))
			got := sorted(answer(outer, q, "db", strings.ReplaceAll(sql, "TABLE", "r")))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s (-want +got)\n%s\nstale %v\n%s", sql, diff, rollup.Rollup.Stale, describePlan(rollup))
			}
		}
	})
}

// columnsText describes columns as store.table wants them.
func columnsText(t *schema.Table) string {
	kinds := map[schema.ColumnType]string{
		schema.Tag: "tag", schema.Float64: "float", schema.Int64: "int", schema.Uint64: "uint", schema.String: "string", schema.Bool: "bool",
	}
	var all []string
	for _, c := range t.Columns {
		all = append(all, c.Name+":"+kinds[c.Type])
	}
	return strings.Join(all, " ")
}
