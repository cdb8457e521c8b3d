package engine

import (
	"slices"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// A salvage must not bring rows back that were deleted. Those of files are hidden by the
// tombstones of the catalog, which a catalog that is built anew learns from the notes of deletions. Those of
// the log are left out: a record up to the one that a tombstone names was written before it. A deletion that
// was being committed counts where the catalog is lost: nobody was told that it was not made.

// learnDeletions takes the tombstones that are noted beside the catalog.
func (s *salvage) learnDeletions(remains *catalog.Remains) error {
	notes, bad, err := s.e.readDeletions()
	if err != nil {
		return err
	}
	for _, n := range notes {
		for _, d := range n.tombstones {
			remains.LearnTombstone(d)
		}
	}
	for _, name := range bad {
		s.report.Files = append(s.report.Files, SalvagedFile{File: name, Reason: "the note of a deletion does not verify: rows that it deleted may be back"})
	}
	return nil
}

// deletedRows returns what was deleted of each table, as far as rows of the log may be among it.
func (s *salvage) deletedRows() (map[schema.TableID][]*schema.Tombstone, error) {
	notes, _, err := s.e.readDeletions()
	if err != nil {
		return nil, err
	}
	deleted := make(map[schema.TableID][]*schema.Tombstone)
	for _, d := range s.e.catalog.AllTombstones() {
		deleted[d.Table] = append(deleted[d.Table], d)
	}
	for _, n := range notes {
		if !n.isMade(s.e.catalog) {
			continue
		}
		for _, d := range n.tombstones {
			deleted[d.Table] = append(deleted[d.Table], d)
		}
	}
	return deleted, nil
}

// sweptFrom returns what was deleted of the rows of a file's records and is not hidden in a file that
// takes its place: a compaction has left it out, and the tombstone may be gone.
func (s *salvage) sweptFrom(f *schema.File) ([]*schema.Tombstone, error) {
	if s.deleted == nil {
		var err error
		if s.deleted, err = s.deletedRows(); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(s.deleted[f.Table]), func(d *schema.Tombstone) bool {
		return isBuried(s.e.catalog, d) && f.Order < d.Order && f.Swept < d.Order
	}), nil
}

// withoutDeleted returns the rows of a batch of a record that were not deleted later, nil if there is none.
func withoutDeleted(def *schema.Table, b *partition.Batch, seq schema.Seq, deleted []*schema.Tombstone) *partition.Batch {
	for _, d := range deleted {
		if d.Seq < seq || !d.Time.Overlaps(b.Range) {
			continue
		}
		of := make([]bool, len(b.Series))
		for i, key := range b.Series {
			of[i] = d.Where.Holds(func(tag string) string {
				c, ok := def.Column(tag)
				if !ok || c.Type != schema.Tag {
					return ""
				}
				value, _ := partition.TagValue(key, c.ID)
				return string(value)
			})
		}
		b = b.Select(func(row int) bool {
			return !of[b.Index[row]] || b.Time[row] < d.Time.Min || b.Time[row] > d.Time.Max
		})
		if b.Rows() == 0 {
			return nil
		}
	}
	return b
}
