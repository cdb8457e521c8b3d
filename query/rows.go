package query

import (
	"slices"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// rowRun is some rows of one chunk, to be handed to DuckDB.
type rowRun struct {
	snapshot *partition.Snapshot
	chunk    *partition.Chunk
	// order is that of the chunk's first row; of two rows for the same point the higher wins.
	order int64
	start int // the rows are start, start+1, … start+count-1
	count int
	rows  []uint32 // or, where this is not nil, these
}

// bufferedRows are the buffered rows that a scan needs. Those in clean are each the only
// row of their point in the whole view; those in dirty may not be.
type bufferedRows struct{ clean, dirty []rowRun }

// buffer is a snapshot with what a scan's constraint leaves of it.
type buffer struct {
	*partition.Snapshot
	constraint *constraint
	wanted     []bool  // by series; nil is all
	chunks     []int   // those that may hold wanted rows
	orders     []int64 // by chunk: order of its first row
}

// newBuffers selects series and chunks. The first buffered row gets the given order.
func newBuffers(snapshots []*partition.Snapshot, c *constraint, order int64) []buffer {
	var buffers []buffer
	for _, snapshot := range snapshots {
		b := buffer{Snapshot: snapshot, constraint: c}
		for i := range snapshot.Chunks {
			chunk := &snapshot.Chunks[i]
			b.orders = append(b.orders, order)
			order += int64(chunk.Rows)
			if chunk.Rows > 0 && chunk.Range.Overlaps(c.time) {
				b.chunks = append(b.chunks, i)
			}
		}
		if len(b.chunks) > 0 && b.selectSeries() {
			buffers = append(buffers, b)
		}
	}
	return buffers
}

// selectSeries finds the series with the wanted tags, and reports whether there is one.
func (b *buffer) selectSeries() bool {
	for id, values := range b.constraint.tags {
		i := slices.IndexFunc(b.Tags, func(t partition.TagColumn) bool { return t.ID == id })
		if i < 0 {
			return false
		}
		tag := &b.Tags[i]
		wantedIndex := make([]bool, len(tag.Values)+1)
		isWanted := memberOf(values)
		for k, v := range tag.Values {
			wantedIndex[k+1] = isWanted(v)
		}
		series := make([]bool, b.SeriesCount)
		for s := range min(b.SeriesCount, len(tag.Index)) {
			series[s] = wantedIndex[tag.Index[s]] && (b.wanted == nil || b.wanted[s])
		}
		b.wanted = series
	}
	return b.wanted == nil || slices.Contains(b.wanted, true)
}

// memberOf returns a function that reports whether a value is one of those given. Comparing
// with each costs less than a map up to some ten of them.
func memberOf(values []string) func(string) bool {
	if len(values) <= 10 {
		return func(v string) bool { return slices.Contains(values, v) }
	}
	set := make(map[string]struct{}, len(values))
	for _, v := range values {
		set[v] = struct{}{}
	}
	return func(v string) bool { _, ok := set[v]; return ok }
}

// wants reports whether a row meets the constraint.
func (b *buffer) wants(series uint32, at int64) bool {
	return b.constraint.time.Contains(at) && (b.wanted == nil || b.wanted[series])
}

// ranges returns disjoint ranges that hold the times of all wanted rows. Where a chunk
// meets one of the given ranges of other sources it is looked at closely: one late row
// must not make a day's files overlap with the buffer.
func (b *buffer) ranges(others []schema.TimeRange) []schema.TimeRange {
	var all []schema.TimeRange
	for _, i := range b.chunks {
		chunk := &b.Chunks[i]
		r := chunk.Range.Intersect(b.constraint.time)
		if slices.ContainsFunc(others, r.Overlaps) {
			all = append(all, b.slices(chunk, r)...)
		} else {
			all = append(all, r)
		}
	}
	return mergeRanges(all)
}

// chunkSlices is how finely a chunk's range is looked at.
const chunkSlices = 64

// slices returns the ranges of the rows in each 1/64th of a chunk's range that has any.
func (b *buffer) slices(chunk *partition.Chunk, r schema.TimeRange) []schema.TimeRange {
	found := make([]schema.TimeRange, chunkSlices)
	for i := range found {
		found[i] = schema.EmptyTimeRange
	}
	width := (uint64(r.Max)-uint64(r.Min))/chunkSlices + 1
	for k, at := range chunk.Time[:chunk.Rows] {
		if b.wants(chunk.Series[k], at) {
			s := &found[(uint64(at)-uint64(r.Min))/width]
			*s = s.Include(at)
		}
	}
	return slices.DeleteFunc(found, schema.TimeRange.IsEmpty)
}

// point identifies a row within one snapshot.
type point struct {
	series uint32
	at     int64
}

// duplicates returns the points that more than one wanted row of the snapshot has. A
// row whose series has only earlier rows before it repeats none, so only the points of
// the other, late rows are counted, and those of rows in order among them only in
// series that have late rows: for rows in order this is one pass and one comparison a row.
func (b *buffer) duplicates() map[point]int {
	last := make([]uint64, b.SeriesCount) // by series: the latest time so far with its sign bit flipped, 0 if none
	var late map[point]int
	var suspect []bool
	for _, i := range b.chunks {
		chunk := &b.Chunks[i]
		series := chunk.Series[:chunk.Rows]
		for k, at := range chunk.Time[:chunk.Rows] {
			s, sortable := series[k], uint64(at)^1<<63
			if sortable > last[s] {
				last[s] = sortable
				continue
			}
			if !b.wants(s, at) {
				continue
			}
			if late == nil {
				late, suspect = make(map[point]int), make([]bool, b.SeriesCount)
			}
			late[point{s, at}] = 0
			suspect[s] = true
		}
	}
	if late == nil {
		return nil
	}
	b.countRows(late, suspect)
	for p, n := range late {
		if n < 2 {
			delete(late, p)
		}
	}
	return late
}

// countRows counts the rows of each point.
func (b *buffer) countRows(points map[point]int, suspect []bool) {
	for _, i := range b.chunks {
		chunk := &b.Chunks[i]
		for k, at := range chunk.Time[:chunk.Rows] {
			if s := chunk.Series[k]; suspect[s] {
				if n, ok := points[point{s, at}]; ok {
					points[point{s, at}] = n + 1
				}
			}
		}
	}
}

// split divides the wanted rows into those that need merging, because they lie in a window
// that another source covers too or repeat a point, and the clean rest.
func (b *buffer) split(windows []schema.TimeRange, rows *bufferedRows) {
	repeated := b.duplicates()
	for _, i := range b.chunks {
		chunk := &b.Chunks[i]
		run := rowRun{snapshot: b.Snapshot, chunk: chunk, order: b.orders[i], count: chunk.Rows}
		covered := cover(windows, chunk.Range)
		whole := b.wanted == nil && chunk.Range.Intersect(b.constraint.time) == chunk.Range
		switch {
		case whole && covered == outside && len(repeated) == 0:
			rows.clean = append(rows.clean, run)
		case whole && covered == inside:
			rows.dirty = append(rows.dirty, run)
		default:
			clean, dirty := b.splitChunk(chunk, windows, repeated)
			rows.clean = appendRun(rows.clean, run, clean)
			rows.dirty = appendRun(rows.dirty, run, dirty)
		}
	}
}

func (b *buffer) splitChunk(chunk *partition.Chunk, windows []schema.TimeRange, repeated map[point]int) (clean, dirty []uint32) {
	for k, at := range chunk.Time[:chunk.Rows] {
		s := chunk.Series[k]
		if !b.wants(s, at) {
			continue
		}
		merge := inWindow(windows, at)
		if !merge && len(repeated) > 0 {
			_, merge = repeated[point{s, at}]
		}
		if merge {
			dirty = append(dirty, uint32(k))
		} else {
			clean = append(clean, uint32(k))
		}
	}
	return clean, dirty
}

// appendRun adds the rows of a chunk, as a plain run where they are consecutive.
func appendRun(runs []rowRun, run rowRun, rows []uint32) []rowRun {
	if len(rows) == 0 {
		return runs
	}
	run.count = len(rows)
	if run.start = int(rows[0]); int(rows[len(rows)-1])-run.start != len(rows)-1 {
		run.rows = rows
	}
	return append(runs, run)
}
