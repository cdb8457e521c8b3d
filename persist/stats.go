package persist

import (
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/schema"
)

// fieldStats accumulates the statistics of one field column.
type fieldStats interface {
	include(a arrow.Array)
	result() schema.ColumnStats
}

func newFieldStats(c schema.Column) fieldStats {
	switch c.Type {
	case schema.Int64:
		return &numberStats[int64]{id: c.ID, encode: schema.SortableInt64}
	case schema.Uint64:
		return &numberStats[uint64]{id: c.ID, encode: schema.SortableUint64}
	case schema.Float64:
		return &floatStats{numberStats: numberStats[float64]{id: c.ID}}
	case schema.String:
		return &stringStats{id: c.ID}
	case schema.Bool:
		return &boolStats{id: c.ID}
	}
	panic(fmt.Sprintf("persist: no statistics for %v", c.Type))
}

// negativeZero cannot be written as a constant.
var negativeZero = math.Copysign(0, -1)

// values is what Arrow's arrays of numbers have in common.
type values[T any] interface {
	arrow.Array
	Value(int) T
	Values() []T
}

// numberStats bounds the values of a column of numbers.
type numberStats[T number] struct {
	id     schema.ColumnID
	nulls  uint64
	any    bool
	lo, hi T
	nan    bool // merged values had one
	encode func(T) []byte
}

func (s *numberStats[T]) include(a arrow.Array) {
	s.nulls += uint64(a.NullN())
	if a.NullN() == a.Len() {
		return
	}
	v := a.(values[T])
	if !s.any {
		first := firstValid(a)
		s.lo, s.hi, s.any = v.Value(first), v.Value(first), true
	}
	lo, hi := s.lo, s.hi
	if a.NullN() == 0 {
		for _, x := range v.Values() {
			lo, hi = min(lo, x), max(hi, x)
		}
	} else {
		for i, x := range v.Values() {
			if a.IsValid(i) {
				lo, hi = min(lo, x), max(hi, x)
			}
		}
	}
	s.lo, s.hi = lo, hi
}

// merge takes the bounds of values that were not included.
func (s *numberStats[T]) merge(b *pageBounds[T]) {
	s.nulls += uint64(b.nulls)
	if b.any {
		if !s.any {
			s.lo, s.hi, s.any = b.lo, b.hi, true
		}
		s.lo, s.hi = min(s.lo, b.lo), max(s.hi, b.hi)
	}
	s.nan = s.nan || b.nan
}

func (s *numberStats[T]) result() schema.ColumnStats {
	stats := schema.ColumnStats{Column: s.id, Nulls: s.nulls}
	if s.any {
		stats.Min, stats.Max = s.encode(s.lo), s.encode(s.hi)
	}
	return stats
}

// firstValid returns the first index that is not null; there must be one.
func firstValid(a arrow.Array) int {
	i := 0
	for a.IsNull(i) {
		i++
	}
	return i
}

// floatStats gives no bounds to a column that holds a NaN, since readers disagree
// about its place in the order. The builtins min and max return NaN once they have
// met one, so the bounds themselves remember it.
type floatStats struct{ numberStats[float64] }

func (s *floatStats) result() schema.ColumnStats {
	stats := schema.ColumnStats{Column: s.id, Nulls: s.nulls}
	if s.any && !s.nan && !math.IsNaN(s.lo) {
		// Zeros compare equal whatever their sign, but their encodings do not: the
		// bounds include both.
		stats.Min, stats.Max = schema.SortableFloat64(s.lo), schema.SortableFloat64(s.hi)
		if s.lo == 0 {
			stats.Min = schema.SortableFloat64(negativeZero)
		}
		if s.hi == 0 {
			stats.Max = schema.SortableFloat64(0)
		}
	}
	return stats
}

// stringStats bounds the values of a column of strings.
type stringStats struct {
	id     schema.ColumnID
	nulls  uint64
	any    bool
	lo, hi string
}

func (s *stringStats) include(a arrow.Array) {
	s.nulls += uint64(a.NullN())
	v := a.(*array.String)
	for i := range v.Len() {
		if v.IsValid(i) {
			s.includeValue(v.Value(i))
		}
	}
}

// includeValue copies the bounds, because the value may live as long as its record only.
func (s *stringStats) includeValue(v string) {
	if !s.any || v < s.lo {
		s.lo = strings.Clone(v)
	}
	if !s.any || v > s.hi {
		s.hi = strings.Clone(v)
	}
	s.any = true
}

func (s *stringStats) result() schema.ColumnStats {
	stats := schema.ColumnStats{Column: s.id, Nulls: s.nulls}
	if !s.any {
		return stats
	}
	if upper := schema.SortableStringMax(s.hi); upper != nil {
		stats.Min, stats.Max = schema.SortableStringMin(s.lo), upper
	}
	return stats
}

// boolStats notes which of the two values occur.
type boolStats struct {
	id      schema.ColumnID
	nulls   uint64
	present [2]bool
}

func (s *boolStats) include(a arrow.Array) {
	s.nulls += uint64(a.NullN())
	v := a.(*array.Boolean)
	for i := range v.Len() {
		if v.IsValid(i) {
			if v.Value(i) {
				s.present[1] = true
			} else {
				s.present[0] = true
			}
		}
	}
}

func (s *boolStats) result() schema.ColumnStats {
	stats := schema.ColumnStats{Column: s.id, Nulls: s.nulls}
	if s.present[0] || s.present[1] {
		stats.Min = schema.SortableBool(!s.present[0])
		stats.Max = schema.SortableBool(s.present[1])
	}
	return stats
}
