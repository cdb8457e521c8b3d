package query

import (
	"cmp"
	"context"
	"errors"
	"math/bits"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// Where rows of a plain SELECT must be merged (merging.go), each unit is an item of work. Its rows are told apart by
// their times, of the points the fields of the WHERE clause are merged, and of the rows that are left the others.

// mergeSelected opens what of a selection is to be merged. It returns nil where DuckDB is to do it.
func (r *running) mergeSelected(ctx context.Context, q *selectQuery, plan *scanPlan, files []engine.FileRef, t *engine.TableView, c *constraint) (*merging, error) {
	if !mergesRows(q.readColumns()) || len(files) > maxFooters || r.querier.opts.noMerge {
		return nil, nil
	}
	narrowed := *c
	narrowed.time = narrowed.time.Intersect(q.where.time)
	most := maxMergedBytes / (8 * (len(plan.read) + 2))
	m, err := openMerging(ctx, t, files, plan.rows.dirty, &narrowed, min(most, cmp.Or(r.querier.opts.unitRows, unitRows)))
	if err == nil {
		if err = m.check(q.readColumns(), 8*most); err == nil {
			return m, nil
		}
		m.close()
	}
	if ctx.Err() != nil || errors.As(err, new(*engine.FileError)) {
		return nil, err
	}
	return nil, nil
}

// readColumns are the columns that are answered or tested.
func (q *selectQuery) readColumns() []schema.Column {
	columns := slices.Clone(q.columns)
	for i := range q.where.of {
		columns = append(columns, q.where.of[i].column)
	}
	return columns
}

// addMerging adds units whose rows are merged.
func (s *selected) addMerging(m *merging) {
	s.merging, s.series = m, m.snapshot()
	s.accepted = s.query.where.series(s.series)
	for i := range m.units {
		s.items = append(s.items, selectItem{unit: &m.units[i]})
	}
}

// readUnit returns the rows of a unit that are wanted.
func (s *selected) readUnit(w *rowMerger, unit *mergeUnit) (*partition.Chunk, error) {
	w.merger.m, w.merger.timed = s.merging, true
	u, err := w.merger.merge(unit)
	if err != nil {
		return nil, err
	}
	all := u.places()
	keep := make([]uint64, (all.Rows+63)/64)
	for row, series := range all.Series {
		if s.accepted == nil || s.accepted[series] {
			keep[row>>6] |= 1 << (row & 63)
		}
	}
	for i := range s.query.where.of {
		of := &s.query.where.of[i]
		if of.column.Type == schema.Tag {
			continue
		}
		field, err := s.mergedField(w, u, all.Rows, of.column)
		if err != nil {
			return nil, err
		}
		of.keep(&field, keep)
		all.Fields = append(all.Fields, field)
	}
	chunk := gatherRows(all, setRows(keep))
	if chunk.Rows == 0 {
		return chunk, nil
	}
	left := u.narrowed(keep, all.Rows)
	for _, column := range s.query.columns {
		if column.ID == 0 || column.Type == schema.Tag || fieldAt(chunk, column) >= 0 {
			continue
		}
		field, err := s.mergedField(w, left, chunk.Rows, column)
		if err != nil {
			return nil, err
		}
		chunk.Fields = append(chunk.Fields, field)
	}
	return chunk, nil
}

// mergedField returns a field of a unit, of its own type.
func (s *selected) mergedField(w *rowMerger, u *mergedUnit, rows int, column schema.Column) (partition.Field, error) {
	f, err := w.field(u, rows, column)
	if column.Type == schema.Uint64 {
		f.Type, f.Uint64, f.Int64 = schema.Uint64, arrow.Uint64Traits.CastFromBytes(arrow.Int64Traits.CastToBytes(f.Int64)), nil
	}
	return f, err
}

// setRows lists the rows whose bits are set.
func setRows(keep []uint64) []uint32 {
	var rows []uint32
	for i, word := range keep {
		for ; word != 0; word &= word - 1 {
			rows = append(rows, uint32(64*i+bits.TrailingZeros64(word)))
		}
	}
	return rows
}

// narrowed returns the rows of a unit that are kept, of so many. They are in the same order, and have no times.
func (u *mergedUnit) narrowed(keep []uint64, rows int) *mergedUnit {
	points := make([]int32, len(u.points)) // by point: where it is among those that are kept, or -1
	left := &mergedUnit{}
	first := rows - len(u.points)
	for i, p := range u.points {
		points[i] = -1
		if isSet(keep, first+i) {
			points[i] = int32(len(left.points))
			left.points = append(left.points, p)
		}
	}
	row := 0
	for i := range u.pieces {
		p := &u.pieces[i]
		left.pieces = append(left.pieces, p.narrowed(keep, row, points))
		row += p.aloneCount()
	}
	return left
}

func isSet(keep []uint64, row int) bool { return keep[row>>6]>>(row&63)&1 != 0 }

// narrowed returns what is kept of a piece, whose rows that stand alone begin at a row of the unit.
func (p *piece) narrowed(keep []uint64, row int, points []int32) piece {
	n := narrowing{from: p, piece: piece{source: p.source, group: p.group}}
	twice := p.twice
	takeTwice := func(before int32) { // both are in the order of the piece's rows
		for ; len(twice) > 0 && twice[0].row < before; twice = twice[1:] {
			if point := points[twice[0].point]; point >= 0 {
				n.piece.twice = append(n.piece.twice, pointRow{n.add(twice[0].row, twice[0].row+1), point})
			}
		}
	}
	for _, a := range p.alone {
		for at := a.begin; at < a.end; {
			if !isSet(keep, row) {
				at++
				row++
				continue
			}
			begin := at
			for ; at < a.end && isSet(keep, row); at++ {
				row++
			}
			takeTwice(begin)
			number := n.add(begin, at)
			n.piece.alone = append(n.piece.alone, aloneRows{number, number + at - begin, a.series})
		}
	}
	takeTwice(int32(p.count))
	return n.piece
}

// narrowing is a piece to which rows of another one are added.
type narrowing struct {
	from    *piece
	stretch int // of from, in which the last rows were
	piece   piece
}

// add adds rows, which are of one stretch and behind those that were added before, and returns the number of the first.
func (n *narrowing) add(begin, end int32) (number int32) {
	rows, stretch := n.from.place(begin, end, n.stretch)
	n.stretch, number = stretch, int32(n.piece.count)
	n.piece.count += int(end - begin)
	if last := len(n.piece.rows) - 1; last >= 0 && n.piece.rows[last].To == rows.From {
		n.piece.rows[last].To = rows.To
	} else {
		n.piece.rows = append(n.piece.rows, rows)
	}
	return number
}
