package main

import (
	"encoding/json"
	"testing"
	"time"
)

func TestNumbersShowThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1e-9: "0", 0.00123: "0.0012", 0.1234: "0.123", 1.005: "1.00", 5: "5", 12.34: "12.3", 99.96: "100.0",
		100: "100", 1234.5: "1234", 12345.6: "12,346", 2880000: "2,880,000", -12345: "-12,345", -0.5: "-0.500",
	} {
		if got := number(v); got != want {
			t.Errorf("%g is printed %s, want %s", v, got, want)
		}
	}
}

func TestPercentilesAreValuesThatOccurred(t *testing.T) {
	ms := func(ns ...int) (all []time.Duration) {
		for _, n := range ns {
			all = append(all, time.Duration(n)*time.Millisecond)
		}
		return all
	}
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, c := range []struct {
		sorted []time.Duration
		share  float64
		want   float64
	}{
		{nil, 0.5, 0},
		{ms(7), 0.99, 7},
		{ms(1, 2), 0.5, 1},
		{ms(1, 2, 3), 0.5, 2},
		{ms(hundred...), 0.99, 99},
		{ms(hundred...), 1, 100},
		{ms(hundred...), 0, 1},
	} {
		if got := percentile(c.sorted, c.share); got != c.want {
			t.Errorf("the %g-quantile of %v is %g, want %g", c.share, c.sorted, got, c.want)
		}
	}
}

func TestRepetitionsAreJoinedByCaseAndMeasure(t *testing.T) {
	results := func(a, b float64) []caseResult {
		one, two := caseResult{Name: "one"}, caseResult{Name: "two"}
		one.add("speed", a)
		two.add("speed", b)
		return []caseResult{one, two}
	}
	joined := join(join(join(nil, results(3, 30)), results(1, 10)), results(2, 20))
	if got := joined[0].Measures[0].String(); got != "2 (1–3)" {
		t.Errorf("the first case is %s", got)
	}
	text, err := json.Marshal(joined[1].Measures[0])
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"speed","median":20,"min":10,"max":30,"values":[30,10,20]}`
	if string(text) != want {
		t.Errorf("the second case is recorded as %s, want %s", text, want)
	}
}

func TestARepetitionMayLackAMeasure(t *testing.T) {
	with, without := caseResult{Name: "one"}, caseResult{Name: "one"}
	with.add("flush", 1)
	with.add("speed", 10)
	without.add("speed", 20)
	joined := join([]caseResult{without}, []caseResult{with})
	if speed, flush := joined[0].valueOrGap("speed"), joined[0].valueOrGap("flush"); speed != 15 || flush != 1 {
		t.Errorf("speed %g and flush %g, want 15 and 1", speed, flush)
	}
}

func TestTableHasAColumnForEachOfAFewCases(t *testing.T) {
	a, b := caseResult{Name: "small"}, caseResult{Name: "large"}
	a.add("rows", 5)
	a.add("ms", 0.25)
	b.add("rows", 50000)
	b.add("ms", 1)
	const want = `|      | small |  large |
|------|------:|-------:|
| rows |     5 | 50,000 |
| ms   | 0.250 |      1 |
`
	const wantLong = `|       |   rows |    ms |
|-------|-------:|------:|
| small |      5 | 0.250 |
| large | 50,000 |     1 |
| large | 50,000 |     1 |
| large | 50,000 |     1 |
| large | 50,000 |     1 |
`
	if got := table([]caseResult{a, b}); got != want {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}
	if got := table([]caseResult{a, b, b, b, b}); got != wantLong {
		t.Errorf("the long table is\n%swant\n%s", got, wantLong)
	}
}
