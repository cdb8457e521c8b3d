package catalog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// rebuildEvents is how many event ids are copied in one batch.
const rebuildEvents = 4096

// Build writes a new catalog from the remains into o.Dir, which must not exist, and
// returns what had to be made up or left out, one sentence each. When it returns an error
// the directory is to be removed. The event ids of the old catalog are copied as far as
// they can be read. They may not be all, even if none was damaged: they were not synced, and
// were last in a log of which the end may be gone.
func (r *Remains) Build(o Options) (notes []string, err error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	b := &rebuild{r: r, notes: slices.Clone(r.Notes)}
	b.complete()
	s, err := openStore(&o)
	if err != nil {
		return nil, err
	}
	if err = s.commit(b.batch(s)); err == nil {
		err = r.copyEvents(s)
	}
	if err == nil {
		_, err = load(s, o.Dir) // whatever the remains were, this must be a catalog
	}
	if err = errors.Join(err, s.close()); err != nil {
		return nil, fmt.Errorf("rebuild catalog %s: %w", o.Dir, err)
	}
	return b.notes, nil
}

// copyEvents copies the event ids of tables that are there.
func (r *Remains) copyEvents(s *store) error {
	if r.store == nil && r.raw == nil {
		return nil
	}
	b, n := s.newBatch(), 0
	var fault error // ends the copying, and nothing else
	copyEvent := func(key, stored []byte) error {
		if len(key) != 1+4+eventIDBytes || checkEvent(key, stored) != nil {
			r.Lost = append(r.Lost, LostRecord{bytes.Clone(key), errChecksum})
			return nil
		}
		if r.isPurged(key) {
			return nil
		}
		b.putEvent(key)
		if n++; n < rebuildEvents {
			return nil
		}
		full := b
		b, n = s.newBatch(), 0
		return s.add(full)
	}
	var err error
	if r.raw != nil {
		err = r.raw.events(copyEvent)
	} else {
		err = r.scan([]byte{byte(kindEvent)}, false, copyEvent, &fault)
	}
	if err == nil {
		err = s.commit(b)
	}
	return err
}

// isPurged reports whether an event id is of a table that was purged.
func (r *Remains) isPurged(eventKey []byte) bool {
	t := r.tables[schema.TableID(binary.BigEndian.Uint32(eventKey[1:]))]
	return t != nil && t.state.purged
}

// rebuild makes a catalog without gaps and contradictions out of remains.
type rebuild struct {
	r     *Remains
	notes []string
}

func (b *rebuild) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// complete fills and corrects the remains.
func (b *rebuild) complete() {
	for _, id := range slices.Sorted(maps.Keys(b.r.tables)) {
		t := b.r.tables[id]
		if t.database == 0 && !t.state.purged { // only columns or a state are left
			t.state = tableState{purged: true}
			b.note("table %d is given up: its name and database are lost, and it has no file", id)
		}
		if t.database != 0 {
			b.r.database(t.database)
		}
	}
	b.completeDatabases()
	b.completeTables()
	b.dropStray()
	b.completeTombstones()
	b.completeRollups()
	b.completeCaches()
	slices.SortFunc(b.r.tokens, func(a, t *schema.Token) int { return cmp.Compare(a.ID, t.ID) })
	names := make(map[string]bool)
	b.r.tokens = slices.DeleteFunc(b.r.tokens, func(t *schema.Token) bool {
		twice := names[t.Name]
		names[t.Name] = true
		return twice
	})
	sources := make(map[datasourceName]bool)
	b.r.datasources = slices.DeleteFunc(b.r.datasources, func(d *schema.Datasource) bool {
		twice := sources[nameOf(d)]
		sources[nameOf(d)] = true
		return twice
	})
}

func (b *rebuild) completeDatabases() {
	last := schema.DatabaseID(0)
	for id := range b.r.databases {
		last = max(last, id)
	}
	if last == 0 && len(b.r.tables) > 0 {
		last = 1 // purged tables need one to belong to
	}
	names := make(map[string]bool)
	for id := schema.DatabaseID(1); id <= last; id++ {
		d := b.r.databases[id]
		if d == nil {
			d = &databaseRecord{name: fmt.Sprintf("lost-%d", id), state: databaseState{purged: true}}
			b.r.databases[id] = d
		}
		if d.name == "" {
			d.name = fmt.Sprintf("lost-%d", id)
			if !d.state.purged {
				b.note("the name of database %d is lost; it is called %q now", id, d.name)
			}
		}
		if d.state.purged || d.state.deleted != nil {
			continue
		}
		if names[d.name] {
			old := d.name
			d.name = fmt.Sprintf("%s-%d", old, id)
			b.note("two databases are called %q, because a deletion is lost; the second is called %q now", old, d.name)
		}
		names[d.name] = true
	}
}

// tableName tells tables of all databases apart.
type tableName struct {
	database schema.DatabaseID
	name     string
}

