//go:build duckdb_arrow

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// eventRounds is how often the server is killed while events come.
const eventRounds = 5

// TestKilledServerStoresEachEventOnce shows X8: senders repeat what was not answered, and
// some of what was, from kill to kill, with flushes between.
func TestKilledServerStoresEachEventOnce(t *testing.T) {
	drawn, rerun := drawnSeed(t, "")
	rng := rand.New(rand.NewPCG(drawn, 0))
	s := newSite(t)
	srv := s.start("--ingest-rate-limit", "1000000")
	if a, err := srv.do(http.MethodPost, "/api/v3/configure/datasource", nil, []byte(`{"project":"p","datasource":"d"}`), "Content-Type", "application/json"); err != nil || a.status != http.StatusCreated {
		t.Fatalf("%v %v", a, err)
	}
	sent := 0 // events 0 to sent-1 were sent at least once
	for round := range eventRounds {
		done := make(chan int)
		go func(first int, seed uint64) { done <- sendEvents(srv, first, seed) }(sent, rng.Uint64())
		<-time.After(time.Duration(50+rng.IntN(100)) * time.Millisecond)
		if rng.IntN(2) == 0 {
			// The kill comes into the flush, or the flush is over.
			go func() { _, _ = srv.do(http.MethodPost, "/api/v3/flush", nil, nil) }()
			<-time.After(time.Duration(rng.IntN(30)) * time.Millisecond)
		}
		srv.kill()
		sent = <-done
		srv = s.start("--ingest-rate-limit", "1000000")
		for first := 0; first < sent; first += eventBatch {
			if status, err := postEvents(srv, first, eventBatch); err != nil || status != http.StatusAccepted {
				t.Fatalf("round %d: repeating the events from %d on: %d, %v\n%s", round, first, status, err, rerun)
			}
		}
		total := (sent + eventBatch - 1) / eventBatch * eventBatch
		rows := srv.query("p/d", "SELECT count(*) AS n, count(DISTINCT _event_id) AS ids FROM events")
		if want := fmt.Sprint(total); rows[0]["n"].(json.Number).String() != want || rows[0]["ids"].(json.Number).String() != want {
			t.Fatalf("round %d: %v, want %s of both\n%s", round, rows, want, rerun)
		}
		sent = total
	}
	t.Logf("%d events, %d kills", sent, eventRounds)
}

// eventBatch is the number of events in a request.
const eventBatch = 20

// sendEvents sends events from the given one on until the server is gone, and returns how
// many it has sent in all. Now and then it repeats some.
func sendEvents(srv *server, first int, seed uint64) int {
	rng := rand.New(rand.NewPCG(seed, 1))
	for next := first; ; next += eventBatch {
		if next > 0 && rng.IntN(4) == 0 {
			if _, err := postEvents(srv, rng.IntN(next-eventBatch/2), eventBatch/2); err != nil {
				return next
			}
		}
		if _, err := postEvents(srv, next, eventBatch); err != nil {
			return next + eventBatch
		}
	}
}

// postEvents sends n events. They have no time of their own, so that a repeated one that
// was not discarded would be another row.
func postEvents(srv *server, first, n int) (status int, err error) {
	type event struct {
		User string `json:"_user_id"`
		ID   string `json:"_event_id"`
		Type string `json:"_event_type"`
	}
	events := make([]event, n)
	for i := range events {
		events[i] = event{fmt.Sprint("u", (first+i)%7), fmt.Sprint("e", first+i), "seen"}
	}
	body, err := json.Marshal(events)
	if err != nil {
		return 0, err
	}
	a, err := srv.do(http.MethodPost, "/v1/project/p/datasource/d/stream/events", nil, body)
	return a.status, err
}
