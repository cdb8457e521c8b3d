package query

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// Rows of several files and buffers that may be of one point are merged by position. DuckDB would hash the
// tags and the time of each row, 300 to 400 ns a row. But each source lies sorted by tags and
// time, or is easily sorted, so that the rows of one series are a few stretches:
//
//   - The values of tags get numbers that all sources have in common, and the series too. What
//     is compared of a series is one number from there on.
//   - Series that follow each other, of all sources, are a unit of work, which needs nothing of the others: its
//     rows are a part of a column each, of which persist.Finder reads only the pages in question.
//   - In a unit, the times of a series' stretches are walked side by side (mergedUnit). Most rows stand
//     alone, thousands of them before another source has one in between, and go on as they are. Of a point
//     that several sources have, each field is the last value that is not null.
//
// In memory are, for each worker, the times and one column of a unit, and for all a few numbers for each series and source.

// errNoMerge says that rows are better merged by DuckDB.
var errNoMerge = errors.New("query: rows are not merged here")

const (
	// unitRows is where a unit ends: eight pages, so that those at its ends, which are decoded for its
	// neighbours too, are few.
	unitRows = 128 << 10
	// maxUnitRows bounds what a unit holds in memory, where a series cannot be cut.
	maxUnitRows = 2 << 20
	// maxSortedRows bounds the buffered rows that are sorted, of which each takes 8 bytes.
	maxSortedRows = 4 << 20
	// maxStretches bounds the series of all sources, each of which takes some 50 bytes.
	maxStretches = 512 << 10
)

// merging is how the rows of some sources are to be merged.
type merging struct {
	unitRows  int
	tags      []schema.Column // all of the table
	sources   []mergeSource   // of two that have a point, the later one wins
	series    [][]uint32      // by common number: of each tag 0 for null, else 1 + the common number of the value
	values    [][]string      // by tag: the values, by common number
	stretches []stretch       // in the order of their series, then of their sources
	units     []mergeUnit
}

// stretch is rows of one series in a row group.
type stretch struct {
	series, source, group int32
	rows                  persist.Rows
}

// mergeUnit is the work of merging some series, and of those the rows in a range of time.
type mergeUnit struct {
	first, next int // of the stretches
	time        schema.TimeRange
}

// openMerging finds the series of files and of buffered rows, as far as they may have wanted ones. The caller
// must close the result. The error is errNoMerge. A unit has so many rows.
func openMerging(ctx context.Context, t *engine.TableView, files []engine.FileRef, rows []rowRun, where *constraint, unitRows int) (*merging, error) {
	m := &merging{unitRows: unitRows, tags: t.Table.Tags()}
	if err := m.open(ctx, t, files, rows, where.time); err != nil {
		m.close()
		return nil, fmt.Errorf("%w: %w", errNoMerge, err)
	}
	for id, values := range where.tags {
		m.keep(id, values)
	}
	m.divide(where.time)
	return m, nil
}

// keep drops the stretches of series whose tag has none of some values.
func (m *merging) keep(id schema.ColumnID, values []string) {
	tag := slices.IndexFunc(m.tags, func(c schema.Column) bool { return c.ID == id })
	m.stretches = slices.DeleteFunc(m.stretches, func(s stretch) bool {
		index := m.series[s.series][tag]
		return index == 0 || !slices.Contains(values, m.values[tag][index-1])
	})
}

func (m *merging) open(ctx context.Context, t *engine.TableView, files []engine.FileRef, rows []rowRun, within schema.TimeRange) error {
	// All tags tell series apart, even if the query reads none of them.
	if err := t.Verify(ctx, files, idsOf(m.tags)); err != nil {
		return err
	}
	for _, f := range files {
		if err := m.openFile(ctx, t, f); err != nil {
			return err
		}
	}
	sorted, err := sortRuns(rows)
	if err != nil {
		return err
	}
	for _, s := range sorted {
		m.sources = append(m.sources, s)
	}
	return m.number(within)
}

