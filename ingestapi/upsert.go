package ingestapi

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// versions guards the contacts of a datasource: whoever writes a version holds the lock
// from reading the one before it.
type versions struct {
	mu struct {
		sync.Mutex
		// last is the greatest time of a version that was given out or read; 0 as long as
		// the table has not been looked at.
		last int64
	}
}

// nextLocked returns the time of the next version: now, or just behind the last one where
// the clock does not agree with it. The caller holds the lock.
func (v *versions) nextLocked(now time.Time) time.Time {
	v.mu.last = max(now.UnixNano(), v.mu.last+1)
	return time.Unix(0, v.mu.last)
}

func (q *request) postContacts() error {
	items, err := q.items()
	if err != nil {
		return err
	}
	outcomes := make([]outcome, len(items))
	var changes []change
	for i, it := range items {
		if c, ok := readChange(i, it, &outcomes[i]); ok {
			changes = append(changes, c)
		}
	}
	if len(changes) > 0 {
		if err := q.upsert(changes, outcomes); err != nil {
			return err
		}
	}
	q.answerBatch(outcomes, func(n itemCount) (contacts, events itemCount) { return n, itemCount{} })
	return nil
}

// upsert makes the changes, in their order. Those of one contact follow each other in
// waves: the later one begins with what became of the earlier one.
func (q *request) upsert(changes []change, outcomes []outcome) error {
	v := &q.stream.contacts
	v.mu.Lock()
	defer v.mu.Unlock()
	table, err := q.contactsLocked()
	if err != nil {
		return err
	}
	current, err := q.readLocked(table, users(changes))
	if err != nil {
		return err
	}
	known := columns{table: table}
	for len(changes) > 0 {
		n := distinct(changes)
		if err := q.upsertWaveLocked(changes[:n], &known, current, outcomes); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

// upsertWaveLocked makes changes of different contacts with one write, and brings current
// up to date.
func (q *request) upsertWaveLocked(wave []change, known *columns, current map[string]contact, outcomes []outcome) error {
	var l lines
	next := make(map[string]contact, len(wave))
	for _, c := range wave {
		contact := current[c.user].with(c, q.stream.contacts.nextLocked(q.now))
		out := &outcomes[c.item]
		if p := contact.checkSize(); p != "" {
			out.problems.add(wholeItem, p)
			continue
		}
		if out.problems = known.accept(c.set); out.problems == nil {
			next[c.user] = contact
			contact.encode(&l, c.item, c.user)
		}
	}
	if err := q.write(&l, outcomes); err != nil {
		return err
	}
	for _, c := range wave {
		if outcomes[c.item].problems == nil {
			current[c.user] = next[c.user]
		}
	}
	return nil
}

// distinct counts the changes at the beginning that are all of different contacts.
func distinct(changes []change) int {
	seen := make(map[string]bool, len(changes))
	for i, c := range changes {
		if seen[c.user] {
			return i
		}
		seen[c.user] = true
	}
	return len(changes)
}

// users lists whose contacts are changed, each once.
func users(changes []change) []string {
	var ids []string
	seen := make(map[string]bool, len(changes))
	for _, c := range changes {
		if !seen[c.user] {
			seen[c.user] = true
			ids = append(ids, c.user)
		}
	}
	return ids
}

// contactsLocked returns the table of contacts, and makes sure that the next version is
// later than all that it holds, deleted contacts included, which no query shows.
func (q *request) contactsLocked() (*schema.Table, error) {
	table, err := q.table(contactsSpec)
	if err != nil || table == nil {
		return nil, err
	}
	last := &q.stream.contacts.mu.last
	if *last != 0 {
		return table, nil
	}
	view, err := q.Engine.View(q.r.Context(), q.stream.Database, []string{contactsTable})
	if err != nil {
		return nil, fmt.Errorf("look at table %s of database %s: %w", contactsTable, q.stream.Database, err)
	}
	defer view.Close()
	for _, t := range view.Tables {
		for _, f := range t.Files {
			*last = max(*last, f.Time.Max)
		}
		for _, b := range t.Buffers {
			*last = max(*last, b.Time.Max)
		}
	}
	return table, nil
}

// readLocked reads contacts to change them: their next versions will be later ones, also
// than what line protocol wrote.
func (q *request) readLocked(table *schema.Table, users []string) (map[string]contact, error) {
	current, err := q.readContacts(table, users)
	last := &q.stream.contacts.mu.last
	for _, c := range current {
		*last = max(*last, c.version)
	}
	return current, err
}

func (q *request) getContact() error {
	user := q.r.PathValue("id")
	if !canBeID(user) {
		return errNoContact
	}
	found, err := q.readContacts(q.findTable(contactsTable), []string{user})
	if err != nil {
		return err
	}
	c, ok := found[user]
	if !ok {
		return errNoContact
	}
	c.attributes[userID] = textValue(user)
	writeEntity(q.w, http.StatusOK, c.attributes)
	return nil
}

// deleteContact ends a contact with a version that says so. It is answered alike whether
// there was one, so that it can be repeated.
func (q *request) deleteContact() error {
	if err := q.endContact(q.r.PathValue("id")); err != nil {
		return err
	}
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (q *request) endContact(user string) error {
	if !canBeID(user) || q.findTable(contactsTable) == nil {
		return nil
	}
	v := &q.stream.contacts
	v.mu.Lock()
	defer v.mu.Unlock()
	table, err := q.contactsLocked()
	if err != nil {
		return err
	}
	found, err := q.readLocked(table, []string{user})
	if err != nil || len(found) == 0 {
		return err
	}
	at := v.nextLocked(q.now)
	last := contact{version: at.UnixNano(), attributes: map[string]value{
		dateUpdated:          textValue(formatDate(at)),
		schema.DeletedColumn: boolValue(true),
	}}
	var l lines
	last.encode(&l, 0, user)
	outcomes := make([]outcome, 1)
	if err := q.write(&l, outcomes); err != nil {
		return err
	}
	for name, p := range outcomes[0].problems {
		return fmt.Errorf("delete a contact of database %s: %s: %s", q.stream.Database, name, p[0])
	}
	return nil
}
