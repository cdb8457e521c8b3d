package engine

import (
	"cmp"
	"slices"

	"github.com/siltstone-db/siltstone/internal/textindex"
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
	isKept bool // the entry is remembered, and can be found by its text

	// Where the series was put last: its number in the batch with that use.
	use   uint64
	index uint32
}

type tagValue struct {
	slot  int32
	value []byte
}

// seriesMemory holds the entries that are remembered.
type seriesMemory struct {
	index   textindex.Index // of entries by their texts
	entries []*seriesEntry
	spare   []seriesEntry   // memory for more
	texts   textindex.Texts // and keys
}

// mostSpare bounds the entries for which there is memory ahead.
const mostSpare = 64

// find returns the entry of a text with a hash, nil if there is none.
func (m *seriesMemory) find(hash uint64, raw []byte) *seriesEntry {
	n, ok := m.index.Find(hash, func(n uint32) bool {
		e := m.entries[n]
		return string(e.raw[:len(e.raw)-1]) == string(raw) && !e.isDead
	})
	if !ok {
		return nil
	}
	return m.entries[n]
}

// add remembers a copy of e, whose text has the hash, and returns it and the memory that it takes.
func (m *seriesMemory) add(hash uint64, e *seriesEntry) (kept *seriesEntry, bytes int64) {
	if len(m.spare) == 0 {
		m.spare = make([]seriesEntry, min(len(m.entries)+1, mostSpare))
	}
	kept, m.spare = &m.spare[0], m.spare[1:]
	m.index.Add(hash, uint32(len(m.entries)))
	m.entries = append(m.entries, kept)
	*kept = seriesEntry{table: e.table, isKept: true}
	bytes = entryOverhead
	copied := func(text []byte) []byte {
		text, n := m.texts.Add(text)
		bytes += int64(n)
		return text
	}
	kept.raw = copied(e.raw)
	if e.key != nil {
		kept.key = copied(e.key)
		return kept, bytes
	}
	kept.tags = slices.Clone(e.tags)
	for i := range kept.tags {
		kept.tags[i].value = copied(kept.tags[i].value)
	}
	return kept, bytes + int64(len(e.raw)) + int64(len(e.tags))*tagOverhead // with the key to come
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
	in.hash = textindex.Hash(raw)
	if entry := in.db.series.find(in.hash, raw); entry != nil {
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

// newSeries takes a text apart that was not seen before. The entry is valid until the next line,
// and remembered only when this one is accepted.
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
	in.entry = seriesEntry{raw: in.text, table: t, tags: in.tags}
	if isDefined {
		in.key = t.appendKey(in.key[:0], in.tags)
		in.entry.key, in.entry.tags = in.key, nil
	}
	return &in.entry, nil
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

// keep remembers the series of an accepted line, and its place in the stream. It returns the
// entry that stands for it from here on.
func (in *ingester) keep(entry *seriesEntry) *seriesEntry {
	if !entry.isKept {
		if in.cached > in.maxCached {
			// It would be forgotten with everything else at the end of the request.
			in.db.last = nil
			return entry
		}
		kept, bytes := in.db.series.add(in.hash, entry)
		in.cached += bytes
		if kept.key == nil {
			in.fresh = append(in.fresh, kept)
		}
		entry = kept
	}
	if last := in.db.last; last != nil && last.next != entry {
		last.next = entry
	}
	in.db.last = entry
	return entry
}
