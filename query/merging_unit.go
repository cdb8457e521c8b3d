package query

import (
	"fmt"
	"slices"
	"sort"

	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// mergedUnit is a unit whose rows have been told apart: those that stand alone, and the points of which there
// are several.
type mergedUnit struct {
	pieces []piece // in the order of their sources
	points []mergedPoint
}

// piece is the rows of a unit that are in one row group of a source. They are numbered from 0 on.
type piece struct {
	source int
	group  int
	rows   []persist.Rows // by stretch
	series []int32        // by stretch
	begins []int          // by stretch: its first row's number
	count  int
	times  []int64 // nil where they do not matter

	alone []aloneRows
	twice []pointRow

	next    int // of stretches, while units are merged
	numbers persist.Numbers
}

// aloneRows are rows of one series, each of which is the only one of its point.
type aloneRows struct{ begin, end, series int32 }

// pointRow is a row of one of the points that several rows have. Of those of one piece the later wins.
type pointRow struct{ row, point int32 }

// mergedPoint is a point that several rows have.
type mergedPoint struct {
	series int32
	at     int64
}

// unitMerger merges units, one after the other. What it returns holds until it is called again.
type unitMerger struct {
	m       *merging
	timed   bool // times are needed, even if nothing is merged
	unit    mergedUnit
	cursors []cursor
}

// cursor is where the rows of a series are in a piece.
type cursor struct{ piece, at, end int }

// merge reads the times of a unit and tells its rows apart.
func (u *unitMerger) merge(unit *mergeUnit) (*mergedUnit, error) {
	if err := u.gather(unit); err != nil {
		return nil, err
	}
	for i := range u.unit.pieces {
		if err := u.readTimes(&u.unit.pieces[i], unit); err != nil {
			return nil, err
		}
	}
	stretches := u.m.stretches[unit.first:unit.next]
	for i := 0; i < len(stretches); {
		series := stretches[i].series
		for i < len(stretches) && stretches[i].series == series {
			i++
		}
		u.mergeSeries(series)
	}
	return &u.unit, nil
}

// gather finds the pieces of a unit.
func (u *unitMerger) gather(unit *mergeUnit) error {
	u.unit.points = u.unit.points[:0]
	pieces := u.unit.pieces[:0]
	rows := 0
	for i := unit.first; i < unit.next; i++ {
		s := &u.m.stretches[i]
		if !u.m.sources[s.source].groupTime(int(s.group)).Overlaps(unit.time) {
			continue
		}
		if rows += s.rows.Count(); rows > maxUnitRows {
			return fmt.Errorf("%w: a series has more than %d rows", errNoMerge, maxUnitRows)
		}
		k := slices.IndexFunc(pieces, func(p piece) bool { return p.source == int(s.source) && p.group == int(s.group) })
		if k < 0 {
			if k = len(pieces); k < cap(pieces) { // what it has room for is used again
				pieces = pieces[:k+1]
			} else {
				pieces = append(pieces, piece{})
			}
			pieces[k].begin(int(s.source), int(s.group))
		}
		p := &pieces[k]
		p.rows, p.series = append(p.rows, s.rows), append(p.series, s.series)
		p.begins = append(p.begins, p.count)
		p.count += s.rows.Count()
	}
	u.unit.pieces = pieces
	slices.SortStableFunc(pieces, func(a, b piece) int { return a.source - b.source })
	return nil
}

func (p *piece) begin(source, group int) {
	p.source, p.group, p.count, p.next, p.times = source, group, 0, 0, nil
	p.rows, p.series, p.begins = p.rows[:0], p.series[:0], p.begins[:0]
	p.alone, p.twice = p.alone[:0], p.twice[:0]
}

// readTimes reads the times of a piece, if they are needed, and leaves out what is not in the unit's range.
func (u *unitMerger) readTimes(p *piece, unit *mergeUnit) error {
	source := u.m.sources[p.source]
	if !u.timed && len(u.m.sources) == 1 && !source.repeats() && source.isWithin(p.group, unit.time) {
		return nil
	}
	if err := source.readTimes(p.group, p.rows, unit.time, &p.numbers); err != nil {
		return err
	}
	p.times = p.numbers.Ints
	kept, n := 0, 0
	for i, r := range p.rows {
		if r.Count() == 0 {
			continue
		}
		p.rows[kept], p.series[kept], p.begins[kept] = r, p.series[i], n
		n += r.Count()
		kept++
	}
	p.rows, p.series, p.begins, p.count = p.rows[:kept], p.series[:kept], p.begins[:kept], n
	return nil
}

// mergeSeries walks the stretches of a series.
func (u *unitMerger) mergeSeries(series int32) {
	u.cursors = u.cursors[:0]
	for i := range u.unit.pieces {
		if p := &u.unit.pieces[i]; p.next < len(p.series) && p.series[p.next] == series {
			begin := p.begins[p.next]
			u.cursors = append(u.cursors, cursor{i, begin, begin + p.rows[p.next].Count()})
			p.next++
		}
	}
	if u.areOfOneFile() {
		for _, c := range u.cursors {
			p := &u.unit.pieces[c.piece]
			p.alone = append(p.alone, aloneRows{int32(c.at), int32(c.end), series})
		}
		return
	}
	for len(u.cursors) > 0 {
		u.step(series)
		live := u.cursors[:0]
		for _, c := range u.cursors {
			if c.at < c.end {
				live = append(live, c)
			}
		}
		u.cursors = live
	}
}

// areOfOneFile reports whether no two rows can be of one point.
func (u *unitMerger) areOfOneFile() bool {
	for _, c := range u.cursors {
		source := u.unit.pieces[c.piece].source
		if source != u.unit.pieces[u.cursors[0].piece].source || u.m.sources[source].repeats() {
			return false
		}
	}
	return true
}

// step takes the next rows of a series: those before the next row of another piece, or those of one point.
func (u *unitMerger) step(series int32) {
	least, next := 0, schema.MaxTimeRange.Max // next is the first time of the other cursors
	for i := 1; i < len(u.cursors); i++ {
		if at := u.time(i); at < u.time(least) {
			next = u.time(least)
			least = i
		} else {
			next = min(next, at)
		}
	}
	c := &u.cursors[least]
	p := &u.unit.pieces[c.piece]
	end := c.end
	if len(u.cursors) > 1 {
		at := p.times[c.at]
		if at == next {
			u.takePoint(series, at)
			return
		}
		end = c.at + gallop(p.times[c.at:c.end], next)
	}
	if u.m.sources[p.source].repeats() {
		p.takeRepeating(&u.unit, c.at, end, series)
	} else {
		p.alone = append(p.alone, aloneRows{int32(c.at), int32(end), series})
	}
	c.at = end
}

// time is that of the row at which a cursor is.
func (u *unitMerger) time(i int) int64 {
	c := &u.cursors[i]
	return u.unit.pieces[c.piece].times[c.at]
}

// takePoint takes the rows of a point of all cursors that have it.
func (u *unitMerger) takePoint(series int32, at int64) {
	point := u.unit.addPoint(series, at)
	for i := range u.cursors {
		c := &u.cursors[i]
		p := &u.unit.pieces[c.piece]
		for ; c.at < c.end && p.times[c.at] == at; c.at++ {
			p.twice = append(p.twice, pointRow{int32(c.at), point})
		}
	}
}

func (u *mergedUnit) addPoint(series int32, at int64) int32 {
	u.points = append(u.points, mergedPoint{series, at})
	return int32(len(u.points) - 1)
}

// takeRepeating takes rows of which several may be of one point.
func (p *piece) takeRepeating(u *mergedUnit, begin, end int, series int32) {
	for i := begin; i < end; {
		next := i + 1
		for next < end && p.times[next] == p.times[i] {
			next++
		}
		if next == i+1 {
			i = next
			continue
		}
		if begin < i {
			p.alone = append(p.alone, aloneRows{int32(begin), int32(i), series})
		}
		point := u.addPoint(series, p.times[i])
		for ; i < next; i++ {
			p.twice = append(p.twice, pointRow{int32(i), point})
		}
		begin = next
	}
	if begin < end {
		p.alone = append(p.alone, aloneRows{int32(begin), int32(end), series})
	}
}

// gallop returns how many times, which ascend, are before t. It is quick where those are few.
func gallop(times []int64, t int64) int {
	low, high := 0, 1
	for high <= len(times) && times[high-1] < t {
		low, high = high, 2*high
	}
	high = min(high, len(times)) // times[:low] are before t, and times[high-1] is not, or the last
	return low + sort.Search(high-low, func(i int) bool { return times[low+i] >= t })
}
