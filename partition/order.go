package partition

import (
	"cmp"
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
	ends   []uint32
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
// tag set becomes a tuple of ranks, the distinct tuples are sorted, and the rows are
// distributed by counting. Within a tag set rows usually arrive in time order, which
// the distribution keeps and one pass confirms; only sets that fail it are sorted.
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
	starts := o.distribute()
	o.sortTimes(starts)
	o.findDuplicates(starts)
	return o
}

// rankSeries builds the dictionaries, and one tuple of dictionary ranks for each
// series of each snapshot; those of snapshot i begin at number base[i], and the last
// entry of base is the number of all.
func (o *order) rankSeries(snaps []*Snapshot, tags []schema.Column) (tuples []uint32, base []int) {
	total := 0
	for _, s := range snaps {
		base = append(base, total)
		total += s.SeriesCount
	}
	base = append(base, total)
	tuples = make([]uint32, total*len(tags))
	for t, tag := range tags {
		dict := sortedValues(snaps, tag.ID)
		o.dicts = append(o.dicts, dict)
		for i, s := range snaps {
			c := findTag(s.Tags, tag.ID)
			if c == nil {
				continue
			}
			ranks := ranksOf(c.Values, dict)
			for series, v := range c.Index {
				if v != 0 {
					tuples[(base[i]+series)*len(tags)+t] = ranks[v-1]
				}
			}
		}
	}
	return tuples, base
}

func sortedValues(snaps []*Snapshot, id schema.ColumnID) []string {
	var all []string
	for _, s := range snaps {
		if c := findTag(s.Tags, id); c != nil {
			all = append(all, c.Values...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ranksOf gives 1 + the position of each value in the sorted dictionary.
func ranksOf(values, dict []string) []uint32 {
	ranks := make([]uint32, len(values))
	for i, v := range values {
		n, _ := slices.BinarySearch(dict, v)
		ranks[i] = uint32(n + 1)
	}
	return ranks
}

func findTag(tags []TagColumn, id schema.ColumnID) *TagColumn {
	for i := range tags {
		if tags[i].ID == id {
			return &tags[i]
		}
	}
	return nil
}

// rankTuples sorts the distinct ones of n tuples into o.series and returns each
// tuple's rank. Without tags all tuples are the same empty one.
func (o *order) rankTuples(tuples []uint32, n int) []uint32 {
	tuple := func(i uint32) []uint32 { return tuples[int(i)*o.tags : (int(i)+1)*o.tags] }
	sorted := make([]uint32, n)
	for i := range sorted {
		sorted[i] = uint32(i)
	}
	slices.SortFunc(sorted, func(a, b uint32) int { return slices.Compare(tuple(a), tuple(b)) })
	rank := make([]uint32, n)
	next := uint32(0)
	for i, s := range sorted {
		if i > 0 && slices.Equal(tuple(sorted[i-1]), tuple(s)) {
			rank[s] = next - 1
			continue
		}
		o.series = append(o.series, tuple(s)...)
		rank[s] = next
		next++
	}
	return rank
}

// distribute fills o.rows by series rank, keeping arrival order, and returns where
// each rank's rows begin, with the end of all as the last entry.
func (o *order) distribute() []uint32 {
	ranks := 1
	if o.tags > 0 {
		ranks = len(o.series) / o.tags
	}
	starts := make([]uint32, ranks+1)
	for c, chunk := range o.chunks {
		for _, s := range chunk.Series[:chunk.Rows] {
			starts[o.rankOf(c, s)+1]++
		}
	}
	for i := range ranks {
		starts[i+1] += starts[i]
	}
	next := slices.Clone(starts)
	o.rows = make([]rowRef, starts[ranks])
	for c, chunk := range o.chunks {
		for r, s := range chunk.Series[:chunk.Rows] {
			k := o.rankOf(c, s)
			o.rows[next[k]] = rowRef(uint64(c)<<32 | uint64(r))
			next[k]++
		}
	}
	return starts
}

func (o *order) rankOf(chunk int, series uint32) uint32 {
	if o.tags == 0 {
		return 0
	}
	return o.ranks[chunk][series]
}

func (o *order) timeOf(r rowRef) int64 { return o.chunks[r.chunk()].Time[r.row()] }

func (o *order) sortTimes(starts []uint32) {
	for i := range len(starts) - 1 {
		rows := o.rows[starts[i]:starts[i+1]]
		sorted := slices.IsSortedFunc(rows, func(a, b rowRef) int { return cmp.Compare(o.timeOf(a), o.timeOf(b)) })
		if !sorted {
			slices.SortStableFunc(rows, func(a, b rowRef) int { return cmp.Compare(o.timeOf(a), o.timeOf(b)) })
		}
	}
}

// findDuplicates sets o.ends if any two rows of one series have the same time.
func (o *order) findDuplicates(starts []uint32) {
	for i := range len(starts) - 1 {
		for j := starts[i] + 1; j < starts[i+1]; j++ {
			if o.timeOf(o.rows[j-1]) == o.timeOf(o.rows[j]) {
				o.buildEnds(starts)
				return
			}
		}
	}
}

func (o *order) buildEnds(starts []uint32) {
	for i := range len(starts) - 1 {
		for j := starts[i]; j < starts[i+1]; j++ {
			if j+1 == starts[i+1] || o.timeOf(o.rows[j]) != o.timeOf(o.rows[j+1]) {
				o.ends = append(o.ends, j+1)
			}
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
