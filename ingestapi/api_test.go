package ingestapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/engine"
)

func TestContactIsMergedWithWhatItWas(t *testing.T) {
	s := newSite(t)
	s.contacts(`[{"_user_id":"U1","_email":"ada@example.org","plan":"pro","visits":3,"vip":true,"tags":["a","b"]}]`).
		is(t, 202, `{"entity":{"successful":1,"failed":0,"items":[{"status":"success","_user_id":"U1"}]}}`)
	s.clock.add(time.Second)
	s.contacts(`[{"_user_id":"U1","plan":null,"visits":4,"city":"Zürich"}]`).accepts(t)
	const merged = `{"entity":{"_date_updated":"2026-11-21T10:00:01.000Z","_email":"ada@example.org","_user_id":"U1","city":"Zürich","tags":["a","b"],"vip":true,"visits":4}}`
	s.contact("U1").is(t, 200, merged)
	s.flush()
	s.contact("U1").is(t, 200, merged)
	s.restart()
	s.contact("U1").is(t, 200, merged)
	if got, want := s.sql(`SELECT _user_id, city, plan, tags, vip, visits FROM contacts`),
		`{"_user_id":"U1","city":"Zürich","tags":"[\"a\",\"b\"]","vip":true,"visits":4.0}`; got != want {
		t.Errorf("SQL shows %s\n     want %s", got, want)
	}
}

func TestDateOfAnUpdateMayBeSent(t *testing.T) {
	s := newSite(t)
	s.contacts(`[{"_user_id":"U1","_date_updated":"2020-01-02T03:04:05+02:00"}]`).accepts(t)
	s.contact("U1").is(t, 200, `{"entity":{"_date_updated":"2020-01-02T03:04:05+02:00","_user_id":"U1"}}`)
	s.contacts(`[{"_user_id":"U1","_date_updated":null,"plan":"pro"}]`).accepts(t)
	s.contact("U1").is(t, 200, `{"entity":{"_date_updated":"2026-11-21T10:00:00.000Z","_user_id":"U1","plan":"pro"}}`)
}

func TestChangesOfOneContactInABatchAreMadeInOrder(t *testing.T) {
	s := newSite(t)
	s.contacts(`[{"_user_id":"U1","n":1,"a":"x"},{"_user_id":"U2","n":2},{"_user_id":"U1","n":"wrong"},{"_user_id":"U1","n":3,"a":null},{"_user_id":"U2","b":true}]`).
		is(t, 202, `{"entity":{"successful":4,"failed":1,"items":[{"status":"success","_user_id":"U1"},{"status":"success","_user_id":"U2"},`+
			`{"status":"error","_user_id":"U1","errors":{"n":["Should be a number, as it was before"]}},`+
			`{"status":"success","_user_id":"U1"},{"status":"success","_user_id":"U2"}]}}`)
	if got, want := s.sql(`SELECT _user_id, a, b, n FROM contacts ORDER BY _user_id`), `{"_user_id":"U1","n":3.0}`+"\n"+`{"_user_id":"U2","b":true,"n":2.0}`; got != want {
		t.Errorf("SQL shows %s\n     want %s", got, want)
	}
}

func TestDeletedContactIsGoneUntilItIsWrittenAgain(t *testing.T) {
	s := newSite(t)
	s.remove("U1").is(t, 204, "")
	s.contacts(`[{"_user_id":"U1","plan":"pro"},{"_user_id":"U2"}]`).accepts(t)
	s.remove("U1").is(t, 204, "")
	s.contact("U1").is(t, 404, `{"message":"Contact not found"}`)
	s.remove("U1").is(t, 204, "")
	if got := s.sql(`SELECT _user_id FROM contacts`); got != `{"_user_id":"U2"}` {
		t.Errorf("SQL shows %s", got)
	}
	s.flush()
	s.contact("U1").is(t, 404, `{"message":"Contact not found"}`)

	// The version that comes next must be the later one, whatever the clock says after a
	// restart.
	s.clock.add(-48 * time.Hour)
	s.restart()
	s.contacts(`[{"_user_id":"U1","city":"Bern"}]`).accepts(t)
	s.contact("U1").is(t, 200, `{"entity":{"_date_updated":"2026-11-21T10:00:00.000Z","_user_id":"U1","city":"Bern"}}`)
}

