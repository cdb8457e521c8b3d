package engine_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

// history is what a single writer has asked for and what it has been told. Requests
// are atomic here, because each is one log record: a database must hold the effect
// of the first n of them, for some n from acknowledged to submitted.
type history struct {
	mu           sync.Mutex
	effects      []contents // effects[n] is the database after n requests
	acknowledged int
}

func newHistory() *history { return &history{effects: []contents{{}}} }

// begin notes that a request is about to be submitted, and returns its number.
func (h *history) begin(next contents) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.effects = append(h.effects, next)
	return len(h.effects) - 1
}

// acknowledge notes that a request, and with it all before it, is durable.
func (h *history) acknowledge(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acknowledged = max(h.acknowledged, n)
}

// latest is the database after everything that was submitted.
func (h *history) latest() contents {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.effects[len(h.effects)-1]
}

// bounds returns how many requests must, and how many may, be in the database.
func (h *history) bounds() (must, may int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acknowledged, len(h.effects) - 1
}

// after is the database after the first n requests. Nobody changes it anymore.
func (h *history) after(n int) contents {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.effects[n]
}

// settle forgets everything but the state that the database was found in: what was
// gone once must stay gone, and what was there must stay.
func (h *history) settle(state int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.effects = []contents{h.effects[state]}
	h.acknowledged = 0
}

// check finds the state that the database is in, and fails if there is none.
func (h *history) check(t testing.TB, got contents, must, may int) (state int) {
	t.Helper()
	for n := must; n <= may; n++ {
		if reflect.DeepEqual(got, h.after(n)) {
			return n
		}
	}
	t.Fatalf("the database is in none of the states %d (acknowledged) to %d (submitted); it differs from %d by\n%s\nand from %d by\n%s",
		must, may, must, difference(h.after(must), got), may, difference(h.after(may), got))
	return 0
}

// difference lists the first points in which two databases differ.
func difference(want, got contents) string {
	const most = 10
	var lines []string
	keys := maps.Clone(want)
	maps.Copy(keys, got)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		w, isWanted := want[k]
		g, isThere := got[k]
		switch {
		case len(lines) == most:
			return strings.Join(append(lines, "..."), "\n")
		case !isThere:
			lines = append(lines, fmt.Sprintf("missing: %s %s", k, short(w)))
		case !isWanted:
			lines = append(lines, fmt.Sprintf("unexpected: %s %s", k, short(g)))
		case !reflect.DeepEqual(w, g):
			lines = append(lines, fmt.Sprintf("changed: %s is %s, want %s", k, short(g), short(w)))
		}
	}
	return strings.Join(lines, "\n")
}

func short(fields map[string]any) string { return fmt.Sprintf("%.200s", fmt.Sprint(fields)) }

// point is a line of table t with tag k, at time ns, with one integer field.
type point struct {
	table, tag string
	ns         int64
	field      string
	value      int64
}

func (p point) key() string { return fmt.Sprintf("%s,k=%s %d", p.table, p.tag, p.ns) }
func (p point) line() string {
	return fmt.Sprintf("%s,k=%s %s=%di %d", p.table, p.tag, p.field, p.value, p.ns)
}

func (c contents) clone() contents {
	d := make(contents, len(c))
	for k, fields := range c {
		d[k] = maps.Clone(fields)
	}
	return d
}

func (c contents) set(p point) {
	if c[p.key()] == nil {
		c[p.key()] = make(map[string]any)
	}
	c[p.key()][p.field] = p.value
}
