package query

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// maxFoldBytes bounds the cells of one query, whose size follows from the number of
// tag sets and bins. What needs more is left to DuckDB, which can spill.
const maxFoldBytes = 32 << 20

// errNoFold says that the rows are better left to DuckDB.
var errNoFold = errors.New("query: rows are not folded")

// foldCells are the folded rows that one worker has made: for each set of tags as many as
// there are bins.
type foldCells struct {
	fold     *fold
	first    int64 // begin of the first bin
	bins     int
	maxCells int

	sets   map[string]int32
	values [][]foldTag // by set
	set    int32
	key    []byte

	rows   []int64 // by cell, as all that follows
	time   []int64 // of a row
	fields []cellField
}

// foldTag is a tag's value, or null.
type foldTag struct {
	value string
	valid bool
}

// cellField is what the cells hold of a field. Floats are in the latter ones.
type cellField struct {
	count                      []int64
	sum, lowest, highest       []int64
	fsum, flowest, fhighest    []float64
	isFloat                    bool
	wantsSum, wantsLo, wantsHi bool
}

// newFoldCells prepares cells for rows of a range of time, which is errNoFold where there
// are too many bins.
func newFoldCells(f *fold, r schema.TimeRange, workers int) (*foldCells, error) {
	c := &foldCells{fold: f, bins: 1, first: r.Min, sets: make(map[string]int32), set: -1}
	size := 16
	for i := range f.fields {
		w := &f.fields[i]
		c.fields = append(c.fields, cellField{
			isFloat: w.column.Type == schema.Float64, wantsSum: w.sum, wantsLo: w.lowest, wantsHi: w.highest,
		})
		size += 8 * len(w.parts())
	}
	c.maxCells = maxFoldBytes / size / workers
	if f.bin != nil {
		if r.Min < minLiteral+2*f.bin.width || r.Max > maxLiteral {
			return nil, errNoFold
		}
		c.first = f.bin.begin(r.Min)
		bins := uint64(r.Max-c.first)/uint64(f.bin.width) + 1
		if bins > uint64(c.maxCells) {
			return nil, errNoFold
		}
		c.bins = int(bins)
	}
	return c, nil
}

// setOf returns the set of some tags, which it adds.
func (c *foldCells) setOf(tags []foldTag) (int32, error) {
	c.key = c.key[:0]
	for _, t := range tags {
		if !t.valid {
			c.key = append(c.key, 0)
			continue
		}
		c.key = binary.AppendUvarint(append(c.key, 1), uint64(len(t.value)))
		c.key = append(c.key, t.value...)
	}
	if set, ok := c.sets[string(c.key)]; ok {
		return set, nil
	}
	if (len(c.values)+1)*c.bins > c.maxCells {
		return 0, errNoFold
	}
	set := int32(len(c.values))
	c.sets[string(c.key)] = set
	c.values = append(c.values, append([]foldTag(nil), tags...))
	c.grow()
	return set, nil
}

// grow adds the cells of another set.
func (c *foldCells) grow() {
	c.rows = append(c.rows, make([]int64, c.bins)...)
	c.time = append(c.time, make([]int64, c.bins)...)
	for i := range c.fields {
		f := &c.fields[i]
		f.count = append(f.count, make([]int64, c.bins)...)
		if f.isFloat {
			f.fsum = grown(f.fsum, c.bins, f.wantsSum, 0)
			f.flowest = grown(f.flowest, c.bins, f.wantsLo, math.NaN())
			f.fhighest = grown(f.fhighest, c.bins, f.wantsHi, math.Inf(-1))
			continue
		}
		f.sum = grown(f.sum, c.bins, f.wantsSum, 0)
		f.lowest = grown(f.lowest, c.bins, f.wantsLo, math.MaxInt64)
		f.highest = grown(f.highest, c.bins, f.wantsHi, math.MinInt64)
	}
}

func grown[T any](s []T, n int, wanted bool, initial T) []T {
	if !wanted {
		return nil
	}
	for range n {
		s = append(s, initial)
	}
	return s
}

