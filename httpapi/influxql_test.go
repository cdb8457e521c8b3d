package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/schema"
)

// influxqlPoints are what the statements of these tests read.
const influxqlPoints = `cpu,host=a,region=eu usage=1.5,n=3i,s="x",b=true 1000000000
cpu,host=b usage=2 2000000000
cpu,host=c\ d,region=us usage=1e21 3000000000
mem,host=a free=5i 1000000000
mem,host=z used=5i 1500000000
q\ u,t\,\ a=b\=\ \,c f=1 1
fl v=1e-7 1
fl v=0.000001 2
fl v=123456789012 3
fl v=-0 5
ev s="a,b\"c" 1500000000000000123`

// newInfluxQL starts a server with the points in database d, and a retention policy of it.
func newInfluxQL(t *testing.T) *site {
	t.Helper()
	s := newSite(t, Options{}, true)
	for path, lines := range map[string]string{
		"/write?db=d": influxqlPoints, "/write?db=d&rp=week": "cpu,host=old usage=1 1", "/write?db=other": "m f=1u 1",
		"/write?db=names": "m,key=a,value=b,measurement=c,name=d,count=e,n=f,Key=g,g0=h,tagKey=i f=1 1\nM,key=x,name=y f=1 1",
	} {
		if a := s.post(path, lines); a.StatusCode != http.StatusNoContent {
			t.Fatal(a.text)
		}
	}
	return s
}

// influxqlRequest is a request for a golden answer.
type influxqlRequest struct {
	method, path string
	params       string // of the query string, as in a=b&c=d, not escaped
	header, body string
}

func (r influxqlRequest) String() string {
	text := r.method + " " + r.path + " " + r.params
	for _, more := range []string{r.header, r.body} {
		if more != "" {
			text += "\n" + more
		}
	}
	return text
}

// target escapes the parameters.
func (r influxqlRequest) target() string {
	values := url.Values{}
	for p := range strings.SplitSeq(r.params, "&") {
		name, value, _ := strings.Cut(p, "=")
		if name != "" {
			values.Set(name, value)
		}
	}
	return r.path + "?" + values.Encode()
}

// answerTo shows all of an answer that does not change with time.
func (s *site) answerTo(r influxqlRequest) string {
	var headers []string
	for line := range strings.SplitSeq(r.header, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			headers = append(headers, name, value)
		}
	}
	a := s.do(r.method, r.target(), strings.NewReader(r.body), headers...)
	text := a.text
	if a.Header.Get("Content-Type") == "application/x-msgpack" {
		text = unpacked(s.t, text)
	}
	return fmt.Sprintf("%d %s\n%s", a.StatusCode, a.Header.Get("Content-Type"), strings.TrimSuffix(text, "\n"))
}

// TestInfluxQLAnswers compares the answers to requests with testdata/influxql_answers.txt,
// which -update rewrites.
func TestInfluxQLAnswers(t *testing.T) {
	s := newInfluxQL(t)
	var seen strings.Builder
	for _, r := range influxqlRequests() {
		fmt.Fprintf(&seen, "=== %s\n%s\n\n", r, s.answerTo(r))
	}
	compareGolden(t, filepath.Join("testdata", "influxql_answers.txt"), []byte(seen.String()))
}

// TestDatabasesOfAToken: SHOW DATABASES shows no other, and no other can be asked for.
func TestDatabasesOfAToken(t *testing.T) {
	s := newInfluxQL(t)
	s.addToken(schema.Token{Name: "reader", Permissions: []schema.Permission{{Database: "other", Read: true}}}, "secret")
	for q, want := range map[string]string{
		"q=SHOW DATABASES":                     `"series":[{"name":"databases","columns":["name"],"values":[["other"]]}]`,
		"db=other&q=SHOW MEASUREMENTS":         `"series":[{"name":"measurements","columns":["name"],"values":[["m"]]}]`,
		"db=d&q=SHOW MEASUREMENTS":             `"error":"the token may not read database \"d\""`,
		"db=other&q=SHOW TAG KEYS ON d":        `"error":"the token may not read database \"d\""`,
		"db=other&q=SHOW TAG KEYS FROM d..cpu": `"error":"the token may not read database \"d\""`,
		"db=nothing&q=SHOW MEASUREMENTS":       `"error":"the token may not read database \"nothing\""`,
		"q=CREATE DATABASE fresh":              `"error":"token \"reader\" is not an admin token, which this request needs"`,
		"q=CREATE DATABASE other":              ``,
		"q=DROP DATABASE other":                `"error":"token \"reader\" is not an admin token, which this request needs"`,
		"db=other&q=DROP MEASUREMENT m":        `"error":"token \"reader\" is not an admin token, which this request needs"`,
		"q=KILL QUERY 99":                      `"error":"no query 99 of yours is running; SELECT id, state, query_text FROM system.queries lists them"`,
	} {
		r := influxqlRequest{"POST", "/query", q, "Authorization: Token secret", ""}
		if want != "" {
			want = "," + want
		}
		want = "200 application/json\n" + `{"results":[{"statement_id":0` + want + `}]}`
		if got := s.answerTo(r); got != want {
			t.Errorf("%s\n got %s\nwant %s", q, got, want)
		}
	}
	s.get("/query?q=SHOW+DATABASES").is(t, 401, `{"error":"the request was not authenticated"}`)
	for _, q := range []string{"db=d&q=SHOW+MEASUREMENTS", "q=SHOW+MEASUREMENTS+ON+d", "db=other&q=SHOW+TAG+KEYS+FROM+d..cpu"} {
		if a := s.get("/api/v3/query_influxql?"+q, "Authorization", "Bearer secret"); a.StatusCode != 403 {
			t.Errorf("%s: %d %s, want 403", q, a.StatusCode, a.text)
		}
	}
}