func (b *rebuild) completeTables() {
	last := schema.TableID(0)
	for id := range b.r.tables {
		last = max(last, id)
	}
	names := make(map[tableName]bool)
	for id := schema.TableID(1); id <= last; id++ {
		t := b.r.table(id)
		if t.database != 0 && b.r.databases[t.database].state.purged || t.database == 0 {
			t.state = tableState{purged: true}
		}
		if t.name == "" {
			t.name = fmt.Sprintf("lost-%d", id)
			if !t.state.purged {
				b.note("the name of table %d of database %q is lost; it is called %q now", id, b.r.databases[t.database].name, t.name)
			}
		}
		if t.state.purged {
			t.database, t.columns = max(t.database, 1), nil
			continue
		}
		b.completeColumns(id, t)
		if t.state.deleted != nil {
			continue
		}
		if key := (tableName{t.database, t.name}); names[key] {
			old := t.name
			t.name = fmt.Sprintf("%s-%d", old, id)
			b.note("two tables are called %q, because a deletion is lost; the second is called %q now", old, t.name)
		}
		names[tableName{t.database, t.name}] = true
	}
}

func (b *rebuild) completeColumns(id schema.TableID, t *tableRemains) {
	last := schema.ColumnID(0)
	for c := range t.columns {
		last = max(last, c)
	}
	names := make(map[string]bool)
	for _, c := range t.columns {
		names[c.Name] = true
	}
	for c := schema.ColumnID(1); c <= last; c++ {
		if _, ok := t.columns[c]; ok {
			continue
		}
		name := fmt.Sprintf("lost_%d", c)
		for names[name] {
			name += "_"
		}
		names[name] = true
		t.columns[c] = schema.Column{ID: c, Name: name, Type: schema.Float64}
		b.note("a column of table %q, which no file has, is lost; an empty column %q is in its place", t.name, name)
	}
	if t.state.rule != schema.PointKey && t.columns[t.state.tag].Type != schema.Tag {
		t.state.rule, t.state.tag = schema.PointKey, 0
		b.note("the key of table %q (%d) is lost: its rows are told apart by tags and time now", t.name, id)
	}
}

// dropStray drops files and positions that fit nothing.
func (b *rebuild) dropStray() {
	for _, id := range slices.Sorted(maps.Keys(b.r.files)) {
		f := b.r.files[id]
		t := b.r.tables[f.Table]
		if t == nil || t.state.purged || t.database != f.Database {
			b.note("file %016x is left out: its table is gone", id)
			delete(b.r.files, id)
			continue
		}
		b.r.run = max(b.r.run, uint64(id)>>runShift+1)
	}
	for k, seq := range b.r.flushed {
		t := b.r.tables[k.Table]
		if t == nil || t.state.purged || t.database != k.Database || seq <= b.r.position {
			delete(b.r.flushed, k)
		}
	}
	b.r.run = max(b.r.run, 1)
}

// batch returns all records but the event ids.
func (b *rebuild) batch(s *store) *batch {
	r, out := b.r, s.newBatch()
	h := header{format: formatVersion, instance: newInstanceID()}
	if r.header != nil {
		h.instance = r.header.instance
	} else {
		b.note("the identity of the data directory is lost; it has a new one")
	}
	out.put(headerKey, appendHeader(nil, h))
	out.put(runKey, appendNumber(nil, r.run))
	if r.position > 0 {
		out.put(positionKey, appendNumber(nil, uint64(r.position)))
	}
	if r.lastToken > 0 {
		out.put(lastTokenKey, appendNumber(nil, r.lastToken))
	}
	if r.clock != nil {
		out.put(clockKey, appendClock(nil, *r.clock))
	}
	for id, d := range r.databases {
		out.put(databaseKey(id), appendDatabase(nil, d.name))
		out.put(databaseStateKey(id), appendDatabaseState(nil, &d.state))
	}
	for id, t := range r.tables {
		out.put(tableKey(id), appendTable(nil, t.database, t.name))
		out.put(tableStateKey(id), appendTableState(nil, &t.state))
		for _, c := range t.columns {
			out.put(columnKey(id, c.ID), appendColumn(nil, c))
		}
		if t.rollup != nil {
			out.put(rollupKey(id), appendRollup(nil, t.rollup))
		}
		for _, c := range t.caches {
			out.put(cacheKey(id, c.ID), appendCache(nil, c))
		}
	}
	for id, f := range r.files {
		out.put(fileKey(id), appendFile(nil, f))
	}
	for _, d := range r.tombstones {
		out.put(tombstoneKey(d), appendTombstone(nil, d))
	}
	for id, s := range r.rollups {
		out.put(rollupStateKey(id), appendRollupState(nil, s))
	}
	for k, seq := range r.flushed {
		out.put(flushedKey(k), appendNumber(nil, uint64(seq)))
	}
	for _, t := range r.tokens {
		out.put(tokenKey(t.ID), appendToken(nil, t))
	}
	for i, d := range r.datasources {
		out.put(datasourceKey(i+1), appendDatasource(nil, d))
	}
	return out
}
