package query

import (
	"cmp"
	"fmt"
	"math/bits"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// Rows that are merged here and not folded go to DuckDB in the way of buffered ones: each thread that wants some
// merges a unit, with the columns that DuckDB reads, and hands it on in vectors.

// mergedRows are the rows of a merging that a table function yields.
type mergedRows struct {
	m *merging
	// windows are where rows of files are among them: DuckDB reads the others.
	windows  []schema.TimeRange
	snapshot *partition.Snapshot // the series and their tags, without rows
}

// maxMergedBytes bounds the values of a unit.
const maxMergedBytes = 8 << 20

// mergesRows reports whether rows with such columns can be merged here.
func mergesRows(columns []schema.Column) bool {
	for _, c := range columns {
		if c.ID != 0 && c.Type != schema.Tag && c.Type != schema.Int64 && c.Type != schema.Uint64 && c.Type != schema.Float64 {
			return false
		}
	}
	return true
}

// openMergedRows opens what DuckDB would merge of a scan that reads files, or returns errNoMerge.
func (r *running) openMergedRows(p *scanPlan, t *engine.TableView, where *constraint) (*mergedRows, error) {
	if p.latest != nil || len(p.dirty) == 0 || len(p.dirty) > maxFooters || r.querier.opts.noMerge || !mergesRows(p.read) {
		return nil, errNoMerge
	}
	narrowed := *where
	hull := schema.EmptyTimeRange
	for _, w := range p.windows {
		hull = hull.Union(w)
	}
	for i := range p.rows.dirty {
		hull = hull.Union(p.rows.dirty[i].chunk.Range)
	}
	narrowed.time = narrowed.time.Intersect(hull)
	most := maxMergedBytes / (8 * (len(p.read) + 2))
	m, err := openMerging(r.ctx, t, p.dirty, p.rows.dirty, &narrowed, min(most, cmp.Or(r.querier.opts.unitRows, unitRows)))
	if err != nil {
		return nil, err
	}
	if err := m.check(p.read, 8*most); err != nil {
		m.close()
		return nil, err
	}
	return &mergedRows{m: m, windows: p.windows, snapshot: m.snapshot()}, nil
}

// check makes sure that every unit can be read, and has no more rows than that.
func (m *merging) check(columns []schema.Column, rows int) error {
	for i := range m.units {
		u, count := &m.units[i], 0
		for _, s := range m.stretches[u.first:u.next] {
			if m.sources[s.source].groupTime(int(s.group)).Overlaps(u.time) {
				count += s.rows.Count()
			}
		}
		if count > rows {
			return fmt.Errorf("%w: a series has more than %d rows", errNoMerge, rows)
		}
	}
	for _, s := range m.sources {
		for _, c := range columns {
			if c.Type == schema.Tag && c.ID != 0 || !s.has(c.ID) {
				continue
			}
			if err := s.checkNumbers(c.ID); err != nil {
				return fmt.Errorf("%w: %w", errNoMerge, err)
			}
		}
	}
	return nil
}

// rows is about how many rows there are, at most.
func (m *merging) rows() (rows int) {
	for i := range m.stretches {
		rows += m.stretches[i].rows.Count()
	}
	return rows
}

// snapshot returns the series without their rows.
func (m *merging) snapshot() *partition.Snapshot {
	s := &partition.Snapshot{SeriesCount: len(m.series)}
	for i, tag := range m.tags {
		column := partition.TagColumn{ID: tag.ID, Values: m.values[i], Index: make([]uint32, len(m.series))}
		for series := range m.series {
			column.Index[series] = m.series[series][i]
		}
		s.Tags = append(s.Tags, column)
	}
	return s
}

// mergedScan is one scan of merged rows. Threads take pieces of it.
type mergedScan struct {
	rows   *mergedRows
	fields []schema.Column // that are read
	next   atomic.Int64    // of the units

	mu struct {
		sync.Mutex
		ready []rowRun
		idle  []*rowMerger
	}
}

// take returns the next piece, nil at the end.
func (s *mergedScan) take() (*rowRun, error) {
	for {
		if piece := s.ready(); piece != nil {
			return piece, nil
		}
		i := int(s.next.Add(1)) - 1
		if i >= len(s.rows.m.units) {
			return nil, nil
		}
		w := s.idle()
		chunk, err := w.merge(s.rows, &s.rows.m.units[i], s.fields)
		if err != nil {
			return nil, err
		}
		s.add(w, chunk)
	}
}

// ready returns a piece of a unit that was merged, nil if there is none.
func (s *mergedScan) ready() *rowRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.mu.ready) - 1
	if last < 0 {
		return nil
	}
	piece := s.mu.ready[last]
	s.mu.ready[last] = rowRun{}
	s.mu.ready = s.mu.ready[:last]
	return &piece
}

// idle returns who merges a unit.
func (s *mergedScan) idle() *rowMerger {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.mu.idle) - 1
	if last < 0 {
		return &rowMerger{merger: unitMerger{m: s.rows.m, timed: true}}
	}
	w := s.mu.idle[last]
	s.mu.idle = s.mu.idle[:last]
	return w
}

// add takes the rows that were merged, and back who did it.
func (s *mergedScan) add(w *rowMerger, chunk *partition.Chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.idle = append(s.mu.idle, w)
	s.mu.ready = appendPieces(s.mu.ready, rowRun{snapshot: s.rows.snapshot, chunk: chunk, count: chunk.Rows})
}

