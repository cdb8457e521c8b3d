package query

import (
	"slices"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// Rows of a file that were deleted are left out while it is merged: a tombstone names series by their tags, and of these a
// stretch of rows by time. So the time of the file is cut where a tombstone begins or ends, and each part
// is a source of its own, which passes over the series that are hidden in it. Parts in which all rows are hidden are none.

// maxSeenParts bounds the parts of a file: each of them reads times again.
const maxSeenParts = 16

// seenPart is a part of a file's time.
type seenPart struct {
	time   schema.TimeRange
	hidden []*schema.Predicate // of series, in all of the time
}

// seenParts cuts the time of a file of which rows are hidden. The parts are in order and disjoint.
func seenParts(f engine.FileRef) (parts []seenPart) {
	begins := []int64{f.Time.Min}
	for _, d := range f.Hidden {
		begins = append(begins, max(d.Time.Min, f.Time.Min))
		if d.Time.Max < f.Time.Max {
			begins = append(begins, d.Time.Max+1)
		}
	}
	slices.Sort(begins)
	begins = slices.Compact(begins)
	for i, begin := range begins {
		p := seenPart{time: schema.TimeRange{Min: begin, Max: f.Time.Max}}
		if i+1 < len(begins) {
			p.time.Max = begins[i+1] - 1
		}
		if p.isSeen(f.Hidden) {
			parts = append(parts, p)
		}
	}
	return parts
}

// isSeen notes what is hidden in a part, and reports whether that is not all. No tombstone begins or ends within it.
func (p *seenPart) isSeen(hidden []*schema.Tombstone) bool {
	for _, d := range hidden {
		if !d.Time.Overlaps(p.time) {
			continue
		}
		if d.Where == nil {
			return false
		}
		p.hidden = append(p.hidden, d.Where)
	}
	return true
}

// seenSource is a part of a file.
type seenSource struct {
	fileSource
	seenPart

	tags    []persist.FinderTag
	names   map[string]int // of tags: the position in tags
	isFirst bool           // of the parts of the file: it closes that
}

// newSeenSources makes sources of the parts of a file, which they close, but for none.
func newSeenSources(file fileSource, parts []seenPart, tags []schema.Column) []mergeSource {
	of := file.tagValues()
	names := make(map[string]int)
	for i, tag := range of {
		if k := slices.IndexFunc(tags, func(c schema.Column) bool { return c.ID == tag.ID }); k >= 0 {
			names[tags[k].Name] = i
		}
	}
	sources := make([]mergeSource, len(parts))
	for i, p := range parts {
		sources[i] = &seenSource{file, p, of, names, i == 0}
	}
	return sources
}

func (s *seenSource) close() {
	if s.isFirst {
		s.fileSource.close()
	}
}

func (s *seenSource) tagValues() []persist.FinderTag { return s.tags }

// groupTime is empty if the part has nothing of the row group.
func (s *seenSource) groupTime(group int) schema.TimeRange {
	return s.GroupTime(group).Intersect(s.time)
}

func (s *seenSource) isWithin(group int, r schema.TimeRange) bool {
	return s.fileSource.isWithin(group, r.Intersect(s.time))
}

func (s *seenSource) readTimes(group int, rows []persist.Rows, within schema.TimeRange, dst *persist.Numbers) error {
	return s.fileSource.readTimes(group, rows, within.Intersect(s.time), dst)
}

func (s *seenSource) eachSeries(group int, visit func([]uint32, persist.Rows) bool) {
	s.fileSource.eachSeries(group, func(indices []uint32, rows persist.Rows) bool {
		return s.isHidden(indices) || visit(indices, rows)
	})
}

// isHidden reports whether a series is hidden in the part.
func (s *seenSource) isHidden(indices []uint32) bool {
	value := func(name string) string {
		tag, ok := s.names[name]
		if !ok || indices[tag] == 0 {
			return ""
		}
		return s.tags[tag].Values[indices[tag]-1]
	}
	return slices.ContainsFunc(s.hidden, func(p *schema.Predicate) bool { return p.Holds(value) })
}
