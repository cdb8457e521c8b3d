package persist

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/schema"
)

// mergeCursor is where a merge is in one of its inputs. It stands on a row whose time is in
// the range of the merge and that is not left out, or at the end.
type mergeCursor struct {
	run   *mergeRun
	in    *mergeInput
	rank  int // of inputs that have the same point the one with the highest wins
	next  func() (arrow.RecordBatch, error, bool)
	stop  func()
	batch *mergeBatch
	at    int
	// The series of the row at hand, which goes on until seriesEnd.
	seriesEnd int
	key       []int32            // the numbers of its tags
	dropped   []schema.TimeRange // of its rows, those that are left out; in any order
}

// mergeBatch is some rows of an input. It is not changed, and stays readable as long as the
// record is made that holds rows of it.
type mergeBatch struct {
	rec    arrow.RecordBatch // retained
	rows   int
	times  []arrow.Timestamp
	tags   []batchTag
	fields []arrow.Array // of the result's; nil where the input has none
	begins []bool        // a row that is of another series than the one before it
}

// batchTag is one tag of a batch. The zero value is that of an input which does not have it.
type batchTag struct {
	at      indices
	dict    *array.String
	numbers []int32 // in the dictionary of the merge, by index in dict
}

func newMergeCursor(run *mergeRun, in *mergeInput, rank int) *mergeCursor {
	c := &mergeCursor{run: run, in: in, rank: rank, key: make([]int32, len(run.tags))}
	c.next, c.stop = pullRecords(in.r, run)
	return c
}

// settle moves to the next row whose time is in range, the present one if it is; more is
// false at the end.
func (c *mergeCursor) settle() (more bool, err error) {
	for {
		if c.batch == nil || c.at >= c.batch.rows {
			if more, err := c.load(); !more {
				return false, err
			}
		}
		if c.at >= c.seriesEnd {
			c.beginSeries()
		}
		first := c.search(c.run.within.Min)
		c.run.m.rowsBefore += uint64(first - c.at)
		c.at = c.pass(first)
		if c.at < c.seriesEnd && c.time() <= c.run.within.Max {
			return true, nil
		}
		c.at = c.seriesEnd
	}
}

// pass returns the first row of the series, from one on, that is not left out.
func (c *mergeCursor) pass(row int) int {
	for i := 0; i < len(c.dropped) && row < c.seriesEnd; i++ {
		if r := c.dropped[i]; r.Contains(int64(c.batch.times[row])) {
			row = c.searchFrom(row, r.Max)
			for row < c.seriesEnd && int64(c.batch.times[row]) == r.Max {
				row++
			}
			i = -1 // the row may be in a range that was looked at
		}
	}
	return row
}

// search returns the first row of the series, from the present one on, whose time is not
// before t.
func (c *mergeCursor) search(t int64) int { return c.searchFrom(c.at, t) }

func (c *mergeCursor) searchFrom(row int, t int64) int {
	times := c.batch.times[row:c.seriesEnd]
	if len(times) > 0 && int64(times[0]) >= t {
		return row
	}
	return row + sort.Search(len(times), func(i int) bool { return int64(times[i]) >= t })
}

// stretch returns the end of the rows that come before the row of another cursor, nil if
// there is none, and before the next that is left out. They are of one series.
func (c *mergeCursor) stretch(next *mergeCursor) int {
	end := c.seriesEnd
	if c.run.within.Max < int64(c.batch.times[end-1]) {
		end = c.search(c.run.within.Max + 1)
	}
	if next != nil && c.compareKeys(next) == 0 {
		end = min(end, c.search(next.time()))
	}
	for _, r := range c.dropped {
		if r.Min > c.time() {
			end = min(end, c.search(r.Min))
		}
	}
	return end
}

func (c *mergeCursor) time() int64 { return int64(c.batch.times[c.at]) }

