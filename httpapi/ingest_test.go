package httpapi

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
)

// TestIngestAPIWordsItsErrors also where the request does not come as far as the API.
func TestIngestAPIWordsItsErrors(t *testing.T) {
	s, _ := newGuarded(t, Options{MaxRequestBytes: 1000})
	admin := []string{"Authorization", "Bearer admin"}
	large := `[{"_user_id":"` + strings.Repeat("u", 1000) + `"}]`
	for _, c := range []struct {
		method, path, body string
		header             []string
		status             int
		want               string
	}{
		{"GET", dsPath, "", nil, 401, `{"message":"the request was not authenticated"}`},
		{"GET", dsPath, "", []string{"Authorization", "Bearer"}, 401, `{"message":"the request was not authenticated"}`},
		{"GET", "/v1/project/p/nothing", "", admin, 404, `{"message":"not found: /v1/project/p/nothing"}`},
		{"PUT", dsPath + "/contacts", "", admin, 405, `{"message":"method PUT is not allowed for ` + dsPath + `/contacts; use POST"}`},
		{"GET", "/v1/project/p/datasource/nothing/stream", "", admin, 404, `{"message":"Project or datasource not found"}`},
		{"POST", dsPath + "/contacts", large, admin, 413, `{"message":"max request size (1000 bytes) exceeded"}`},
		{"POST", dsPath + "/contacts", "{}", admin, 400, `{"message":"Body should be an array"}`},
	} {
		a := s.do(c.method, c.path, strings.NewReader(c.body), c.header...)
		a.is(t, c.status, c.want)
		for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
			if a.Header.Get(name) == "" {
				t.Errorf("%s %s: no %s", c.method, c.path, name)
			}
		}
	}
}

// TestContactsAndEventsAreTables sends a compressed body, and queries.
func TestContactsAndEventsAreTables(t *testing.T) {
	s, _ := newGuarded(t, Options{IngestRequestsPerMinute: 3})
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	if _, err := zw.Write([]byte(`[{"_user_id":"a","plan":"pro"},{"_user_id":"b"}]`)); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	admin := []string{"Authorization", "Bearer admin"}
	s.do("POST", dsPath+"/contacts", &zipped, append(admin, "Content-Encoding", "gzip")...).is(t, 202,
		`{"entity":{"successful":2,"failed":0,"items":[{"status":"success","_user_id":"a"},{"status":"success","_user_id":"b"}]}}`)
	event := `[{"_user_id":"a","_event_id":"e","_event_type":"t","_event_date":"2026-11-20T07:00:00Z"}]`
	for range 3 {
		s.do("POST", dsPath+"/events", strings.NewReader(event), admin...).is(t, 202,
			`{"entity":{"successful":1,"failed":0,"items":[{"status":"success","_user_id":"a","_event_id":"e"}]}}`)
	}
	a := s.do("POST", dsPath+"/events", strings.NewReader(event), admin...)
	if a.StatusCode != 429 || a.text != "" || a.Header.Get("Retry-After") != "60" || a.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("the headers are %v", a.Header)
	}
	query := func(sql string) string { return "/api/v3/query_sql?db=p/db&q=" + strings.ReplaceAll(sql, " ", "+") }
	s.do("GET", query(`SELECT _user_id, plan FROM contacts ORDER BY 1`), nil, admin...).is(t, 200,
		`[{"_user_id":"a","plan":"pro"},{"_user_id":"b"}]`)
	s.do("GET", query(`SELECT _event_id, time FROM events`), nil, admin...).is(t, 200,
		`[{"_event_id":"e","time":"2026-11-20T07:00:00"}]`)
}
