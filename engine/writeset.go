package engine

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/siltstone-db/siltstone/internal/textindex"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// writeSet is what one request writes: its batches, and the log record they make.
type writeSet struct {
	batches []*batchBuilder
	spare   []*batchBuilder
	refs    []*partition.Batch
	encoder partition.Encoder
	keys    []firstKey      // that the rows bring to FirstByTag tables
	texts   textindex.Texts // keys of series that are not remembered
	// built estimates the bytes that the batches take, and their log record will.
	built int64
	class int // of the bodies that use the set
}

// Estimates of what building takes, beside what comes from the lines.
const (
	batchOverhead = 1024 // a batchBuilder with the least that its columns allocate
	fieldOverhead = 400  // a column of it, twice while the columns move
	seriesInBatch = 40   // a series of it, without its key
	lineOverhead  = 12   // time and series number
	copiesOfALine = 3    // the columns, the record, and the record as S2 leaves it
	copiesOfAKey  = 2    // the record, and as S2 leaves it
)

// maxSpareBatches bounds the batches whose memory a set keeps for later requests.
const maxSpareBatches = 16

// writeSets are kept for later requests, in classes by the size of the body, which the
// memory of a set goes with. Without classes large bodies would make each of the many sets
// that small ones use large in turn; what they keep is not accounted for. Bodies
// below 1 MiB are of class 0, those below 2 MiB of class 1, and so on.
var writeSets [maxSetClass + 1]sync.Pool

const (
	smallBodyBits = 20
	maxSetClass   = 4 // 8 MiB and more
	// maxSpareBytes bounds what sets of class 0 are kept with, and doubles with each class.
	maxSpareBytes = 4 << 20
)

// newWriteSet returns an empty set for a body.
func newWriteSet(bodyBytes int) *writeSet {
	class := min(bits.Len(uint(bodyBytes)>>smallBodyBits), maxSetClass)
	if w, ok := writeSets[class].Get().(*writeSet); ok {
		return w
	}
	return &writeSet{class: class}
}

func (w *writeSet) reset() {
	for _, b := range w.batches {
		if len(w.spare) < maxSpareBatches {
			w.spare = append(w.spare, b)
		}
	}
	clear(w.batches)
	w.batches, w.keys, w.built = w.batches[:0], w.keys[:0], 0
	w.texts.Reset()
}

// release gives the set back when nobody uses it any more. The memory of one that is large
// for its body goes to those who need it next, of whatever kind.
func (w *writeSet) release() {
	isLarge := w.isLarge()
	w.reset()
	if !isLarge {
		writeSets[w.class].Put(w)
	}
}

func (w *writeSet) isLarge() bool { return w.built > maxSpareBytes<<w.class }

// newBatch returns an empty batch, the last of the set.
func (w *writeSet) newBatch(t *ingestTable, day schema.Day) *batchBuilder {
	var b *batchBuilder
	if n := len(w.spare); n > 0 {
		b, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		b = new(batchBuilder)
	}
	b.begin(t, day)
	b.set = w
	w.built += batchOverhead
	w.batches = append(w.batches, b)
	return b
}

// seal fills in the ids that the batches were built without, and returns the record.
// The error is ErrTooLarge.
func (w *writeSet) seal() ([]byte, error) {
	w.refs = w.refs[:0]
	for _, b := range w.batches {
		b.seal()
		w.refs = append(w.refs, &b.Batch)
	}
	record := w.encoder.Encode(w.refs)
	if w.encoder.IsTooLarge() {
		return nil, ErrTooLarge
	}
	return record, nil
}

// memoryBytes estimates what the batches will take in the buffers.
func (w *writeSet) memoryBytes() int64 {
	n := int64(0)
	for _, b := range w.batches {
		n += b.MemoryBytes()
	}
	return n
}

// batchBuilder is a Batch that knows the table's slots.
type batchBuilder struct {
	partition.Batch
	set     *writeSet
	table   *ingestTable
	entries []*seriesEntry // parallel to Series, nil where that has the key or a draft of it
	drafts  []int          // positions in Series of keys with slots in place of ids
	fieldOf []int32        // by slot: 1 + position in Fields, 0 for none
	slots   []int32        // by position in Fields
	values  int            // field values, nulls not counted
	// use is another number each time that a builder is used. What remembers a place in a batch does so
	// by this number: a pointer would keep the memory of a large batch for as long.
	use uint64
}

