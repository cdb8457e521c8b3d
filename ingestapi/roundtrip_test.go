package ingestapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// model is what the tables should hold.
type model struct {
	contacts map[string]map[string]any // attributes by contact
	events   map[string]map[string]any // parameters and _user_id, _event_type, by _event_id
	sent     map[string]map[string]any // parameters by _event_id, whether accepted or not
	types    map[string]string         // of attributes and parameters, by table and name
}

func newModel() *model {
	return &model{
		contacts: make(map[string]map[string]any),
		events:   make(map[string]map[string]any),
		sent:     make(map[string]map[string]any),
		types:    make(map[string]string),
	}
}

// names that are worth trying: what line protocol, SQL or JSON could stumble over.
var trickyNames = []string{"plan", "a b", "a,b", "a=b", `a"b`, `a\b`, `="x`, "größe", "😀", "#", "p_x", "select", "x'y", "order", "$u0", "1x"}

// drawTyped draws an attribute's value: mostly of the type that its name asks for.
func drawTyped(t *rapid.T, name string) any {
	kind := len(name) % 4
	if rapid.IntRange(0, 9).Draw(t, "odd type") == 0 {
		kind = rapid.IntRange(0, 3).Draw(t, "type")
	}
	switch kind {
	case 0:
		return rapid.OneOf(rapid.Float64Range(-1e308, 1e308), rapid.SampledFrom([]float64{0, 1, -1, 0.1, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, 1 << 53})).Draw(t, "number")
	case 1:
		return rapid.Bool().Draw(t, "boolean")
	case 2:
		return rapid.SliceOfN(rapid.OneOf(rapid.Just[any]("a\"b\\"), rapid.Just[any](1.5), rapid.Just[any](true)), 0, 3).Draw(t, "values")
	}
	return rapid.OneOf(rapid.StringOf(rapid.SampledFrom([]rune("\\\"\n\r\t ,='é😀a"))), rapid.String()).
		Filter(func(s string) bool { return !strings.ContainsRune(s, 0) }).Draw(t, "text")
}

// stored is what SQL should show for a value.
func stored(v any) (shown any, kind string) {
	switch v := v.(type) {
	case []any:
		return compact(v), "string"
	case string:
		return v, "string"
	case bool:
		return v, "bool"
	}
	return v, "number"
}

func compact(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

// set makes an item's values part of a row of the model, unless one has another type than
// its column.
func (m *model) set(table string, row map[string]any, values map[string]any) bool {
	fresh := make(map[string]string)
	for name, v := range values {
		if v == nil {
			continue
		}
		_, kind := stored(v)
		if was, ok := m.types[table+name]; ok && was != kind {
			return false
		}
		fresh[table+name] = kind
	}
	maps.Copy(m.types, fresh)
	for name, v := range values {
		if delete(row, name); v != nil {
			row[name], _ = stored(v)
		}
	}
	return true
}

// Whatever is accepted reads back through SQL as the same values, over updates, deletions,
// retries, flushes and restarts; and what the model would refuse is refused.
func TestAcceptedItemsReadBackThroughSQL(t *testing.T) {
	const rounds = 12
	s := newSite(t)
	datasources := 0
	rapid.Check(t, func(rt *rapid.T) {
		datasources++
		s.use(fmt.Sprint("model_", datasources))
		m := newModel()
		for range rapid.IntRange(1, rounds).Draw(rt, "rounds") {
			s.clock.add(time.Duration(rapid.Int64Range(-int64(time.Hour), int64(time.Hour)).Draw(rt, "pause")))
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				s.flush()
			case 1:
				s.restart()
			case 2:
				id := drawUser(rt)
				if a := s.remove(id); a.StatusCode != http.StatusNoContent {
					rt.Fatalf("deleting %q: %d %s", id, a.StatusCode, a.text)
				}
				delete(m.contacts, id)
			case 3, 4, 5:
				m.sendEvents(rt, s)
			default:
				m.sendContacts(rt, s)
			}
		}
		check(rt, "contacts", m.contacts, s.rows("contacts", userID, ""))
		check(rt, "events", m.events, s.rows("events", eventID, parameterPrefix))
	})
}

func drawUser(t *rapid.T) string {
	return rapid.SampledFrom([]string{"U1", "U 2", `U"3`, `U\4`, "U,=5", "ü", "U/6'"}).Draw(t, "user")
}

func drawValues(t *rapid.T) map[string]any {
	values := make(map[string]any)
	for range rapid.IntRange(0, 5).Draw(t, "values") {
		name := rapid.SampledFrom(trickyNames).Draw(t, "name")
		if values[name] = drawTyped(t, name); rapid.IntRange(0, 4).Draw(t, "null") == 0 {
			values[name] = nil
		}
	}
	return values
}

