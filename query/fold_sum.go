package query

import (
	"slices"

	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// Sums, means and counts of integers in files need no values: persist adds up what lies in one page and one cell.
// That pays where rows of a cell are many, and where no value is compared with others.

// fewestSummedRows is how many rows segments have on average, at least, that are summed in this way. With
// fewer, to begin and to end a segment costs more than to look at its values.
const fewestSummedRows = 24

// fieldSums is what one worker has of sums of a piece.
type fieldSums struct {
	rows []persist.Rows // by segment: where it is in its row group
	sums persist.Sums
}

// summingSource is a file, or a part of one.
type summingSource interface {
	SumIntegers(group int, id schema.ColumnID, rows []persist.Rows, dst *persist.Sums) error
}

// sumPiece adds the rows of a piece that stand alone to their cells, or reports false where that is to be done
// value by value.
func (w *foldWorker) sumPiece(p *piece, segments []segment, id schema.ColumnID, field *cellField) (done bool, err error) {
	file, isFile := w.merged.merger.m.sources[p.source].(summingSource)
	if !isFile || !field.adds() || len(p.twice) > 0 || p.count < fewestSummedRows*len(segments) {
		return false, nil
	}
	s := &w.merged.summed
	s.rows = p.places(s.rows[:0], segments)
	if err := file.SumIntegers(p.group, id, s.rows, &s.sums); err != nil {
		return false, err
	}
	for i := range segments {
		if err := field.addSum(segments[i].cell, &s.sums.All[i]); err != nil {
			return false, err
		}
	}
	return true, nil
}

// adds reports whether all that is wanted of a field is the number of integers and their sum.
func (f *cellField) adds() bool { return !f.isFloat && !f.wantsLo && !f.wantsHi }

// addSum adds values whose sum is known. The error is errNoFold where the cell's exceeds 64 bits.
func (f *cellField) addSum(cell int32, s *persist.Sum) error {
	f.count[cell] += s.Count
	if !f.wantsSum {
		return nil
	}
	if sum, ok := s.Int64(); !ok || !addTo(&f.sum[cell], sum) {
		return errNoFold
	}
	return nil
}

// places returns where segments of a piece, which are in order, are in its row group.
func (p *piece) places(rows []persist.Rows, segments []segment) []persist.Rows {
	rows = slices.Grow(rows, len(segments))
	stretch := 0
	for _, s := range segments {
		var at persist.Rows
		at, stretch = p.place(s.begin, s.end, stretch)
		rows = append(rows, at)
	}
	return rows
}

// place returns where rows of a piece are in its row group, and their stretch. They lie in one, which is the given one or a later.
func (p *piece) place(begin, end int32, stretch int) (persist.Rows, int) {
	for stretch+1 < len(p.begins) && p.begins[stretch+1] <= int(begin) {
		stretch++
	}
	from := p.rows[stretch].From + int(begin) - p.begins[stretch]
	return persist.Rows{From: from, To: from + int(end-begin)}, stretch
}
