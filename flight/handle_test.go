package flight

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestValuesSurviveTheHandle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.OneOf(
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Uint64().AsAny(), rapid.String().AsAny(),
			rapid.Float64Range(-1e300, 1e300).AsAny(), rapid.Map(rapid.Int64(), func(ns int64) any { return time.Unix(0, ns) }),
		).Draw(t, "value")
		v, err := newValue("x", want)
		if err != nil {
			t.Fatal(err)
		}
		h := &handle{Database: "db", SQL: "SELECT $x", Params: []string{"x"}, Bound: []value{v}}
		raw, err := h.encode()
		if err != nil {
			t.Fatal(err)
		}
		if h, err = decodeHandle(raw); err != nil {
			t.Fatal(err)
		}
		q, err := h.ticket()
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Params["x"]; !reflect.DeepEqual(got, want) {
			t.Fatalf("%#v became %#v", want, got)
		}
	})
}

// What comes from outside makes an error or a query, and no panic.
func FuzzTicket(f *testing.F) {
	f.Add([]byte(`{"database":"db","sql_query":"SELECT 1","query_type":"sql","params":{"a":1,"b":null}}`))
	f.Add([]byte(`{"database":"db","sql":"SELECT $a","bound":[{"name":"a","kind":"int","text":"1"}]}`))
	f.Add([]byte("\n\x05aaaaa\x12\x03bbb"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if isJSON(raw) {
			if q, err := parseTicket(raw); err == nil && q.Language != languageSQL && q.Language != languageInfluxQL {
				t.Errorf("the language is %q", q.Language)
			}
		}
		if h, err := decodeHandle(raw); err == nil {
			_, _ = h.ticket()
		}
		_, _, _ = statementOf(raw)
	})
}
