package query

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// explainStore has three files, of which two overlap, and a buffer that overlaps with the last.
func explainStore(t *testing.T) *store {
	s := newStore(t)
	v := s.table("db", "cpu", "host:tag n:int")
	points := func(host string, from, count int) []row {
		var rows []row
		for i := range count {
			rows = append(rows, row{
				at: epoch + int64(from+i)*1e9, tags: map[string]string{"host": host}, fields: map[string]any{"n": int64(i)},
			})
		}
		return rows
	}
	s.addFile(v, points("a", 0, 100))
	s.addFile(v, points("a", 1000, 100))
	s.addFile(v, points("b", 1050, 100))
	s.addBuffer(v, points("b", 1140, 50), 16)
	return s
}

func explain(t *testing.T, q *Querier, sql string) (kinds, plans []string) {
	t.Helper()
	for _, line := range answer(t, q, "db", sql) {
		kind, plan, _ := strings.Cut(line, "|")
		kinds, plans = append(kinds, kind), append(plans, plan)
	}
	return kinds, plans
}

func TestExplainTellsWhatIsReadAndWhatIsPruned(t *testing.T) {
	s := explainStore(t)
	q := s.querier()
	bytes := regexp.MustCompile(`\d+ bytes`)
	for sql, want := range map[string]string{
		"EXPLAIN SELECT sum(n) FROM cpu WHERE host = 'b' AND time >= '2023-11-14T22:30:00Z'": `
cpu: 1 file read, 2 files pruned (1 by time, 1 by tags), 50 buffered rows, 10 windows merged
  wanted 2023-11-14T22:29:59.999999Z .. any
  merge  1-3.parquet 100 rows N bytes 2023-11-14T22:30:50Z .. 2023-11-14T22:32:29Z
  pruned 1-1.parquet 100 rows N bytes 2023-11-14T22:13:20Z .. 2023-11-14T22:14:59Z by time
  pruned 1-2.parquet 100 rows N bytes 2023-11-14T22:30:00Z .. 2023-11-14T22:31:39Z by tags
  window 2023-11-14T22:32:20Z .. 2023-11-14T22:32:20Z
  window 2023-11-14T22:32:21Z .. 2023-11-14T22:32:21Z
  window 2023-11-14T22:32:22Z .. 2023-11-14T22:32:22Z
  and 7 more
  merge  10 buffered rows`,
		"EXPLAIN ANALYZE SELECT sum(n) FROM cpu WHERE time < '2023-11-14T22:20:00Z'": `
cpu: 1 file read, 2 files pruned (2 by time, 0 by tags), 0 buffered rows, 0 windows merged
  wanted any .. 2023-11-14T22:20:00.000001Z
  read   1-1.parquet 100 rows N bytes 2023-11-14T22:13:20Z .. 2023-11-14T22:14:59Z
  pruned 1-2.parquet 100 rows N bytes 2023-11-14T22:30:00Z .. 2023-11-14T22:31:39Z by time
  pruned 1-3.parquet 100 rows N bytes 2023-11-14T22:30:50Z .. 2023-11-14T22:32:29Z by time`,
	} {
		kinds, plans := explain(t, q, sql)
		kind := "physical_plan"
		if strings.Contains(sql, "ANALYZE") {
			kind = "Plan with Metrics"
		}
		if diff := cmp.Diff([]string{"scan", kind}, kinds); diff != "" {
			t.Fatalf("%s (-want +got)\n%s", sql, diff)
		}
		if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), bytes.ReplaceAllString(plans[0], "N bytes")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", sql, diff)
		}
		if strings.Contains(fmt.Sprint(plans), s.dir) {
			t.Errorf("%s tells where the data directory is:\n%s", sql, plans)
		}
		if strings.ContainsAny(plans[1], "│┌─└") || !strings.Contains(plans[1], "\n  ") {
			t.Errorf("%s: the plan is not one operator a line:\n%s", sql, plans[1])
		}
		if measured := strings.Contains(plans[1], " rows=1 time="); measured != strings.Contains(sql, "ANALYZE") {
			t.Errorf("%s: measured %v:\n%s", sql, measured, plans[1])
		}
	}
	info := q.Queries("db")[1]
	if info.FilesRead != 1 || info.FilesPruned != 2 {
		t.Errorf("the log has %+v", info)
	}
}

func TestExplainOfNoTableAndOfErrors(t *testing.T) {
	q := newStoreWith(t, "db").querier()
	if kinds, _ := explain(t, q, "EXPLAIN SELECT 1"); len(kinds) != 1 || kinds[0] != "physical_plan" {
		t.Errorf("got %q", kinds)
	}
	for _, sql := range []string{"EXPLAIN SELECT nope FROM cpu", "EXPLAIN ANALYZE SELECT nope FROM cpu", "EXPLAIN ANALYZE SELECT 'x'::INT FROM range(3)"} {
		_, err := tryAnswer(t, q, Request{Database: "db", SQL: sql})
		if err == nil || strings.Contains(err.Error(), "siltstone_scan") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}
