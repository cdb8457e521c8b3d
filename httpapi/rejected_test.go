package httpapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/query"
	"github.com/siltstone-db/siltstone/schema"
)

// newRejecting starts a server that keeps rejected points.
func newRejecting(t *testing.T) *site {
	t.Helper()
	s := newSite(t, Options{}, false)
	dir := t.TempDir()
	e, err := engine.Open(engine.Options{DataDir: dir, PoolBytes: 256 << 20, RejectedRetention: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	q, err := query.Open(query.Options{View: e.View, Schema: e.Schema, DataDir: dir, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	s.api.SetReady(e, q)
	return s
}

// rejectedIDs returns the ids of the points of the database db that wait for a retry.
func (s *site) rejectedIDs() []string {
	s.t.Helper()
	a := s.get(sqlPath("SELECT id FROM system.rejected_points WHERE status = 'rejected' ORDER BY time, id"))
	var rows []struct{ ID string }
	if err := json.Unmarshal([]byte(a.text), &rows); err != nil {
		s.t.Fatalf("%s: %v in %s", a.Status, err, a.text)
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids
}

func (s *site) retry(body string) answer {
	s.t.Helper()
	return s.post("/api/v3/rejected/retry", body, "Content-Type", jsonKind)
}

// TestRejectedPointsAreRetried writes integers into a float field, mends the field and
// retries.
func TestRejectedPointsAreRetried(t *testing.T) {
	s := newRejecting(t)
	s.write("room temp=21.5 1")
	if a := s.post("/api/v3/write_lp?db=db&precision=nanosecond", "room temp=1i 1\nroom temp=2i 2\nroom temp=3i 3"); a.StatusCode != 400 {
		t.Fatalf("%s %s", a.Status, a.text)
	}
	ids := s.rejectedIDs()
	if len(ids) != 3 {
		t.Fatalf("rejected: %q", ids)
	}
	a := s.retry(`{"db":"db","ids":["` + ids[0] + `","nothing"]}`)
	const conflict = "invalid column type for column 'temp', expected iox::column_type::field::float, got iox::column_type::field::integer"
	if !strings.HasPrefix(a.text, `{"retried":0,"failed":2,"items":[{"id":"`+ids[0]+`","status":"rejected","message":"`+conflict) {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if !strings.HasSuffix(strings.TrimSpace(a.text), `{"id":"nothing","status":"not found","message":"no rejected point of this database has the id, or it was retried already"}]}`) {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if got := s.rejectedIDs(); len(got) != 3 {
		t.Errorf("after a retry that failed %q are rejected", got)
	}

	s.do("DELETE", "/api/v3/configure/table?db=db&table=room", nil).is(t, 200, "")
	s.retry(`{"db":"db","ids":["`+ids[1]+`"]}`).is(t, 200, `{"retried":1,"failed":0,"items":[{"id":"`+ids[1]+`","status":"retried"}]}`)
	s.get(sqlPath("SELECT temp, time FROM room")).is(t, 200, `[{"temp":2,"time":"1970-01-01T00:00:00.000000002"}]`)

	a = s.retry(`{"db":"db"}`)
	if !strings.HasPrefix(a.text, `{"retried":2,"failed":0,"items":[`) || a.StatusCode != 200 {
		t.Errorf("%s %s", a.Status, a.text)
	}
	s.retry(`{"db":"db"}`).is(t, 200, `{"retried":0,"failed":0,"items":[]}`)
	if got := s.rejectedIDs(); len(got) != 0 {
		t.Errorf("still rejected: %q", got)
	}
}

// TestRetriesKeepLinesApart: a quote that one line leaves open must not swallow the next.
func TestRetriesKeepLinesApart(t *testing.T) {
	s := newRejecting(t)
	s.write(`room temp=21.5 1`)
	lines := []string{"ok v=1 1", `room temp=2i,note="x" 2`}
	for len(lines) < 9 {
		lines = append(lines, "ok v=1 1")
	}
	lines = append(lines, `room note="open`) // the tenth: ids are sorted as text
	if a := s.post("/api/v3/write_lp?db=db&precision=nanosecond", strings.Join(lines, "\n")); a.StatusCode != 400 {
		t.Fatalf("%s %s", a.Status, a.text)
	}
	ids := s.rejectedIDs()
	s.do("DELETE", "/api/v3/configure/table?db=db&table=room", nil).is(t, 200, "")
	if a := s.retry(`{"db":"db"}`); len(ids) != 2 || !strings.HasPrefix(a.text, `{"retried":1,"failed":1,`) {
		t.Errorf("%q: %s %s", ids, a.Status, a.text)
	}
	s.get(sqlPath("SELECT temp FROM room")).is(t, 200, `[{"temp":2}]`)
	if got := s.rejectedIDs(); len(got) != 1 || got[0] != ids[0] {
		t.Errorf("still rejected: %q of %q", got, ids)
	}
}

// TestFirstWriteThatIsAllWrongCanBeSeenAndRetried although it made no database.
func TestFirstWriteThatIsAllWrongCanBeSeenAndRetried(t *testing.T) {
	s := newRejecting(t)
	s.post("/api/v3/write_lp?db=fresh", "room temp=\nroom temp=1i,temp=2i 1")
	count := "/api/v3/query_sql?db=fresh&q=" + url.QueryEscape("SELECT line FROM system.rejected_points ORDER BY line")
	s.get(count).is(t, 200, `[{"line":1},{"line":2}]`)
	s.get("/api/v3/query_sql?db=fresh&q=SELECT+1").is(t, 404, `{"error":"query error: database not found: fresh"}`)
	if a := s.retry(`{"db":"fresh"}`); !strings.HasPrefix(a.text, `{"retried":0,"failed":2,`) {
		t.Errorf("%s %s", a.Status, a.text)
	}
}

// TestRowsOfSeveralPointsAreCountedByPoint: half of the lines can be stored by now.
func TestRowsOfSeveralPointsAreCountedByPoint(t *testing.T) {
	s := newRejecting(t)
	s.write("room temp=1 1")
	const lines = 3000
	var body strings.Builder
	for i := range lines {
		fmt.Fprintf(&body, "room temp=%di %d\n", i, i+2)
		body.WriteString("bad\n")
	}
	s.post("/api/v3/write_lp?db=db&precision=nanosecond", body.String())
	s.do("DELETE", "/api/v3/configure/table?db=db&table=room", nil).is(t, 200, "")
	if a := s.retry(`{"db":"db"}`); !strings.HasPrefix(a.text, `{"retried":3000,"failed":3000,`) {
		t.Errorf("%s %.100s", a.Status, a.text)
	}
	s.get(sqlPath("SELECT count(*) AS n FROM room")).is(t, 200, `[{"n":3000}]`)
	s.get(sqlPath("SELECT sum(points)::BIGINT AS n FROM system.rejected_points WHERE status = 'rejected'")).is(t, 200, `[{"n":3000}]`)
}

func TestRetriesOfNothingAnswerNothing(t *testing.T) {
	s := newRejecting(t)
	s.write("room temp=1 1")
	for _, body := range []string{`{"db":"db"}`, `{"db":"db","ids":[]}`, `{"db":"db","ids":null}`} {
		s.retry(body).is(t, 200, `{"retried":0,"failed":0,"items":[]}`)
	}
	s.retry(`{"db":"nothing"}`).is(t, 200, `{"retried":0,"failed":0,"items":[]}`)
	s.retry(`{}`).is(t, 400, "{\"error\":\"serde json error: missing field `db`\"}")
	s.retry(`{"db":"db","ids":[`+strings.Repeat(`"x",`, MaxRetryIDs)+`"x"]}`).is(t, 400, `{"error":"1001 ids are too many for one request; send at most 1000"}`)
	s.post("/api/v3/rejected/retry", `{"db":"db"}`).is(t, 415, `{"error":"unacceptable content-type, expected: application/json"}`)
}

// TestRetriesNeedTheDatabasesWritePermission: to see a point is not to write it.
func TestRetriesNeedTheDatabasesWritePermission(t *testing.T) {
	s := newRejecting(t)
	s.write("room temp=1 1")
	s.addToken(schema.Token{Name: "reader", Permissions: []schema.Permission{{Database: "*", Read: true}}}, "reader")
	a := s.post("/api/v3/rejected/retry", `{"db":"db"}`, "Content-Type", jsonKind, "Authorization", "Bearer reader")
	a.is(t, 401, `{"error":"token \"reader\" has no write permission for database \"db\""}`)
}

// TestAnswerOfARetryIsBounded: what is beyond is counted.
func TestAnswerOfARetryIsBounded(t *testing.T) {
	answer := retryAnswer{Items: []retryItem{}}
	answer.addResults(slices.Repeat([]engine.RetriedLine{{Accepted: 1}}, maxRetryItems+5))
	if answer.Retried != maxRetryItems+5 || len(answer.Items) != maxRetryItems {
		t.Errorf("%d retried, %d items", answer.Retried, len(answer.Items))
	}
}
