package ingestapi

import (
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The limiter must agree with counting the requests of each minute and endpoint.
func TestWindowsAdmitUpToTheirLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		var l rateLimiter
		type key struct {
			minute int64
			e      endpoint
		}
		admitted := make(map[key]int)
		now := newClock().Now()
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(25*time.Second)).Draw(t, "pause")))
			e := endpoint(rapid.IntRange(0, int(endpointCount)-1).Draw(t, "endpoint"))
			k := key{now.Unix() / 60, e}
			left, ok := l.take(e, limit, now)
			if want := admitted[k] < limit; ok != want {
				t.Fatalf("admitted %v after %d of %d", ok, admitted[k], limit)
			}
			if ok {
				admitted[k]++
			}
			if left.remaining != limit-admitted[k] || left.limit != limit || left.reset.Unix() != (k.minute+1)*60 {
				t.Fatalf("%+v after %d of %d at %v", left, admitted[k], limit, now)
			}
		}
	})
}

func TestClockThatIsSetBackBeginsAnotherWindow(t *testing.T) {
	var l rateLimiter
	now := newClock().Now()
	l.take(endpointEvents, 1, now)
	if _, ok := l.take(endpointEvents, 1, now); ok {
		t.Error("two requests were admitted by a limit of one")
	}
	if left, ok := l.take(endpointEvents, 1, now.Add(-time.Hour)); !ok || !left.reset.Equal(now.Add(-time.Hour+time.Minute)) {
		t.Errorf("after the clock was set back: %+v %v", left, ok)
	}
}

func TestAllowanceIsShownInHeaders(t *testing.T) {
	h := http.Header{}
	untouched(600, time.Unix(1_700_000_010, 5)).show(h)
	if got := h.Get("X-RateLimit-Limit") + " " + h.Get("X-RateLimit-Remaining") + " " + h.Get("X-RateLimit-Reset"); got != "600 600 1700000040" {
		t.Errorf("the headers are %s", got)
	}
}

func TestUsageLooksBackADay(t *testing.T) {
	var u usage
	now := newClock().Now()
	u.add(now.Add(-24*time.Hour), itemCount{Successful: 100}, itemCount{})
	u.add(now.Add(-23*time.Hour), itemCount{Successful: 10, Failed: 1}, itemCount{})
	u.add(now, itemCount{Successful: 1}, itemCount{Successful: 5, Failed: 2})
	contacts, events := u.recent(now)
	if contacts != (itemCount{11, 1}) || events != (itemCount{5, 2}) {
		t.Errorf("counted %+v and %+v", contacts, events)
	}
	if contacts, _ = u.recent(now.Add(time.Hour)); contacts != (itemCount{1, 0}) {
		t.Errorf("an hour later: %+v", contacts)
	}
	if contacts, events = u.recent(now.Add(100 * time.Hour)); contacts != (itemCount{}) || events != (itemCount{}) {
		t.Errorf("days later: %+v and %+v", contacts, events)
	}
}
