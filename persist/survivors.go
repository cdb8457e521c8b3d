package persist

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// Survivors is what can be proved to be left of a damaged file. A row is left where its time and tags
// are; of its fields those are that match their checksums, and the others are null.
//
// Where the footer is what was written, it has the checksums of the column chunks, and each
// row group is judged on its own. A footer that is not may still be readable, because the
// damage is in the page indexes, say; one flipped bit is found by the checksum, and put back. What it says is then believed of a column as a whole: if all its
// chunks match the checksums in it, and their values are as the catalog describes them.
type Survivors struct {
	// Columns are those with a value left, and all tags, in id order.
	Columns []schema.Column
	// Rows is the number of rows that are left.
	Rows uint64
	// Lost are the fields of these rows that are not left.
	Lost []LostValues

	r      *Reader
	groups []survivor
}

// LostValues are values of one field that are lost, of rows that are not.
type LostValues struct {
	Column schema.Column
	Rows   uint64 // that had a value
	Time   schema.TimeRange
}

// survivor is a row group of which the time and the tags are left.
type survivor struct {
	group  int
	fields []schema.Column // that are left
}

// FindSurvivors looks for what is left of the file that want describes, in a table of
// those columns. If nothing is, the error is ErrNoRows, with the reason; the others are
// those of reading the file. Close it.
func FindSurvivors(fs vfs.FS, path string, want *schema.File, table []schema.Column) (s *Survivors, err error) {
	src, err := openSource(fs, path)
	if err != nil {
		return nil, err
	}
	s = &Survivors{r: &Reader{path: path, source: src}}
	var known []schema.Column // as a file has them
	for _, c := range table {
		known = append(known, schema.Column{ID: c.ID, Name: c.Name, Type: c.Type})
	}
	if err = s.find(want, known); err == nil {
		return s, nil
	}
	if ioErr := src.firstError(); ioErr != nil {
		err = fmt.Errorf("persist: reading %s: %w", path, ioErr)
	} else if !errors.Is(err, ErrNoRows) {
		err = fmt.Errorf("%w: %w", ErrNoRows, err)
	}
	return nil, errors.Join(err, src.Close())
}

// Close closes the file.
func (s *Survivors) Close() error { return s.r.Close() }

// find takes every fault for damage: its caller knows better.
func (s *Survivors) find(want *schema.File, table []schema.Column) error {
	if have := s.r.source.Size(); uint64(have) < want.Bytes {
		return mismatch(s.r.path, "size", want.Bytes, uint64(have))
	}
	patches := magicPatches(want.Bytes)
	s.r.source.patch(want.Bytes, patches...)
	v := verifier{ctx: context.Background(), src: s.r.source, path: s.r.path, want: want}
	if want.FooterBytes == 0 { // no more than the magic can have been damaged
		if err := v.verifyWhole(); err != nil {
			return err
		}
		return s.takeWhole()
	}
	b, crc, err := v.footerBytes()
	if err != nil {
		return err
	}
	if at, bit, ok := flippedBit(crc^want.FooterCRC32C, len(b)); ok {
		b[at] ^= bit
		s.r.source.patch(want.Bytes, append(patches, overlaid{int64(want.Bytes) - int64(len(b)-at), b[at : at+1]})...)
	}
	sums, layout, err := v.parseSums(b)
	if err == nil {
		err = s.r.readFooter()
	}
	if err != nil {
		return err
	}
	damaged, err := v.damagedChunks(sums, len(layout))
	if err != nil {
		return err
	}
	if crc == want.FooterCRC32C {
		s.take(damaged, s.r.valuesOf)
	} else {
		p := prover{r: s.r, want: want, table: table, layout: layout, sums: sums, damaged: damaged}
		if err := p.prove(); err != nil {
			return err
		}
		s.take(damaged, s.r.rowsOf)
		s.Lost = p.lost(s.Columns)
	}
	if len(s.groups) == 0 {
		return ErrNoRows
	}
	return nil
}

// damagedChunks says of each column chunk, row group by row group, whether it differs from
// its checksum.
func (v *verifier) damagedChunks(sums []section, columns int) ([][]bool, error) {
	var damaged [][]bool
	offset := int64(len(magic))
	for i, want := range sums {
		crc, err := v.sum(0, offset, int64(want.bytes))
		if err != nil {
			return nil, err
		}
		if i%columns == 0 {
			damaged = append(damaged, nil)
		}
		damaged[i/columns] = append(damaged[i/columns], crc != want.crc)
		offset += int64(want.bytes)
	}
	return damaged, nil
}

