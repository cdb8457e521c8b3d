package query

import (
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// TestQueriesRunWhateverTheClockSays: at the ends of what nanoseconds express, beyond them,
// and when it is set back at each look. InfluxQL's own parser says of a now() beyond them that
// there is no such time.
func TestQueriesRunWhateverTheClockSays(t *testing.T) {
	s := influxqlStore(t)
	var now time.Time
	q := s.querier(func(o *Options) {
		o.Schema = func() *schema.Snapshot { return s.schema }
		o.Now = func() time.Time { now = now.Add(-time.Hour); return now }
	})
	for _, at := range []time.Time{
		time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1677, 9, 21, 1, 12, 43, 145224192, time.UTC), time.Unix(-1, 0), time.Unix(0, 0),
		time.Date(2262, 4, 12, 0, 47, 16, 854775807, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
	} {
		for _, sql := range []string{
			"SELECT now() AS t", "SELECT count(*) FROM m WHERE time < now()", "SELECT current_date AS t",
			"SELECT count(*) FROM m WHERE time > now() - INTERVAL '1 hour'", "SELECT query_text, issue_time FROM system.queries",
		} {
			now = at
			if _, err := tryAnswer(t, q, Request{Database: "t", SQL: sql}); err != nil {
				t.Errorf("at %s: %s: %v", at, sql, err)
			}
		}
		for _, text := range []string{"SELECT * FROM m WHERE time < now()", "SELECT count(x) FROM m WHERE time > now() - 1h GROUP BY time(10m)"} {
			now = at
			if _, err := askInfluxQL(t, q, text); err != nil && !strings.Contains(err.Error(), "flows time literal") {
				t.Errorf("at %s: %s: %v", at, text, err)
			}
		}
	}
}