func (m *model) sendContacts(t *rapid.T, s *site) {
	var items []any
	var want []string
	for range rapid.IntRange(1, 5).Draw(t, "items") {
		user, values := drawUser(t), drawValues(t)
		next := maps.Clone(m.contacts[user])
		if next == nil {
			next = make(map[string]any)
		}
		if m.set("contacts.", next, values) {
			m.contacts[user] = next
			want = append(want, "success")
		} else {
			want = append(want, "error")
		}
		values[userID] = user
		items = append(items, values)
	}
	compareStatuses(t, s.contacts(compact(items)), want)
}

func (m *model) sendEvents(t *rapid.T, s *site) {
	var items []any
	var want []string
	for range rapid.IntRange(1, 5).Draw(t, "items") {
		id := fmt.Sprintf(`e "%d"`, rapid.IntRange(1, 12).Draw(t, "event"))
		user, values := drawUser(t), m.sent[id]
		if values == nil { // else it is a retry
			values = drawValues(t)
			m.sent[id] = values
		}
		row := map[string]any{userID: user, eventType: "a type"}
		if m.set("events.", row, values) {
			if m.events[id] == nil {
				m.events[id] = row
			}
			want = append(want, "success")
		} else {
			want = append(want, "error")
		}
		items = append(items, map[string]any{userID: user, eventID: id, eventType: "a type", eventParameters: values})
	}
	compareStatuses(t, s.events(compact(items)), want)
}

func compareStatuses(t *rapid.T, a answer, want []string) {
	var got struct {
		Entity struct{ Items []struct{ Status string } }
	}
	if err := json.Unmarshal([]byte(a.text), &got); err != nil {
		t.Fatalf("%d %s: %v", a.StatusCode, a.text, err)
	}
	var statuses []string
	for _, item := range got.Entity.Items {
		statuses = append(statuses, item.Status)
	}
	if !slices.Equal(statuses, want) {
		t.Fatalf("the outcomes are %d %s\nwant %v", a.StatusCode, a.text, want)
	}
}

// rows reads a table through SQL, by a column; names lose the prefix.
func (s *site) rows(table, key, prefix string) map[string]map[string]any {
	db, _ := s.engine.Schema().Database(s.database())
	rows := make(map[string]map[string]any)
	if _, ok := db.Table(table); !ok {
		return rows
	}
	for line := range strings.Lines(s.sql("SELECT * FROM " + table)) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			s.t.Fatal(err)
		}
		id := row[key].(string)
		if rows[id] != nil {
			s.t.Fatalf("two rows of %s have the key %q", table, id)
		}
		rows[id] = make(map[string]any)
		for name, v := range row {
			if name != key && name != "time" && name != dateUpdated && name != received && !(prefix == "" && name == userID) {
				rows[id][strings.TrimPrefix(name, prefix)] = v
			}
		}
	}
	return rows
}

func check(t *rapid.T, table string, want, got map[string]map[string]any) {
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got)\n%s", table, diff)
	}
}

// A contact that is read for the next update is what the last one left, whatever is in it:
// an update of one attribute must not touch the others.
func TestUpdateLeavesOtherAttributesAlone(t *testing.T) {
	s := newSite(t)
	want := map[string]any{}
	for i, name := range trickyNames {
		want[name] = fmt.Sprintf("\"%d\\\n", i)
	}
	sent := maps.Clone(want)
	sent[userID] = "U1"
	s.contacts(compact([]any{sent})).accepts(t)
	for range 3 {
		s.contacts(`[{"_user_id":"U1","visits":1}]`).accepts(t)
	}
	want["visits"] = 1.0
	if diff := cmp.Diff(map[string]map[string]any{"U1": want}, s.rows("contacts", userID, "")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Columns that line protocol added are kept by an update, with their types.
func TestColumnsOfOtherWritersAreKept(t *testing.T) {
	s := newSite(t)
	s.contacts(`[{"_user_id":"U1","plan":"pro"}]`).accepts(t)
	s.clock.add(time.Second)
	line := fmt.Sprintf(`contacts,_user_id=U1 plan="pro",i=-7i,u=18446744073709551615u %d`, s.clock.Now().UnixNano())
	s.lineProtocol(line)
	s.clock.add(-time.Minute)
	s.contacts(`[{"_user_id":"U1","plan":"free"}]`).accepts(t)
	if got, want := s.sql("SELECT plan, i, u FROM contacts"), `{"plan":"free","i":-7,"u":18446744073709551615}`; got != want {
		t.Errorf("SQL shows %s, want %s", got, want)
	}
	s.contact("U1").is(t, 200, `{"entity":{"_date_updated":"2026-11-21T10:00:01.000Z","_user_id":"U1","i":-7,"plan":"free","u":18446744073709551615}}`)
	a := s.contacts(`[{"_user_id":"U1","i":1}]`)
	if a.StatusCode != 422 || !strings.Contains(a.text, `"i":["Should be an integer, which line protocol writes, as it has been since`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}
