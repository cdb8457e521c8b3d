package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQuotaCountsAsTheModelDoes compares with a model that keeps all requests and looks
// at those of the present window.
func TestQuotaCountsAsTheModelDoes(t *testing.T) {
	type request struct {
		token  string
		window int64
		bytes  int
	}
	rapid.Check(t, func(t *rapid.T) {
		window := time.Duration(rapid.Int64Range(1, 7200).Draw(t, "window")) * time.Second
		now := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "start"), 0)
		q := &writeQuota{
			requests: rapid.Int64Range(0, 5).Draw(t, "requests"), bytes: rapid.Int64Range(0, 100).Draw(t, "bytes"),
			window: window, now: func() time.Time { return now },
		}
		var served []request
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(window)/2).Draw(t, "pass")))
			r := request{
				token:  rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "token"),
				window: now.UnixNano() / int64(window),
				bytes:  rapid.IntRange(0, 60).Draw(t, "size"),
			}
			var requests, bytes int64
			for _, old := range served {
				if old.token == r.token && old.window == r.window {
					requests++
					bytes += int64(old.bytes)
				}
			}
			over := q.requests > 0 && requests >= q.requests || q.bytes > 0 && bytes >= q.bytes
			err := q.begin(r.token)
			if (err != nil) != over {
				t.Fatalf("%d requests and %d bytes are used: %v", requests, bytes, err)
			}
			if err != nil {
				checkRetry(t, err, now, window)
				continue
			}
			q.add(r.token, r.bytes)
			served = append(served, r)
		}
		if len(q.mu.used) > 3 {
			t.Fatalf("%d entries for three tokens", len(q.mu.used))
		}
	})
}

// checkRetry checks that the time to wait ends in the next window, and not a whole
// second later than it begins.
func checkRetry(t *rapid.T, err error, now time.Time, window time.Duration) {
	t.Helper()
	var quota *quotaError
	if !errors.As(err, &quota) {
		t.Fatal(err)
	}
	wait := time.Duration(quota.retryAfter()) * time.Second
	next := (now.UnixNano()/int64(window) + 1) * int64(window)
	if late := now.Add(wait).UnixNano() - next; wait < time.Second || late < 0 || late >= int64(time.Second) {
		t.Fatalf("%s at %s with windows of %s: %s late", wait, now, window, time.Duration(late))
	}
}

// TestQuotaEndsWithItsWindow: over HTTP, by requests and by bytes after decompression.
func TestQuotaEndsWithItsWindow(t *testing.T) {
	now := stageNow.Add(59*time.Second + time.Millisecond)
	lines := "home temp=1 1\nhome temp=2 2\n"
	for name, opts := range map[string]Options{
		"2 write requests":          {WriteQuotaRequests: 2},
		"50 bytes of line protocol": {WriteQuotaBytes: 50},
	} {
		t.Run(name, func(t *testing.T) {
			clock := now
			opts.WriteQuotaWindow, opts.Now = time.Minute, func() time.Time { return clock }
			s := newSite(t, opts, true)
			write := func() answer {
				return s.post("/api/v2/write?bucket=home", gzipped(t, lines), "Content-Encoding", "gzip")
			}
			write().is(t, http.StatusNoContent, "")
			write().is(t, http.StatusNoContent, "")
			text := fmt.Sprintf("this server is over its quota of %s in 1m0s; retry in 1 s", name)
			a := write()
			a.is(t, http.StatusTooManyRequests, fmt.Sprintf(`{"code":"too many requests","message":%q,"error":%q}`, text, text))
			if got := a.Header.Get("Retry-After"); got != "1" {
				t.Errorf("Retry-After %q", got)
			}
			clock = clock.Add(time.Second)
			write().is(t, http.StatusNoContent, "")
		})
	}
}

// TestQuotaIsRefusedBeforeTheBodyIsRead: the client did not even begin to send it.
func TestQuotaIsRefusedBeforeTheBodyIsRead(t *testing.T) {
	s, _ := newStage(t, ContractCore, "quota")
	if got := s.expectContinue("/write?db=home"); got != "HTTP/1.1 429 Too Many Requests" {
		t.Errorf("answered %q", got)
	}
}

func TestQuotaMustMakeSense(t *testing.T) {
	for _, opts := range []Options{{WriteQuotaRequests: -1}, {WriteQuotaBytes: -1}, {WriteQuotaWindow: time.Millisecond}} {
		if _, err := New(opts); err == nil {
			t.Errorf("%+v is accepted", opts)
		}
	}
}

// TestEveryTokenHasAQuotaOfItsOwn and nobody else's is used up by it.
func TestEveryTokenHasAQuotaOfItsOwn(t *testing.T) {
	q := &writeQuota{requests: 1, window: time.Minute, now: func() time.Time { return stageNow }}
	for _, token := range []string{"a", "b"} {
		if err := q.begin(token); err != nil {
			t.Errorf("%s: %v", token, err)
		}
		if err := q.begin(token); err == nil || err.Error() != fmt.Sprintf("token %q is over its quota of 1 write requests in 1m0s; retry in 60 s", token) {
			t.Errorf("%s: %v", token, err)
		}
	}
}

// TestQuotaEndsWhereverTheClockIs: one that jumps shuts nobody out for longer than a window.
func TestQuotaEndsWhereverTheClockIs(t *testing.T) {
	clock := stageNow
	q := &writeQuota{requests: 1, window: time.Minute, now: func() time.Time { return clock }}
	for _, now := range []time.Time{
		stageNow, stageNow.AddDate(1, 0, 0), stageNow.AddDate(-1, 0, 0), time.Unix(0, 0), time.Unix(-1, 0),
		time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2262, 4, 11, 23, 47, 16, 0, time.UTC), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC),
		stageNow,
	} {
		clock = now
		if err := q.begin("a"); err != nil {
			t.Errorf("%s: the first request is refused: %v", now, err)
		}
		var over *quotaError
		if err := q.begin("a"); !errors.As(err, &over) || over.retryAfter() < 1 || over.retryAfter() > 60 {
			t.Errorf("%s: the second request is answered %v", now, err)
		}
	}
}
