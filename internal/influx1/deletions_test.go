package influx1

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

const deletionsPath = "testdata/influxdb-1.6.7-deletions.txt"

// deletion is a statement that deletes, the database that it is for, and what is asked afterwards.
type deletion struct {
	database  string
	questions []question // the statement first
}

// readDeletions reads testdata/deletions.txt. Each statement has a database of its own, with the points of testdata/deletions.lp.
func readDeletions(t *testing.T) (all []deletion, data []dataset) {
	t.Helper()
	lines := points(readLines(t, "testdata/deletions.lp"))
	for i, statement := range readLines(t, "testdata/deletions.txt") {
		d := deletion{database: fmt.Sprintf("deletion%d", i)}
		// Of columns that nothing has any more InfluxDB forgets that they exist, so they are named.
		for _, text := range []string{statement, "SELECT f, g, host, dc FROM /./", "SHOW SERIES"} {
			d.questions = append(d.questions, question{section: "deletions", params: "after=" + url.QueryEscape(statement), text: text})
		}
		d.questions[0].params = ""
		all, data = append(all, d), append(data, dataset{d.database, "n", lines})
	}
	return all, data
}

// delete sends a statement and the questions behind it.
func (s *server) delete(d deletion, told func(question, reply)) {
	s.t.Helper()
	for _, q := range d.questions {
		form := url.Values{"q": {q.text}, "db": {d.database}, "epoch": {"ns"}}
		told(q, s.do(http.MethodPost, "/query", form, nil, ""))
	}
}
