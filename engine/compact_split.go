package engine

import (
	"math"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// Files that overlap with too much
//
// A file of rows of many days, such as a year that a device has kept to itself, may overlap with more than one
// merge can take: with more than maxMergeInputs files, with more than maxMergeBytes, with more than there is
// memory for, or with what cannot be merged without still more, because the log's records of all of these are mixed. As a whole
// it could never be merged. So it is cut alone, at days at which others begin or end, into
// maxMergePieces at most. A piece that overlaps with few is merged with these, and one that still overlaps with too much
// is cut again.
//
// There is an end. A merge of files with several Orders brings rows to a greater one, of which there are not more. Files with
// one Order are pieces of one file, and are only joined where nothing else overlaps with them together (choice.rejoins):
// such a file is not cut.
//
// The pieces keep the file's Order and its records of the log, as the pieces of any merge do. They claim only the days
// that they have rows of. That is the truth for a salvage as long as these records are flushed for all days. Within a
// day nothing is cut alone: the pieces would have the same records, so that none could be merged without the others.

// split cuts the first file of some that overlaps with others, since these cannot be merged as they are, nil if there
// is none.
func (x *choice) split(on []*schema.File) *compaction {
	for _, f := range on {
		if f.DayMin == f.DayMax || x.refused[f.ID] || f.Seq.Max == 0 || f.Seq.Max > x.flushed {
			continue
		}
		var others []*schema.File
		for _, g := range x.files {
			if g != f && g.Time.Overlaps(f.Time) {
				others = append(others, g)
			}
		}
		if slices.ContainsFunc(others, func(g *schema.File) bool { return x.refused[g.ID] || !x.isCold(g) || g.Seq.Max > x.flushed }) {
			continue
		}
		if borders := bordersWithin(f, others); len(borders) > 0 {
			return &compaction{inputs: []*schema.File{f}, pieces: rangesBetween(borders), reason: reasonSplit, before: math.MinInt64}
		}
	}
	return nil
}

// bordersWithin returns beginnings of days within a file on which others begin, or behind which they end: not more
// than a merge may have.
func bordersWithin(f *schema.File, others []*schema.File) (borders []int64) {
	for _, g := range others {
		for _, day := range [2]schema.Day{g.DayMin, g.DayMax + 1} {
			if day > f.DayMin && day <= f.DayMax {
				borders = append(borders, startOf(day))
			}
		}
	}
	slices.Sort(borders)
	borders = slices.Compact(borders)
	const most = maxMergePieces - 1
	if len(borders) <= most {
		return borders
	}
	chosen := make([]int64, most)
	for i := range chosen {
		chosen[i] = borders[(2*i+1)*len(borders)/(2*most)]
	}
	return chosen
}