// Likewise for a deletion that is still in a buffer, by an API that has not seen it.
func TestBufferedDeletionIsEarlierThanWhatComesNext(t *testing.T) {
	s := newSite(t)
	s.contacts(`[{"_user_id":"U1","plan":"pro"}]`).accepts(t)
	s.remove("U1").is(t, 204, "")
	s.clock.add(-48 * time.Hour)
	s.serveAnew()
	s.contacts(`[{"_user_id":"U1","city":"Bern"}]`).accepts(t)
	s.contact("U1").is(t, 200, `{"entity":{"_date_updated":"2026-11-21T10:00:00.000Z","_user_id":"U1","city":"Bern"}}`)
}

// An update that is not lost to a slower one must be there, whichever was first.
func TestConcurrentUpdatesOfOneContactLoseNothing(t *testing.T) {
	s := newSite(t)
	const writers, updates = 4, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range updates {
				body := fmt.Sprintf(`[{"_user_id":"U1","w%d_%d":%d},{"_user_id":"U1","last_%d":%d}]`, w, i, i, w, i)
				if a := s.contacts(body); a.StatusCode != http.StatusAccepted || !strings.Contains(a.text, `"failed":0`) {
					t.Errorf("%d %s", a.StatusCode, a.text)
				}
			}
		})
	}
	wg.Wait()
	var got struct{ Entity map[string]any }
	if err := json.Unmarshal([]byte(s.contact("U1").text), &got); err != nil {
		t.Fatal(err)
	}
	for w := range writers {
		for i := range updates {
			if name := fmt.Sprintf("w%d_%d", w, i); got.Entity[name] != float64(i) {
				t.Errorf("%s is %v", name, got.Entity[name])
			}
		}
		if last := got.Entity[fmt.Sprintf("last_%d", w)]; last != float64(updates-1) {
			t.Errorf("the last update of writer %d is %v", w, last)
		}
	}
}

func TestEventIsStoredOnce(t *testing.T) {
	s := newSite(t)
	const first = `[{"_user_id":"U1","_event_id":"e1","_event_type":"purchase","_event_date":"2026-11-20T09:00:00Z","_event_parameters":{"amount":19.9,"currency":"EUR","gift":false,"items":[{"sku":"a"}],"note":null}}]`
	const success = `{"entity":{"successful":1,"failed":0,"items":[{"status":"success","_user_id":"U1","_event_id":"e1"}]}}`
	s.events(first).is(t, 202, success)
	check := func(when string) {
		t.Helper()
		const want = `{"time":"2026-11-20T09:00:00","_event_id":"e1","_event_type":"purchase","_user_id":"U1","p_amount":19.9,"p_currency":"EUR","p_gift":false,"p_items":"[{\"sku\":\"a\"}]"}`
		if got := s.sql(`SELECT time, _event_id, _event_type, _user_id, p_amount, p_currency, p_gift, p_items FROM events`); got != want {
			t.Errorf("%s: SQL shows %s\n     want %s", when, got, want)
		}
	}
	check("at first")
	s.events(`[{"_user_id":"U9","_event_id":"e1","_event_type":"other"},{"_user_id":"U1","_event_id":"e1","_event_type":"purchase"}]`).accepts(t)
	check("after a retry without a date")
	s.flush()
	s.events(first).is(t, 202, success)
	check("after a flush")
	s.restart()
	s.events(first).is(t, 202, success)
	check("after a restart")
	s.flush()
	check("after another flush")
}

