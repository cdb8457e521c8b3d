package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// Edit is one step in the life of the files, made by a flush, a compaction or a deletion of rows.
type Edit struct {
	// Add become visible; they are the catalog's from now on and never changed.
	Add []*schema.File
	// Remove names files that no longer exist.
	Remove []schema.FileID
	// Flushed says for single partitions how far their rows are in files.
	Flushed map[schema.PartitionKey]schema.Seq
	// Position is the new global flushed position; 0 leaves it. Flushed entries at or
	// below it are dropped, because it says as much.
	Position schema.Seq
	// Bury says what was deleted of files with a lower Order. Exhume names tombstones that no file
	// needs any more.
	Bury, Exhume []*schema.Tombstone
	// Rollups are the new states of rollups whose state changes.
	Rollups []*schema.RollupState
}

// Commit makes the edit, all of it or nothing (C2). The errors are ErrInvalidEdit,
// ErrFailed and ErrClosed.
func (c *Catalog) Commit(e Edit) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usableLocked(); err != nil {
		return err
	}
	if err := c.checkEditLocked(&e); err != nil {
		return err
	}
	current := c.files.Load()
	next := &fileSet{position: max(e.Position, current.position)}
	b := c.store.newBatch()
	next.flushed = moveFlushed(b, current, next.position, e.Flushed)
	if next.position != current.position {
		b.put(positionKey, appendNumber(nil, uint64(next.position)))
	}
	for _, id := range e.Remove {
		b.remove(fileKey(id))
	}
	next.tombstones = current.tombstones.after(b, &e)
	next.rollups = current.rollups.with(b, e.Rollups...)
	for _, f := range e.Add {
		b.put(fileKey(f.ID), appendFile(nil, f))
	}
	if err := c.store.commit(b); err != nil {
		return fmt.Errorf("commit of %d new and %d removed files: %w", len(e.Add), len(e.Remove), err)
	}
	next.list = c.applyFilesLocked(current.list, &e)
	c.files.Store(next)
	return nil
}

// moveFlushed returns the flushed positions after an edit and writes what changed.
func moveFlushed(
	b *batch, current *fileSet, position schema.Seq, flushed map[schema.PartitionKey]schema.Seq,
) map[schema.PartitionKey]schema.Seq {
	next := maps.Clone(current.flushed)
	for k, seq := range flushed {
		if seq > position && seq != next[k] {
			next[k] = seq
			b.put(flushedKey(k), appendNumber(nil, uint64(seq)))
		}
	}
	for k, seq := range next {
		if seq <= position {
			delete(next, k)
			b.remove(flushedKey(k))
		}
	}
	return next
}

// applyFilesLocked returns the list of files after the edit and brings byID up to date.
func (c *Catalog) applyFilesLocked(list []*schema.File, e *Edit) []*schema.File {
	if len(e.Add)+len(e.Remove) == 0 {
		return list
	}
	for _, id := range e.Remove {
		delete(c.mu.byID, id)
	}
	next := make([]*schema.File, 0, len(c.mu.byID)+len(e.Add))
	for _, f := range list {
		if c.mu.byID[f.ID] != nil {
			next = append(next, f)
		}
	}
	for _, f := range e.Add {
		c.mu.byID[f.ID] = f
	}
	next = append(next, e.Add...)
	slices.SortFunc(next, compareFiles)
	return slices.Clip(next)
}

func compareFiles(a, b *schema.File) int {
	return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.ID, b.ID))
}

func (c *Catalog) checkEditLocked(e *Edit) error {
	snapshot, current := c.schema.Load(), c.files.Load()
	if e.Position != 0 && e.Position < current.position {
		return fmt.Errorf("%w: position %d is before %d", ErrInvalidEdit, e.Position, current.position)
	}
	for k, seq := range e.Flushed {
		if !partitionExists(snapshot, k) {
			return fmt.Errorf("%w: flushed position of %s: no such table", ErrInvalidEdit, k)
		}
		if have := max(current.position, current.flushed[k]); seq < have {
			return fmt.Errorf("%w: flushed position %d of %s is before %d", ErrInvalidEdit, seq, k, have)
		}
	}
	removed := make(map[schema.FileID]bool, len(e.Remove))
	for _, id := range e.Remove {
		if c.mu.byID[id] == nil || removed[id] {
			return fmt.Errorf("%w: removed file %d does not exist", ErrInvalidEdit, id)
		}
		removed[id] = true
	}
	if err := c.checkAddLocked(snapshot, e.Add); err != nil {
		return err
	}
	if err := checkRollups(snapshot, e); err != nil {
		return err
	}
	return c.checkTombstonesLocked(e)
}

func (c *Catalog) checkAddLocked(snapshot *schema.Snapshot, add []*schema.File) error {
	last := schema.FileID(c.lastFile.Load())
	added := make(map[schema.FileID]bool, len(add))
	for _, f := range add {
		if f.ID == 0 || f.ID > last {
			return fmt.Errorf("%w: file id %d was never handed out", ErrInvalidEdit, f.ID)
		}
		if c.mu.byID[f.ID] != nil || added[f.ID] {
			return fmt.Errorf("%w: file %d exists already", ErrInvalidEdit, f.ID)
		}
		if err := checkFile(snapshot, f); err != nil {
			return fmt.Errorf("%w: file %d: %w", ErrInvalidEdit, f.ID, err)
		}
		added[f.ID] = true
	}
	return nil
}

func partitionExists(s *schema.Snapshot, k schema.PartitionKey) bool {
	t, ok := s.TableByID(k.Table)
	return ok && t.Database == k.Database
}

// Faults of a file's description.
var (
	errNoTable   = errors.New("its table does not exist")
	errEmpty     = errors.New("a range of days, times or log positions is empty")
	errColumns   = errors.New("its columns are not in id order, or not all in the table")
	errFooter    = errors.New("its footer is longer than the file, or has a checksum and no length")
	errLongBound = fmt.Errorf("a column bound has more than %d bytes", schema.MaxStatBytes)
)

// checkFile says whether a description fits the schema and can be encoded.
func checkFile(s *schema.Snapshot, f *schema.File) error {
	t, ok := s.TableByID(f.Table)
	if !ok || t.Database != f.Database {
		return errNoTable
	}
	if f.DayMin > f.DayMax || f.Time.IsEmpty() || f.Seq.Min > f.Seq.Max {
		return errEmpty
	}
	if f.FooterBytes > f.Bytes || f.FooterBytes == 0 && f.FooterCRC32C != 0 {
		return errFooter
	}
	last := schema.ColumnID(0)
	for i := range f.Columns {
		col := &f.Columns[i]
		if col.Column <= last || int(col.Column) > len(t.Columns) {
			return errColumns
		}
		if len(col.Min) > schema.MaxStatBytes || len(col.Max) > schema.MaxStatBytes {
			return errLongBound
		}
		last = col.Column
	}
	return nil
}
