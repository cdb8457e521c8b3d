package httpapi

import (
	"net/url"
	"testing"
)

// TestPointsAreDeleted as the clients of InfluxDB 2 and 1 ask for it.
func TestPointsAreDeleted(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.write("m,k=a f=1 1\nm,k=b f=1 2\nm,k=c f=1 3\nother,k=a f=1 1")
	count := func(want string) {
		t.Helper()
		q := url.Values{"db": {"db"}, "q": {"SELECT (SELECT count(*) FROM m) AS m, (SELECT count(*) FROM other) AS o"}, "format": {"json"}}
		s.get("/api/v3/query_sql?"+q.Encode()).is(t, 200, want)
	}
	const v2 = "/api/v2/delete?org=o&bucket=db"
	body := func(predicate string) string {
		return `{"start":"1970-01-01T00:00:00Z","stop":"1970-01-02T00:00:00Z","predicate":"` + predicate + `"}`
	}
	s.post(v2, body(`_measurement=\"m\" AND k=\"a\"`), "Content-Type", "application/json").is(t, 204, "")
	count(`[{"m":2,"o":1}]`)
	s.post(v2, body(`_measurement=\"nothing\"`), "Content-Type", "application/json").is(t, 204, "")
	s.post(v2, `{"start":"x","stop":"1970-01-02T00:00:00Z"}`, "Content-Type", "application/json").is(t, 400,
		`{"code":"invalid","message":"invalid RFC3339Nano for field start, please format your time with RFC3339Nano format, example: 2009-01-02T23:00:00Z"}`)
	influxql := func(q, want string) {
		t.Helper()
		s.post("/query?db=db&q="+url.QueryEscape(q), "").is(t, 200, want)
	}
	const done = `{"results":[{"statement_id":0}]}`
	influxql("DELETE FROM m WHERE time <= 2s AND k =~ /b/", done)
	count(`[{"m":1,"o":1}]`)
	influxql("DELETE FROM m WHERE f = 'x'", `{"results":[{"statement_id":0,"error":"fields not supported in WHERE clause during deletion"}]}`)
	influxql("DROP SERIES FROM m WHERE time < 5", `{"results":[{"statement_id":0,"error":"DROP SERIES doesn't support time in WHERE clause"}]}`)
	influxql("DROP SERIES FROM m WHERE k != 'z'", done)
	count(`[{"m":0,"o":1}]`)
	s.post(v2, body(""), "Content-Type", "application/json").is(t, 204, "")
	count(`[{"m":0,"o":0}]`)
}