func TestEventRepeatedInABatchIsStoredOnce(t *testing.T) {
	s := newSite(t)
	s.events(`[{"_user_id":"U1","_event_id":"e1","_event_type":"a","_event_date":"2026-99-99"},`+
		`{"_user_id":"U2","_event_id":"e1","_event_type":"b"},{"_user_id":"U3","_event_id":"e1","_event_type":"c"}]`).
		is(t, 202, `{"entity":{"successful":2,"failed":1,"items":[`+
			`{"status":"error","_user_id":"U1","_event_id":"e1","errors":{"_event_date":["Invalid format: a date in ISO 8601 is needed, as 2026-11-21T10:00:00Z"]}},`+
			`{"status":"success","_user_id":"U2","_event_id":"e1"},{"status":"success","_user_id":"U3","_event_id":"e1"}]}}`)
	if got := s.sql(`SELECT time, _user_id, _event_type FROM events`); got != `{"time":"2026-11-21T10:00:00","_user_id":"U2","_event_type":"b"}` {
		t.Errorf("SQL shows %s", got)
	}
}

func TestEachItemHasItsOwnErrors(t *testing.T) {
	s := newSite(t)
	s.contacts(`[{"_user_id":"U1"},{"_email":"x"},{"_user_id":"U3","_email":"ada","_phone_mobile":"600","time":1,"_x":2,"a":{"b":1}},`+
		`{"_user_id":7},{"_user_id":""},{"_user_id":"a\nb"},{"_user_id":"U7","a":1,"a":2},{"_user_id":null},{"_user_id":"U9","Plan":"a","plan":"b"}]`).
		is(t, 202, `{"entity":{"successful":1,"failed":8,"items":[{"status":"success","_user_id":"U1"},`+
			`{"status":"error","errors":{"_email":["Invalid format"],"_user_id":["Is required"]}},`+
			`{"status":"error","_user_id":"U3","errors":{"_email":["Invalid format"],"_phone_mobile":["Invalid format: a number in E.164 is needed, as +34600000000"],`+
			`"_x":["Unknown attribute: names of custom attributes do not begin with an underscore"],`+
			`"a":["Should be a string, a number, a boolean, or an array of these"],`+
			`"time":["The name is reserved: it is the column with the time of the change"]}},`+
			`{"status":"error","errors":{"_user_id":["Should be a string"]}},`+
			`{"status":"error","_user_id":"","errors":{"_user_id":["Should not be empty"]}},`+
			`{"status":"error","_user_id":"a\nb","errors":{"_user_id":["The value has a control character"]}},`+
			`{"status":"error","_user_id":"U7","errors":{"a":["Is there more than once"]}},`+
			`{"status":"error","errors":{"_user_id":["Should be a string"]}},`+
			`{"status":"error","_user_id":"U9","errors":{"plan":["Differs from \"Plan\" in nothing but case, which SQL does not tell apart"]}}]}}`)
	s.events(`[{"_user_id":"U1"},{"_user_id":"U1","_event_id":"e","_event_type":"t","amount":1},`+
		`{"_user_id":"U1","_event_id":"e","_event_type":"t","_event_parameters":[1]},`+
		`{"_user_id":"U1","_event_id":"e","_event_type":"t","_event_parameters":{"a":1,"A":2,"b":1e999,"":0,"c":1,"c":2}}]`).
		is(t, 422, `{"entity":{"successful":0,"failed":4,"items":[`+
			`{"status":"error","_user_id":"U1","errors":{"_event_id":["Is required"],"_event_type":["Is required"]}},`+
			`{"status":"error","_user_id":"U1","_event_id":"e","errors":{"amount":["Unknown key: what is said about an event belongs in _event_parameters"]}},`+
			`{"status":"error","_user_id":"U1","_event_id":"e","errors":{"_event_parameters":["Should be an object"]}},`+
			`{"status":"error","_user_id":"U1","_event_id":"e","errors":{"":["The name is empty"],"b":["Is out of range for a 64-bit floating-point number"],"c":["Is there more than once"]}}]}}`)
}

