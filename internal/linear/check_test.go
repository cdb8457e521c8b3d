package linear

import (
	"errors"
	"os"
	"testing"
	"time"
)

// sees is a read of one object.
func (h *History) sees(object string, a, b int64) {
	h.Read(0).Saw(map[string]Value{object: {a, b}})
}

func (h *History) writes(object string, v int64) {
	h.Set(1, map[string]int64{object: v}).Acknowledged()
}

// TestContradictionsAreFound: the checker that other tests trust can fail.
func TestContradictionsAreFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		holds bool
		story func(*History)
	}{
		{"nothing", true, func(h *History) {}},
		{"a write is seen", true, func(h *History) { h.writes("r", 1); h.sees("r", 1, 0) }},
		{"an acknowledged write is lost", false, func(h *History) { h.writes("r", 1); h.sees("r", 0, 0) }},
		{"an old value comes back", false, func(h *History) { h.writes("r", 1); h.writes("r", 2); h.sees("r", 2, 0); h.sees("r", 1, 0) }},
		{"a value that nobody wrote", false, func(h *History) { h.writes("r", 1); h.sees("r", 3, 0) }},
		{"a write is seen while it lasts", true, func(h *History) {
			c := h.Set(1, map[string]int64{"r": 1})
			h.sees("r", 0, 0)
			h.sees("r", 1, 0)
			c.Acknowledged()
		}},
		{"a write is seen, and then it is not", false, func(h *History) {
			c := h.Set(1, map[string]int64{"r": 1})
			h.sees("r", 1, 0)
			h.sees("r", 0, 0)
			c.Acknowledged()
		}},
		{"two at once, seen in two orders", false, func(h *History) {
			a, b := h.Set(1, map[string]int64{"r": 1}), h.Set(2, map[string]int64{"r": 2})
			h.sees("r", 1, 0)
			h.sees("r", 2, 0)
			a.Acknowledged()
			b.Acknowledged()
			h.sees("r", 1, 0)
		}},
		{"objects are judged one by one", true, func(h *History) {
			c := h.Set(1, map[string]int64{"r": 1, "s": 1})
			h.sees("r", 1, 0)
			h.sees("s", 0, 0)
			c.Acknowledged()
			h.sees("s", 1, 0)
		}},
		{"an unknown write is there", true, func(h *History) { h.Set(1, map[string]int64{"r": 1}).Failed(); h.Settle(); h.sees("r", 1, 0) }},
		{"an unknown write is not there", true, func(h *History) { h.Set(1, map[string]int64{"r": 1}).Failed(); h.Settle(); h.sees("r", 0, 0) }},
		{"an unknown write is there late", true, func(h *History) {
			h.Set(1, map[string]int64{"r": 1})
			h.sees("r", 0, 0)
			h.sees("r", 1, 0)
		}},
		{"an unknown write comes back from the dead", false, func(h *History) {
			h.Set(1, map[string]int64{"r": 1}).Failed()
			h.Settle()
			h.sees("r", 0, 0)
			h.sees("r", 1, 0)
		}},
		{"an unknown write overwrites a later one", false, func(h *History) {
			h.Set(1, map[string]int64{"r": 1}).Failed()
			h.Settle()
			h.writes("r", 2)
			h.sees("r", 1, 0)
		}},
		{"a write that lasts is not settled", true, func(h *History) {
			c := h.Set(1, map[string]int64{"r": 1})
			h.Settle()
			h.sees("r", 0, 0)
			h.sees("r", 1, 0)
			c.Acknowledged()
		}},
		{"a counter counts", true, func(h *History) {
			h.Add(1, "c", Value{3, 12}).Acknowledged()
			h.Add(2, "c", Value{2, 1})
			h.Add(2, "c", Value{1, 7}).Acknowledged()
			h.sees("c", 4, 19)
			h.sees("c", 6, 20)
		}},
		{"a point is counted twice", false, func(h *History) { h.Add(1, "c", Value{3, 12}).Acknowledged(); h.sees("c", 4, 16) }},
		{"a sum lacks what the count has", false, func(h *History) { h.Add(1, "c", Value{3, 12}).Acknowledged(); h.sees("c", 3, 8) }},
		{"half a request is seen", false, func(h *History) {
			c := h.Add(1, "c", Value{2, 8})
			h.sees("c", 1, 4)
			c.Acknowledged()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h History
			c.story(&h)
			summary, err := h.Check(10 * time.Second)
			if (err == nil) != c.holds {
				t.Errorf("the verdict is %v (%s)", err, summary)
			}
			var contradiction *ContradictionError
			if errors.As(err, &contradiction) {
				err = os.Remove(contradiction.Page)
			}
			if err != nil {
				t.Errorf("no page shows why: %v", err)
			}
		})
	}
}
