package influx1

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tolerance is the relative difference that floats may have.
const tolerance = 1e-12

// response is the body of an answer.
type response struct {
	Results []result `json:"results"`
	Error   string   `json:"error"`
}

type result struct {
	ID       int      `json:"statement_id"`
	Series   []series `json:"series"`
	Messages []any    `json:"messages"`
	Partial  bool     `json:"partial"`
	Error    string   `json:"error"`
}

type series struct {
	Name    string            `json:"name"`
	Tags    map[string]string `json:"tags"`
	Columns []string          `json:"columns"`
	Values  [][]any           `json:"values"` // string, json.Number, bool or nil
	Partial bool              `json:"partial"`
}

// difference says where two answers first differ; "" means that they are equal.
func difference(want, got reply, may leave) string {
	if may.words && isRefusal(want) && isRefusal(got) {
		return ""
	}
	if want.status != got.status {
		return fmt.Sprintf("status %d, not %d: %.300s", got.status, want.status, got.body)
	}
	if !strings.HasPrefix(want.body, "{") {
		if want.body != got.body {
			return fmt.Sprintf("body\n%s\nnot\n%s", got.body, want.body)
		}
		return ""
	}
	w, err := decode(want.body)
	if err != nil {
		return "the recording: " + err.Error()
	}
	g, err := decode(got.body)
	if err != nil {
		return err.Error()
	}
	if len(w) != len(g) {
		return fmt.Sprintf("%d chunks, not %d", len(g), len(w))
	}
	for i := range w {
		if d := w[i].difference(g[i], may); d != "" {
			return d
		}
	}
	return ""
}

// decode reads the documents of a body; a chunked one has several.
func decode(body string) ([]response, error) {
	dec := json.NewDecoder(strings.NewReader(body))
	dec.UseNumber()
	var all []response
	for {
		var r response
		err := dec.Decode(&r)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("an answer that is no JSON: %w in %.300s", err, body)
		}
		all = append(all, r)
	}
}

// isRefusal reports whether an answer tells of an error.
func isRefusal(r reply) bool {
	docs, err := decode(r.body)
	if err != nil {
		return r.status >= 400
	}
	return slices.ContainsFunc(docs, func(d response) bool {
		return d.Error != "" || slices.ContainsFunc(d.Results, func(r result) bool { return r.Error != "" })
	})
}

func (want response) difference(got response, may leave) string {
	switch {
	case want.Error != got.Error:
		return fmt.Sprintf("error %q, not %q", got.Error, want.Error)
	case len(want.Results) != len(got.Results):
		return fmt.Sprintf("%d results, not %d", len(got.Results), len(want.Results))
	}
	for i := range want.Results {
		if d := want.Results[i].difference(got.Results[i], may); d != "" {
			return fmt.Sprintf("result %d: %s", i, d)
		}
	}
	return ""
}

func (want result) difference(got result, may leave) string {
	switch {
	case want.Error != got.Error:
		return fmt.Sprintf("error %q, not %q", got.Error, want.Error)
	case want.ID != got.ID || want.Partial != got.Partial || len(want.Messages) != len(got.Messages):
		return fmt.Sprintf("id %d, partial %t, %d messages, not %d, %t, %d",
			got.ID, got.Partial, len(got.Messages), want.ID, want.Partial, len(want.Messages))
	case len(want.Series) != len(got.Series):
		return fmt.Sprintf("%d series, not %d: %s", len(got.Series), len(want.Series), names(got.Series))
	}
	w, g := want.Series, got.Series
	if may.order {
		w, g = orderedSeries(w), orderedSeries(g)
	}
	for i := range w {
		if d := w[i].difference(g[i], may); d != "" {
			return fmt.Sprintf("series %d: %s", i, d)
		}
	}
	return ""
}

func names(all []series) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "%s%v ", s.Name, s.Tags)
	}
	return fmt.Sprintf("%.300s", b.String())
}

