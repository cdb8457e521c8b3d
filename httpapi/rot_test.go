package httpapi

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// Who asks for rows of a damaged file is told which it is and what to do, and not that
// there is an internal error; other tables are served.
func TestDamagedFileIsNamedInTheAnswer(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.write("cpu,host=a v=1 1", "mem v=2 2")
	s.post("/api/v3/flush", "").is(t, http.StatusNoContent, "")
	v, err := s.api.backend.Load().engine.View(t.Context(), "db", []string{"cpu"})
	if err != nil {
		t.Fatal(err)
	}
	file := v.Tables[0].Files[0].Path
	v.Close()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	raw[10] ^= 4
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	relative := file[strings.Index(file, "files/"):]
	for path, status := range map[string]int{
		"/api/v3/query_sql?db=db&q=SELECT+*+FROM+cpu":      http.StatusInternalServerError,
		"/api/v3/query_influxql?db=db&q=SELECT+*+FROM+cpu": http.StatusInternalServerError,
		"/query?db=db&q=SELECT+*+FROM+cpu":                 http.StatusOK, // as InfluxDB 1 answers a statement that fails
	} {
		a := s.get(path)
		if a.StatusCode != status {
			t.Errorf("%s was answered %d", path, a.StatusCode)
		}
		for _, want := range []string{relative, "checksum of column", "row group 0", `table \"cpu\"`, "siltstone check", "recover --salvage", "backup"} {
			if !strings.Contains(a.text, want) {
				t.Errorf("%s: no %q in %s", path, want, a.text)
			}
		}
	}
	s.get("/api/v3/query_sql?db=db&q=SELECT+v+FROM+mem").is(t, http.StatusOK, `[{"v":2.0}]`)
}
