package query

import (
	"fmt"
	"strings"
	"testing"
)

// TestErrorsOfFoldedQueriesAreTheUsers: an error about a name is said anew with all columns in
// sight, by a plan of the statement as it was written.
func TestErrorsOfFoldedQueriesAreTheUsers(t *testing.T) {
	q := fuzzStore(t)
	const sql = "SELECT time FROM (SELECT (SELECT count(*) FROM cpu) AS x) AS cpu"
	_, err := tryAnswer(t, q, Request{Database: "db", SQL: sql})
	if text := fmt.Sprint(err); err == nil || strings.Contains(text, scanPrefix) || !strings.Contains(text, `"time"`) {
		t.Errorf("%s: %v", sql, err)
	}
}
