package linear

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/anishathalye/porcupine"
)

// Value is the value of an object: of a register A, of a counter both.
type Value struct {
	A int64 // a register's value, 0 if it was never written; a counter's number of points
	B int64 // a counter's sum
}

// effect is what a request does to one object.
type effect uint8

const (
	set effect = iota
	add
	read
)

// input is a request to one object, as the checker sees it.
type input struct {
	object string
	effect effect
	value  Value // what is set or added
}

// output is the answer to it.
type output struct {
	value   Value // what a read has seen
	isKnown bool  // a write was acknowledged
}

// History is what was asked and answered, in the order of a clock that counts both.
type History struct {
	clock atomic.Int64
	mu    struct {
		sync.Mutex
		operations []porcupine.Operation
		open       []*Call // writes that were not acknowledged
		calls      int
		reads      int
		unknown    int
	}
}

// Call is a request under way. A read that fails says nothing, and is not ended.
type Call struct {
	history *History
	client  int
	begin   int64
	inputs  []input // of a write
	failed  bool    // it was not acknowledged, and will not be
}

// Set begins to write values to registers.
func (h *History) Set(client int, values map[string]int64) *Call {
	var inputs []input
	for object, v := range values {
		inputs = append(inputs, input{object, set, Value{A: v}})
	}
	return h.write(client, inputs)
}

// Add begins to add to a counter.
func (h *History) Add(client int, counter string, v Value) *Call {
	return h.write(client, []input{{counter, add, v}})
}

func (h *History) write(client int, inputs []input) *Call {
	c := h.Read(client)
	c.inputs = inputs
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.open = append(h.mu.open, c)
	return c
}

// Read begins to read.
func (h *History) Read(client int) *Call {
	return &Call{history: h, client: client, begin: h.clock.Add(1)}
}

// Acknowledged ends a write that was answered.
func (c *Call) Acknowledged() {
	end := c.history.clock.Add(1)
	h := c.history
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.calls++
	h.recordLocked(c, end, true)
	for i, open := range h.mu.open {
		if open == c {
			h.mu.open = append(h.mu.open[:i], h.mu.open[i+1:]...)
			break
		}
	}
}

// Saw ends a read of objects.
func (c *Call) Saw(values map[string]Value) {
	end := c.history.clock.Add(1)
	h := c.history
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.reads++
	for object, v := range values {
		h.mu.operations = append(h.mu.operations, porcupine.Operation{
			ClientId: c.client, Input: input{object: object, effect: read}, Call: c.begin, Output: output{value: v}, Return: end,
		})
	}
}

// recordLocked records a write. mu is held.
func (h *History) recordLocked(c *Call, end int64, isKnown bool) {
	for _, in := range c.inputs {
		h.mu.operations = append(h.mu.operations, porcupine.Operation{
			ClientId: c.client, Input: in, Call: c.begin, Output: output{isKnown: isKnown}, Return: end,
		})
	}
}

// Failed ends a write that was answered with an error, or not at all: its outcome is
// unknown.
func (c *Call) Failed() {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	c.failed = true
}

// Settle says that the writes that have failed have taken effect by now or never will.
func (h *History) Settle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	end := h.clock.Add(1) // behind the beginning of everything that has failed
	open := h.mu.open[:0]
	for _, c := range h.mu.open {
		if c.failed {
			h.recordLocked(c, end, false)
			h.mu.unknown++
		} else {
			open = append(open, c)
		}
	}
	h.mu.open = open
}

// end returns all operations; what is unknown may take effect until the end of time.
func (h *History) end() []porcupine.Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.mu.open {
		h.recordLocked(c, math.MaxInt64, false)
	}
	h.mu.unknown += len(h.mu.open)
	h.mu.open = nil
	return h.mu.operations
}
