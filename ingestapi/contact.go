package ingestapi

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// change is what an item asks of a contact.
type change struct {
	item  int // its place in the batch
	user  string
	set   []named
	clear []string
}

// readChange makes a change of an item; what is wrong with it goes to its outcome.
func readChange(index int, it item, out *outcome) (change, bool) {
	c := change{item: index}
	r := newItemReader(it, out)
	for _, m := range it.members {
		switch {
		case r.isRepeated(m.name):
		case m.name == userID:
			c.user = r.id(m)
			out.userID = r.echo(m)
		default:
			c.attribute(m, out)
		}
	}
	r.require(userID)
	return c, out.problems == nil
}

func (c *change) attribute(m member, out *outcome) {
	if p := checkAttributeName(m.name); p != "" {
		out.problems.add(m.name, p)
		return
	}
	if isNull(m.raw) {
		c.clear = append(c.clear, m.name)
		return
	}
	v, p := readAttribute(m.name, m.raw)
	if p != "" {
		out.problems.add(m.name, p)
		return
	}
	c.set = append(c.set, named{m.name, m.name, v})
}

// contact is a contact's current version.
type contact struct {
	attributes map[string]value // without _user_id
	version    int64            // its time, in nanoseconds
}

// with returns what the contact is after a change that is made at the given time.
func (c contact) with(ch change, at time.Time) contact {
	next := contact{attributes: maps.Clone(c.attributes), version: at.UnixNano()}
	if next.attributes == nil {
		next.attributes = make(map[string]value)
	}
	next.attributes[dateUpdated] = textValue(formatDate(at))
	for _, v := range ch.set {
		next.attributes[v.column] = v.value
	}
	for _, name := range ch.clear {
		if name != dateUpdated {
			delete(next.attributes, name)
		}
	}
	return next
}

// checkSize says whether the contact can be written.
func (c contact) checkSize() problem {
	if n := len(c.attributes); n > MaxAttributes {
		return problem(fmt.Sprintf("The contact would have %d attributes, at most %d are possible: clear some with null", n, MaxAttributes))
	}
	size := 0
	for name, v := range c.attributes {
		size += len(name) + v.size()
	}
	if size > MaxContactBytes {
		return problem(fmt.Sprintf("The contact would take %d bytes, at most %d are possible: clear some attributes with null", size, MaxContactBytes))
	}
	return ""
}

// encode writes a version of a contact.
func (c contact) encode(l *lines, item int, user string) {
	l.begin(item, contactsTable)
	l.tag(userID, user)
	for _, name := range slices.Sorted(maps.Keys(c.attributes)) {
		l.field(name, name, c.attributes[name])
	}
	l.end(c.version)
}