// rowMerger makes chunks of units, one after the other.
type rowMerger struct {
	merger unitMerger
	values persist.Numbers
	done   []bool // by point: its value of the field at hand is found
}

// merge returns the rows of a unit: those of its pieces that stand alone, and then its points.
func (w *rowMerger) merge(rows *mergedRows, unit *mergeUnit, fields []schema.Column) (*partition.Chunk, error) {
	u, err := w.merger.merge(unit)
	if err != nil {
		return nil, err
	}
	for i := range u.pieces {
		if p := &u.pieces[i]; !rows.m.sources[p.source].repeats() {
			p.alone = rows.within(p)
		}
	}
	c := u.places()
	for _, column := range fields {
		field, err := w.field(u, c.Rows, column)
		if err != nil {
			return nil, err
		}
		c.Fields = append(c.Fields, field)
	}
	return c, nil
}

// places returns the times and series of the rows.
func (u *mergedUnit) places() *partition.Chunk {
	c := &partition.Chunk{Rows: len(u.points)}
	for i := range u.pieces {
		c.Rows += u.pieces[i].aloneCount()
	}
	c.Time, c.Series = make([]int64, 0, c.Rows), make([]uint32, 0, c.Rows)
	for i := range u.pieces {
		p := &u.pieces[i]
		for _, a := range p.alone {
			c.Time = append(c.Time, p.times[a.begin:a.end]...)
			for range a.end - a.begin {
				c.Series = append(c.Series, uint32(a.series))
			}
		}
	}
	for _, point := range u.points {
		c.Time, c.Series = append(c.Time, point.at), append(c.Series, uint32(point.series))
	}
	return c
}

// field returns a field of so many rows; of a uint64 it has the bits as an int64.
func (w *rowMerger) field(u *mergedUnit, rows int, column schema.Column) (f partition.Field, err error) {
	f = partition.Field{ID: column.ID, Type: column.Type}
	if column.Type == schema.Float64 {
		f.Float64, f.Valid, err = mergeColumn(w, u, rows, column.ID, func(n *persist.Numbers) []float64 { return n.Floats })
		return f, err
	}
	f.Type = schema.Int64
	f.Int64, f.Valid, err = mergeColumn(w, u, rows, column.ID, func(n *persist.Numbers) []int64 { return n.Ints })
	return f, err
}

// within returns the rows of a piece that stand alone and lie in the windows.
func (rows *mergedRows) within(p *piece) []aloneRows {
	var all []aloneRows
	for _, a := range p.alone {
		times := p.times[a.begin:a.end]
		for _, r := range rows.windows {
			from := sort.Search(len(times), func(i int) bool { return times[i] >= r.Min })
			to := sort.Search(len(times), func(i int) bool { return times[i] > r.Max })
			if from < to {
				all = append(all, aloneRows{a.begin + int32(from), a.begin + int32(to), a.series})
			}
		}
	}
	return all
}

// mergeColumn returns the values of a column of so many rows, and which of them there are; nil is all.
func mergeColumn[T int64 | float64](w *rowMerger, u *mergedUnit, rows int, id schema.ColumnID, of func(*persist.Numbers) []T) ([]T, []uint64, error) {
	out, valid := make([]T, rows), make([]uint64, (rows+63)/64)
	set := func(row int, v T) {
		out[row] = v
		valid[row>>6] |= 1 << (row & 63)
	}
	points := rows - len(u.points)
	w.done = append(w.done[:0], make([]bool, len(u.points))...)
	end := points
	for i := len(u.pieces) - 1; i >= 0; i-- {
		p := &u.pieces[i]
		begin := end - p.aloneCount()
		source := w.merger.m.sources[p.source]
		if len(p.rows) == 0 || !source.has(id) {
			end = begin
			continue
		}
		if err := source.readNumbers(p.group, id, p.rows, &w.values); err != nil {
			return nil, nil, err
		}
		values, row := of(&w.values), begin
		for _, a := range p.alone {
			n := int(a.end - a.begin)
			copy(out[row:], values[a.begin:a.end])
			if w.values.Valid == nil {
				setBits(valid, row, row+n)
			} else {
				for k, has := range w.values.Valid[a.begin:a.end] {
					if has {
						valid[(row+k)>>6] |= 1 << ((row + k) & 63)
					}
				}
			}
			row += n
		}
		for k := len(p.twice) - 1; k >= 0; k-- {
			r := p.twice[k]
			if !w.done[r.point] && (w.values.Valid == nil || w.values.Valid[r.row]) {
				w.done[r.point] = true
				set(points+int(r.point), values[r.row])
			}
		}
		end = begin
	}
	count := 0
	for _, word := range valid {
		count += bits.OnesCount64(word)
	}
	if count == rows {
		valid = nil
	}
	return out, valid, nil
}

// setBits sets the bits from, from+1, … to-1.
func setBits(words []uint64, from, to int) {
	for from < to {
		end := min(to, from&^63+64)
		words[from>>6] |= ^uint64(0) >> (64 - (end - from)) << (from & 63)
		from = end
	}
}

func (p *piece) aloneCount() (n int) {
	for _, a := range p.alone {
		n += int(a.end - a.begin)
	}
	return n
}
