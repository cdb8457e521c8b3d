package ingestapi

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// event is what an item says happened.
type event struct {
	item       int // its place in the batch
	user, id   string
	kind       string
	at         time.Time
	parameters []named
}

// readEvent makes an event of an item; what is wrong with it goes to its outcome.
func readEvent(index int, it item, now time.Time, out *outcome) (event, bool) {
	e := event{item: index, at: now}
	r := newItemReader(it, out)
	for _, m := range it.members {
		if r.isRepeated(m.name) {
			continue
		}
		switch m.name {
		case userID:
			e.user = r.id(m)
			out.userID = r.echo(m)
		case eventID:
			e.id = r.id(m)
			out.eventID = r.echo(m)
		case eventType:
			e.kind = r.id(m)
		case eventDate:
			e.at = r.date(m, now)
		case eventParameters:
			e.readParameters(m.raw, out)
		default:
			out.problems.add(m.name, "Unknown key: what is said about an event belongs in "+eventParameters)
		}
	}
	r.require(userID, eventID, eventType)
	return e, out.problems == nil
}

func (e *event) readParameters(raw json.RawMessage, out *outcome) {
	if isNull(raw) {
		return
	}
	if raw[0] != '{' {
		out.problems.add(eventParameters, "Should be an object")
		return
	}
	list := members(raw)
	if len(list) > MaxParameters {
		out.problems.add(eventParameters, problem(fmt.Sprintf("Should be at most %d parameters, not %d", MaxParameters, len(list))))
		return
	}
	seen := make(map[string]bool, len(list))
	for _, m := range list {
		if seen[m.name] {
			out.problems.add(m.name, repeated)
			continue
		}
		seen[m.name] = true
		e.parameter(m, out)
	}
}

func (e *event) parameter(m member, out *outcome) {
	p := checkName(m.name)
	if p == "" && isNull(m.raw) {
		return
	}
	var v value
	if p == "" {
		v, p = readValue(m.raw, anyJSON)
	}
	if p != "" {
		out.problems.add(m.name, p)
		return
	}
	e.parameters = append(e.parameters, named{m.name, parameterPrefix + m.name, v})
}

// encode writes the event.
func (e *event) encode(l *lines, now time.Time) {
	l.begin(e.item, eventsTable)
	l.tag(userID, e.user)
	l.tag(eventID, e.id)
	l.tag(eventType, e.kind)
	l.field(wholeItem, received, intValue(schema.Nanoseconds(now)))
	for _, p := range e.parameters {
		l.field(p.attribute, p.column, p.value)
	}
	l.end(e.at.UnixNano())
}
