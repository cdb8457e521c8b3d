package engine

import (
	"cmp"
	"slices"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// seriesEntry is what a series text means.
type seriesEntry struct {
	raw   string // the text with the space behind it
	table *ingestTable
	tags  []tagValue
	// key is the canonical series key; nil until all tags are defined.
	key  []byte
	next *seriesEntry // what came after it last time
	// isDead marks an entry whose tags were never defined; it is only reached by the
	// next of others.
	isDead bool
	isKept bool  // the entry can be found by its text
	bytes  int64 // that remembering it takes

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
	t := in.tableOf(in.series.Measurement)
	in.touch(t)
	in.tags = in.tags[:0]
	isDefined := true
	for i, tag := range in.series.Tags {
		slot, f := in.tagSlot(t, i, tag.Key)
		if f != nil {
			t.dropSlots(in.slotsBefore)
			return nil, f
		}
		isDefined = isDefined && t.slots[slot].id != 0
		in.tags = append(in.tags, tagValue{slot, tag.Value})
	}
	in.text = append(append(in.text[:0], raw...), ' ')
	entry := &seriesEntry{raw: string(in.text), table: t}
	if isDefined {
		in.text = t.appendKey(in.text[:0], in.tags)
		entry.key = append(make([]byte, 0, len(in.text)), in.text...)
		return entry, nil
	}
	entry.tags = slices.Clone(in.tags)
	for i := range entry.tags {
		entry.tags[i].value = slices.Clone(entry.tags[i].value)
	}
	return entry, nil
}

// tableOf finds a table by name, or makes it. Most series are of the table of the line before.
func (in *ingester) tableOf(name []byte) *ingestTable {
	if last := in.db.last; last != nil && last.table.name == string(name) {
		return last.table
	}
	t := in.db.tables[string(name)]
	if t == nil {
		t = newIngestTable(string(name))
		in.db.tables[t.name] = t
		in.cached += tableOverhead + 2*int64(len(t.name))
	}
	return t
}

// touch prepares a table for a line of the current request.
func (in *ingester) touch(t *ingestTable) {
	if t.request != in.request {
		t.begin(in.request, in.schema, in.clock)
	}
	in.slotsBefore = len(t.slots)
}

// tagSlot finds the slot of the i-th tag of a series: the one that stood there last time, or by name.
func (in *ingester) tagSlot(t *ingestTable, i int, name []byte) (int32, *fault) {
	if i < len(t.tagOrder) && t.slots[t.tagOrder[i]].name == string(name) {
		return t.tagOrder[i], nil
	}
	slot, ok := t.byName[string(name)]
	if !ok {
		return in.addSlot(t, name, schema.Tag)
	}
	if s := &t.slots[slot]; s.kind != schema.Tag {
		return 0, in.typeFault(t, s, schema.Tag)
	}
	if i <= len(t.tagOrder) {
		t.tagOrder = append(t.tagOrder[:i], slot)
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
	e.key = e.table.appendKey([]byte{}, e.tags)
	e.tags = nil
}

// appendKey appends the canonical key of tags that are all defined, and sorts these.
func (t *ingestTable) appendKey(key []byte, tags []tagValue) []byte {
	byID := func(a, b tagValue) int { return cmp.Compare(t.slots[a.slot].id, t.slots[b.slot].id) }
	if !slices.IsSortedFunc(tags, byID) {
		slices.SortFunc(tags, byID)
	}
	for _, tag := range tags {
		key = partition.AppendTag(key, t.slots[tag.slot].id, tag.value)
	}
	return key
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

// estimate says what remembering the entry takes, in bytes: its text is held as raw, which the map's
// key is part of, and taken apart, as key or tags.
func (e *seriesEntry) estimate() int64 {
	n := entryOverhead + 2*int64(len(e.raw))
	if e.key == nil {
		n += int64(len(e.tags)) * tagOverhead
	}
	return n
}

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
	in.db.series[entry.raw[:len(entry.raw)-1]] = entry
	entry.bytes = entry.estimate()
	in.cached += entry.bytes
	if entry.key == nil {
		in.fresh = append(in.fresh, entry)
	}
}