// cell returns the cell of a set at an instant.
func (c *foldCells) cell(set int32, at int64) int32 {
	if c.fold.bin == nil {
		return set
	}
	return set*int32(c.bins) + int32((c.fold.bin.begin(at)-c.first)/c.fold.bin.width)
}

// segment is consecutive rows of one cell.
type segment struct{ begin, end, cell int32 }

// addRows counts the rows of segments; times are nil where any of the range is right.
func (c *foldCells) addRows(segments []segment, times []int64, any int64) {
	for _, s := range segments {
		if c.rows[s.cell] == 0 {
			c.time[s.cell] = any
			if times != nil {
				c.time[s.cell] = times[s.begin]
			}
		}
		c.rows[s.cell] += int64(s.end - s.begin)
	}
}

// addInts adds values of a field. The error is errNoFold where a sum exceeds 64 bits.
func (f *cellField) addInts(segments []segment, values []int64, valid []bool) error {
	for _, s := range segments {
		part := values[s.begin:s.end]
		if valid != nil {
			if err := f.addSomeInts(s.cell, part, valid[s.begin:s.end]); err != nil {
				return err
			}
			continue
		}
		f.count[s.cell] += int64(len(part))
		if f.wantsSum {
			sum, ok := sumOf(part)
			if !ok || !addTo(&f.sum[s.cell], sum) {
				return errNoFold
			}
		}
		if f.wantsLo {
			lowest := f.lowest[s.cell]
			for _, v := range part {
				lowest = min(lowest, v)
			}
			f.lowest[s.cell] = lowest
		}
		if f.wantsHi {
			highest := f.highest[s.cell]
			for _, v := range part {
				highest = max(highest, v)
			}
			f.highest[s.cell] = highest
		}
	}
	return nil
}

func (f *cellField) addSomeInts(cell int32, values []int64, valid []bool) error {
	for i, v := range values {
		if !valid[i] {
			continue
		}
		if err := f.addInt(cell, v); err != nil {
			return err
		}
	}
	return nil
}

func (f *cellField) addInt(cell int32, v int64) error {
	f.count[cell]++
	if f.wantsSum && !addTo(&f.sum[cell], v) {
		return errNoFold
	}
	if f.wantsLo {
		f.lowest[cell] = min(f.lowest[cell], v)
	}
	if f.wantsHi {
		f.highest[cell] = max(f.highest[cell], v)
	}
	return nil
}

// sumOf adds up values; ok is false where that might need more than 64 bits.
func sumOf(values []int64) (sum int64, ok bool) {
	var magnitude uint64
	for _, v := range values {
		magnitude |= uint64(v ^ v>>63)
		sum += v
	}
	return sum, bits.Len64(magnitude)+bits.Len(uint(len(values))) < 63
}

// addTo adds without overflow, or reports that it cannot.
func addTo(sum *int64, v int64) bool {
	total := *sum + v
	if (total > *sum) != (v > 0) && v != 0 {
		return false
	}
	*sum = total
	return true
}

// addFloats adds values of a field, in the order of the rows.
func (f *cellField) addFloats(segments []segment, values []float64, valid []bool) {
	for _, s := range segments {
		part := values[s.begin:s.end]
		if valid != nil {
			for i, v := range part {
				if valid[int(s.begin)+i] {
					f.addFloat(s.cell, v)
				}
			}
			continue
		}
		f.count[s.cell] += int64(len(part))
		if f.wantsSum {
			sum := f.fsum[s.cell]
			for _, v := range part {
				sum += v
			}
			f.fsum[s.cell] = sum
		}
		if f.wantsLo {
			lowest := f.flowest[s.cell]
			for _, v := range part {
				lowest = lowestOf(lowest, v)
			}
			f.flowest[s.cell] = lowest
		}
		if f.wantsHi {
			highest := f.fhighest[s.cell]
			for _, v := range part {
				highest = highestOf(highest, v)
			}
			f.fhighest[s.cell] = highest
		}
	}
}

func (f *cellField) addFloat(cell int32, v float64) {
	f.count[cell]++
	if f.wantsSum {
		f.fsum[cell] += v
	}
	if f.wantsLo {
		f.flowest[cell] = lowestOf(f.flowest[cell], v)
	}
	if f.wantsHi {
		f.fhighest[cell] = highestOf(f.fhighest[cell], v)
	}
}

