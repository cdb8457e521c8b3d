//go:build duckdb_arrow

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// series is one series of an answer of InfluxDB 1's /query. Values are json.Number,
// string, bool or nil.
type series struct {
	Name    string            `json:"name"`
	Tags    map[string]string `json:"tags"`
	Columns []string          `json:"columns"`
	Values  [][]any           `json:"values"`
}

// influxQL runs one statement that must succeed, with times in nanoseconds.
func (s *server) influxQL(db, statement string) []series {
	s.site.t.Helper()
	a, err := s.do(http.MethodGet, "/query", url.Values{"db": {db}, "q": {statement}, "epoch": {"ns"}}, nil)
	if err != nil || a.status != http.StatusOK {
		s.site.t.Fatalf("%s: %v %d %.500s", statement, err, a.status, a.body)
	}
	var body struct {
		Results []struct {
			Series []series `json:"series"`
			Error  string   `json:"error"`
		} `json:"results"`
	}
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.UseNumber()
	if err := dec.Decode(&body); err != nil || len(body.Results) != 1 || body.Results[0].Error != "" {
		s.site.t.Fatalf("%s: %v %.500s", statement, err, a.body)
	}
	return body.Results[0].Series
}

// valueText writes a value of an answer; null is "-".
func valueText(v any) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(v)
}
