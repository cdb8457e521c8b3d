package persist

import (
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// Rows are the rows From, From+1, … To-1 of a row group.
type Rows struct{ From, To int }

// Count is the number of the rows.
func (r Rows) Count() int { return r.To - r.From }

// FinderTag is a tag of a file with the values that it has there.
type FinderTag struct {
	ID     schema.ColumnID
	Values []string
}

// Tags returns the tags of the file, in id order.
func (f *Finder) Tags() []FinderTag {
	tags := make([]FinderTag, len(f.tags))
	for i, t := range f.tags {
		tags[i] = FinderTag{t.id, t.values}
	}
	return tags
}

// Groups is the number of row groups.
func (f *Finder) Groups() int { return len(f.groups) }

// GroupTime is the range of the times of a row group.
func (f *Finder) GroupTime(group int) schema.TimeRange { return f.groups[group].time }

// Has reports whether the file has a column.
func (f *Finder) Has(id schema.ColumnID) bool { return f.index(id) >= 0 }

// index returns where a column, 0 for time, is in a row group, or -1.
func (f *Finder) index(id schema.ColumnID) int {
	if id == 0 {
		return len(f.tags)
	}
	has := func(c schema.Column) bool { return c.ID == id }
	tags, fields := split(f.columns)
	if i := slices.IndexFunc(tags, has); i >= 0 {
		return i
	}
	if i := slices.IndexFunc(fields, has); i >= 0 {
		return len(tags) + 1 + i
	}
	return -1
}

// isNumber reports whether a column has 64-bit numbers.
func (f *Finder) isNumber(id schema.ColumnID) bool {
	return slices.ContainsFunc(f.columns, func(c schema.Column) bool {
		return c.ID == id && (c.Type == schema.Int64 || c.Type == schema.Uint64 || c.Type == schema.Float64)
	})
}

// Series yields the series of a row group in their order: of each tag 0 for null, else 1 + the position
// in its values, and the rows.
func (f *Finder) Series(group int) iter.Seq2[[]uint32, Rows] {
	return func(yield func([]uint32, Rows) bool) {
		g := &f.groups[group]
		for s := g.first; s < g.next; s++ {
			rows := Rows{int(f.starts[s]), g.rows}
			if s+1 < g.next {
				rows.To = int(f.starts[s+1])
			}
			if !yield(f.indices[s*len(f.tags):(s+1)*len(f.tags)], rows) {
				return
			}
		}
	}
}

// ReadNumbers replaces dst by rows of an int64, uint64, float64 or time column, which is 0, of a row group. The
// rows are in ascending order. Like Find it does not verify; an error may be ErrNotSupported.
func (f *Finder) ReadNumbers(src io.ReaderAt, group int, id schema.ColumnID, rows []Rows, dst *Numbers) (err error) {
	defer recoverTo(&err, "column chunk")
	at := f.index(id)
	if at < len(f.tags) || id != 0 && !f.isNumber(id) {
		return fmt.Errorf("persist: the file has no numbers with id %d", id)
	}
	spans, err := appendSpans(make([]span, 0, len(rows)), rows)
	if err != nil {
		return err
	}
	n := countSpans(spans)
	dst.words = slices.Grow(dst.words[:0], n)[:n]
	dst.Ints, dst.Floats, dst.Valid = nil, nil, nil
	c := &f.groups[group].chunks[at]
	var valid []uint64
	if id != 0 {
		dst.bits = slices.Grow(dst.bits[:0], (n+63)/64)[:(n+63)/64]
		valid = dst.bits
		clear(valid)
	}
	buffers := pagePool.Get().(*pageBuffers)
	defer pagePool.Put(buffers)
	if err := c.readWords(src, spans, dst.words, valid, buffers); err != nil {
		return err
	}
	if c.floats {
		dst.Floats = castNumbers[float64](dst.words)
	} else {
		dst.Ints = castNumbers[int64](dst.words)
	}
	dst.spread(valid, n)
	return nil
}

// CheckNumbers makes sure that ReadNumbers knows how a column is written, which is ErrNotSupported otherwise.
func (f *Finder) CheckNumbers(src io.ReaderAt, id schema.ColumnID) error {
	if id != 0 && !f.isNumber(id) {
		return fmt.Errorf("%w: the file has no numbers with id %d", ErrNotSupported, id)
	}
	for g := range f.groups {
		c := &f.groups[g].chunks[f.index(id)]
		if err := c.scan(src); err != nil {
			return err
		}
		for i := range c.pages {
			if e := c.pages[i].encoding; !knowsNumbers(e, c.floats) || isDictionary(e) && c.dict == nil {
				return fmt.Errorf("%w: numbers in encoding %v", ErrNotSupported, e)
			}
		}
	}
	return nil
}

// spread says which of n rows have a value, in the way of Valid.
func (n *Numbers) spread(bits []uint64, rows int) {
	isFull := func(i int, word uint64) bool { return word == ^uint64(0)>>max(0, 64*(i+1)-rows) }
	for i, word := range bits {
		if !isFull(i, word) {
			n.valid = slices.Grow(n.valid[:0], rows)[:rows]
			n.Valid = n.valid
			for row := range n.Valid {
				n.Valid[row] = bits[row/64]>>(row%64)&1 != 0
			}
			return
		}
	}
}
