package ingestapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode"
	"unicode/utf8"
)

// item is one element of a body: an object whose members nobody has looked at yet.
type item struct {
	members []member
	tooBig  bool // and so not taken apart
}

type member struct {
	name string
	raw  json.RawMessage // a JSON value without blanks around it
}

// decodeItems takes a body apart. Its errors are *StatusError: the shape of the body is
// wrong, and no item of it is looked at.
func decodeItems(body []byte) ([]item, error) {
	if len(body) > MaxBodyBytes {
		return nil, &StatusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("Body should be at most %d bytes", MaxBodyBytes)}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, badRequest("Body should be an array")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	first, err := dec.Token()
	if err == nil && first != json.Delim('[') {
		return nil, badRequest("Body should be an array")
	}
	var items []item
	for err == nil && dec.More() {
		if len(items) == MaxItems {
			return nil, badRequest("Body should contain at most %d items", MaxItems)
		}
		var raw json.RawMessage
		if err = dec.Decode(&raw); err != nil {
			break
		}
		if raw[0] != '{' {
			return nil, badRequest("Body should be an array of objects: item %d is none", len(items)+1)
		}
		items = append(items, newItem(raw))
	}
	if err == nil {
		_, err = dec.Token() // the array's end
	}
	if err == nil {
		_, err = dec.Token()
	}
	if !errors.Is(err, io.EOF) || !json.Valid(body) {
		return nil, malformed(body)
	}
	if len(items) == 0 {
		return nil, badRequest("Body should contain at least one item")
	}
	return items, nil
}

// malformed says where a body stops being JSON.
func malformed(body []byte) error {
	var syntax *json.SyntaxError
	if err := json.Unmarshal(body, new(json.RawMessage)); errors.As(err, &syntax) {
		return badRequest("Body should be valid JSON: %v at byte %d", syntax, syntax.Offset)
	}
	return badRequest("Body should be valid JSON")
}

// newItem takes a valid object apart.
func newItem(raw json.RawMessage) item {
	if len(raw) > MaxItemBytes {
		return item{tooBig: true}
	}
	return item{members: members(raw)}
}

// members lists what a valid object holds, in its order, repeated names included.
func members(object json.RawMessage) []member {
	var all []member
	dec := json.NewDecoder(bytes.NewReader(object))
	_, _ = dec.Token() // the brace
	for dec.More() {
		name, _ := dec.Token()
		m := member{name: name.(string)}
		_ = dec.Decode(&m.raw)
		all = append(all, m)
	}
	return all
}

// checkName says whether a name can be that of a column.
func checkName(name string) problem {
	switch {
	case name == "":
		return "The name is empty"
	case len(name) > MaxNameBytes:
		return problem(fmt.Sprintf("The name is longer than %d bytes", MaxNameBytes))
	}
	return checkPlain(name, "The name")
}

// checkPlain says whether line protocol can carry a text outside of quotes: there is no
// escape for control characters, nor for a backslash at the end.
func checkPlain(s, what string) problem {
	for _, r := range s {
		if unicode.IsControl(r) {
			return problem(what + " has a control character")
		}
		if r == utf8.RuneError { // what encoding/json makes of bytes that are no UTF-8
			return problem(what + " is not valid UTF-8")
		}
	}
	if s[len(s)-1] == '\\' {
		return problem(what + " ends with a backslash")
	}
	return ""
}

// readID reads what becomes a tag. The text is returned, so that an answer can repeat it,
// even when there is a problem with it.
func readID(raw json.RawMessage) (string, problem) {
	if raw[0] != '"' {
		return "", "Should be a string"
	}
	id, p := readText(raw, MaxIDBytes)
	switch {
	case p != "":
		return "", p
	case id == "":
		return "", "Should not be empty"
	}
	return id, checkPlain(id, "The value")
}

// canBeID reports whether readID accepts the text, so that something may be stored under it.
func canBeID(s string) bool {
	return s != "" && len(s) <= MaxIDBytes && checkPlain(s, "") == ""
}
