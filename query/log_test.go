package query

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
)

// start runs a query in the background and returns its id and what it ends with.
func start(t *testing.T, q *Querier, ctx context.Context, req Request) (id uint64, ended <-chan error) {
	t.Helper()
	done := make(chan error, 1)
	known := q.lastID()
	go func() {
		r, err := q.Query(ctx, req)
		if err == nil {
			for r.Next() {
			}
			err = r.Err()
			r.Close()
		}
		done <- err
	}()
	for q.lastID() == known {
		time.Sleep(100 * time.Microsecond)
	}
	return q.lastID(), done
}

func (q *Querier) lastID() uint64 {
	q.log.mu.Lock()
	defer q.log.mu.Unlock()
	return q.log.mu.lastID
}

// waitFor returns when a query is in a state.
func waitFor(t *testing.T, q *Querier, id uint64, state QueryState) QueryInfo {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(time.Millisecond) {
		for _, info := range q.Queries(engine.InternalDatabase) {
			if info.ID == id && info.State == state && (state != QueryRunning || info.Execute > 0) {
				return info
			}
		}
	}
	t.Fatalf("query %d is not %s: %+v", id, state, q.Queries(engine.InternalDatabase))
	return QueryInfo{}
}

func TestLogTellsHowQueriesEnd(t *testing.T) {
	s := newStoreWith(t, "db")
	s.table(engine.InternalDatabase, "something", "a:tag")
	q := s.querier()
	answer(t, q, "db", "SELECT * FROM cpu")
	_, _ = tryAnswer(t, q, Request{Database: "db", SQL: "SELEC 1", Origin: Origin{Protocol: "http", Token: "dash"}})
	_, _ = tryAnswer(t, q, Request{Database: "db", SQL: "SELECT $a + $b", Params: map[string]any{"b": "secret", "a": 1}})
	_, _ = tryAnswer(t, q, Request{Database: "other", SQL: "SELECT * FROM x"})
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: "SELECT * FROM range(100000)"})
	if err != nil {
		t.Fatal(err)
	}
	r.Next()
	r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	id, ended := start(t, q, ctx, Request{Database: "db", SQL: endless})
	waitFor(t, q, id, QueryRunning)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled query ended with %v", err)
	}
	id, ended = start(t, q, t.Context(), Request{Database: "db", SQL: endless})
	waitFor(t, q, id, QueryRunning)
	if err := q.Kill(id); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrKilled) {
		t.Errorf("the killed query ended with %v", err)
	}
	want := []string{
		"1|success|sql|SELECT * FROM cpu|completed|(null)|(null)|(null)|(null)",
		"2|fail|sql|SELEC 1|failed|http|dash|(null)|SQL error: ParserError(",
		"3|fail|sql|SELECT $a + $b|failed|(null)|(null)|a, b|Conversion Error: Could not convert string …",
		"5|cancel|sql|SELECT * FROM range(100000)|cancelled|(null)|(null)|(null)|the answer was not read to its end",
		"6|cancel|sql|" + endless + "|cancelled|(null)|(null)|(null)|query: context canceled",
		"7|cancel|sql|" + endless + "|killed|(null)|(null)|(null)|query: the query was killed by KILL QUERY",
		"8|received|sql|",
	}
	got := answer(t, q, "db", "SELECT id, phase, query_type, query_text, state, protocol, token, params, error FROM system.queries ORDER BY id")
	if len(got) != len(want) {
		t.Fatalf("%d queries: %q", len(got), got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
	if all := strings.Join(got, "\n"); strings.Contains(all, "secret") {
		t.Errorf("the log has a parameter's value:\n%s", all)
	}
	other := answer(t, q, engine.InternalDatabase, "SELECT state FROM system.queries WHERE database = 'other'")
	if diff := cmp.Diff([]string{"failed"}, other); diff != "" {
		t.Errorf("the other database's (-want +got)\n%s", diff)
	}
}

func TestLogForgetsTheOldest(t *testing.T) {
	q := newStoreWith(t, "db").querier(func(o *Options) { o.LogSize = 3 })
	for i := range 8 {
		answer(t, q, "db", "SELECT "+strconv.Itoa(i))
	}
	var got []string
	for _, i := range q.Queries("db") {
		got = append(got, i.Text)
	}
	if diff := cmp.Diff([]string{"SELECT 5", "SELECT 6", "SELECT 7"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	none := newStoreWith(t, "db").querier(func(o *Options) { o.LogSize = -1 })
	answer(t, none, "db", "SELECT 1")
	if got := none.Queries("db"); len(got) != 0 {
		t.Errorf("a log of no size holds %+v", got)
	}
}

func TestLogBoundsTextAndError(t *testing.T) {
	q := newStoreWith(t, "db").querier()
	_, _ = tryAnswer(t, q, Request{Database: "db", SQL: "SELECT nope AS \"" + strings.Repeat("ü", 50_000) + "\""})
	info := q.Queries("db")[0]
	if len(info.Text) > maxLoggedText+len("…") || !strings.HasSuffix(info.Text, "ü…") || len(info.Error) > maxLoggedError+len("…") {
		t.Errorf("text %d bytes, error %d bytes", len(info.Text), len(info.Error))
	}
}

func TestOnlyAdminsAndOwnersKill(t *testing.T) {
	q := newStoreWith(t, "db").querier()
	id, ended := start(t, q, t.Context(), Request{Database: "db", SQL: endless, Origin: Origin{Token: "mine"}})
	waitFor(t, q, id, QueryRunning)
	text := "kill /* it */ query " + strconv.FormatUint(id, 10) + " ;"
	for _, sender := range []Origin{{}, {Token: "other"}} {
		_, err := tryAnswer(t, q, Request{Database: "db", SQL: text, Origin: sender})
		var missing *QueryNotFoundError
		if !errors.As(err, &missing) {
			t.Errorf("%+v: %v", sender, err)
		}
	}
	for _, sql := range []string{"KILL", "KILL 5", "KILL QUERY", "KILL QUERY x", "KILL QUERY 5 6", "KILL QUERY -1"} {
		var user *UserError
		if _, err := tryAnswer(t, q, Request{Database: "db", SQL: sql, Origin: Origin{Admin: true}}); !errors.As(err, &user) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	got, err := tryAnswer(t, q, Request{Database: "db", SQL: text, Origin: Origin{Token: "mine"}})
	if err != nil || len(got) != 1 || got[0] != strconv.FormatUint(id, 10)+"|killed" {
		t.Errorf("the owner: %q, %v", got, err)
	}
	if err := <-ended; !errors.Is(err, ErrKilled) {
		t.Errorf("ended with %v", err)
	}
	id, ended = start(t, q, t.Context(), Request{Database: "db", SQL: endless, Origin: Origin{Token: "mine"}})
	if err := q.KillAs(Origin{Admin: true}, id); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, ErrKilled) {
		t.Errorf("ended with %v", err)
	}
}

func TestTimeoutEndsAQueryAndSaysHowLongItHad(t *testing.T) {
	q := newStoreWith(t, "db").querier(func(o *Options) { o.Timeout = 50 * time.Millisecond })
	_, err := tryAnswer(t, q, Request{Database: "db", SQL: endless})
	var timeout *TimeoutError
	if !errors.As(err, &timeout) || !strings.Contains(err.Error(), "50ms") || !strings.Contains(err.Error(), "--query-timeout") {
		t.Errorf("got %v", err)
	}
	if info := q.Queries("db")[0]; info.State != QueryTimedOut {
		t.Errorf("state %s", info.State)
	}
}

// A full house lets a bounded number wait, in which they can be killed, and refuses others.
func TestQueueIsBounded(t *testing.T) {
	q := newStoreWith(t, "db").querier(func(o *Options) { o.MaxConcurrent, o.MaxQueued = 1, 2 })
	first, firstEnd := start(t, q, t.Context(), Request{Database: "db", SQL: endless})
	waitFor(t, q, first, QueryRunning)
	second, secondEnd := start(t, q, t.Context(), Request{Database: "db", SQL: endless})
	waitFor(t, q, second, QueryQueued)
	_, thirdEnd := start(t, q, t.Context(), Request{Database: "db", SQL: "SELECT 3"})
	third := q.lastID()
	waitFor(t, q, third, QueryQueued)
	var busy *BusyError
	if _, err := tryAnswer(t, q, Request{Database: "db", SQL: "SELECT 4"}); !errors.As(err, &busy) {
		t.Errorf("the fourth: %v", err)
	}
	if s, err := q.Stats(); err != nil || s.Running != 1 || s.Queued != 2 {
		t.Errorf("Stats %+v, %v", s, err)
	}
	for id, ended := range map[uint64]<-chan error{second: secondEnd, first: firstEnd} {
		if err := q.Kill(id); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, ErrKilled) {
			t.Errorf("query %d ended with %v", id, err)
		}
	}
	if err := <-thirdEnd; err != nil {
		t.Errorf("the third: %v", err)
	}
	if info := waitFor(t, q, third, QueryCompleted); info.Wait <= 0 {
		t.Errorf("the third has not waited: %+v", info)
	}
}

// The stages of a query's life add up to all of it.
func TestDurationsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &Querier{opts: Options{Now: time.Now}, slots: make(chan struct{}, 1)}
		q.closing, q.cancel = context.WithCancel(t.Context())
		j := q.begin(t.Context(), QueryInfo{}, nil, Origin{})
		time.Sleep(time.Second)
		q.slots <- struct{}{}
		q.opts.MaxQueued = 1
		go func() {
			time.Sleep(2 * time.Second)
			<-q.slots
		}()
		if err := j.admit(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		j.planned(nil)
		time.Sleep(8 * time.Second)
		live := j.info()
		j.end(nil)
		for _, got := range []QueryInfo{live, j.info()} {
			if got.Plan != 5*time.Second || got.Wait != 2*time.Second || got.Execute != 8*time.Second || got.EndToEnd != 15*time.Second {
				t.Errorf("got %+v", got)
			}
		}
		if len(q.slots) != 0 {
			t.Error("the slot is kept")
		}
		q.cancel()
	})
}