// compare compares the points of two rows.
func (c *mergeCursor) compare(with *mergeCursor) int {
	if order := c.compareKeys(with); order != 0 {
		return order
	}
	switch a, b := c.time(), with.time(); {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareKeys compares tags: null comes before all values.
func (c *mergeCursor) compareKeys(with *mergeCursor) int {
	for i, a := range c.key {
		b := with.key[i]
		switch {
		case a == b:
			continue
		case a == nullIndex:
			return -1
		case b == nullIndex:
			return 1
		}
		return strings.Compare(c.run.tags[i].values[a], c.run.tags[i].values[b])
	}
	return 0
}

// beginSeries finds the end of the series of the row at hand, and its key.
func (c *mergeCursor) beginSeries() {
	c.seriesEnd = c.at + 1
	for c.seriesEnd < c.batch.rows && !c.batch.begins[c.seriesEnd] {
		c.seriesEnd++
	}
	for i := range c.key {
		c.key[i] = c.batch.number(i, c.at, c.run.tags[i])
	}
	c.dropped = c.dropped[:0]
	for _, d := range c.in.Drop {
		if d.Where.Holds(c.tag) {
			c.dropped = append(c.dropped, d.Time)
		}
	}
}

// tag returns a tag of the series by its name, empty if it lacks it.
func (c *mergeCursor) tag(name string) string {
	i, ok := c.run.tagAt[name]
	if !ok || c.key[i] == nullIndex {
		return ""
	}
	return c.run.tags[i].values[c.key[i]]
}

// forget is called when the numbers of a tag are given anew.
func (c *mergeCursor) forget(tag int) {
	if c.batch == nil {
		return
	}
	c.batch.tags[tag].forget()
	if c.at < c.seriesEnd {
		c.key[tag] = c.batch.number(tag, c.at, c.run.tags[tag])
	}
}

// number returns the number of a row's tag in the dictionary of the merge.
func (b *mergeBatch) number(tag, row int, merged *mergedTag) int32 {
	t := &b.tags[tag]
	if t.dict == nil || !t.at.valid(row) {
		return nullIndex
	}
	local := t.at.index(row)
	if t.numbers[local] == unknownIndex {
		t.numbers[local] = merged.number(t.dict.Value(local))
	}
	return t.numbers[local]
}

func (t *batchTag) forget() {
	for i := range t.numbers {
		t.numbers[i] = unknownIndex
	}
}

// load reads the next batch; more is false at the end.
func (c *mergeCursor) load() (more bool, err error) {
	rec, err, ok := c.next()
	if !ok || err != nil {
		c.batch = nil
		return false, err
	}
	previous := c.batch
	c.at, c.seriesEnd = 0, 0
	if c.batch, err = c.newBatch(rec); err != nil {
		return false, &CorruptError{Path: c.in.Path, Err: err}
	}
	for i := range c.batch.tags {
		c.batch.tags[i].takeNumbers(previous, i)
	}
	return true, nil
}

// takeNumbers takes over what the batch before knew, if the dictionary is the same.
func (t *batchTag) takeNumbers(previous *mergeBatch, tag int) {
	if t.dict == nil {
		return
	}
	if previous != nil && previous.tags[tag].dict != nil && previous.tags[tag].dict.Data() == t.dict.Data() {
		t.numbers = previous.tags[tag].numbers
		return
	}
	t.numbers = make([]int32, t.dict.Len())
	t.forget()
}

// newBatch finds the columns of the result in a record, which it retains.
func (c *mergeCursor) newBatch(rec arrow.RecordBatch) (*mergeBatch, error) {
	tags, fields := split(c.run.m.columns)
	b := &mergeBatch{rec: rec, rows: int(rec.NumRows()), tags: make([]batchTag, len(tags)), fields: make([]arrow.Array, len(fields))}
	at := make(map[string]int, rec.NumCols())
	for i := range int(rec.NumCols()) {
		at[rec.ColumnName(i)] = i
	}
	times, ok := rec.Column(at[schema.TimeColumn]).(*array.Timestamp)
	if !ok || times.NullN() > 0 {
		return nil, errors.New("the time column holds no times")
	}
	b.times = times.TimestampValues()
	b.begins = make([]bool, b.rows)
	for i, tag := range tags {
		if k, ok := at[tag.Name]; ok {
			if err := b.takeTag(i, rec.Column(k)); err != nil {
				return nil, fmt.Errorf("column %q: %w", tag.Name, err)
			}
		}
	}
	for i, field := range fields {
		if k, ok := at[field.Name]; ok {
			b.fields[i] = rec.Column(k)
		}
	}
	rec.Retain()
	return b, nil
}

// takeTag finds where a tag changes.
func (b *mergeBatch) takeTag(i int, column arrow.Array) error {
	d, ok := column.(*array.Dictionary)
	if !ok {
		return errors.New("it is no dictionary")
	}
	dict, ok := d.Dictionary().(*array.String)
	if !ok {
		return errors.New("its dictionary holds no text")
	}
	t := &b.tags[i]
	t.at, t.dict = indicesOf(d), dict
	before := int32(unknownIndex)
	for r := range b.rows {
		index := int32(nullIndex)
		if t.at.valid(r) {
			local := t.at.index(r)
			if local < 0 || local >= dict.Len() || dict.IsNull(local) {
				return fmt.Errorf("index %d is not in its dictionary of %d values", local, dict.Len())
			}
			index = int32(local)
		}
		if index != before {
			b.begins[r] = true
			before = index
		}
	}
	return nil
}

// pullRecords reads the rows of an input that a merge may need.
func pullRecords(r *Reader, run *mergeRun) (next func() (arrow.RecordBatch, error, bool), stop func()) {
	columns := make([]schema.Column, 0, len(r.footer.columns))
	for _, c := range r.footer.columns {
		if slices.ContainsFunc(run.m.columns, func(have schema.Column) bool { return have.ID == c.ID }) {
			columns = append(columns, c)
		}
	}
	return iter.Pull2(func(yield func(arrow.RecordBatch, error) bool) {
		for group, times := range r.footer.groupTimes {
			if !times.Overlaps(run.within) {
				if times.Max < run.within.Min {
					run.m.rowsBefore += uint64(r.footer.groupRows[group])
				}
				continue
			}
			if pace := run.m.spec.Pace; pace != nil {
				if err := pace(r.source.Size() * r.footer.groupRows[group] / max(r.footer.rows, 1)); err != nil {
					yield(nil, err)
					return
				}
			}
			if !r.rowGroup(group, columns, yield) {
				return
			}
		}
	})
}
