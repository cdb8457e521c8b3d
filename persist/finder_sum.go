package persist

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// Sum is how many values some rows have of a column of integers, and their sum.
type Sum struct {
	Count int64

	low, high uint64 // of 128 bits
}

// Int64 returns the sum; ok is false if it needs more than 64 bits.
func (s *Sum) Int64() (sum int64, ok bool) {
	return int64(s.low), s.high == uint64(int64(s.low)>>63)
}

func (s *Sum) add(v int64) {
	var carry uint64
	s.low, carry = bits.Add64(s.low, uint64(v), 0)
	s.high += uint64(v>>63) + carry
}

// Sums are those of several ranges of rows.
type Sums struct {
	All []Sum

	spans  []span // to work in, as what follows
	values []uint64
}

// SumIntegers replaces dst by the sums of an int64 column over ranges of the rows of a row group, which are in ascending order. It
// looks at single values only where it must. An error may be ErrNotSupported. Like ReadNumbers it does not verify.
func (f *Finder) SumIntegers(src io.ReaderAt, group int, id schema.ColumnID, rows []Rows, dst *Sums) (err error) {
	defer recoverTo(&err, "column chunk")
	if !slices.ContainsFunc(f.columns, func(c schema.Column) bool { return c.ID == id && c.Type == schema.Int64 }) {
		return fmt.Errorf("%w: the file has no signed integers with id %d", ErrNotSupported, id)
	}
	if dst.spans, err = appendSpans(dst.spans[:0], rows); err != nil {
		return err
	}
	dst.All = slices.Grow(dst.All[:0], len(rows))[:len(rows)]
	clear(dst.All)
	buffers := pagePool.Get().(*pageBuffers)
	defer pagePool.Put(buffers)
	k, end := -1, 0 // the range at hand, and the end of its rows among all
	return f.groups[group].chunks[f.index(id)].visitWords(src, dst.spans, buffers, func(w words, _ *presence, count, _, _, out int) error {
		for out >= end {
			k++
			end += rows[k].Count()
		}
		return dst.add(&dst.All[k], w, count)
	})
}

// add adds the next n values.
func (dst *Sums) add(s *Sum, w words, n int) error {
	s.Count += int64(n)
	if d, ok := w.(*deltaWords); ok {
		before := *d
		sum, known, err := d.sum(n)
		if err != nil {
			return err
		}
		if known {
			s.add(sum)
			return nil
		}
		*d = before
	}
	const some = 512
	for n > 0 {
		dst.values = slices.Grow(dst.values[:0], some)[:min(n, some)]
		if err := w.read(dst.values); err != nil {
			return err
		}
		for _, v := range dst.values {
			s.add(int64(v))
		}
		n -= len(dst.values)
	}
	return nil
}

// errRows says that ranges of rows are in no order.
var errRows = errors.New("persist: ranges of rows do not follow each other")

// appendSpans makes spans of ranges of rows.
func appendSpans(spans []span, rows []Rows) ([]span, error) {
	for i, r := range rows {
		if i > 0 && r.From < rows[i-1].To || r.From > r.To {
			return spans, fmt.Errorf("%w: from %d on", errRows, r.From)
		}
		spans = append(spans, span{from: r.From, to: r.To})
	}
	return spans, nil
}
