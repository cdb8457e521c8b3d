package persist

import (
	"io"
	"math"
	"slices"
	"sort"

	"github.com/siltstone-db/siltstone/schema"
)

// ReadTimes replaces dst by the times of rows of a row group that lie in a range, and cuts rows to what is left of them, which may be
// nothing. Each element of rows is of one series, whose times ascend: of times at regular intervals only those
// in the range are looked at. An error may be ErrNotSupported; like ReadNumbers it does not verify.
func (f *Finder) ReadTimes(src io.ReaderAt, group int, rows []Rows, within schema.TimeRange, dst *Numbers) (err error) {
	defer recoverTo(&err, "column chunk")
	spans, err := appendSpans(make([]span, 0, len(rows)), rows)
	if err != nil {
		return err
	}
	buffers := pagePool.Get().(*pageBuffers)
	defer pagePool.Put(buffers)
	t := timeReader{within: within, rows: rows, at: -1, words: dst.words[:0]}
	err = f.groups[group].chunks[len(f.tags)].visitWords(src, spans, buffers, func(w words, _ *presence, count, _, _, out int) error {
		return t.part(w, count, out)
	})
	t.finish()
	dst.words = t.words
	dst.Ints, dst.Floats, dst.Valid = castNumbers[int64](t.words), nil, nil
	return err
}

// timeReader reads the times of rows of several series.
type timeReader struct {
	within schema.TimeRange
	rows   []Rows
	words  []uint64

	at    int // of rows
	end   int // of its rows among all
	first int // row at which what is left of it begins, -1 if that is not known
	count int // how much is left of it
}

// part reads the part of rows that lies in a page, from row out on among all.
func (t *timeReader) part(w words, count, out int) error {
	for out >= t.end {
		t.finish()
		t.at++
		t.first, t.count = -1, 0
		t.end += t.rows[t.at].Count()
	}
	row := t.rows[t.at].To - (t.end - out)
	skipped, err := skipBelow(w, t.within.Min, count)
	if err != nil {
		return err
	}
	for row, count = row+skipped, count-skipped; count > 0; {
		n := min(count, t.step(w))
		from := len(t.words)
		t.words = slices.Grow(t.words, n)[:from+n]
		if err := w.read(t.words[from:]); err != nil {
			return err
		}
		row, count = row+n, count-n
		isLast := t.cut(from, row-n)
		if isLast {
			return w.skip(count)
		}
	}
	return nil
}

// step is how many times are read before it is asked whether that is enough.
func (t *timeReader) step(w words) int {
	if _, ok := w.(*deltaWords); ok {
		return timeStep
	}
	return math.MaxInt
}

// timeStep are the times of a block, as Write writes them.
const timeStep = deltaBlock

// cut leaves those of the last times, from one on, that are in the range; row is that of the first. It reports whether those
// that follow are behind the range.
func (t *timeReader) cut(from, row int) (isLast bool) {
	read := castNumbers[int64](t.words[from:])
	below, end := 0, len(read)
	if read[0] < t.within.Min {
		below = sort.Search(end, func(i int) bool { return read[i] >= t.within.Min })
	}
	if read[end-1] > t.within.Max {
		end = below + sort.Search(end-below, func(i int) bool { return read[below+i] > t.within.Max })
		isLast = true
	}
	if t.count == 0 && below < end {
		t.first = row + below
	}
	t.count += end - below
	if below > 0 {
		copy(t.words[from:], t.words[from+below:from+end])
	}
	t.words = t.words[:from+end-below]
	return isLast
}

// finish cuts the rows at hand.
func (t *timeReader) finish() {
	if t.at < 0 {
		return
	}
	r := &t.rows[t.at]
	if t.count == 0 {
		r.To = r.From
		return
	}
	r.From, r.To = t.first, t.first+t.count
}

// skipBelow passes over up to n ascending values as long as they are below one, or some of them.
func skipBelow(w words, least int64, n int) (skipped int, err error) {
	d, ok := w.(*deltaWords)
	if !ok {
		return 0, nil
	}
	for skipped < n {
		step := 1
		if !d.started {
			if int64(d.last) >= least {
				return skipped, nil
			}
			d.started = true
		} else {
			if err := d.load(); err != nil {
				return skipped, err
			}
			step = min(n-skipped, d.left)
			before := *d
			if d.pass(step); int64(d.last) >= least {
				*d = before
				return skipped, nil
			}
		}
		skipped += step
	}
	return skipped, nil
}
