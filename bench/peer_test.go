package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
	"github.com/siltstone-db/siltstone/internal/thirdparty"
)

func TestAnswersOfPeersAreCounted(t *testing.T) {
	for _, c := range []struct {
		name string
		rows func([]byte) (int, error)
		text string
		want int // -1 is an error
	}{
		{"ours", ours.rows, `[{"a":1},{"a":2}]`, 2},
		{"QuestDB", questDBRows, `{"query":"x","columns":[{"name":"a"}],"dataset":[["a{",1],["b",null]],"count":2}`, 2},
		{"QuestDB without rows", questDBRows, `{"dataset":[],"count":0}`, 0},
		{"QuestDB cut short", questDBRows, `{"dataset":[[1]],"count":2}`, -1},
		{"QuestDB's error", questDBRows, `{"query":"x","error":"no such table","position":3}`, -1},
		{"InfluxDB", influx1Rows, `{"results":[{"series":[{"values":[["t",1],["t",null]]},{"values":[["t",1]]}]}]}`, 3},
		{"InfluxDB without rows", influx1Rows, `{"results":[{"statement_id":0}]}`, 0},
		{"InfluxDB's error", influx1Rows, `{"results":[{"error":"timeout"}]}`, -1},
		{"InfluxDB's other error", influx1Rows, `{"error":"parsing"}`, -1},
		{"no JSON", influx1Rows, `<html>`, -1},
	} {
		got, err := c.rows([]byte(c.text))
		if (err != nil) != (c.want < 0) || err == nil && got != c.want {
			t.Errorf("%s: %d rows, %v", c.name, got, err)
		}
	}
}

func TestAPeerThatLosesOrDoublesARowIsAnError(t *testing.T) {
	for counted, isRight := range map[int]bool{3: true, 4: false} {
		r := &running{
			settle: func(context.Context) error { return nil },
			count:  func() (int, error) { return counted, nil },
		}
		if err := r.awaitRows(t.Context(), 3); (err == nil) != isRight {
			t.Errorf("%d rows of 3: %v", counted, err)
		}
	}
}

// TestAPeerMayTakeItsTime: QuestDB shows rows some time after it has acknowledged them.
func TestAPeerMayTakeItsTime(t *testing.T) {
	calls := 0
	r := &running{settle: func(context.Context) error { return nil }, count: func() (int, error) { calls++; return min(calls, 3), nil }}
	if err := r.awaitRows(t.Context(), 3); err != nil {
		t.Error(err)
	}
}

func TestReadersAnswerEveryQuery(t *testing.T) {
	r := reader{"x", "X", func(q tsbs.Query) string { return q.SQL }}
	shapes := [][]tsbs.Query{{{MinRows: 1, MaxRows: 2}, {MinRows: 1, MaxRows: 2}}, {{MaxRows: 9}}}
	lines := []string{ // the first query of each shape is asked twice
		`{"ms":100,"cpu_ms":100,"rows":1}`, `{"ms":1,"cpu_ms":2,"rows":1}`, `{"ms":3,"cpu_ms":4,"rows":2}`,
		`{"ms":100,"cpu_ms":100,"rows":1}`, `{"ms":5,"cpu_ms":6,"rows":9}`,
	}
	all, err := r.collect([]byte(strings.Join(lines, "\n")), shapes)
	if err != nil || len(all) != 2 || len(all[0]) != 2 || len(all[1]) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	if median, cpu, rows := summary(all[0]); median != time.Millisecond || cpu != 3 || rows != 1.5 {
		t.Errorf("median %s, %g ms, %g rows", median, cpu, rows)
	}
	for what, bad := range map[string]string{
		"too few answers": strings.Join(lines[:4], "\n"),
		"a wrong count":   strings.ReplaceAll(strings.Join(lines, "\n"), `"rows":9`, `"rows":10`),
		"an error":        `{"error":"no such column"}`,
	} {
		if _, err := r.collect([]byte(bad), shapes); err == nil {
			t.Errorf("%s is no error", what)
		}
	}
}

func TestRatiosAreThoseOfTheMedians(t *testing.T) {
	base, other := caseResult{Name: ourName}, caseResult{Name: "X"}
	base.add("rows", 5)
	base.add("s", 2)
	base.add("zero", 0)
	other.add("rows", 5)
	other.add("s", 3)
	other.add("zero", 1)
	other.add("alone", 1)
	got := ratios([]caseResult{other, base}, ourName)
	if len(got) != 1 || got[0].Name != "X / Siltstone" || len(got[0].Measures) != 1 || got[0].Measures[0].median() != 1.5 {
		t.Errorf("the ratios are %+v", got)
	}
	if got := ratios([]caseResult{other}, ourName); got != nil {
		t.Errorf("without a base the ratios are %+v", got)
	}
}

func TestATableHasGapsWhereACaseHasNoMeasure(t *testing.T) {
	a, b := caseResult{Name: "a", Labels: map[string]string{"kind": "x"}}, caseResult{Name: "b"}
	a.add("one", 1)
	b.add("two", 2)
	const want = `|      |  a |  b |
|------|---:|---:|
| kind |  x |    |
| one  |  1 |    |
| two  |    |  2 |
`
	if got := table([]caseResult{a, b}); got != want {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}
}

func TestAMissingProgramIsNamed(t *testing.T) {
	b := &bench{}
	if !b.skips("QuestDB", thirdparty.Need("sh", "there-is-no-such-program")) || len(b.notes) != 1 || !strings.Contains(b.notes[0], "there-is-no-such-program") {
		t.Errorf("the notes are %q", b.notes)
	}
	if b.skips("QuestDB", nil) || b.skips("QuestDB", io.EOF) {
		t.Error("another error is taken for a missing program")
	}
}

func TestAnswersOfAnotherDialectAreChecked(t *testing.T) {
	s := pretend(t, func(w http.ResponseWriter, r *http.Request) {
		if sql := r.URL.Query().Get("query"); sql != "SELECT 1" {
			t.Errorf("QuestDB is asked %q", sql)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"dataset": [][]int{{1}}, "count": 1})
	})
	c, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	d := dialect{rows: questDBRows, request: func(q tsbs.Query) (request, bool) {
		return newRequest("GET", questDBTarget(q.QuestDB), "", nil), q.QuestDB != ""
	}}
	if a, err := d.query(c, tsbs.Query{QuestDB: "SELECT 1", MinRows: 1, MaxRows: 1}); err != nil || a.rows != 1 {
		t.Errorf("answer is %+v, %v", a, err)
	}
	if _, err := d.query(c, tsbs.Query{QuestDB: "SELECT 1", MinRows: 2, MaxRows: 2}); err == nil {
		t.Error("one row is as good as two")
	}
	if _, err := d.query(c, tsbs.Query{SQL: "SELECT 1"}); !errors.Is(err, errNotAsked) {
		t.Errorf("a question that cannot be asked: %v", err)
	}
}