func (b *batchBuilder) begin(t *ingestTable, day schema.Day) {
	b.Reset(schema.PartitionKey{Day: day})
	b.table, b.values = t, 0
	b.entries, b.slots, b.drafts = b.entries[:0], b.slots[:0], b.drafts[:0]
	clear(b.fieldOf)
	b.use = uses.Add(1)
}

// uses counts the uses of all builders.
var uses atomic.Uint64

// batchFor returns the batch for a line at ns with the given values.
func (t *ingestTable) batchFor(ns int64, values []staged, out *writeSet) *batchBuilder {
	day := schema.DayOf(ns)
	b := t.current
	if b == nil || b.Key.Day != day {
		b = t.days[day]
	}
	if b == nil || !b.Fits(len(values), b.newFields(values), b.values) {
		b = out.newBatch(t, day)
		t.days[day] = b
	}
	t.current = b
	return b
}

// newFields counts the values whose columns the batch does not have yet.
func (b *batchBuilder) newFields(values []staged) int {
	n := 0
	for i := range values {
		if slot := int(values[i].slot); slot >= len(b.fieldOf) || b.fieldOf[slot] == 0 {
			n++
		}
	}
	return n
}

// add appends a line.
func (b *batchBuilder) add(entry *seriesEntry, ns int64, values []staged, texts []byte) {
	row := len(b.Time)
	for i := range values {
		v := &values[i]
		b.field(v.slot).Append(row, v.bits, texts[v.from:v.to])
	}
	b.addRow(entry, ns, len(values), len(texts))
}

// addExpected is add for values that are numbers and booleans, of columns that the batch has.
func (b *batchBuilder) addExpected(entry *seriesEntry, ns int64, columns []int, values []uint64) {
	b.AppendNumbers(columns, values)
	b.addRow(entry, ns, len(values), 0)
}

// addRow appends what a line has besides its values.
func (b *batchBuilder) addRow(entry *seriesEntry, ns int64, values, textBytes int) {
	if entry.use != b.use {
		entry.use, entry.index = b.use, uint32(len(b.Series))
		b.addSeries(entry)
	}
	b.Time = append(b.Time, ns)
	b.Index = append(b.Index, entry.index)
	b.Range = b.Range.Include(ns)
	b.values += values
	b.set.built += copiesOfALine * int64(lineOverhead+8*values+textBytes)
}

// addSeries adds a series. An entry that is not remembered need not outlive its line.
func (b *batchBuilder) addSeries(entry *seriesEntry) {
	b.set.built += seriesInBatch + copiesOfAKey*int64(len(entry.raw))
	switch {
	case entry.key != nil && entry.isKept:
		b.Series = append(b.Series, entry.key)
		entry = nil
	case entry.key != nil:
		b.Series = append(b.Series, b.set.copyKey(entry.key))
		entry = nil
	case !entry.isKept:
		b.set.built += int64(len(entry.raw))
		b.drafts = append(b.drafts, len(b.Series))
		b.Series = append(b.Series, entry.draft())
		entry = nil
	default:
		b.Series = append(b.Series, nil)
	}
	b.entries = append(b.entries, entry)
}

// copyKey copies a key into the memory of the set.
func (w *writeSet) copyKey(key []byte) []byte {
	copied, allocated := w.texts.Add(key)
	w.built += int64(allocated)
	return copied
}

func (b *batchBuilder) field(slot int32) *partition.Field {
	for int(slot) >= len(b.fieldOf) {
		b.fieldOf = append(b.fieldOf, 0)
	}
	if b.fieldOf[slot] == 0 {
		b.AddField(0, b.table.slots[slot].kind)
		b.set.built += fieldOverhead
		b.slots = append(b.slots, slot)
		b.fieldOf[slot] = int32(len(b.slots))
	}
	return &b.Fields[b.fieldOf[slot]-1]
}

// seal replaces slots by the ids that the columns have by now.
func (b *batchBuilder) seal() {
	b.Key.Database, b.Key.Table = b.table.def.Database, b.table.def.ID
	for i, slot := range b.slots {
		b.Fields[i].ID = b.table.slots[slot].id
	}
	for i, e := range b.entries {
		if e != nil {
			b.Series[i] = e.key
		}
	}
	for _, i := range b.drafts {
		b.Series[i] = b.table.keyOf(b.Series[i])
	}
	b.table = nil
	clear(b.entries)
}
