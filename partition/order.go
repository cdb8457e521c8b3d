package partition

import (
	"cmp"
	"math"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// rowRef names a row of an input: chunk number in the upper, row in the lower half.
type rowRef uint64

func (r rowRef) chunk() int { return int(r >> 32) }
func (r rowRef) row() int   { return int(uint32(r)) }

// order is the result of sorting: rows by tags, then time, then arrival.
type order struct {
	rows []rowRef
	// ends is nil when no two rows have the same tags and time. Otherwise output row
	// i is made of rows[ends[i-1]:ends[i]], oldest first.
	ends []uint32
	// starts[k] is the output row with which the rows of rank k begin; the last entry is
	// the number of output rows.
	starts []uint32
	chunks []*Chunk
	ranks  [][]uint32 // by chunk: rank of each of its snapshot's series
	// series lists, by rank, the dictionary indices of the tags; tags is its width.
	series []uint32
	tags   int
	dicts  [][]string // by tag: sorted values; index 0 of series stands for null
}

// sortRows orders the rows of snapshots, which must be given in arrival order.
//
// Sorting never compares strings once the few distinct tag values are ranked: each
// tag set becomes a tuple of ranks, the distinct tuples are sorted mostly by counting, and so are
// the rows. Within a tag set rows usually arrive in time order, which the distribution
// keeps and confirms on its way; only sets that fail it are sorted.
func sortRows(snaps []*Snapshot, tags []schema.Column) *order {
	o := &order{tags: len(tags)}
	tuples, base := o.rankSeries(snaps, tags)
	rank := o.rankTuples(tuples, base[len(snaps)])
	for i, s := range snaps {
		for c := range s.Chunks {
			o.chunks = append(o.chunks, &s.Chunks[c])
			o.ranks = append(o.ranks, rank[base[i]:base[i]+s.SeriesCount])
		}
	}
	if late := o.distribute(); len(late) > 0 {
		o.sortTimes(late)
		if o.anyTwice(late) {
			o.buildEnds()
		}
	}
	return o
}

// place is where the next row of a rank goes.
type place struct {
	last int64 // time of the row before
	next uint32
	late bool // some row was not after the one before
}

// distribute fills o.rows by series rank, keeping arrival order, and o.starts. It returns
// the ranks whose times do not ascend.
func (o *order) distribute() (late []int) {
	o.count()
	places := make([]place, len(o.starts)-1)
	for k := range places {
		places[k] = place{last: math.MinInt64, next: o.starts[k]}
	}
	o.rows = make([]rowRef, o.starts[len(places)])
	any := false
	for c, chunk := range o.chunks {
		ranks, times, high := o.ranks[c], chunk.Time[:chunk.Rows], rowRef(c)<<32
		for r, s := range chunk.Series[:chunk.Rows] {
			p := &places[0]
			if o.tags > 0 {
				p = &places[ranks[s]]
			}
			if t := times[r]; t > p.last {
				p.last = t
			} else {
				p.late, any = true, true
			}
			o.rows[p.next] = high | rowRef(r)
			p.next++
		}
	}
	for k := 0; any && k < len(places); k++ {
		if places[k].late {
			late = append(late, k)
		}
	}
	return late
}

// count makes o.starts, of all rows.
func (o *order) count() {
	ranks := 1
	if o.tags > 0 {
		ranks = len(o.series) / o.tags
	}
	o.starts = make([]uint32, ranks+1)
	counts := o.starts[1:]
	for c, chunk := range o.chunks {
		if o.tags == 0 {
			counts[0] += uint32(chunk.Rows)
			continue
		}
		rank := o.ranks[c]
		for _, s := range chunk.Series[:chunk.Rows] {
			counts[rank[s]]++
		}
	}
	for i := range ranks {
		o.starts[i+1] += o.starts[i]
	}
}

func (o *order) rankOf(chunk int, series uint32) uint32 {
	if o.tags == 0 {
		return 0
	}
	return o.ranks[chunk][series]
}

func (o *order) timeOf(r rowRef) int64 { return o.chunks[r.chunk()].Time[r.row()] }

// timed is a row with its time, so that sorting looks at no chunk.
type timed struct {
	time int64
	row  rowRef
}

// maxTimed bounds the memory for sorting a series' rows; a longer one is sorted in place.
const maxTimed = 64 << 10

// sortTimes sorts the rows of the given ranks by time. Of equal ones that which arrived
// first has the smaller reference.
func (o *order) sortTimes(ranks []int) {
	var pairs []timed
	for _, k := range ranks {
		rows := o.rows[o.starts[k]:o.starts[k+1]]
		if len(rows) > maxTimed {
			slices.SortFunc(rows, func(a, b rowRef) int {
				return cmp.Or(cmp.Compare(o.timeOf(a), o.timeOf(b)), cmp.Compare(a, b))
			})
			continue
		}
		pairs = pairs[:0]
		for _, r := range rows {
			pairs = append(pairs, timed{o.timeOf(r), r})
		}
		slices.SortFunc(pairs, func(a, b timed) int {
			if a.time != b.time {
				return cmp.Compare(a.time, b.time)
			}
			return cmp.Compare(a.row, b.row)
		})
		for i, p := range pairs {
			rows[i] = p.row
		}
	}
}

// anyTwice reports whether two rows of one of the ranks have the same time.
func (o *order) anyTwice(ranks []int) bool {
	for _, k := range ranks {
		for j := o.starts[k] + 1; j < o.starts[k+1]; j++ {
			if o.timeOf(o.rows[j-1]) == o.timeOf(o.rows[j]) {
				return true
			}
		}
	}
	return false
}

// buildEnds makes o.ends, and turns o.starts from input to output rows.
func (o *order) buildEnds() {
	o.ends = make([]uint32, 0, len(o.rows))
	for k, from := 0, o.starts[0]; k < len(o.starts)-1; k++ {
		to := o.starts[k+1]
		for j := from; j < to; j++ {
			if j+1 == to || o.timeOf(o.rows[j]) != o.timeOf(o.rows[j+1]) {
				o.ends = append(o.ends, j+1)
			}
		}
		from, o.starts[k+1] = to, uint32(len(o.ends))
	}
}

// runs calls visit for each rank that has output rows within from and to, with its part
// of them counted from from.
func (o *order) runs(from, to int, visit func(rank, start, end int)) {
	k, found := slices.BinarySearch(o.starts, uint32(from))
	if !found {
		k--
	}
	for ; k < len(o.starts)-1 && int(o.starts[k]) < to; k++ {
		start, end := max(int(o.starts[k]), from), min(int(o.starts[k+1]), to)
		if start < end {
			visit(k, start-from, end-from)
		}
	}
}

// Len returns the number of output rows.
func (o *order) Len() int {
	if o.ends != nil {
		return len(o.ends)
	}
	return len(o.rows)
}

// last returns the newest input row of output row i: tags and time are those of any
// of its rows, and its fields win.
func (o *order) last(i int) rowRef {
	if o.ends != nil {
		return o.rows[o.ends[i]-1]
	}
	return o.rows[i]
}

// versions returns the input rows of output row i, oldest first.
func (o *order) versions(i int) []rowRef {
	if o.ends == nil {
		return o.rows[i : i+1]
	}
	from := uint32(0)
	if i > 0 {
		from = o.ends[i-1]
	}
	return o.rows[from:o.ends[i]]
}