func TestTypeOfAnAttributeStays(t *testing.T) {
	s := newSite(t)
	s.contacts(`[{"_user_id":"U1","plan":"pro"}]`).accepts(t)
	s.clock.add(time.Hour)
	s.contacts(`[{"_user_id":"U2","plan":7},{"_user_id":"U3","PLAN":"x"},{"_user_id":"U4","plan":["a"]}]`).
		is(t, 202, `{"entity":{"successful":1,"failed":2,"items":[`+
			`{"status":"error","_user_id":"U2","errors":{"plan":["Should be a string, as it has been since 2026-11-21T10:00:00.000Z"]}},`+
			`{"status":"error","_user_id":"U3","errors":{"PLAN":["Differs from \"plan\" in nothing but case, which SQL does not tell apart"]}},`+
			`{"status":"success","_user_id":"U4"}]}}`)
	s.events(`[{"_user_id":"U1","_event_id":"e1","_event_type":"t","_event_parameters":{"n":1}},{"_user_id":"U1","_event_id":"e2","_event_type":"t","_event_parameters":{"n":true}}]`).
		is(t, 202, `{"entity":{"successful":1,"failed":1,"items":[{"status":"success","_user_id":"U1","_event_id":"e1"},`+
			`{"status":"error","_user_id":"U1","_event_id":"e2","errors":{"n":["Should be a number, as it was before"]}}]}}`)
}

// What only the engine can find is said of the item and member that it is wrong with: here
// a column that another request defines between the check and the write.
func TestRefusalOfTheEngineIsOfItsItem(t *testing.T) {
	s := newSite(t)
	q := &request{Call: &Call{Engine: s.engine, Identity: everyone}, r: newTestRequest(t), now: s.clock.Now(), stream: &stream{}}
	q.stream.Database = "proj_1/ds_1"
	if _, err := q.table(eventsSpec); err != nil {
		t.Fatal(err)
	}
	var l lines
	outcomes := make([]outcome, 3)
	for i, v := range []value{textValue("a\nb"), numberValue(1), textValue("c")} {
		e := event{item: i, user: "U1", id: fmt.Sprint("e", i), kind: "t", at: q.now, parameters: []named{{"n", "p_n", v}, {"z", "p_z", numberValue(1)}}}
		e.encode(&l, q.now)
	}
	if err := q.write(&l, outcomes); err != nil {
		t.Fatal(err)
	}
	if outcomes[0].problems != nil || outcomes[2].problems != nil || len(outcomes[1].problems["n"]) != 1 {
		t.Errorf("the outcomes are %+v", outcomes)
	}
}

