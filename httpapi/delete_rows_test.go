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
	s.post(v2, body(`f != \"x\"`)).is(t, 204, "")
	count(`[{"m":0,"o":1}]`)
	s.post(v2, body(`_measurement=\"other\" AND f != \"x\"`)).is(t, 400, `{"code":"invalid","message":"\"f\" is a field of \"other\": rows are deleted by their tags and times"}`)
	s.post(v2, body(""), "Content-Type", "application/x-www-form-urlencoded").is(t, 204, "")
	count(`[{"m":0,"o":0}]`)
}

// TestRowsAreDeletedFromATable by the route of the command line, which wants to know what it deletes.
func TestRowsAreDeletedFromATable(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.write("m,k=a f=1 1\nm,k=b f=1 2\nm,k=c f=1 3\nm f=1 4")
	rows := func(params, predicate string) string {
		return "/api/v3/rows?db=db&table=m" + params + "&predicate=" + url.QueryEscape(predicate)
	}
	for params, want := range map[string]string{
		"&dry_run=true&start=1970-01-01T00:00:02Z":   `{"rows":3,"files":0,"file_bytes":0,"whole_files":0,"buffers":1}`,
		"&dry_run=true&stop=1970-01-01T00:00:02Z":    `{"rows":2,"files":0,"file_bytes":0,"whole_files":0,"buffers":1}`,
		"&dry_run=true&start=1970-01-01T00:00:04.1Z": `{"rows":0,"files":0,"file_bytes":0,"whole_files":0,"buffers":0}`,
	} {
		s.do("DELETE", rows(params, ""), nil).is(t, 200, want)
	}
	s.do("DELETE", rows("&dry_run=true", `k="a" OR k=""`), nil).is(t, 200, `{"rows":2,"files":0,"file_bytes":0,"whole_files":0,"buffers":1}`)
	for path, want := range map[string]string{
		rows("", `hots != "a"`):        `{"error":"table \"m\" has no tag \"hots\"; it has: k"}`,
		rows("", `f != "a"`):           `{"error":"\"f\" is a field of \"m\": rows are deleted by their tags and times"}`,
		rows("", `_measurement = "x"`): `{"error":"the predicate is about another measurement than the table \"m\""}`,
		rows("&stop=1970-01-01T00:00:04Z&start=1970-01-01T00:00:05Z", ``): `{"error":"stop lies before start"}`,
		rows("&dry_run=perhaps", ``):                                      "{\"error\":\"invalid dry_run `perhaps`, expected true or false\"}",
	} {
		s.do("DELETE", path, nil).is(t, 400, want)
	}
	s.do("DELETE", "/api/v3/rows?db=db&table=x", nil).is(t, 404, `{"error":"the requested resource was not found: db.x"}`)
	s.do("DELETE", rows("&stop=1970-01-01T00:00:02Z", `k=~/a|b|c/`), nil).is(t, 200, `{"rows":null,"files":0,"file_bytes":0,"whole_files":0,"buffers":1}`)
	s.get("/api/v3/query_sql?db=db&format=json&q="+url.QueryEscape("SELECT k FROM m ORDER BY time")).is(t, 200, `[{"k":"c"},{}]`)
	s.do("DELETE", rows("", ""), nil)
	s.get("/api/v3/query_sql?db=db&format=json&q="+url.QueryEscape("SELECT k FROM m")).is(t, 200, `[]`)
}