// openFile opens a file, without what is hidden of it.
func (m *merging) openFile(ctx context.Context, t *engine.TableView, f engine.FileRef) error {
	var parts []seenPart
	if len(f.Hidden) > 0 {
		parts = seenParts(f)
		if len(parts) > maxSeenParts {
			return fmt.Errorf("%w: deletions cut %s into %d parts", errNoMerge, f.Path, len(parts))
		}
		if len(parts) == 0 {
			return nil
		}
	}
	f.Hidden = nil // to whom opens it
	file, err := t.OpenSeries(ctx, f)
	if err != nil {
		return err
	}
	if parts == nil {
		m.sources = append(m.sources, fileSource{file})
	} else {
		m.sources = append(m.sources, newSeenSources(fileSource{file}, parts, m.tags)...)
	}
	return nil
}

func (m *merging) close() {
	for _, s := range m.sources {
		s.close()
	}
	m.sources = nil
}

// span is the range of the times of all rows that lie in a range.
func (m *merging) span(within schema.TimeRange) schema.TimeRange {
	span := schema.EmptyTimeRange
	for _, s := range m.sources {
		for g := range s.groups() {
			if in := s.groupTime(g).Intersect(within); !in.IsEmpty() {
				span = span.Union(in)
			}
		}
	}
	return span
}

// number finds the stretches.
func (m *merging) number(within schema.TimeRange) error {
	n := newSeriesNumbers(m.tags)
	for i, s := range m.sources {
		n.begin(s.tagValues())
		for g := range s.groups() {
			if s.groupTime(g).Intersect(within).IsEmpty() {
				continue
			}
			s.eachSeries(g, func(indices []uint32, rows persist.Rows) bool {
				m.stretches = append(m.stretches, stretch{n.of(indices), int32(i), int32(g), rows})
				return len(m.stretches) <= maxStretches
			})
		}
		if len(m.stretches) > maxStretches {
			return fmt.Errorf("more than %d series", maxStretches)
		}
	}
	m.series, m.values = n.series, n.values
	m.sortStretches()
	if m.ascends() { // as it does if the later sources have no series of their own
		return nil
	}
	m.rank()
	m.sortStretches()
	if !m.ascends() {
		return errors.New("a source is in another order")
	}
	return nil
}

func (m *merging) sortStretches() {
	slices.SortStableFunc(m.stretches, func(a, b stretch) int { return int(a.series) - int(b.series) })
}

// ascends reports whether the stretches of each row group follow each other, so that it is read from its begin to
// its end.
func (m *merging) ascends() bool {
	type place struct{ source, group int32 }
	ends := make(map[place]int)
	for _, s := range m.stretches {
		at := place{s.source, s.group}
		if s.rows.From < ends[at] && !m.sources[s.source].repeats() { // buffered rows are read in any order
			return false
		}
		ends[at] = s.rows.To
	}
	return true
}

// rank numbers the series anew, in the order that files have: by their tags in turn, null first.
func (m *merging) rank() {
	ranks := make([][]uint32, len(m.tags)) // by tag and value
	for tag, values := range m.values {
		order := make([]uint32, len(values))
		for i := range order {
			order[i] = uint32(i)
		}
		slices.SortFunc(order, func(a, b uint32) int { return strings.Compare(values[a], values[b]) })
		ranks[tag] = make([]uint32, len(values)+1)
		for rank, i := range order {
			ranks[tag][i+1] = uint32(rank + 1)
		}
	}
	order := make([]int32, len(m.series))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		for tag := range m.tags {
			if x, y := ranks[tag][m.series[a][tag]], ranks[tag][m.series[b][tag]]; x != y {
				return cmp.Compare(x, y)
			}
		}
		return 0
	})
	series, numbers := make([][]uint32, len(order)), make([]int32, len(order))
	for number, old := range order {
		series[number], numbers[old] = m.series[old], int32(number)
	}
	m.series = series
	for i := range m.stretches {
		m.stretches[i].series = numbers[m.stretches[i].series]
	}
}

