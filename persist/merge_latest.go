package persist

import (
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/schema"
)

// MergeLatest says that the rows of a series are versions, of which only the newest counts.
type MergeLatest struct {
	// Deleted is the boolean field that ends a record; 0 if there is none.
	Deleted schema.ColumnID
	// DeletedBefore is the instant before which a version that ends a record is left out too: there is no
	// older version that it hides.
	DeletedBefore int64
}

// latestRow is the newest row of the series at hand, as far as it is known. It is noted for the record when
// a row of another series comes. Older ones are never looked at: of a stretch only the last row counts.
type latestRow struct {
	spec     *MergeLatest
	deleted  int // the place of the field in batches; -1 if they do not have it
	versions []version
	key      []string // the tags
	isNull   []bool
}

func newLatestRow(spec *MergeLatest, columns []schema.Column) *latestRow {
	if spec == nil {
		return nil
	}
	tags, fields := split(columns)
	l := &latestRow{spec: spec, deleted: -1, key: make([]string, len(tags)), isNull: make([]bool, len(tags))}
	for i, c := range fields {
		if c.ID == spec.Deleted && c.Type == schema.Bool {
			l.deleted = i
		}
	}
	return l
}

// isOf reports whether the row is of the series that a cursor is at.
func (l *latestRow) isOf(c *mergeCursor) bool {
	for i, number := range c.key {
		isNull := number == nullIndex
		if isNull != l.isNull[i] || !isNull && c.run.tags[i].values[number] != l.key[i] {
			return false
		}
	}
	return len(l.versions) > 0
}

// begin takes the series that a cursor is at.
func (l *latestRow) begin(c *mergeCursor) {
	for i, number := range c.key {
		l.isNull[i] = number == nullIndex
		if !l.isNull[i] {
			l.key[i] = c.run.tags[i].values[number]
		}
	}
}

// isGone reports whether the row ends a record of which nothing else is left.
func (l *latestRow) isGone() bool {
	v := l.versions[0]
	if l.deleted < 0 || int64(v.batch.times[v.row]) >= l.spec.DeletedBefore {
		return false
	}
	v = lastValid(l.versions, l.deleted)
	mark, ok := v.batch.fields[l.deleted].(*array.Boolean)
	return ok && mark.IsValid(v.row) && mark.Value(v.row)
}

// hold takes a newer row, which some cursors are at, in the place of the one that is held.
func (run *mergeRun) hold(cursors []*mergeCursor) error {
	l := run.latest
	if !l.isOf(cursors[0]) {
		if err := run.letGo(); err != nil {
			return err
		}
		l.begin(cursors[0])
	}
	l.versions = l.versions[:0]
	for _, c := range cursors {
		l.versions = append(l.versions, version{c.batch, c.at})
	}
	return nil
}

// letGo notes the row that is held for the record.
func (run *mergeRun) letGo() error {
	l := run.latest
	if l == nil || len(l.versions) == 0 {
		return nil
	}
	if !l.isGone() {
		run.out.addPoint(l.versions)
	}
	l.versions = l.versions[:0]
	if run.out.isFull() {
		return run.emit()
	}
	return nil
}

// forget is called when the numbers of a tag are given anew.
func (l *latestRow) forget(tag int) {
	if l == nil {
		return
	}
	for _, v := range l.versions {
		v.batch.tags[tag].forget()
	}
}