func (want series) difference(got series, may leave) string {
	switch {
	case want.Name != got.Name || fmt.Sprint(want.Tags) != fmt.Sprint(got.Tags):
		return fmt.Sprintf("%s%v, not %s%v", got.Name, got.Tags, want.Name, want.Tags)
	case !slices.Equal(want.Columns, got.Columns):
		return fmt.Sprintf("columns %q, not %q", got.Columns, want.Columns)
	case want.Partial != got.Partial:
		return fmt.Sprintf("partial is %t, not %t", got.Partial, want.Partial)
	}
	w, g := want.Values, got.Values
	if may.order {
		w, g = ordered(w), ordered(g)
	}
	for i := range min(len(w), len(g)) {
		if !slices.EqualFunc(w[i], g[i], equal) {
			return fmt.Sprintf("row %d of columns %v: %v, not %v", i, want.Columns, g[i], w[i])
		}
	}
	if len(w) != len(g) {
		return fmt.Sprintf("%d rows, not %d", len(g), len(w))
	}
	return ""
}

// orderedSeries returns series in order of their names and tags.
func orderedSeries(all []series) []series {
	return slices.SortedStableFunc(slices.Values(all), func(a, b series) int {
		return strings.Compare(a.Name+fmt.Sprint(a.Tags), b.Name+fmt.Sprint(b.Tags))
	})
}

// ordered returns rows in order of their first column and, where that is equal, of the others.
func ordered(rows [][]any) [][]any {
	return slices.SortedStableFunc(slices.Values(rows), func(a, b []any) int {
		return strings.Compare(fmt.Sprint(a...), fmt.Sprint(b...))
	})
}

// equal compares two values. Numbers of which one has a fraction or an exponent are floats;
// others must agree in every digit, unless they are too large to be exact floats and are
// as near as floats need be, which is what JSON leaves of a float of 2^60.
func equal(want, got any) bool {
	w, ok := want.(json.Number)
	if !ok {
		return want == got
	}
	g, ok := got.(json.Number)
	if !ok {
		return false
	}
	if w == g {
		return true
	}
	if isInteger(w) && isInteger(g) {
		return false
	}
	a, errA := w.Float64()
	b, errB := g.Float64()
	return errA == nil && errB == nil && math.Abs(a-b) <= tolerance*max(math.Abs(a), math.Abs(b))
}

func isInteger(n json.Number) bool {
	_, err := strconv.ParseInt(string(n), 10, 64)
	return err == nil
}

// TestDifferenceSeesEverything: the comparison finds each kind of change.
func TestDifferenceSeesEverything(t *testing.T) {
	const answer = `{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"a":"b"},"columns":["time","v"],"values":[["x",1],["x",2.5]]}]}]}`
	want := reply{200, answer}
	if d := difference(want, want, leave{}); d != "" {
		t.Errorf("an answer differs from itself: %s", d)
	}
	for old, changed := range map[string]string{
		`"m"`: `"n"`, `"b"`: `"c"`, `"v"`: `"w"`, `1]`: `2]`, `1],`: `null],`, `2.5`: `2.500001`, `,["x",2.5]`: ``,
		`["x",1]`: `["y",1]`, `"statement_id":0`: `"statement_id":1`, `"values"`: `"partial":true,"values"`,
		`["x",1],["x",2.5]`: `["x",2.5],["x",1]`,
	} {
		got := reply{200, strings.Replace(answer, old, changed, 1)}
		if difference(want, got, leave{}) == "" {
			t.Errorf("%s for %s is not seen", changed, old)
		}
	}
	for _, same := range []string{strings.Replace(answer, "2.5", "2.5000000000001", 1)} {
		if d := difference(want, reply{200, same}, leave{}); d != "" {
			t.Errorf("within the tolerance: %s", d)
		}
	}
	swapped := reply{200, strings.Replace(answer, `["x",1],["x",2.5]`, `["x",2.5],["x",1]`, 1)}
	if d := difference(want, swapped, leave{order: true}); d != "" {
		t.Errorf("with leave to differ in order: %s", d)
	}
}
