package schema

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rollup says of a table that its rows are aggregates of another table's: one for each interval of time and set
// of tags that has rows. The row's time is the start of the interval; its tags are those of the source that
// the table has too. Shared values are never changed.
type Rollup struct {
	Source TableID
	// Interval divides a day or is a multiple of one. Intervals begin at its multiples since the Unix epoch.
	Interval time.Duration
	// AllTags says that tags which the source gets later are kept too.
	AllTags bool
	// Aggregates are the fields of the table.
	Aggregates []Aggregate
}

// Aggregate is a field of a rollup.
type Aggregate struct {
	Func  AggregateFunc
	Field string // of the source
	Name  string // the field of the rollup
}

// String lists the aggregates in the form of a SELECT.
func (r *Rollup) String() string {
	words := make([]string, len(r.Aggregates))
	for i, a := range r.Aggregates {
		words[i] = a.Func.String() + "(" + a.Field + ") AS " + a.Name
	}
	return strings.Join(words, ", ")
}

// AggregateFunc is what is made of the values of a field in an interval. Nulls are left out, as in SQL. Values are part of
// the catalog's format.
type AggregateFunc uint8

// The aggregates. First and Last are the values with the least and the greatest time; of several at one time, the
// least and the greatest value.
const (
	Count AggregateFunc = 1 + iota
	Sum
	Min
	Max
	Mean
	First
	Last
)

// AggregateFuncs are all of them.
var AggregateFuncs = []AggregateFunc{Count, Sum, Min, Max, Mean, First, Last}

// MaxAggregates bounds those of one rollup.
const MaxAggregates = 500

func (f AggregateFunc) String() string {
	switch f {
	case Count:
		return "count"
	case Sum:
		return "sum"
	case Min:
		return "min"
	case Max:
		return "max"
	case Mean:
		return "mean"
	case First:
		return "first"
	case Last:
		return "last"
	}
	return fmt.Sprintf("AggregateFunc(%d)", uint8(f))
}

// ParseAggregateFunc is the inverse of String.
func ParseAggregateFunc(name string) (AggregateFunc, bool) {
	i := slices.IndexFunc(AggregateFuncs, func(f AggregateFunc) bool { return f.String() == name })
	if i < 0 {
		return 0, false
	}
	return AggregateFuncs[i], true
}

// Result is the type of the aggregate of a field; ok is false where there is none: of tags, and of sums
// and means of what is no number.
func (f AggregateFunc) Result(field ColumnType) (result ColumnType, ok bool) {
	isNumber := field == Float64 || field == Int64 || field == Uint64
	switch {
	case field == Tag || !field.Valid() || f < Count || f > Last:
		return 0, false
	case f == Count:
		return Int64, true
	case f == Mean:
		return Float64, isNumber
	case f == Sum:
		return field, isNumber
	}
	return field, true
}

// ValidInterval reports whether d can be a rollup's interval.
func ValidInterval(d time.Duration) bool {
	day := time.Duration(NanosPerDay)
	return d > 0 && (day%d == 0 || d%day == 0)
}

// Start returns the start of the interval that holds an instant; of one that began before time did, the first instant.
func (r *Rollup) Start(ns int64) int64 {
	rest := ns % int64(r.Interval)
	if rest < 0 {
		rest += int64(r.Interval)
	}
	if ns < MaxTimeRange.Min+rest {
		return MaxTimeRange.Min
	}
	return ns - rest
}

// Covering returns the whole intervals that hold a range of time, which is not empty.
func (r *Rollup) Covering(t TimeRange) TimeRange {
	end := r.Start(t.Max)
	if end > MaxTimeRange.Max-int64(r.Interval)+1 {
		return TimeRange{r.Start(t.Min), MaxTimeRange.Max}
	}
	end += int64(r.Interval) - 1
	if end < t.Max { // the interval began before time did
		end = r.Start(t.Max+int64(r.Interval)) - 1
	}
	return TimeRange{r.Start(t.Min), end}
}