// seriesNumbers gives common numbers to the values of tags and to the series of several sources.
type seriesNumbers struct {
	tags   []schema.Column
	known  []map[string]uint32 // by tag: 1 + the number of a value
	values [][]string
	found  map[string]int32
	series [][]uint32
	key    []byte

	places     []int      // by tag of the source: which of tags it is
	translated [][]uint32 // by tag of the source, by index there
	tuple      []uint32
}

func newSeriesNumbers(tags []schema.Column) *seriesNumbers {
	n := &seriesNumbers{tags: tags, values: make([][]string, len(tags)), found: make(map[string]int32), tuple: make([]uint32, len(tags))}
	for range tags {
		n.known = append(n.known, make(map[string]uint32))
	}
	return n
}

// begin takes up a source with such tags.
func (n *seriesNumbers) begin(tags []persist.FinderTag) {
	n.places, n.translated = n.places[:0], n.translated[:0]
	for _, tag := range tags {
		place := slices.IndexFunc(n.tags, func(c schema.Column) bool { return c.ID == tag.ID })
		translated := make([]uint32, len(tag.Values)+1)
		for i, v := range tag.Values {
			if place >= 0 {
				translated[i+1] = n.value(place, v)
			}
		}
		n.places, n.translated = append(n.places, place), append(n.translated, translated)
	}
}

func (n *seriesNumbers) value(tag int, v string) uint32 {
	number, ok := n.known[tag][v]
	if !ok {
		n.values[tag] = append(n.values[tag], v)
		number = uint32(len(n.values[tag]))
		n.known[tag][v] = number
	}
	return number
}

// of returns the number of a series of the source.
func (n *seriesNumbers) of(indices []uint32) int32 {
	clear(n.tuple)
	for i, index := range indices {
		if n.places[i] >= 0 {
			n.tuple[n.places[i]] = n.translated[i][index]
		}
	}
	n.key = n.key[:0]
	for _, v := range n.tuple {
		n.key = binary.LittleEndian.AppendUint32(n.key, v)
	}
	number, ok := n.found[string(n.key)]
	if !ok {
		number = int32(len(n.series))
		n.found[string(n.key)] = number
		n.series = append(n.series, slices.Clone(n.tuple))
	}
	return number
}

// divide makes units of the stretches.
func (m *merging) divide(within schema.TimeRange) {
	unit, rows := mergeUnit{time: within}, 0
	end := func() {
		if unit.first < unit.next {
			m.units = append(m.units, unit)
		}
		unit.first, rows = unit.next, 0
	}
	for i := 0; i < len(m.stretches); {
		next, count := i, 0
		for ; next < len(m.stretches) && m.stretches[next].series == m.stretches[i].series; next++ {
			count += m.stretches[next].rows.Count()
		}
		if count > 4*m.unitRows {
			end()
			m.divideSeries(i, next, within)
			unit.first, unit.next = next, next
		} else {
			unit.next = next
			if rows += count; rows >= m.unitRows {
				end()
			}
		}
		i = next
	}
	end()
}

// divideSeries makes units of a long series: each begins where some row group does.
func (m *merging) divideSeries(first, next int, within schema.TimeRange) {
	unit, rows := mergeUnit{first, next, within}, 0
	for i := first; i < next; i++ {
		s := &m.stretches[i]
		begin := m.sources[s.source].groupTime(int(s.group)).Min
		if rows >= m.unitRows && begin > unit.time.Min && begin <= within.Max {
			unit.time.Max = begin - 1
			m.units = append(m.units, unit)
			unit.time, rows = schema.TimeRange{Min: begin, Max: within.Max}, 0
		}
		rows += s.rows.Count()
	}
	m.units = append(m.units, unit)
}