// takeWhole takes all row groups.
func (s *Survivors) takeWhole() error {
	if err := s.r.readFooter(); err != nil {
		return err
	}
	damaged := make([][]bool, len(s.r.footer.groupRows))
	for g := range damaged {
		damaged[g] = make([]bool, len(s.r.footer.columns)+1)
	}
	s.take(damaged, s.r.valuesOf)
	return nil
}

// take takes what is not damaged. values says how many values that are not null a column
// chunk has.
func (s *Survivors) take(damaged [][]bool, values func(group, at int) uint64) {
	tags, fields := split(s.r.footer.columns)
	hasValue := make(map[schema.ColumnID]bool)
	lost := make([]LostValues, len(fields))
	for group, chunks := range damaged {
		if slices.Contains(chunks[:len(tags)+1], true) {
			continue
		}
		left := survivor{group: group}
		s.Rows += uint64(s.r.footer.groupRows[group])
		for i, field := range fields {
			at := len(tags) + 1 + i
			n := values(group, at)
			if !chunks[at] {
				left.fields = append(left.fields, field)
				hasValue[field.ID] = hasValue[field.ID] || n > 0
				continue
			}
			lost[i].add(field, n, s.r.footer.groupTimes[group])
		}
		s.groups = append(s.groups, left)
	}
	s.Lost = slices.DeleteFunc(lost, func(l LostValues) bool { return l.Rows == 0 })
	for _, c := range s.r.footer.columns {
		if c.Type == schema.Tag || hasValue[c.ID] {
			s.Columns = append(s.Columns, c)
		}
	}
}

func (l *LostValues) add(c schema.Column, rows uint64, time schema.TimeRange) {
	if rows == 0 {
		return
	}
	if l.Rows == 0 {
		l.Column, l.Time = c, schema.EmptyTimeRange
	}
	l.Rows += rows
	l.Time = l.Time.Union(time)
}

// rowsOf returns the rows of a column chunk.
func (r *Reader) rowsOf(group, _ int) uint64 { return uint64(r.footer.groupRows[group]) }

// valuesOf returns how many of them are not null: all where the footer does not say.
func (r *Reader) valuesOf(group, at int) uint64 {
	rows := r.rowsOf(group, at)
	chunk, err := r.arrow.ParquetReader().MetaData().RowGroup(group).ColumnChunk(at)
	if err != nil {
		return rows
	}
	stats, err := chunk.Statistics()
	if err != nil || stats == nil || !stats.HasNullCount() {
		return rows
	}
	return rows - min(rows, uint64(stats.NullCount()))
}

// Records returns the survivors, for a file whose columns are s.Columns.
func (s *Survivors) Records() iter.Seq2[arrow.RecordBatch, error] {
	tags, _ := split(s.Columns)
	layout := ArrowSchema(s.Columns)
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, g := range s.groups {
			var columns []schema.Column
			for _, c := range s.Columns {
				if c.Type == schema.Tag || slices.Contains(g.fields, c) {
					columns = append(columns, c)
				}
			}
			more := s.r.rowGroup(g.group, columns, func(rec arrow.RecordBatch, err error) bool {
				if err != nil {
					return yield(nil, err)
				}
				whole := withNulls(rec, layout, len(tags))
				defer whole.Release()
				return yield(whole, nil)
			})
			if !more {
				return
			}
		}
	}
}

// withNulls gives a record the layout: fields that it does not have are null.
func withNulls(rec arrow.RecordBatch, layout *arrow.Schema, tags int) arrow.RecordBatch {
	columns := make([]arrow.Array, 0, layout.NumFields())
	next := 0
	for i, f := range layout.Fields() {
		if i <= tags || next < int(rec.NumCols()) && rec.ColumnName(next) == f.Name {
			columns = append(columns, rec.Column(next))
			next++
			continue
		}
		nulls := array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, int(rec.NumRows()))
		defer nulls.Release()
		columns = append(columns, nulls)
	}
	return array.NewRecordBatch(layout, columns, rec.NumRows())
}
