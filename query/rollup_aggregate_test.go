package query

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// aggregated returns what Aggregate computes, as rollupLines writes it, in its order.
func aggregated(t testing.TB, q *Querier, job engine.RollupJob) (lines []string) {
	t.Helper()
	layout := persist.ArrowSchema(job.Rollup.Columns)
	for rows, err := range q.Aggregate(t.Context(), job) {
		if err != nil {
			t.Fatal(err)
		}
		if rows.Schema().NumFields() != layout.NumFields() {
			t.Fatalf("%v, expected %v", rows.Schema(), layout)
		}
		for i, f := range rows.Schema().Fields() {
			if !f.Equal(layout.Field(i)) && f.Type != arrow.BinaryTypes.String {
				t.Fatalf("column %v, expected %v", f, layout.Field(i))
			}
		}
		for i := range int(rows.NumRows()) {
			var line []string
			for _, c := range job.Rollup.ShownColumns() {
				if c.ID != 0 {
					line = append(line, rows.Column(layout.FieldIndices(c.Name)[0]).ValueStr(i))
				}
			}
			at := rows.Column(len(job.Rollup.Tags())).(*array.Timestamp).Value(i)
			lines = append(lines, strings.Clone(strings.Join(append(line, text(int64(at))), "|")))
		}
		rows.Release()
	}
	return lines
}

// inOrder sorts rows as those of a rollup's files are.
func inOrder(rollup *schema.Table, rows []row) []row {
	slices.SortFunc(rows, func(x, y row) int {
		for _, tag := range rollup.Tags() {
			if c := cmp.Compare(x.tags[tag.Name], y.tags[tag.Name]); c != 0 {
				return c
			}
		}
		return cmp.Compare(x.at, y.at)
	})
	return rows
}

func TestAggregatesComeInTheOrderOfFiles(t *testing.T) {
	s := newStore(t)
	source := s.table("db", "m", "b:tag a:tag f:float")
	var rows []row
	for i := range 5000 {
		tags := map[string]string{}
		for tag, n := range map[string]int{"a": 3, "b": 7} {
			if v := i % n; v > 0 {
				tags[tag] = strings.Repeat("ü", v)
			}
		}
		rows = append(rows, row{at: int64(i) * int64(time.Second), tags: tags, fields: map[string]any{"f": float64(i)}})
	}
	s.addFile(source, rows[:4000])
	s.addBuffer(source, rows[3000:], 512)
	rollup := s.rollupOf(source, time.Minute, "a", "b")
	ranges := []schema.TimeRange{{Min: 0, Max: int64(time.Hour) - 1}, {Min: 2 * int64(time.Hour), Max: 3*int64(time.Hour) - 1}}
	want := inOrder(rollup.Table, slices.DeleteFunc(modelRollup(rollup.Table, rows), func(r row) bool { return !inWindow(ranges, r.at) }))
	var lines []string
	for _, r := range want {
		lines = append(lines, rollupLines(rollup.Table, []row{r})...)
	}
	got := aggregated(t, s.querier(), engine.RollupJob{Rollup: rollup.Table, Source: source, Ranges: ranges})
	if diff := gocmp.Diff(lines, got); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
}

func TestIntervalsReachTheEndsOfTime(t *testing.T) {
	s := newStore(t)
	source := s.table("db", "m", "n:int")
	var rows []row
	for _, at := range []int64{math.MinInt64 + 2, math.MinInt64 + int64(time.Hour), -1, 0, math.MaxInt64 - 1} {
		rows = append(rows, row{at: at, fields: map[string]any{"n": int64(1)}})
	}
	s.addBuffer(source, rows, 16)
	rollup := s.rollupOf(source, time.Hour)
	ranges := []schema.TimeRange{schema.MaxTimeRange}
	q := s.querier()
	want := rollupLines(rollup.Table, modelRollup(rollup.Table, rows))
	if diff := gocmp.Diff(want, sorted(aggregated(t, q, engine.RollupJob{Rollup: rollup.Table, Source: source, Ranges: ranges}))); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
	rollup.Rollup.Stale = ranges
	if got := answer(t, q, "db", "SELECT count(*), sum(n_count) FROM r"); !slices.Equal(got, []string{"5|5"}) {
		t.Fatalf("%v", got)
	}
}

func TestASumThatDoesNotFitIsNull(t *testing.T) {
	s := newStore(t)
	source := s.table("db", "m", "n:int u:uint")
	var rows []row
	for i := range 2 {
		rows = append(rows, row{at: int64(i), fields: map[string]any{"n": int64(math.MaxInt64), "u": uint64(math.MaxUint64)}})
	}
	s.addBuffer(source, rows, 16)
	rollup := s.rollupOf(source, time.Hour)
	rollup.Rollup.Stale = []schema.TimeRange{schema.MaxTimeRange}
	got := answer(t, s.querier(), "db", "SELECT n_sum, u_sum, n_count, n_mean FROM r")
	if want := []string{"(null)|(null)|2|9.223372036854776e+18"}; !slices.Equal(got, want) {
		t.Fatalf("%v, expected %v", got, want)
	}
}
