package httpapi

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

// newRolledUp starts a server that has table m of database db with all types of fields.
func newRolledUp(t *testing.T) *site {
	t.Helper()
	s := newConfigured(t)
	a := s.post("/api/v3/write_lp?db=db", "m,a=x,b=y f=1,n=2i,u=3u,s=\"text\",ok=true 1\nm,a=x f=5 2\n", "Authorization", asAdmin)
	if a.StatusCode != 204 {
		t.Fatalf("%s: %s", a.Status, a.text)
	}
	t.Cleanup(s.api.backend.Load().engine.ServeRollups(s.api.backend.Load().querier))
	return s
}

// rollupRequest is a request to make rollup r of m, with some fields of the body changed.
func rollupRequest(t *testing.T, change map[string]any) string {
	t.Helper()
	body := map[string]any{"db": "db", "name": "r", "source": "m", "interval": "5m", "aggregates": []string{"mean(f)"}}
	for key, v := range change {
		body[key] = v
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBadRollupsAreRefusedByName(t *testing.T) {
	s := newRolledUp(t)
	s.configure("POST", rollupPath, rollupRequest(t, map[string]any{"name": "taken"})).is(t, 200, "")
	for _, c := range []struct {
		change map[string]any
		status int
		want   string
	}{
		{map[string]any{"name": ""}, 400, "missing field `name`"},
		{map[string]any{"interval": "soon"}, 400, "invalid interval: duration \"soon\""},
		{map[string]any{"interval": "0s"}, 400, "interval"},
		{map[string]any{"interval": "7m"}, 400, "neither divides a day"},
		{map[string]any{"aggregates": []string{}}, 400, "it has no aggregate"},
		{map[string]any{"aggregates": []string{"f"}}, 400, `"f" is not an aggregate such as mean(temp)`},
		{map[string]any{"aggregates": []string{"median(f)"}}, 400, `no aggregate "median" in a rollup; there are count, sum, min, max, mean, first and last`},
		{map[string]any{"aggregates": []string{"mean(f) peak"}}, 400, "there can only be AS and a name"},
		{map[string]any{"aggregates": []string{"mean()"}}, 400, "names no field"},
		{map[string]any{"aggregates": []string{"mean(*) AS x"}}, 400, "cannot all be called"},
		{map[string]any{"aggregates": []string{"mean(nope)"}}, 400, `no field "nope"`},
		{map[string]any{"aggregates": []string{"mean(a)"}}, 400, `no field "a"`},
		{map[string]any{"aggregates": []string{"mean(s)"}}, 400, `no mean of field "s"`},
		{map[string]any{"aggregates": []string{"sum(ok)"}}, 400, `no sum of field "ok"`},
		{map[string]any{"aggregates": []string{"mean(f) AS x", "max(f) AS x"}}, 400, `"x"`},
		{map[string]any{"tags": []string{"f"}}, 400, `no tag "f"`},
		{map[string]any{"name": "m"}, 409, "there is a table `m` in database `db` already"},
		{map[string]any{"name": "taken"}, 409, "there is a table `taken` in database `db` already"},
		{map[string]any{"source": "taken", "aggregates": []string{"max(f_mean)"}}, 400, "is a rollup itself"},
		{map[string]any{"source": "nope"}, 404, "the source `nope` is not a table of database `db`"},
		{map[string]any{"db": "nope"}, 404, "the requested resource was not found: nope"},
	} {
		a := s.configure("POST", rollupPath, rollupRequest(t, c.change))
		var body struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal([]byte(a.text), &body); err != nil || a.StatusCode != c.status || !strings.Contains(body.Error, c.want) {
			t.Errorf("%v: %s %s, expected %d and %q", c.change, a.Status, a.text, c.status, c.want)
		}
	}
	s.configure("DELETE", rollupPath+"?db=db&name=m", "").is(t, 404, `{"error":"there is no rollup `+"`m` in database `db`"+`"}`)
	s.configure("POST", rollupPath+"/refresh?db=db&name=m", "").is(t, 404, `{"error":"there is no rollup `+"`m` in database `db`"+`"}`)
}

func TestARollupIsMadeListedRefreshedAndDropped(t *testing.T) {
	s := newRolledUp(t)
	s.configure("POST", rollupPath, rollupRequest(t, map[string]any{"aggregates": []string{`max("f") AS peak`, "avg( n )", "last(*)"}, "tags": []string{"a"}, "retention_period": "100y"})).is(t, 200, "")
	a := s.configure("GET", rollupPath+"?db=db", "")
	var list []map[string]any
	if err := json.Unmarshal([]byte(a.text), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v: %s", err, a.text)
	}
	for name, want := range map[string]any{
		"database": "db", "rollup": "r", "source": "m", "interval": "5m", "tags": "a", "retention_period": "36525d",
		"aggregates": "max(f) AS peak, mean(n) AS n_mean, last(f) AS f_last, last(n) AS n_last, last(u) AS u_last, last(s) AS s_last, last(ok) AS ok_last",
	} {
		if list[0][name] != want {
			t.Errorf("%s is %v, expected %v", name, list[0][name], want)
		}
	}
	a = s.configure("GET", "/api/v3/query_sql?db=db&q="+url.QueryEscape("SELECT a, peak, f_last, s_last, time FROM r"), "")
	if want := `[{"a":"x","peak":5.0,"f_last":5.0,"s_last":"text","time":"1970-01-01T00:00:00"}]`; a.text != want {
		t.Errorf("%s, expected %s", a.text, want)
	}
	s.configure("POST", "/api/v3/flush", "")
	a = s.configure("POST", rollupPath+"/refresh?db=db&name=r", "")
	if a.StatusCode != 200 || !strings.Contains(a.text, `"summary"`) {
		t.Errorf("%s: %s", a.Status, a.text)
	}
	s.configure("DELETE", rollupPath+"?db=db&name=r", "").is(t, 200, "")
	s.configure("GET", rollupPath+"?db=db", "").is(t, 200, "[]")
}

func TestAContinuousQueryMakesARollup(t *testing.T) {
	s := newRolledUp(t)
	ask := func(q string) string {
		t.Helper()
		a := s.configure("POST", "/query?db=db&q="+url.QueryEscape(q), "")
		if a.StatusCode != 200 {
			t.Errorf("%s: %s %s", q, a.Status, a.text)
		}
		return a.text
	}
	const make = `CREATE CONTINUOUS QUERY r ON db BEGIN SELECT mean(f) AS average, max(*) INTO r FROM m GROUP BY time(1h), * END`
	for range 2 { // InfluxDB 1 makes the same one twice without an error
		if text := ask(make); strings.Contains(text, "error") {
			t.Fatal(text)
		}
	}
	if text := ask(strings.Replace(make, "1h", "2h", 1)); !strings.Contains(text, "already") {
		t.Errorf("another one of the name: %s", text)
	}
	if text := ask("SELECT average, max_n FROM r"); !strings.Contains(text, `["1970-01-01T00:00:00Z",5,null]`) && !strings.Contains(text, `["1970-01-01T00:00:00Z",1,2]`) {
		t.Error(text)
	}
	if text := ask("SHOW CONTINUOUS QUERIES"); !strings.Contains(text, "CREATE CONTINUOUS QUERY r ON db BEGIN SELECT mean(f) AS average, max(f) AS max_f") {
		t.Error(text)
	}
	if text := ask(`CREATE CONTINUOUS QUERY x ON db BEGIN SELECT mean(*) INTO x FROM nope GROUP BY time(1h) END`); !strings.Contains(text, "`nope` is not a table") {
		t.Error(text)
	}
	for range 2 {
		if text := ask("DROP CONTINUOUS QUERY r ON db"); strings.Contains(text, "error") {
			t.Error(text)
		}
	}
	if text := ask("SHOW MEASUREMENTS"); strings.Contains(text, `"r"`) {
		t.Error(text)
	}
}

func TestAggregatesAreReadFromText(t *testing.T) {
	source := schema.NewTable(1, 1, "m", []schema.Column{{ID: 1, Name: "a", Type: schema.Tag}, {ID: 2, Name: "f", Type: schema.Float64}, {ID: 3, Name: "s", Type: schema.String}})
	got, err := parseAggregates([]string{`MEAN( f )`, `max("a ""(b)""") as "the peak"`, "sum(*)", "count(*)", "last(f(x)) AS y"}, source)
	if err != nil {
		t.Fatal(err)
	}
	want := []schema.Aggregate{
		{Func: schema.Mean, Field: "f", Name: "f_mean"},
		{Func: schema.Max, Field: `a "(b)"`, Name: "the peak"},
		{Func: schema.Sum, Field: "f", Name: "f_sum"},
		{Func: schema.Count, Field: "f", Name: "f_count"},
		{Func: schema.Count, Field: "s", Name: "s_count"},
		{Func: schema.Last, Field: "f(x)", Name: "y"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestDeletionsPassOverRollups that they do not name: what follows from deleted rows goes with them.
func TestDeletionsPassOverRollups(t *testing.T) {
	s := newRolledUp(t)
	s.configure("POST", rollupPath, rollupRequest(t, map[string]any{"aggregates": []string{"count(f)"}})).is(t, 200, "")
	rows := func(want string) {
		t.Helper()
		q := "/api/v3/query_sql?db=db&format=json&q=" + url.QueryEscape("SELECT a, b, f_count FROM r ORDER BY b")
		s.get(q, "Authorization", asAdmin).is(t, 200, want)
	}
	rows(`[{"a":"x","b":"y","f_count":1},{"a":"x","f_count":1}]`)
	s.post("/api/v2/delete?bucket=db", `{"start":"1970-01-01T00:00:00Z","stop":"1970-01-02T00:00:00Z","predicate":"b=\"y\""}`, "Authorization", asAdmin).is(t, 204, "")
	rows(`[{"a":"x","f_count":1}]`)
	for q, want := range map[string]string{
		"DROP SERIES WHERE b = 'z'":     `{"results":[{"statement_id":0}]}`,
		"DELETE WHERE a = 'z'":          `{"results":[{"statement_id":0}]}`,
		"DELETE FROM /./ WHERE a = 'x'": `{"results":[{"statement_id":0}]}`,
		"DELETE FROM r WHERE a = 'x'":   `{"results":[{"statement_id":0,"error":"table \"r\" is a rollup, whose rows follow from those of its source; delete rows of the source"}]}`,
	} {
		s.post("/query?db=db&q="+url.QueryEscape(q), "", "Authorization", asAdmin).is(t, 200, want)
	}
	rows(`[]`)
}
