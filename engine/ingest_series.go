package engine

import (
	"cmp"
	"slices"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// seriesEntry is what a series text means.
type seriesEntry struct {
	raw   []byte // the text with the space behind it
	table *ingestTable
	tags  []tagValue
	// key is the canonical series key; nil until all tags are defined.
	key  []byte
	next *seriesEntry // what came after it last time
	// isDead marks an entry whose tags were never defined; it is only reached by the
	// next of others.
	isDead bool
	isKept bool // the entry can be found by its text

	// Where the series was put last, to be trusted only while the batch has that use.
	batch *batchBuilder
	use   uint64
	index uint32
}

type tagValue struct {
	slot  int32
	value []byte
}

// readSeries reads measurement and tags of a line and finds out what they mean.
func (in *ingester) readSeries() (*seriesEntry, *fault) {
	if next := in.db.predicted(); next != nil && in.reader.SkipSeries(next.raw) {
		in.touch(next.table)
		return next, nil
	}
	raw, err := in.reader.Series()
	if err != nil {
		return nil, syntaxFault(err)
	}
	if entry := in.db.series[string(raw)]; entry != nil {
		in.touch(entry.table)
		return entry, nil
	}
	return in.newSeries(raw)
}

// predicted returns the series that came after the last one when it came before.
func (db *ingestDatabase) predicted() *seriesEntry {
	if db.last == nil || db.last.next == nil || db.last.next.isDead {
		return nil
	}
	return db.last.next
}

// newSeries takes a text apart that was not seen before. The entry is remembered only
// when its line is accepted.
func (in *ingester) newSeries(raw []byte) (*seriesEntry, *fault) {
	if err := in.reader.ParseSeries(raw, &in.series); err != nil {
		return nil, syntaxFault(err)
	}
	t := in.db.tables[string(in.series.Measurement)]
	if t == nil {
		t = newIngestTable(string(in.series.Measurement))
		in.db.tables[t.name] = t
		in.cached += tableOverhead + 2*int64(len(t.name))
	}
	in.touch(t)
	entry := &seriesEntry{raw: append(slices.Clone(raw), ' '), table: t}
	for _, tag := range in.series.Tags {
		slot, f := in.tagSlot(t, tag.Key)
		if f != nil {
			t.dropSlots(in.slotsBefore)
			return nil, f
		}
		entry.tags = append(entry.tags, tagValue{slot, slices.Clone(tag.Value)})
	}
	entry.resolve()
	return entry, nil
}

// touch prepares a table for a line of the current request.
func (in *ingester) touch(t *ingestTable) {
	if t.request != in.request {
		t.begin(in.request, in.schema)
	}
	in.slotsBefore = len(t.slots)
}

func (in *ingester) tagSlot(t *ingestTable, name []byte) (int32, *fault) {
	slot, ok := t.byName[string(name)]
	if !ok {
		return in.addSlot(t, name, schema.Tag)
	}
	if s := &t.slots[slot]; s.kind != schema.Tag {
		return 0, in.typeFault(t, s, schema.Tag)
	}
	return slot, nil
}

// resolve makes the canonical key if all tags are defined.
func (e *seriesEntry) resolve() {
	for _, t := range e.tags {
		if e.table.slots[t.slot].id == 0 {
			return
		}
	}
	slots := e.table.slots
	slices.SortFunc(e.tags, func(a, b tagValue) int { return cmp.Compare(slots[a.slot].id, slots[b.slot].id) })
	e.key = []byte{}
	for _, t := range e.tags {
		e.key = partition.AppendTag(e.key, slots[t.slot].id, t.value)
	}
	e.tags = nil
}

// draft is what stands for the key of a series as long as not all of its tags are
// defined: tags as in a key, with slots in place of ids, in the order of the line.
func (e *seriesEntry) draft() []byte {
	draft := []byte{}
	for _, t := range e.tags {
		draft = partition.AppendTag(draft, draftID(t.slot), t.value)
	}
	return draft
}

// draftID is the id by which a draft names a slot; 0 would be none.
func draftID(slot int32) schema.ColumnID { return schema.ColumnID(slot) + 1 }

// keyOf makes the key of a draft, when all tags are defined.
func (t *ingestTable) keyOf(draft []byte) []byte {
	type tag struct {
		id    schema.ColumnID
		value []byte
	}
	var tags []tag
	for id, value := range partition.Tags(draft) {
		tags = append(tags, tag{t.slots[id-1].id, value})
	}
	slices.SortFunc(tags, func(a, b tag) int { return cmp.Compare(a.id, b.id) })
	key := make([]byte, 0, len(draft)+4*len(tags))
	for _, tag := range tags {
		key = partition.AppendTag(key, tag.id, tag.value)
	}
	return key
}

// bytes estimates what remembering the entry takes: its text is held as raw, as the
// map's key and, taken apart, as key or tags.
func (e *seriesEntry) bytes() int64 { return entryOverhead + 3*int64(len(e.raw)) }

// keep remembers the series of an accepted line, and its place in the stream.
func (in *ingester) keep(entry *seriesEntry) {
	if !entry.isKept && in.cached > in.maxCached {
		// It would be forgotten with everything else at the end of the request.
		in.db.last = nil
		return
	}
	if last := in.db.last; last != nil {
		last.next = entry
	}
	in.db.last = entry
	if entry.isKept {
		return
	}
	entry.isKept = true
	in.db.series[string(entry.raw[:len(entry.raw)-1])] = entry
	in.cached += entry.bytes()
	if entry.key == nil {
		in.fresh = append(in.fresh, entry)
	}
}