func TestEventOutsideOfTheRetentionPeriodIsAnErrorOfItsDate(t *testing.T) {
	s := newSite(t)
	if err := s.engine.SetRetention("proj_1/ds_1", 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	a := s.events(`[{"_user_id":"U1","_event_id":"e1","_event_type":"t","_event_date":"2026-11-01"},{"_user_id":"U1","_event_id":"e2","_event_type":"t"}]`)
	if a.StatusCode != 202 || !strings.Contains(a.text, `"_event_id":"e1","errors":{"_event_date":[`) || !strings.Contains(a.text, `"failed":1`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	s := newSite(t)
	for _, flags := range []string{"?_dryRun", "?_dryRun=true&_sync", "?_dryRun=&_sync=true"} {
		s.do("POST", "/contacts"+flags, `[{"_user_id":"U1","plan":"pro"},{"_user_id":"U2","plan":1}]`).
			is(t, 202, `{"entity":{"successful":1,"failed":1,"items":[{"status":"success","_user_id":"U1"},`+
				`{"status":"error","_user_id":"U2","errors":{"plan":["Should be a string, as it was before"]}}]}}`)
		s.do("POST", "/events"+flags, `[{"_user_id":"U1","_event_id":"e1","_event_type":"t"}]`).accepts(t)
	}
	db, ok := s.engine.Schema().Database("proj_1/ds_1")
	if !ok || len(db.Tables()) != 0 {
		t.Errorf("there are tables: %v", db.Tables())
	}
	s.contacts(`[{"_user_id":"U1","plan":"pro"}]`).accepts(t)
	s.do("DELETE", "/contacts/U1?_dryRun", "").is(t, 204, "")
	s.do("POST", "/contacts?_dryRun", `[{"_user_id":"U1","plan":null},{"_user_id":"U2"}]`).accepts(t)
	if got := s.sql(`SELECT _user_id, plan FROM contacts`); got != `{"_user_id":"U1","plan":"pro"}` {
		t.Errorf("SQL shows %s", got)
	}
	s.do("POST", "/contacts?_dryRun=false&_sync=false", `[{"_user_id":"U2"}]`).accepts(t)
	s.contact("U2").is(t, 200, `{"entity":{"_date_updated":"2026-11-21T10:00:00.000Z","_user_id":"U2"}}`)
	s.do("POST", "/contacts?_dryRun=1", `[{"_user_id":"U2"}]`).is(t, 400, `{"message":"Parameter _dryRun should be true or false"}`)
	s.do("POST", "/contacts?_sync=%zz", `[{"_user_id":"U2"}]`).is(t, 400, `{"message":"Malformed query string: invalid URL escape \"%zz\""}`)
}

func TestContactThatGrowsTooLargeIsRefused(t *testing.T) {
	s := newSite(t)
	text := strings.Repeat("x", MaxStringBytes)
	for i := range MaxContactBytes/MaxStringBytes - 1 {
		s.contacts(fmt.Sprintf(`[{"_user_id":"U1","a%d":%q}]`, i, text)).accepts(t)
	}
	a := s.contacts(fmt.Sprintf(`[{"_user_id":"U1","one":%q,"more":1},{"_user_id":"U1","a0":null,"one":%q}]`, text, text))
	if a.StatusCode != 202 || !strings.Contains(a.text, `"successful":1,"failed":1,`) || !strings.Contains(a.text, `{"_item":["The contact would take 26`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	many := map[string]any{"_user_id": "U2"}
	for i := range MaxAttributes {
		many[fmt.Sprint("b", i)] = i
	}
	a = s.contacts(mustJSON([]any{many}))
	if a.StatusCode != 422 || !strings.Contains(a.text, `{"_item":["The contact would have 501 attributes, at most 500 are possible: clear some with null"]}`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	a = s.contacts(fmt.Sprintf(`[{"_user_id":"U3","tags":[%s1]}]`, strings.Repeat("1,", MaxItemBytes/2)))
	if a.StatusCode != 422 || !strings.Contains(a.text, `{"_item":["Should be at most 262144 bytes of JSON"]}`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	s := newSite(t)
	const gone = `{"message":"Project or datasource not found"}`
	s.contacts(`[{"_user_id":"U1"}]`).accepts(t)
	for _, c := range []struct {
		method, path, body                       string
		everyone, writer, reader, stranger, none int
	}{
		{"GET", "", "", 200, 200, 200, 404, 401},
		{"POST", "/contacts", `[{"_user_id":"U1"}]`, 202, 202, 404, 404, 401},
		{"POST", "/events", `[{"_user_id":"U1","_event_id":"e1","_event_type":"t"}]`, 202, 202, 404, 404, 401},
		{"GET", "/contacts/U1", "", 200, 404, 200, 404, 401},
		{"GET", "/specs/attributes", "", 200, 200, 200, 404, 401},
		{"GET", "/specs/events", "", 200, 200, 200, 404, 401},
		{"GET", "/specs/event-parameters/t", "", 200, 200, 200, 404, 401},
		{"DELETE", "/contacts/U2", "", 204, 204, 404, 404, 401},
		{"GET", "/v1/project/proj_1/datasource/ds_2/stream", "", 404, 404, 404, 404, 401},
		{"GET", "/v1/project/nobody/datasource/ds_1/stream", "", 404, 404, 404, 404, 401},
	} {
		for who, status := range map[string]int{"": c.everyone, "writer": c.writer, "reader": c.reader, "stranger": c.stranger, "nobody": c.none} {
			var headers []string
			if who != "" {
				headers = []string{"Authorization", "Bearer " + who}
			}
			a := s.do(c.method, c.path, c.body, headers...)
			if a.StatusCode != status {
				t.Errorf("%s %s by %q: %d %s, want %d", c.method, c.path, who, a.StatusCode, a.text, status)
			}
			switch status {
			case 404:
				a.is(t, 404, gone)
			case 401:
				a.is(t, 401, `{"message":"the request was not authenticated"}`)
			}
		}
	}
}

func TestRequestsBeyondTheLimitAreRefused(t *testing.T) {
	s := newSite(t)
	s.limit = 2
	s.restart()
	check := func(a answer, status int, remaining string) {
		t.Helper()
		if a.StatusCode != status || a.Header.Get(remainingHeader) != remaining || a.Header.Get(limitHeader) != "2" {
			t.Errorf("%d %s, limit %s, remaining %s; want %d and %s", a.StatusCode, a.text, a.Header.Get(limitHeader), a.Header.Get(remainingHeader), status, remaining)
		}
		if got, want := a.Header.Get(resetHeader), fmt.Sprint(s.clock.Now().Truncate(time.Minute).Unix()+60); got != want {
			t.Errorf("the window ends at %s, want %s", got, want)
		}
	}
	s.clock.add(45*time.Second + time.Millisecond)
	check(s.contacts(`no JSON`), 400, "1")
	check(s.contacts(`[{"_user_id":"U1"}]`), 202, "0")
	a := s.contacts(`[{"_user_id":"U1"}]`)
	check(a, 429, "0")
	if a.text != "" || a.Header.Get("Retry-After") != "15" {
		t.Errorf("429 with body %q and Retry-After %s", a.text, a.Header.Get("Retry-After"))
	}
	check(s.events(`[{"_user_id":"U1","_event_id":"e1","_event_type":"t"}]`), 202, "1")
	check(s.contact("U1"), 200, "1")
	check(s.remove("U1"), 204, "1")

	// Strangers use nothing up and learn nothing.
	check(s.do("POST", "/contacts", "", "Authorization", "Bearer stranger"), 404, "2")
	check(s.do("POST", "/contacts", "", "Authorization", "Bearer nobody"), 401, "2")
	check(s.do("GET", "", "", "Authorization", "Bearer stranger"), 404, "2")
	check(s.do("GET", "", ""), 200, "1")

	s.clock.add(15 * time.Second)
	check(s.contacts(`[{"_user_id":"U1"}]`), 202, "1")
}

func TestAnswersThatAreOurFault(t *testing.T) {
	s := newSite(t)
	if _, err := s.engine.Write(t.Context(), engine.WriteRequest{Database: "proj_1/ds_1", Body: []byte("contacts n=1")}); err != nil {
		t.Fatal(err)
	}
	s.contacts(`[{"_user_id":"U1"}]`).
		is(t, 409, `{"message":"Table \"contacts\" of database \"proj_1/ds_1\" was not made by the Ingest API, whose rows have another identity: delete it or move its rows"}`)
	if err := s.engine.Close(); err != nil {
		t.Fatal(err)
	}
	a := s.events(`[{"_user_id":"U1","_event_id":"e1","_event_type":"t"}]`)
	if a.StatusCode < 500 || !strings.HasPrefix(a.text, `{"message":"`) || a.Header.Get(limitHeader) == "" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

func TestIDsInPaths(t *testing.T) {
	s := newSite(t)
	for _, id := range []string{"a/b", "a b", "..", "%41", "ü", "a?b=c", "a,b=c", `"q"`, `a\b`, strings.Repeat("x", MaxIDBytes)} {
		s.contacts(mustJSON([]any{map[string]any{"_user_id": id}})).accepts(t)
		path := strings.ReplaceAll(pathEscape(id), ".", "%2E")
		s.do("GET", "/contacts/"+path, "").is(t, 200, `{"entity":{"_date_updated":"2026-11-21T10:00:00.000Z","_user_id":`+mustText(id)+`}}`)
		s.do("DELETE", "/contacts/"+path, "").is(t, 204, "")
		s.do("GET", "/contacts/"+path, "").is(t, 404, `{"message":"Contact not found"}`)
	}
	for _, path := range []string{"/contacts/%00", "/contacts/%ff", "/contacts/a%0Ab", "/contacts/" + strings.Repeat("x", MaxIDBytes+1)} {
		s.do("GET", path, "").is(t, 404, `{"message":"Contact not found"}`)
		s.do("DELETE", path, "").is(t, 204, "")
	}
}

func TestSpecsTellWhatWasSeen(t *testing.T) {
	s := newSite(t)
	s.do("GET", "/specs/events", "").is(t, 200, `{"specs":[]}`)
	s.do("GET", "/specs/event-parameters/purchase", "").is(t, 200, `{"specs":[]}`)
	s.contacts(`[{"_user_id":"U1","plan":"pro","visits":1}]`).accepts(t)
	s.events(`[{"_user_id":"U1","_event_id":"e1","_event_type":"purchase","_event_parameters":{"amount":1,"note":"x"}},` +
		`{"_user_id":"U1","_event_id":"e2","_event_type":"login","_event_parameters":{"ok":true}}]`).accepts(t)
	a := s.do("GET", "/specs/attributes", "")
	for _, want := range []string{
		`{"uid":"_email","displayLabel":"Email","description":"Email address","dataType":"string","multivalue":false,"readOnly":false,"requiredInWebhook":false,"important":true,"visible":true,"custom":false}`,
		`{"uid":"plan","displayLabel":"plan","description":"","dataType":"string","multivalue":true,"readOnly":false,"requiredInWebhook":false,"important":false,"visible":true,"custom":true}`,
		`{"uid":"visits","displayLabel":"visits","description":"","dataType":"number",`,
	} {
		if !strings.Contains(a.text, want) {
			t.Errorf("%s lacks %s", a.text, want)
		}
	}
	if strings.Contains(a.text, "_deleted") || strings.Count(a.text, "_date_updated") != 1 {
		t.Errorf("columns of our own are shown: %s", a.text)
	}
	s.do("GET", "/specs/events", "").is(t, 200, `{"specs":[`+
		`{"uid":"login","name":"login","description":"","category":"custom","attribution":false,"automation":false,"icon":"","emoji":"","important":false},`+
		`{"uid":"purchase","name":"purchase","description":"","category":"custom","attribution":false,"automation":false,"icon":"","emoji":"","important":false}]}`)
	s.do("GET", "/specs/event-parameters/purchase", "").is(t, 200, `{"specs":[`+
		`{"parameter":"amount","title":"amount","description":"","icon":"","dataType":"number","visualType":"number","maxLength":0,"required":false,"multiValue":false},`+
		`{"parameter":"note","title":"note","description":"","icon":"","dataType":"string","visualType":"string","maxLength":32768,"required":false,"multiValue":true}]}`)
	s.do("GET", "/specs/event-parameters/unknown", "").is(t, 200, `{"specs":[]}`)
	s.do("GET", "/specs/event-parameters/%00", "").is(t, 200, `{"specs":[]}`)
}

func TestStreamIsDescribed(t *testing.T) {
	s := newSite(t)
	s.contacts(`[{"_user_id":"U1"},{"_user_id":"U2"},{}]`)
	s.events(`[{"_user_id":"U1","_event_id":"e1","_event_type":"t"}]`)
	s.do("POST", "/events?_dryRun", `[{"_user_id":"U1","_event_id":"e2","_event_type":"t"}]`)
	s.do("GET", "", "").is(t, 200, `{"entity":{"project":"proj_1","datasource":"ds_1","database":"proj_1/ds_1","created":"2026-11-21T10:00:00.000Z",`+
		`"usage":{"hours":24,"contacts":{"successful":2,"failed":1},"events":{"successful":1,"failed":0}}}}`)
}
