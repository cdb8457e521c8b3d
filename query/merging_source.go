package query

import (
	"fmt"
	"slices"
	"sort"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// mergeSource has rows that are sorted by series and time, in row groups; of rows with the same time the
// later one wins.
type mergeSource interface {
	tagValues() []persist.FinderTag
	groups() int
	groupTime(group int) schema.TimeRange
	// isWithin reports whether all rows of a row group are known to lie in a range.
	isWithin(group int, r schema.TimeRange) bool
	// eachSeries calls visit for each series of a row group, as persist.Finder.Series does, while it returns true.
	eachSeries(group int, visit func(indices []uint32, rows persist.Rows) bool)
	has(id schema.ColumnID) bool
	// repeats reports whether a point may have several rows.
	repeats() bool
	// readNumbers reads rows of a column, which the source has.
	readNumbers(group int, id schema.ColumnID, rows []persist.Rows, dst *persist.Numbers) error
	// readTimes reads the times of rows that lie in a range, and cuts rows, of a series each, to those.
	readTimes(group int, rows []persist.Rows, within schema.TimeRange, dst *persist.Numbers) error
	// checkNumbers makes sure that readNumbers can read all of a column.
	checkNumbers(id schema.ColumnID) error
	close()
}

// fileSource is a file.
type fileSource struct{ *engine.SeriesFile }

func (f fileSource) tagValues() []persist.FinderTag       { return f.Tags() }
func (f fileSource) groups() int                          { return f.Groups() }
func (f fileSource) groupTime(group int) schema.TimeRange { return f.GroupTime(group) }
func (f fileSource) isWithin(group int, r schema.TimeRange) bool {
	return f.GroupTime(group).Intersect(r) == f.GroupTime(group)
}
func (f fileSource) has(id schema.ColumnID) bool { return f.Has(id) }
func (f fileSource) repeats() bool               { return false }
func (f fileSource) close()                      { _ = f.Close() } // it was only read
func (f fileSource) readNumbers(group int, id schema.ColumnID, rows []persist.Rows, dst *persist.Numbers) error {
	return f.ReadNumbers(group, id, rows, dst)
}

func (f fileSource) readTimes(group int, rows []persist.Rows, within schema.TimeRange, dst *persist.Numbers) error {
	return f.ReadTimes(group, rows, within, dst)
}

func (f fileSource) checkNumbers(id schema.ColumnID) error { return f.CheckNumbers(id) }

func (f fileSource) eachSeries(group int, visit func([]uint32, persist.Rows) bool) {
	f.Series(group)(visit)
}

// sortedRows are buffered rows of one snapshot in the order of their series and times. They are one row group.
type sortedRows struct {
	runs []rowRun
	rows []sortedRow
	ends []int // by series
	time schema.TimeRange
}

// sortedRow is a row of a run's chunk.
type sortedRow struct{ run, row uint32 }

// sortRuns sorts rows, which are in the order of arrival. The error says that there are too many.
func sortRuns(runs []rowRun) ([]*sortedRows, error) {
	var all []*sortedRows
	total := 0
	for begin := 0; begin < len(runs); {
		end := begin
		for ; end < len(runs) && runs[end].snapshot == runs[begin].snapshot; end++ {
			total += runs[end].count
		}
		if total > maxSortedRows {
			return nil, fmt.Errorf("more than %d buffered rows", maxSortedRows)
		}
		all = append(all, newSortedRows(runs[begin:end]))
		begin = end
	}
	return all, nil
}

// newSortedRows distributes rows by series, and sorts those of a series that are not in order.
func newSortedRows(runs []rowRun) *sortedRows {
	s := &sortedRows{runs: runs, time: schema.EmptyTimeRange}
	next := make([]int, runs[0].snapshot.SeriesCount)
	s.each(func(_ sortedRow, series uint32) { next[series]++ })
	total := 0
	for series, n := range next {
		next[series] = total
		total += n
	}
	s.rows = make([]sortedRow, total)
	s.each(func(r sortedRow, series uint32) {
		s.rows[next[series]] = r
		next[series]++
		s.time = s.time.Include(s.timeOf(r))
	})
	s.ends = next
	begin := 0
	for _, end := range s.ends {
		s.sortByTime(s.rows[begin:end])
		begin = end
	}
	return s
}

// each visits the rows in the order of arrival.
func (s *sortedRows) each(visit func(r sortedRow, series uint32)) {
	for i := range s.runs {
		run := &s.runs[i]
		for k := range run.count {
			row := run.row(k)
			visit(sortedRow{uint32(i), uint32(row)}, run.chunk.Series[row])
		}
	}
}

func (s *sortedRows) timeOf(r sortedRow) int64 { return s.runs[r.run].chunk.Time[r.row] }

// sortByTime keeps the order of arrival where times are equal.
func (s *sortedRows) sortByTime(rows []sortedRow) {
	byTime := func(a, b sortedRow) int {
		switch x, y := s.timeOf(a), s.timeOf(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	if !slices.IsSortedFunc(rows, byTime) {
		slices.SortStableFunc(rows, byTime)
	}
}

func (s *sortedRows) tagValues() []persist.FinderTag {
	snapshot := s.runs[0].snapshot
	tags := make([]persist.FinderTag, len(snapshot.Tags))
	for i, t := range snapshot.Tags {
		tags[i] = persist.FinderTag{ID: t.ID, Values: t.Values}
	}
	return tags
}

func (s *sortedRows) groups() int                             { return 1 }
func (s *sortedRows) groupTime(int) schema.TimeRange          { return s.time }
func (s *sortedRows) isWithin(_ int, r schema.TimeRange) bool { return s.time.Intersect(r) == s.time }
func (s *sortedRows) repeats() bool                           { return true }
func (s *sortedRows) close()                                  {}
func (s *sortedRows) checkNumbers(schema.ColumnID) error      { return nil }

func (s *sortedRows) eachSeries(_ int, visit func([]uint32, persist.Rows) bool) {
	snapshot := s.runs[0].snapshot
	indices := make([]uint32, len(snapshot.Tags))
	begin := 0
	for series, end := range s.ends {
		if begin == end {
			continue
		}
		for i := range snapshot.Tags {
			indices[i] = 0
			if t := &snapshot.Tags[i]; series < len(t.Index) {
				indices[i] = t.Index[series]
			}
		}
		if !visit(indices, persist.Rows{From: begin, To: end}) {
			return
		}
		begin = end
	}
}

func (s *sortedRows) has(id schema.ColumnID) bool {
	return slices.ContainsFunc(s.runs, func(r rowRun) bool { return r.field(id) != nil })
}

func (s *sortedRows) readTimes(_ int, rows []persist.Rows, within schema.TimeRange, dst *persist.Numbers) error {
	dst.Ints, dst.Floats, dst.Valid = dst.Ints[:0], nil, nil
	for i := range rows {
		r := &rows[i]
		own := s.rows[r.From:r.To]
		from := sort.Search(len(own), func(k int) bool { return s.timeOf(own[k]) >= within.Min })
		to := from + sort.Search(len(own)-from, func(k int) bool { return s.timeOf(own[from+k]) > within.Max })
		for _, row := range own[from:to] {
			dst.Ints = append(dst.Ints, s.timeOf(row))
		}
		r.From, r.To = r.From+from, r.From+to
	}
	return nil
}

func (s *sortedRows) readNumbers(_ int, id schema.ColumnID, rows []persist.Rows, dst *persist.Numbers) error {
	dst.Ints, dst.Floats, dst.Valid = dst.Ints[:0], dst.Floats[:0], nil
	fields := make([]*partition.Field, len(s.runs)) // nil: all null
	isFloat := false
	for i := range s.runs {
		if fields[i] = s.runs[i].field(id); fields[i] != nil {
			isFloat = fields[i].Type == schema.Float64
		}
	}
	valid := make([]bool, 0, len(s.rows))
	for _, r := range rows {
		for _, row := range s.rows[r.From:r.To] {
			f := fields[row.run]
			has := f != nil && f.IsValid(int(row.row))
			valid = append(valid, has)
			switch {
			case isFloat && has:
				dst.Floats = append(dst.Floats, f.Float64[row.row])
			case isFloat:
				dst.Floats = append(dst.Floats, 0)
			case has && f.Type == schema.Uint64:
				dst.Ints = append(dst.Ints, int64(f.Uint64[row.row]))
			case has:
				dst.Ints = append(dst.Ints, f.Int64[row.row])
			default:
				dst.Ints = append(dst.Ints, 0)
			}
		}
	}
	if slices.Contains(valid, false) {
		dst.Valid = valid
	}
	return nil
}

// field returns a column of the chunk, nil where it has none.
func (r *rowRun) field(id schema.ColumnID) *partition.Field {
	k := slices.IndexFunc(r.chunk.Fields, func(f partition.Field) bool { return f.ID == id })
	if k < 0 {
		return nil
	}
	return &r.chunk.Fields[k]
}