// RollupState is how far the rows of a rollup are what they should be. Shared values are never changed.
type RollupState struct {
	Table TableID // the rollup
	// FrozenBefore is the start of the first interval all of whose rows the source still has, as far as its
	// retention goes. Earlier intervals stay as they are stored.
	FrozenBefore int64
	// Stale are ranges of whole intervals that must be computed again, ascending and apart.
	Stale []StaleRange
}

// StaleRange is a range of intervals.
type StaleRange struct {
	Time TimeRange
	// Shrunk says that rows were deleted: what is computed may lack rows and values that are stored.
	Shrunk bool
}

// MaxStaleRanges bounds those of a rollup. Beyond, neighbours become one.
const MaxStaleRanges = 64

// Mark returns the state after a change of rows of the source in some whole intervals; those that are frozen are left out.
func (s *RollupState) Mark(ranges ...StaleRange) *RollupState {
	next := &RollupState{Table: s.Table, FrozenBefore: s.FrozenBefore}
	all := slices.Clone(s.Stale)
	for _, r := range ranges {
		r.Time.Min = max(r.Time.Min, s.FrozenBefore)
		if !r.Time.IsEmpty() {
			all = append(all, r)
		}
	}
	next.Stale = joinStale(all)
	return next
}

// Unmark returns the state after some ranges of whole intervals have been computed.
func (s *RollupState) Unmark(done ...TimeRange) *RollupState {
	next := &RollupState{Table: s.Table, FrozenBefore: s.FrozenBefore, Stale: slices.Clone(s.Stale)}
	for _, d := range done {
		var left []StaleRange
		for _, r := range next.Stale {
			left = append(left, r.without(d)...)
		}
		next.Stale = left
	}
	next.Stale = joinStale(next.Stale)
	return next
}

// Freeze returns the state after rows of the source were given up that are before the start of an interval.
func (s *RollupState) Freeze(before int64) *RollupState {
	next := &RollupState{Table: s.Table, FrozenBefore: max(s.FrozenBefore, before)}
	for _, r := range s.Stale {
		if r.Time.Min = max(r.Time.Min, next.FrozenBefore); !r.Time.IsEmpty() {
			next.Stale = append(next.Stale, r)
		}
	}
	return next
}

// Ranges are those of the stale ranges.
func (s *RollupState) Ranges() []TimeRange {
	var all []TimeRange
	for _, r := range s.Stale {
		all = append(all, r.Time)
	}
	return all
}

// without returns what is left of r.
func (r StaleRange) without(d TimeRange) (left []StaleRange) {
	if !r.Time.Overlaps(d) {
		return []StaleRange{r}
	}
	if r.Time.Min < d.Min {
		left = append(left, StaleRange{TimeRange{r.Time.Min, d.Min - 1}, r.Shrunk})
	}
	if r.Time.Max > d.Max {
		left = append(left, StaleRange{TimeRange{d.Max + 1, r.Time.Max}, r.Shrunk})
	}
	return left
}

// joinStale sorts ranges and joins those that touch, and then the nearest neighbours while there are too many.
func joinStale(all []StaleRange) []StaleRange {
	slices.SortFunc(all, func(a, b StaleRange) int { return compareRanges(a.Time, b.Time) })
	var joined []StaleRange
	for _, r := range all {
		last := len(joined) - 1
		if last < 0 || joined[last].Time.Max < r.Time.Min && joined[last].Time.Max+1 < r.Time.Min {
			joined = append(joined, r)
			continue
		}
		joined[last] = joined[last].join(r)
	}
	for len(joined) > MaxStaleRanges {
		nearest := 0
		for i := range len(joined) - 1 {
			if gapBehind(joined, i) < gapBehind(joined, nearest) {
				nearest = i
			}
		}
		joined[nearest] = joined[nearest].join(joined[nearest+1])
		joined = slices.Delete(joined, nearest+1, nearest+2)
	}
	return joined
}

func (r StaleRange) join(o StaleRange) StaleRange {
	return StaleRange{r.Time.Union(o.Time), r.Shrunk || o.Shrunk}
}

// gapBehind is how far range i is from the next one.
func gapBehind(all []StaleRange, i int) uint64 {
	return uint64(all[i+1].Time.Min) - uint64(all[i].Time.Max)
}
