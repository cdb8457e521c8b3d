package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

// replies answers statements with what InfluxDB 1.6.7 said to them, and notes those that it
// has no answer for; their answer has no rows.
type replies struct {
	answers map[string]string
	asked   []string
}

func (r *replies) ask(_ context.Context, statement string, _ int) (io.ReadCloser, error) {
	r.asked = append(r.asked, statement)
	answer, ok := r.answers[statement]
	if !ok {
		answer = `{"results":[{"statement_id":0}]}`
	}
	return io.NopCloser(strings.NewReader(answer + "\n")), nil
}

func TestInfluxSourcesNameFieldsOfSeveralTypes(t *testing.T) {
	r := &replies{answers: map[string]string{
		`SHOW RETENTION POLICIES ON "a\"b"`:       `{"results":[{"statement_id":0,"series":[{"columns":["name","duration","shardGroupDuration","replicaN","default"],"values":[["autogen","0s","168h0m0s",1,true],["week","168h0m0s","24h0m0s",1,false]]}]}]}`,
		`SHOW FIELD KEYS FROM "a\"b"."week"./.*/`: `{"results":[{"statement_id":0,"series":[{"name":"k","columns":["fieldKey","fieldType"],"values":[["v","boolean"]]},{"name":"m m","columns":["fieldKey","fieldType"],"values":[["v","boolean"],["v","float"],["v","integer"],["x","integer"],["x","float"],["y","string"]]}]}]}`,
	}}
	got, err := Influx{Ask: r.ask}.Sources(t.Context(), `a"b`)
	if err != nil {
		t.Fatal(err)
	}
	want := []InfluxSource{{Database: `a"b`, Policy: "week", Measurement: "k", Fields: []Column{{"v", schema.Bool}}}, {
		`a"b`, "week", "m m",
		[]Column{{"v", schema.Float64}, {"x", schema.Float64}, {"y", schema.String}},
		[]string{
			`field "v" has several types (boolean, float, integer); it is copied as float, and values of type boolean are left out`,
			`field "x" has several types (float, integer); it is copied as float`,
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

const copyFrom = ` FROM "db"."autogen"."m" WHERE time >= `

func edgeStatement(min, max int64, order string) string {
	return fmt.Sprintf("SELECT *::field%s%d AND time <= %d ORDER BY time %s LIMIT 1", copyFrom, min, max, order)
}

func sliceStatement(min, max int64) string {
	return fmt.Sprintf(`SELECT "f"::float, "s"::string, "i"::integer%s%d AND time <= %d GROUP BY *`, copyFrom, min, max)
}

func edgeAnswer(ns int64) string {
	return fmt.Sprintf(`{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","f"],"values":[[%d,1]]}]}]}`, ns)
}

// TestInfluxCopySkipsGaps: slices begin at the first row, become longer, and after an empty
// one go on where there is a row again.
func TestInfluxCopySkipsGaps(t *testing.T) {
	const day = schema.NanosPerDay
	const last = 100 * day
	r := &replies{answers: map[string]string{
		edgeStatement(5, 1000*day, "ASC"):    edgeAnswer(day),
		edgeStatement(day, 1000*day, "DESC"): edgeAnswer(last),
		edgeStatement(4*day, last, "ASC"):    edgeAnswer(99*day + 1),
		sliceStatement(day, 2*day-1):         `{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"a":"x y","b":""},"columns":["time","f","s","i"],"values":[[86400000000000,1e+21,null,-9223372036854775808]],"partial":true}],"partial":true}]}` + "\n" + `{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"a":"x y","b":""},"columns":["time","f","s","i"],"values":[[86400000000001,null,"q\"\\\n\u0026",null]]},{"name":"m","tags":{"a":"bad\\","b":""},"columns":["time","f","s","i"],"values":[[86400000000000,1,null,null],[86400000000001,1,null,null]]}]}]}`,
		sliceStatement(99*day+1, 100*day):    `{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"a":"","b":"z"},"columns":["time","f","s","i"],"values":[[8640000000000000,-0.5,"",null]]}]}]}`,
	}}
	source := InfluxSource{Database: "db", Policy: "autogen", Measurement: "m", Fields: []Column{{"f", schema.Float64}, {"s", schema.String}, {"i", schema.Int64}}}
	c, err := Influx{Ask: r.ask}.Copy(t.Context(), source, schema.TimeRange{Min: 5, Max: 1000 * day}, Limits{Lines: 100, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		chunk, err := c.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(chunk.Body))
		for _, refused := range chunk.Refused {
			got = append(got, fmt.Sprint(refused.Place, " ", refused.Reason))
		}
	}
	want := []string{
		"m,a=x\\ y f=1e+21,i=-9223372036854775808i 86400000000000\nm,a=x\\ y s=\"q\\\"\\\\\n&\" 86400000000001\n",
		`3 the value of tag "a" "bad\\" ends in a backslash, which line protocol cannot say`,
		`4 the value of tag "a" "bad\\" ends in a backslash, which line protocol cannot say`,
		"m,b=z f=-0.5,s=\"\" 8640000000000000\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !c.Left().IsEmpty() || !slices.Contains(r.asked, sliceStatement(2*day, 4*day-1)) || len(r.asked) != 6 {
		t.Errorf("%v is left, asked was %q", c.Left(), r.asked)
	}
}

func TestInfluxCopyEndsWithErrorsOfInfluxDB(t *testing.T) {
	for answer, want := range map[string]string{
		`{"error":"authorization failed"}`:                                   "InfluxDB: authorization failed",
		`{"results":[{"statement_id":0,"error":"database not found: db"}]}`:  "InfluxDB: database not found: db",
		`{"results":[{"statement_id":0,"series":[{"name":"m","columns":["ti`: "the answer of InfluxDB ends early or is unreadable",
		`<html>`: "the answer of InfluxDB ends early or is unreadable",
		`{}`:     "the answer is not one of InfluxDB 1",
	} {
		r := &replies{answers: map[string]string{"SHOW DATABASES": answer}}
		if _, err := (Influx{Ask: r.ask}).Databases(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", answer, err)
		}
	}
}
