package flight

import (
	"container/list"
	"sync"
)

// maxBoundBytes bounds what bindings hold, some ten thousand statements with a value or
// two. Those who still need what is dropped are told that a parameter has no value.
const maxBoundBytes = 16 << 20

// bindings are the values that were bound last to each prepared statement, for clients that
// do not take the handle that binding returns: before Arrow 16 there was none, and
// flightsql-dbapi, which Superset uses, is older. The oldest go first. The ids are random, so that
// nobody finds the values of another.
type bindings struct {
	mu struct {
		sync.Mutex
		byID  map[string]*list.Element // of age
		age   list.List                // of *binding, the oldest in front
		bytes int
	}
}

type binding struct {
	id     string
	values []value
	bytes  int
}

// put notes the values of a statement in place of those before.
func (b *bindings) put(id string, values []value) {
	if id == "" {
		return
	}
	const overhead = 256 // bytes of an entry
	made := &binding{id: id, values: values, bytes: overhead + len(id)}
	for _, v := range values {
		made.bytes += overhead + len(v.Name) + len(v.Text)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.byID == nil {
		b.mu.byID = make(map[string]*list.Element)
	}
	if e := b.mu.byID[id]; e != nil {
		b.removeLocked(e)
	}
	b.mu.byID[id] = b.mu.age.PushBack(made)
	b.mu.bytes += made.bytes
	for b.mu.bytes > maxBoundBytes {
		b.removeLocked(b.mu.age.Front())
	}
}

// get returns the values of a statement, nil if there are none.
func (b *bindings) get(id string) []value {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.mu.byID[id]; e != nil {
		return e.Value.(*binding).values
	}
	return nil
}

// drop forgets the values of a statement.
func (b *bindings) drop(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.mu.byID[id]; e != nil {
		b.removeLocked(e)
	}
}

// removeLocked removes an entry. The caller holds mu.
func (b *bindings) removeLocked(e *list.Element) {
	gone := b.mu.age.Remove(e).(*binding)
	delete(b.mu.byID, gone.id)
	b.mu.bytes -= gone.bytes
}
