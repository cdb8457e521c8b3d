package partition

import (
	"cmp"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

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
		dict, ranks := rankValues(snaps, tag.ID)
		o.dicts = append(o.dicts, dict)
		for i, s := range snaps {
			c := findTag(s.Tags, tag.ID)
			if c == nil {
				continue
			}
			of := ranks[:len(c.Values)]
			ranks = ranks[len(c.Values):]
			for series, v := range c.Index {
				if v != 0 {
					tuples[(base[i]+series)*len(tags)+t] = of[v-1]
				}
			}
		}
	}
	return tuples, base
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
	rank := make([]uint32, n)
	next := uint32(0)
	o.series = make([]uint32, 0, len(tuples))
	var before []uint32
	for _, s := range o.sortTuples(tuples, n) {
		if this := tuple(s); next == 0 || !slices.Equal(before, this) {
			o.series = append(o.series, this...)
			before = this
			next++
		}
		rank[s] = next - 1
	}
	return rank
}

// sortTuples returns the numbers of n tuples in the order of the tuples, equal ones in that of the
// numbers.
func (o *order) sortTuples(tuples []uint32, n int) []uint32 {
	sorted := make([]uint32, n)
	for i := range sorted {
		sorted[i] = uint32(i)
	}
	s := tupleSorter{tuples: tuples, width: o.tags, dicts: o.dicts, spare: make([]uint32, n)}
	s.sort(sorted, 0)
	return sorted
}

// tupleSorter sorts tuples by one tag after the other, the first one first: mostly few tags tell
// all tuples apart.
type tupleSorter struct {
	tuples []uint32
	width  int
	dicts  [][]string
	spare  []uint32 // as many as there are tuples
}

const (
	// fewTuples are compared with each other. Counting goes through all values of a tag, and is
	// for groups that are no smaller than a part of these.
	fewTuples     = 32
	mostPerMember = 4
)

// sort sorts a group, which is the same up to tag t.
func (s *tupleSorter) sort(group []uint32, t int) {
	for ; t < s.width && len(group) > 1; t++ {
		if len(group) <= fewTuples || len(s.dicts[t]) > mostPerMember*len(group) {
			s.compare(group, t)
			return
		}
		ends := s.distribute(group, t)
		begin := uint32(0)
		for _, end := range ends {
			if end-begin > 1 {
				s.sort(group[begin:end], t+1)
			}
			begin = end
		}
		if ends != nil {
			return
		}
	}
}

// compare sorts a group by comparing tuples from tag t on.
func (s *tupleSorter) compare(group []uint32, t int) {
	rest := func(i uint32) []uint32 { return s.tuples[int(i)*s.width+t : (int(i)+1)*s.width] }
	slices.SortFunc(group, func(a, b uint32) int {
		if c := slices.Compare(rest(a), rest(b)); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
}

// distribute sorts a group by tag t, and returns where each of its values ends. It returns nil
// where there is only one.
func (s *tupleSorter) distribute(group []uint32, t int) (ends []uint32) {
	value := func(i uint32) uint32 { return s.tuples[int(i)*s.width+t] }
	next := make([]uint32, len(s.dicts[t])+1)
	for _, i := range group {
		next[value(i)]++
	}
	if int(next[value(group[0])]) == len(group) {
		return nil
	}
	sum := uint32(0)
	for v, n := range next {
		next[v] = sum
		sum += n
	}
	from := s.spare[:len(group)]
	copy(from, group)
	for _, i := range from {
		v := value(i)
		group[next[v]] = i
		next[v]++
	}
	return next
}
