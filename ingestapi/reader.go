package ingestapi

import (
	"encoding/json"
	"fmt"
	"time"
)

// itemReader reads the members that items of both kinds have.
type itemReader struct {
	seen map[string]bool
	out  *outcome
	it   item
}

func newItemReader(it item, out *outcome) *itemReader {
	r := &itemReader{seen: make(map[string]bool, len(it.members)), out: out, it: it}
	if it.tooBig {
		out.problems.add(wholeItem, problem(fmt.Sprintf("Should be at most %d bytes of JSON", MaxItemBytes)))
	}
	return r
}

const repeated problem = "Is there more than once"

// isRepeated reports whether the name has been there before, which is a problem: JSON
// leaves open which of two values counts.
func (r *itemReader) isRepeated(name string) bool {
	if r.seen[name] {
		r.out.problems.add(name, repeated)
		return true
	}
	r.seen[name] = true
	return false
}

// require finds the members that are missing. What was not taken apart lacks nothing.
func (r *itemReader) require(names ...string) {
	for _, name := range names {
		if !r.seen[name] && !r.it.tooBig {
			r.out.problems.add(name, "Is required")
		}
	}
}

func (r *itemReader) id(m member) string {
	id, p := readID(m.raw)
	if p != "" {
		r.out.problems.add(m.name, p)
	}
	return id
}

// echo returns what an answer repeats of an id: any string, so that whoever sent it finds
// the item again.
func (r *itemReader) echo(m member) *string {
	var s *string
	if json.Unmarshal(m.raw, &s) != nil {
		return nil
	}
	return s
}

func (r *itemReader) date(m member, absent time.Time) time.Time {
	if isNull(m.raw) {
		return absent
	}
	s, p := readText(m.raw, MaxIDBytes)
	if m.raw[0] != '"' {
		p = "Should be a string"
	}
	at := absent
	if p == "" {
		at, p = parseDate(s)
	}
	if p != "" {
		r.out.problems.add(m.name, p)
	}
	return at
}
