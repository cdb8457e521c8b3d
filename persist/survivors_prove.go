package persist

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/schema"
)

// prover decides what of a footer that is not what was written can be believed.
type prover struct {
	r       *Reader
	want    *schema.File
	table   []schema.Column
	layout  []schema.Column // of a row group; time has id 0
	sums    []section
	damaged [][]bool // by row group and place in layout
}

// prove notes the fields that cannot be believed as damaged in all row groups. The error
// says that no row can be.
func (p *prover) prove() error {
	if p.r.Rows() != p.want.Rows {
		return mismatch(p.r.path, "number of rows", p.want.Rows, p.r.Rows())
	}
	if err := p.proveRows(); err != nil {
		return err
	}
	for at, c := range p.layout {
		if c.ID == 0 || c.Type == schema.Tag {
			continue
		}
		err := p.checkColumn(at)
		if err == nil {
			err = p.proveField(c)
		}
		if err == nil {
			continue
		}
		if ioErr := p.r.source.firstError(); ioErr != nil {
			return ioErr
		}
		for _, chunks := range p.damaged {
			chunks[at] = true
		}
	}
	return nil
}

// proveRows proves time and tags, which must be all that the file had.
func (p *prover) proveRows() error {
	tags := p.layout[:slices.IndexFunc(p.layout, func(c schema.Column) bool { return c.ID == 0 })]
	for at := range len(tags) + 1 {
		if err := p.checkColumn(at); err != nil {
			return err
		}
	}
	for _, c := range p.want.Columns {
		i := slices.IndexFunc(p.table, func(t schema.Column) bool { return t.ID == c.Column })
		if i >= 0 && p.table[i].Type == schema.Tag && !slices.Contains(tags, p.table[i]) {
			return fmt.Errorf("the footer does not have the tag %q", p.table[i].Name)
		}
	}
	w := newWriter(Spec{Columns: tags}, nil)
	err := p.read(tags, func(rec arrow.RecordBatch) error { return w.see(rec, newGroupStats(w)) })
	if err != nil {
		return err
	}
	got := w.describe()
	if got.Rows != p.want.Rows {
		return mismatch(p.r.path, "number of rows", p.want.Rows, got.Rows)
	}
	if got.Time != p.want.Time {
		return mismatch(p.r.path, "time range", p.want.Time, got.Time)
	}
	for i := range got.Columns {
		if err := p.compare(&got.Columns[i]); err != nil {
			return err
		}
	}
	return nil
}

// proveField compares the values of a field with what the catalog says of them.
func (p *prover) proveField(c schema.Column) error {
	stats := newFieldStats(c)
	err := p.read([]schema.Column{c}, func(rec arrow.RecordBatch) error {
		stats.include(rec.Column(1)) // behind the time
		return nil
	})
	if err != nil {
		return err
	}
	got := stats.result()
	return p.compare(&got)
}

// read reads the time and some columns of all rows.
func (p *prover) read(columns []schema.Column, take func(arrow.RecordBatch) error) (err error) {
	for group := range p.r.footer.groupRows {
		p.r.rowGroup(group, columns, func(rec arrow.RecordBatch, fault error) bool {
			if err = fault; err == nil {
				err = take(rec)
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *prover) compare(got *schema.ColumnStats) error {
	i := slices.IndexFunc(p.want.Columns, func(c schema.ColumnStats) bool { return c.Column == got.Column })
	if i < 0 {
		return fmt.Errorf("the file had no column with id %d", got.Column)
	}
	return p.r.compareStats(&p.want.Columns[i], got)
}

// checkColumn makes sure that a column is one of the table's, and that its chunks match
// their checksums and are where these say.
func (p *prover) checkColumn(at int) error {
	c := p.layout[at]
	if c.ID != 0 && !slices.Contains(p.table, c) {
		return fmt.Errorf("column %q with id %d and type %s is not one of the table", c.Name, c.ID, c.Type)
	}
	if len(p.damaged) != len(p.r.footer.groupRows) {
		return errors.New("the checksums are of another number of row groups")
	}
	offset := int64(len(magic))
	for i, sum := range p.sums {
		group := i / len(p.layout)
		if i%len(p.layout) == at {
			if p.damaged[group][at] {
				return fmt.Errorf("column %q in row group %d does not match its checksum", c.Name, group)
			}
			if err := p.checkPlace(group, at, offset, int64(sum.bytes)); err != nil {
				return fmt.Errorf("column %q in row group %d: %w", c.Name, group, err)
			}
		}
		offset += int64(sum.bytes)
	}
	return nil
}

// checkPlace compares where the footer says that a chunk is with what its checksum covers.
func (p *prover) checkPlace(group, at int, offset, size int64) (err error) {
	defer recoverTo(&err, p.r.path)
	chunk, err := p.r.arrow.ParquetReader().MetaData().RowGroup(group).ColumnChunk(at)
	if err != nil {
		return err
	}
	start := chunk.DataPageOffset()
	if chunk.HasDictionaryPage() {
		start = min(start, chunk.DictionaryPageOffset())
	}
	if length := chunk.TotalCompressedSize(); start != offset || length > size {
		return fmt.Errorf("it is said to be %d bytes at %d, not within %d at %d", length, start, size, offset)
	}
	return nil
}

// lost returns the fields of the file that are not among columns. Nobody knows
// better than the catalog what there was of them.
func (p *prover) lost(columns []schema.Column) []LostValues {
	var lost []LostValues
	for _, stats := range p.want.Columns {
		i := slices.IndexFunc(p.table, func(c schema.Column) bool { return c.ID == stats.Column })
		if i >= 0 && stats.Nulls < p.want.Rows && !slices.Contains(columns, p.table[i]) {
			lost = append(lost, LostValues{Column: p.table[i], Rows: p.want.Rows - stats.Nulls, Time: p.want.Time})
		}
	}
	return lost
}

// flippedBit finds the bit of n bytes that, flipped, changes their checksum by delta. No
// two have the same. But worse damage may happen to look like one, so that this
// alone proves nothing.
func flippedBit(delta uint32, n int) (at int, bit byte, ok bool) {
	var deltas [8]uint32 // by bit, of a byte that so many others follow
	for i := range deltas {
		deltas[i] = castagnoli[1<<i]
	}
	for at = n - 1; at >= 0; at-- {
		for i, d := range deltas {
			if d == delta {
				return at, 1 << i, true
			}
			deltas[i] = castagnoli[byte(d)] ^ d>>8
		}
	}
	return 0, 0, false
}
