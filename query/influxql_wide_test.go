package query

import (
	"fmt"
	"strings"
	"testing"
)

// TestInfluxQLOfWideTables: SELECT * names each column, in a text longer than users may send.
func TestInfluxQLOfWideTables(t *testing.T) {
	const fields = 3000
	var columns strings.Builder
	values := make(map[string]any, fields)
	for i := range fields {
		fmt.Fprintf(&columns, "a_field_with_a_name_of_some_length_%d:int ", i)
		values[fmt.Sprint("a_field_with_a_name_of_some_length_", i)] = int64(i)
	}
	s := newStore(t)
	s.addBuffer(s.table("t", "wide", columns.String()), []row{{at: 1, fields: values}}, 10)
	lines, err := askInfluxQL(t, s.influxQuerier(), "SELECT * FROM wide")
	if err != nil || len(lines) != 2 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	if !strings.HasSuffix(lines[1], " 999") && strings.Count(lines[1], " ") < fields {
		t.Errorf("the row is %.100s", lines[1])
	}
}

// TestLogTellsWhatConcernsADatabase: a statement sent for one database that reads another one
// is in the log of that one, and one that reads two is for the internal database only (Q6).
func TestLogTellsWhatConcernsADatabase(t *testing.T) {
	s := influxqlStore(t)
	s.addBuffer(s.table("other", "m", "n:int"), []row{{at: 1, fields: map[string]any{"n": int64(1)}}}, 10)
	q := s.influxQuerier()
	for _, text := range []string{`SELECT n FROM "other"..m`, `SELECT n FROM "other"..m, twins`, "SELECT temp FROM twins"} {
		if _, err := askInfluxQL(t, q, text); err != nil {
			t.Fatal(err)
		}
	}
	for database, want := range map[string]string{"t": "SELECT temp FROM twins", "other": "SELECT n FROM other..m"} {
		var texts []string
		for _, info := range q.Queries(database) {
			texts = append(texts, info.Text)
		}
		if got := strings.Join(texts, "; "); got != want {
			t.Errorf("%s is told of %q, want %q", database, got, want)
		}
	}
}
