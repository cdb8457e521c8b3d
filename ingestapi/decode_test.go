package ingestapi

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestBodyOfTheWrongShapeIsRefusedAsAWhole(t *testing.T) {
	for _, c := range []struct{ body, message string }{
		{"", "Body should be an array"},
		{" \n", "Body should be an array"},
		{`{"_user_id":"U1"}`, "Body should be an array"},
		{`"text"`, "Body should be an array"},
		{`null`, "Body should be an array"},
		{`[]`, "Body should contain at least one item"},
		{` [ ] `, "Body should contain at least one item"},
		{`[{}`, "Body should be valid JSON: unexpected end of JSON input at byte 3"},
		{`[{"a":`, "Body should be valid JSON: unexpected end of JSON input at byte 6"},
		{`[`, "Body should be valid JSON: unexpected end of JSON input at byte 1"},
		{`[{"a":1,}]`, "Body should be valid JSON: invalid character '}' looking for beginning of object key string at byte 9"},
		{`[{},]`, "Body should be valid JSON: invalid character ']' looking for beginning of value at byte 5"},
		{`[{} {}]`, "Body should be valid JSON: invalid character '{' after array element at byte 5"},
		{`[{}] {}`, "Body should be valid JSON: invalid character '{' after top-level value at byte 6"},
		{`[{}]]`, "Body should be valid JSON: invalid character ']' after top-level value at byte 5"},
		{`hello`, "Body should be valid JSON: invalid character 'h' looking for beginning of value at byte 1"},
		{`[{}, 7]`, "Body should be an array of objects: item 2 is none"},
		{`[[]]`, "Body should be an array of objects: item 1 is none"},
		{`[null]`, "Body should be an array of objects: item 1 is none"},
		{"[" + strings.Repeat("{},", MaxItems) + "{}]", "Body should contain at most 100 items"},
	} {
		_, err := decodeItems([]byte(c.body))
		var refused *StatusError
		if !errors.As(err, &refused) || refused.Status != http.StatusBadRequest || refused.Message != c.message {
			t.Errorf("%.40q: %v, want %s", c.body, err, c.message)
		}
	}
}

func TestLongestBodyIsTaken(t *testing.T) {
	items, err := decodeItems([]byte("[" + strings.Repeat("{},", MaxItems-1) + "{}]"))
	if err != nil || len(items) != MaxItems {
		t.Errorf("%d items, %v", len(items), err)
	}
	body := "[{}" + strings.Repeat(" ", MaxBodyBytes-len("[{}]")) + "]"
	if _, err := decodeItems([]byte(body)); err != nil {
		t.Errorf("a body of %d bytes: %v", len(body), err)
	}
	var refused *StatusError
	if _, err := decodeItems([]byte(body + " ")); !errors.As(err, &refused) || refused.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of %d bytes: %v", len(body)+1, err)
	}
}

// No body makes decoding panic, and what it takes apart reads like any item.
func FuzzItems(f *testing.F) {
	for _, seed := range []string{
		`[{"_user_id":"U1","_email":"ada@example.org","plan":"pro","n":1.5,"ok":true,"tags":["a",1],"gone":null}]`,
		`[{"_user_id":"U1","_event_id":"e","_event_type":"t","_event_date":"2026-11-21","_event_parameters":{"a":{"b":[1]}}}]`,
		"[{\"\xff\":\"\xff\"}]", `[{"a":"\ud800","a":1e999,"b":12345678901234567890}]`, `[[]]`, `[{"_user_id":7}]`, `[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		items, err := decodeItems(body)
		var refused *StatusError
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatalf("the error is not one of the request: %v", err)
			}
			return
		}
		now := newClock().Now()
		for i, it := range items {
			var out outcome
			c, ok := readChange(i, it, &out)
			if ok != (out.problems == nil) || ok && !canBeID(c.user) {
				t.Fatalf("change %v for %q, problems %v", ok, c.user, out.problems)
			}
			out = outcome{}
			e, ok := readEvent(i, it, now, &out)
			if ok != (out.problems == nil) || ok && !(canBeID(e.user) && canBeID(e.id) && canBeID(e.kind)) {
				t.Fatalf("event %v, problems %v", ok, out.problems)
			}
		}
	})
}
