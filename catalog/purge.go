package catalog

import (
	"fmt"
	"maps"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// Purge removes everything about tables, and about databases with all their tables, that
// were deleted: columns, files, flushed positions, remembered event ids. Only their ids
// stay taken (C3). ErrInvalidChange says that one of them was not deleted; then nothing
// was changed. The other errors are ErrFailed and ErrClosed.
func (c *Catalog) Purge(tables []schema.TableID, databases []schema.DatabaseID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usableLocked(); err != nil {
		return err
	}
	current := c.schema.Load()
	doomed, err := doomedTables(current, tables, databases)
	if err != nil || len(doomed)+len(databases) == 0 {
		return err
	}
	b := c.store.newBatch()
	for _, id := range databases {
		b.put(databaseStateKey(id), appendDatabaseState(nil, &databaseState{purged: true}))
	}
	for _, t := range doomed {
		purgeTable(b, t)
	}
	next := c.filesWithoutLocked(b, doomed)
	c.events.Lock() // so that no event id is added behind the removal
	defer c.events.Unlock()
	if err := c.commitLocked(b, "purge %d tables and %d databases", len(doomed), len(databases)); err != nil {
		return err
	}
	c.files.Store(next)
	c.schema.Store(current.WithPurged(slices.Collect(maps.Keys(doomed)), databases))
	c.mu.byID = make(map[schema.FileID]*schema.File, len(next.list))
	for _, f := range next.list {
		c.mu.byID[f.ID] = f
	}
	return nil
}

// doomedTables returns the given tables and those of the given databases.
func doomedTables(
	s *schema.Snapshot, tables []schema.TableID, databases []schema.DatabaseID,
) (map[schema.TableID]*schema.Table, error) {
	doomed := make(map[schema.TableID]*schema.Table)
	for _, id := range tables {
		t, ok := s.TableByID(id)
		if !ok || t.Deleted == nil {
			return nil, fmt.Errorf("%w: purge of table %d, which is not deleted", ErrInvalidChange, id)
		}
		doomed[id] = t
	}
	for _, id := range databases {
		d, ok := s.DeletedDatabase(id)
		if !ok {
			return nil, fmt.Errorf("%w: purge of database %d, which is not deleted", ErrInvalidChange, id)
		}
		for _, t := range d.Tables {
			doomed[t.ID] = t
		}
	}
	return doomed, nil
}

func purgeTable(b *batch, t *schema.Table) {
	b.put(tableStateKey(t.ID), appendTableState(nil, &tableState{purged: true}))
	b.removePrefix(key32(kindColumn, uint32(t.ID)))
	b.removePrefix(eventPrefix(t.ID))
	b.removePrefix(tombstonePrefix(t.ID))
	b.removePrefix(cachePrefix(t.ID))
	if t.Rollup != nil {
		b.remove(rollupKey(t.ID))
		b.remove(rollupStateKey(t.ID))
	}
}

// filesWithoutLocked returns the files and positions without those of the doomed tables,
// whose records it removes; mu is held.
func (c *Catalog) filesWithoutLocked(b *batch, doomed map[schema.TableID]*schema.Table) *fileSet {
	current := c.files.Load()
	next := &fileSet{
		position: current.position, flushed: maps.Clone(current.flushed), tombstones: maps.Clone(current.tombstones),
		rollups: maps.Clone(current.rollups),
	}
	maps.DeleteFunc(next.rollups, func(id schema.TableID, _ *schema.RollupState) bool { return doomed[id] != nil })
	maps.DeleteFunc(next.tombstones, func(id schema.TableID, _ []*schema.Tombstone) bool { return doomed[id] != nil })
	for _, f := range current.list {
		if doomed[f.Table] != nil {
			b.remove(fileKey(f.ID))
		} else {
			next.list = append(next.list, f)
		}
	}
	for k := range current.flushed {
		if doomed[k.Table] != nil {
			b.remove(flushedKey(k))
			delete(next.flushed, k)
		}
	}
	return next
}
