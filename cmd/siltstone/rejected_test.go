package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/httpapi"
)

func TestRejectedPointsAreQueried(t *testing.T) {
	for args, want := range map[string][]string{
		"list":                      {`"db":"_internal"`, "SELECT time, id, database, line, line_column, points, raw,", "WHERE status = 'rejected'", "LIMIT 100", `"format":"csv"`},
		"list -d home --status all": {`"db":"home"`, "rejected_points AS p ORDER BY"},
		"list --status retried --limit 7 --format pretty": {"WHERE status = 'retried'", "LIMIT 7", "[[:cntrl:]]", `"format":"pretty"`},
	} {
		r, seen := runAgainst(t, answer{200, "x\n"}, environment{}, append([]string{"rejected"}, strings.Fields(args)...)...)
		if r.code != 0 || r.out != "x\n" || len(seen) != 1 {
			t.Fatalf("%s: %+v, sent %q", args, r, seen)
		}
		for _, part := range want {
			if !strings.Contains(seen[0], part) {
				t.Errorf("%s: %q is not in %s", args, part, seen[0])
			}
		}
	}
}

func TestRejectedPointIsShownWithReasonAndFix(t *testing.T) {
	const row = `[{"time":"2026-11-20T08:00:00.5","id":"r-2","database":"home","line":2,"raw":"room,name=h\u001b[2J temp=1i","quoted":true,"truncated":false,` +
		`"reason":"invalid \u0007column","hint":"write 1.0","token":"","precision":"second","status":"rejected"}]`
	const want = `id         r-2
database   home
when       2026-11-20T08:00:00.5
line       2 of its request, precision second
status     rejected
reason     invalid ` + "\uFFFD" + `column
hint       write 1.0

room,name=h` + "\uFFFD" + `[2J temp=1i
(The line is not text; this is how Go quotes it.)
`
	r, seen := runAgainst(t, answer{200, row}, environment{}, "rejected", "show", "-d", "home", "r-2")
	if r.code != 0 || r.out != want {
		t.Errorf("%+v", r)
	}
	if len(seen) != 1 || !strings.Contains(seen[0], `WHERE id = $id","params":{"id":"r-2"}`) {
		t.Errorf("sent %q", seen)
	}
}

func TestRejectedPointIsShownWithThePlace(t *testing.T) {
	const row = `[{"time":"2026-11-20T08:00:00","id":"r-2","database":"home","line":2,"line_column":10,"raw":"é,t=x v= 1","precision":"auto","status":"rejected"}]`
	r, _ := runAgainst(t, answer{200, row}, environment{}, "rejected", "show", "-d", "home", "r-2")
	if want := "\n\né,t=x v= 1\n        ^ here\n"; !strings.HasSuffix(r.out, want) {
		t.Errorf("%q does not end in %q", r.out, want)
	}
}

func TestUnknownRejectedPointIsAnError(t *testing.T) {
	r, _ := runAgainst(t, answer{200, "[]"}, environment{}, "rejected", "show", "-d", "home", "x")
	if r.code != 1 || !strings.Contains(r.errors, `database "home" has no rejected point "x"`) {
		t.Errorf("%+v", r)
	}
}

func TestRetryReportsEachPoint(t *testing.T) {
	const body = `{"retried":2,"failed":1,"items":[{"id":"a","status":"retried"},{"id":"b","status":"rejected","message":"bad \u001b"}]}`
	r, seen := runAgainst(t, answer{200, body}, environment{}, "rejected", "retry", "-d", "home", "a", "b")
	if want := "a  retried\nb  rejected  bad \uFFFD\nand 1 more\n"; r.code != 1 || r.out != want || r.errors != "2 stored now, 1 not.\n" {
		t.Errorf("%+v", r)
	}
	if want := `POST /api/v3/rejected/retry {"db":"home","ids":["a","b"]}`; len(seen) != 1 || seen[0] != want {
		t.Errorf("sent %q", seen)
	}
	r, seen = runAgainst(t, answer{200, `{"retried":0,"failed":0,"items":[]}`}, environment{}, "rejected", "retry", "-d", "home", "--all")
	if want := `POST /api/v3/rejected/retry {"db":"home"}`; r.code != 0 || len(seen) != 1 || seen[0] != want {
		t.Errorf("%+v, sent %q", r, seen)
	}
}

// TestManyIDsAreSeveralRequests: the server takes a thousand at once.
func TestManyIDsAreSeveralRequests(t *testing.T) {
	args := []string{"rejected", "retry", "-d", "home"}
	for i := range 2*httpapi.MaxRetryIDs + 1 {
		args = append(args, fmt.Sprint("id", i))
	}
	r, seen := runAgainst(t, answer{200, `{"retried":1,"failed":0,"items":[]}`}, environment{}, args...)
	if r.code != 0 || len(seen) != 3 || strings.Count(strings.Join(seen, ""), "id") != 2*httpapi.MaxRetryIDs+1+3 || !strings.HasSuffix(seen[2], `["id2000"]}`) {
		t.Errorf("%s, %d requests", r.errors, len(seen))
	}
}