// lowestOf and highestOf compare as DuckDB does: NaN is greater than everything.
func lowestOf(a, b float64) float64 {
	if b < a || math.IsNaN(a) {
		return b
	}
	return a
}

func highestOf(a, b float64) float64 {
	if b > a || math.IsNaN(b) {
		return b
	}
	return a
}

// snapshot returns the cells that have rows as buffered rows: that is what the table function
// hands to DuckDB.
func (c *foldCells) snapshot() *partition.Snapshot {
	s := &partition.Snapshot{SeriesCount: len(c.values), Time: schema.EmptyTimeRange}
	for k, tag := range c.fold.tags {
		s.Tags = append(s.Tags, c.tagColumn(k, tag.ID))
	}
	chunk := partition.Chunk{Range: schema.EmptyTimeRange}
	var cells []int32
	for i, n := range c.rows {
		if n > 0 {
			cells = append(cells, int32(i))
			chunk.Time = append(chunk.Time, c.time[i])
			chunk.Series = append(chunk.Series, uint32(i/c.bins))
			chunk.Range = chunk.Range.Include(c.time[i])
		}
	}
	chunk.Rows, s.Rows, s.Time = len(cells), len(cells), chunk.Range
	chunk.Fields = append(chunk.Fields, pickInts(foldedColumn(c.fold, -1, 0), c.rows, cells, nil))
	for i := range c.fields {
		chunk.Fields = append(chunk.Fields, c.fields[i].picked(c.fold, i, cells)...)
	}
	s.Chunks = []partition.Chunk{chunk}
	return s
}

func (c *foldCells) tagColumn(k int, id schema.ColumnID) partition.TagColumn {
	column := partition.TagColumn{ID: id, Index: make([]uint32, len(c.values))}
	known := make(map[string]uint32)
	for set, tags := range c.values {
		if !tags[k].valid {
			continue
		}
		index, ok := known[tags[k].value]
		if !ok {
			column.Values = append(column.Values, tags[k].value)
			index = uint32(len(column.Values))
			known[tags[k].value] = index
		}
		column.Index[set] = index
	}
	return column
}

// picked returns a field's columns of some cells; what has no values is null.
func (f *cellField) picked(spec *fold, i int, cells []int32) []partition.Field {
	all := []partition.Field{pickInts(foldedColumn(spec, i, countPart), f.count, cells, nil)}
	pick := func(part foldPart, wanted bool, ints []int64, floats []float64) {
		column := foldedColumn(spec, i, part)
		switch {
		case !wanted:
		case f.isFloat:
			all = append(all, pickFloats(column, floats, cells, f.count))
		default:
			all = append(all, pickInts(column, ints, cells, f.count))
		}
	}
	pick(sumPart, f.wantsSum, f.sum, f.fsum)
	pick(lowestPart, f.wantsLo, f.lowest, f.flowest)
	pick(highestPart, f.wantsHi, f.highest, f.fhighest)
	return all
}

func pickInts(c schema.Column, values []int64, cells []int32, count []int64) partition.Field {
	f := partition.Field{ID: c.ID, Type: schema.Int64, Int64: make([]int64, len(cells)), Valid: presence(cells, count)}
	for i, cell := range cells {
		f.Int64[i] = values[cell]
	}
	return f
}

func pickFloats(c schema.Column, values []float64, cells []int32, count []int64) partition.Field {
	f := partition.Field{ID: c.ID, Type: schema.Float64, Float64: make([]float64, len(cells)), Valid: presence(cells, count)}
	for i, cell := range cells {
		f.Float64[i] = values[cell]
	}
	return f
}

// presence marks the cells that have values; nil is all.
func presence(cells []int32, count []int64) []uint64 {
	if count == nil {
		return nil
	}
	words := make([]uint64, (len(cells)+63)/64)
	for i, cell := range cells {
		if count[cell] > 0 {
			words[i>>6] |= 1 << (i & 63)
		}
	}
	return words
}
