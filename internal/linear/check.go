package linear

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// model is a store without concurrency, one object at a time.
var model = porcupine.NondeterministicModel{
	Partition: byObject,
	Init:      func() []any { return []any{Value{}} },
	Step:      step,
	DescribeOperation: func(in, out any) string {
		i, ok := in.(input)
		o, isAnswered := out.(output)
		if !ok || !isAnswered { // the page asks for clients without operations, too
			return ""
		}
		return describe(i, o)
	},
}

func byObject(history []porcupine.Operation) [][]porcupine.Operation {
	var names []string
	objects := make(map[string][]porcupine.Operation)
	for _, op := range history {
		name := op.Input.(input).object
		if objects[name] == nil {
			names = append(names, name)
		}
		objects[name] = append(objects[name], op)
	}
	slices.Sort(names)
	var all [][]porcupine.Operation
	for _, name := range names {
		all = append(all, apart(objects[name]))
	}
	return all
}

// apart gives each write of unknown outcome a client of its own: it may last as long as it
// likes, and what a client does is a sequence.
func apart(operations []porcupine.Operation) []porcupine.Operation {
	next := 0
	for _, op := range operations {
		next = max(next, op.ClientId+1)
	}
	for i := range operations {
		if in, out := operations[i].Input.(input), operations[i].Output.(output); in.effect != read && !out.isKnown {
			operations[i].ClientId = next
			next++
		}
	}
	return operations
}

// step returns the values that an object may have after an operation, none if the answer
// cannot be.
func step(state, in, out any) []any {
	v, i, o := state.(Value), in.(input), out.(output)
	after := v
	switch i.effect {
	case read:
		if o.value != v {
			return nil
		}
		return []any{v}
	case set:
		after = i.value
	case add:
		after = Value{v.A + i.value.A, v.B + i.value.B}
	}
	if o.isKnown || after == v {
		return []any{after}
	}
	return []any{v, after}
}

func describe(in input, out output) string {
	outcome := "?"
	if out.isKnown {
		outcome = "ok"
	}
	switch in.effect {
	case set:
		return fmt.Sprintf("set %d: %s", in.value.A, outcome)
	case add:
		return fmt.Sprintf("add %d points, sum %d: %s", in.value.A, in.value.B, outcome)
	}
	return fmt.Sprintf("read %d/%d", out.value.A, out.value.B)
}

// Summary counts what was checked.
type Summary struct {
	Writes, Reads, Unknown, Operations int
}

// String is a line of figures as make torture adds them up.
func (s Summary) String() string {
	return fmt.Sprintf("figures: histories=1 writes=%d reads=%d unknown=%d operations=%d", s.Writes, s.Reads, s.Unknown, s.Operations)
}

// ContradictionError says that no order explains a history.
type ContradictionError struct {
	Page string // the file of a page that shows why
}

func (e *ContradictionError) Error() string {
	return fmt.Sprintf("the history is not linearizable; open %s in a browser", e.Page)
}

// Check judges the history. Its error is a *ContradictionError, or says that no decision was
// found in the time, or that the page could not be written. Nothing may be under way.
func (h *History) Check(patience time.Duration) (Summary, error) {
	operations := h.end()
	s := Summary{h.mu.calls, h.mu.reads, h.mu.unknown, len(operations)}
	m := model.ToModel()
	verdict, info := porcupine.CheckOperationsVerbose(m, operations, patience)
	switch verdict {
	case porcupine.Ok:
		return s, nil
	case porcupine.Unknown:
		return s, fmt.Errorf("whether the history is linearizable was not found out in %s (%s)", patience, s)
	}
	page, err := os.CreateTemp("", "siltstone-history-*.html")
	if err != nil {
		return s, fmt.Errorf("the history is not linearizable (%s), and cannot be shown: %w", s, err)
	}
	err = porcupine.Visualize(m, info, page)
	if err = errors.Join(err, page.Close()); err != nil {
		return s, fmt.Errorf("the history is not linearizable (%s), and cannot be shown: %w", s, err)
	}
	return s, &ContradictionError{page.Name()}
}
