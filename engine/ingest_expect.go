package engine

import (
	"slices"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// expected is how the lines of a table have looked: numbers and booleans in the same order, line
// after line. Such a line is read as a whole, and goes from the text into the columns of its
// batch without a stage: nothing in it can contradict the schema. A line that only begins like that is
// staged as far as it does.
type expected struct {
	lineprotocol.Expectation
	slots []int32
	// Positions of the fields in the batch with that use, 0 for none.
	columns []int
	use     uint64
	missed  int // lines since the last one that came as expected
}

// maxMissed is how many lines may come otherwise before others are expected. Where lines of two
// kinds take turns, those of one kind are.
const maxMissed = 8

// expect counts a line that came otherwise than expected, though all of its keys as in the line
// before. After enough of them, lines like it are expected.
func (t *ingestTable) expect(values []staged) {
	if t.expected.missed++; t.expected.missed < maxMissed && len(t.expected.slots) > 0 {
		return
	}
	t.expected.missed = 0
	if t.isExpected(values) {
		return
	}
	t.forgetExpected()
	for i := range values {
		slot := values[i].slot
		if t.predicted[i].slot != slot || !t.expected.Add(t.predicted[i].raw, t.slots[slot].kind) {
			return // what comes before is worth something, too
		}
		t.expected.slots = append(t.expected.slots, slot)
	}
}

// isExpected reports whether the values begin with all that are expected, and what is behind these
// is nothing that can be.
func (t *ingestTable) isExpected(values []staged) bool {
	n := len(t.expected.slots)
	if n > len(values) || n < len(values) && t.slots[values[n].slot].kind != schema.String {
		return false
	}
	return slices.EqualFunc(values[:n], t.expected.slots, func(v staged, slot int32) bool { return v.slot == slot })
}

func (t *ingestTable) forgetExpected() {
	t.expected.Reset()
	t.expected.slots, t.expected.use = t.expected.slots[:0], 0
}

// readExpected reads the fields of a line that come as expected into in.bits and returns how many
// they are.
func (in *ingester) readExpected(t *ingestTable) int {
	n := t.expected.Len()
	if n == 0 {
		return 0
	}
	if cap(in.bits) < n {
		in.bits = make([]uint64, n)
	}
	return in.reader.Expected(&t.expected.Expectation, in.bits[:n])
}

// stageExpected stages the first n of the fields that were expected.
func (in *ingester) stageExpected(t *ingestTable, n int) {
	for i, slot := range t.expected.slots[:n] {
		t.slots[slot].line = in.line
		in.stage = append(in.stage, staged{slot: slot, bits: in.bits[i]})
	}
}

// isPlain reports whether a line of the table needs no looking at its table: the request has
// accepted one before, and the rows are told apart by tags and time.
func (in *ingester) isPlain(t *ingestTable) bool {
	return t.touched == in.request && (t.def == nil || t.def.Key.Rule == schema.PointKey)
}

// expectedBatch returns the batch for a line at ns whose fields are those expected, all n of them:
// the one that the line before went to. It returns nil where that is not possible.
func (t *ingestTable) expectedBatch(ns int64, n int) *batchBuilder {
	b := t.current
	if b == nil || b.Key.Day != schema.DayOf(ns) || !t.expected.bind(b) || !b.Fits(n, 0, b.values) {
		return nil
	}
	t.expected.missed = 0
	return b
}

// bind finds the fields' columns in a batch, and reports whether it has all of them.
func (x *expected) bind(b *batchBuilder) bool {
	if x.use == b.use {
		return true
	}
	x.columns, x.use = x.columns[:0], 0 // they are those of no batch until all are found
	for _, slot := range x.slots {
		if int(slot) >= len(b.fieldOf) || b.fieldOf[slot] == 0 {
			return false
		}
		x.columns = append(x.columns, int(b.fieldOf[slot]-1))
	}
	x.use = b.use
	return true
}
