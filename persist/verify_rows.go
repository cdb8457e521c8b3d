package persist

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// VerifyRows reads every value of a file and compares it with the description: the rows
// are in strictly ascending order, their number, times, nulls and bounds are exactly those
// that Write found, no value lies outside what the footer says of its row group, and the
// columns are among those of the table. The file's bytes are
// Verify's to check. The errors are those of Verify, and ErrUnsorted in a *CorruptError.
func VerifyRows(fs vfs.FS, path string, want *schema.File, table []schema.Column) error {
	r, err := Open(fs, path)
	if err != nil {
		return err
	}
	return errors.Join(r.verifyRows(want, table), r.Close())
}

func (r *Reader) verifyRows(want *schema.File, table []schema.Column) error {
	for _, c := range r.Columns() {
		i := slices.IndexFunc(table, func(t schema.Column) bool { return t.ID == c.ID })
		if i < 0 {
			return mismatch(r.path, "column", "one of the table", fmt.Sprintf("%q with id %d", c.Name, c.ID))
		}
		if t := table[i]; t.Name != c.Name || t.Type != c.Type {
			return mismatch(r.path, fmt.Sprintf("column %d", c.ID), fmt.Sprintf("%q of type %s", t.Name, t.Type), fmt.Sprintf("%q of type %s", c.Name, c.Type))
		}
	}
	got, err := r.describe()
	if err != nil {
		return err
	}
	if got.Rows != want.Rows {
		return mismatch(r.path, "number of rows", want.Rows, got.Rows)
	}
	if got.Time != want.Time {
		return mismatch(r.path, "time range", want.Time, got.Time)
	}
	if len(got.Columns) != len(want.Columns) {
		return mismatch(r.path, "number of columns", len(want.Columns), len(got.Columns))
	}
	for i := range got.Columns {
		if err := r.compareStats(&want.Columns[i], &got.Columns[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) compareStats(want, got *schema.ColumnStats) error {
	what := fmt.Sprintf("column %d", want.Column)
	switch {
	case want.Column != got.Column:
		return mismatch(r.path, "id of a column", want.Column, got.Column)
	case want.Nulls != got.Nulls:
		return mismatch(r.path, "number of nulls of "+what, want.Nulls, got.Nulls)
	case !slices.Equal(want.Min, got.Min) || (want.Min == nil) != (got.Min == nil):
		return mismatch(r.path, "minimum of "+what, fmt.Sprintf("%x", want.Min), fmt.Sprintf("%x", got.Min))
	case !slices.Equal(want.Max, got.Max) || (want.Max == nil) != (got.Max == nil):
		return mismatch(r.path, "maximum of "+what, fmt.Sprintf("%x", want.Max), fmt.Sprintf("%x", got.Max))
	}
	return nil
}

// describe reads all rows as Write took them, and describes them as Write did. It compares
// each row group with what the footer says of it.
func (r *Reader) describe() (schema.File, error) {
	w := newWriter(Spec{Columns: r.Columns()}, nil)
	for group := range r.footer.groupRows {
		g := newGroupStats(w)
		var err error
		r.rowGroup(group, r.Columns(), func(rec arrow.RecordBatch, fault error) bool {
			if err = fault; err == nil {
				err = w.see(rec, g)
			}
			return err == nil
		})
		if err == nil {
			err = r.compareGroup(group, g)
		}
		if errors.Is(err, ErrUnsorted) {
			err = &CorruptError{Path: r.path, Err: err}
		}
		if err != nil {
			return schema.File{}, err
		}
	}
	return w.describe(), nil
}

// see takes the rows of a record into the description, as if they had been written, and
// into that of their row group.
func (w *writer) see(rec arrow.RecordBatch, g *groupStats) error {
	if err := w.take(rec, 0, int(rec.NumRows())); err != nil {
		return err
	}
	w.pendingBytes = 0
	for i, tag := range w.tags {
		for _, v := range tag.values {
			g.tags[i].includeValue(v)
		}
		g.tags[i].nulls += uint64(tag.nulls)
		tag.endGroup()
	}
	for i, stats := range w.fields {
		stats.include(rec.Column(len(w.tags) + 1 + i))
		g.fields[i].include(rec.Column(len(w.tags) + 1 + i))
	}
	w.rows += uint64(rec.NumRows())
	return nil
}
