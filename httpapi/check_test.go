package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestCheckAnswersLinesWithASummaryAtTheEnd(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.write("cpu v=1 1", "cpu v=2 2")
	s.post("/api/v3/flush", "").is(t, http.StatusNoContent, "")
	a := s.post(checkPath, "")
	lines := strings.Split(strings.TrimSpace(a.text), "\n")
	var last CheckLine
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("answered %d %s: %v", a.StatusCode, a.text, err)
	}
	if sum := last.Summary; sum == nil || sum.Damage+sum.Warnings+sum.Notes > 0 || sum.Files != 1 || sum.Rows != 2 {
		t.Errorf("the last line is %s", lines[len(lines)-1])
	}
	s.post(checkPath+"?rate=fast", "").is(t, http.StatusBadRequest,
		"{\"error\":\"invalid rate `fast`, expected bytes a second such as 50000000, or 0 for no bound\"}")
}
