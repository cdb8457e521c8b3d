package httpapi

import (
	"net/http"
	"strings"
	"testing"
)

func TestFluxIsRefusedWithWhatToUseInstead(t *testing.T) {
	s := newSite(t, Options{}, true)
	a := s.do("POST", "/api/v2/query?org=o", strings.NewReader(`from(bucket: "db")`), "Content-Type", "application/vnd.flux")
	if want := `{"code":"not found","message":"Flux is not supported: query with SQL at /api/v3/query_sql or with InfluxQL at /query"}`; a.StatusCode != http.StatusNotFound || strings.TrimSpace(a.text) != want {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}
