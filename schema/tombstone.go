package schema

import "slices"

// Tombstone says that rows of a table were deleted: those with a time and tags that it
// names, in the files that were there then. Shared values are never changed.
type Tombstone struct {
	Table TableID
	// Order is its place among the files of the table, in which no two tombstones are: rows of
	// files with a lower one are deleted, those of later files were written after it.
	Order uint64
	Time  TimeRange
	Where *Predicate // nil: whatever the tags
	// Seq is the last record of the log whose rows are deleted, should a salvage read them again.
	Seq Seq
	// Created is in nanoseconds since the Unix epoch.
	Created int64
}

// MayHide reports whether some row of a file of the table may be deleted by the tombstone.
func (d *Tombstone) MayHide(t *Table, f *File) bool {
	return f.Order < d.Order && f.Swept < d.Order && d.Time.Overlaps(f.Time) && d.Where.mayHold(func(tag string) *ColumnStats {
		return f.statsOf(t, tag)
	})
}

// HidesAll reports whether every row of a file is deleted, as far as that can be told.
func (d *Tombstone) HidesAll(f *File) bool {
	return f.Order < d.Order && d.Where == nil && d.Time.Union(f.Time) == d.Time
}

// Covers reports whether all rows that another, earlier one deletes are deleted by this one too.
func (d *Tombstone) Covers(o *Tombstone) bool {
	if d.Table != o.Table || d.Order < o.Order || d.Time.Union(o.Time) != d.Time {
		return false
	}
	return d.Where == nil || d.Where.String() == o.Where.String()
}

// statsOf returns what is known of a tag of a file, nil if all rows lack it.
func (f *File) statsOf(t *Table, tag string) *ColumnStats {
	c, ok := t.Column(tag)
	if !ok || c.Type != Tag {
		return nil
	}
	i, ok := slices.BinarySearchFunc(f.Columns, c.ID, func(s ColumnStats, id ColumnID) int { return int(s.Column) - int(id) })
	if !ok {
		return nil
	}
	return &f.Columns[i]
}
