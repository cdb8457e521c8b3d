package schema

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDayOfMatchesTheCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edges := rapid.SampledFrom([]int64{
			math.MinInt64, math.MaxInt64, -NanosPerDay - 1, -NanosPerDay, -1, 0, NanosPerDay - 1, NanosPerDay,
		})
		ns := rapid.OneOf(rapid.Int64(), edges).Draw(t, "ns")
		want := time.Unix(0, ns).UTC().Format(time.DateOnly)
		if got := DayOf(ns).String(); got != want {
			t.Fatalf("the day of %d is %s, want %s", ns, got, want)
		}
	})
}

// TestTimeRangesAreSets compares the operations with membership of an instant.
func TestTimeRangesAreSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		instants := rapid.OneOf(rapid.Int64Range(-9, 9), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64}))
		ranges := rapid.OneOf(
			rapid.Custom(func(t *rapid.T) TimeRange {
				a, b := instants.Draw(t, "min"), instants.Draw(t, "max")
				return TimeRange{min(a, b), max(a, b)}
			}),
			rapid.SampledFrom([]TimeRange{MaxTimeRange, EmptyTimeRange}),
		)
		r, o, x := ranges.Draw(t, "r"), ranges.Draw(t, "o"), instants.Draw(t, "x")
		both := r.Intersect(o)
		if both.Contains(x) != (r.Contains(x) && o.Contains(x)) {
			t.Fatalf("%v ∩ %v = %v is wrong about %d", r, o, both, x)
		}
		if !r.IsEmpty() && !o.IsEmpty() && r.Overlaps(o) == both.IsEmpty() {
			t.Fatalf("%v and %v: overlap %v, intersection %v", r, o, r.Overlaps(o), both)
		}
		union := r.Union(o)
		if (r.Contains(x) || o.Contains(x)) && !union.Contains(x) {
			t.Fatalf("%v ∪ %v = %v misses %d", r, o, union, x)
		}
		if got := r.Include(x); !got.Contains(x) || got != r.Union(TimeRange{x, x}) {
			t.Fatalf("%v with %d is %v", r, x, got)
		}
	})
}

func TestEmptyTimeRangeIsNeutral(t *testing.T) {
	r := TimeRange{-5, 7}
	if got := EmptyTimeRange.Union(r); got != r {
		t.Errorf("∅ ∪ %v = %v", r, got)
	}
	if got := EmptyTimeRange.Include(3); got != (TimeRange{3, 3}) {
		t.Errorf("∅ with 3 is %v", got)
	}
	if !EmptyTimeRange.IsEmpty() || MaxTimeRange.IsEmpty() || EmptyTimeRange.Overlaps(r) {
		t.Error("the empty range is not empty, or the full one is")
	}
}

func TestSeqRangeIncludeWidens(t *testing.T) {
	var r SeqRange
	for _, step := range []struct {
		add  Seq
		want SeqRange
	}{{5, SeqRange{5, 5}}, {9, SeqRange{5, 9}}, {2, SeqRange{2, 9}}, {7, SeqRange{2, 9}}} {
		if r = r.Include(step.add); r != step.want {
			t.Fatalf("with %d the range is %v, want %v", step.add, r, step.want)
		}
	}
}

func TestPartitionKeyNamesItsDay(t *testing.T) {
	k := PartitionKey{Database: 2, Table: 9, Day: -1}
	if got := k.String(); got != "db 2 table 9 day 1969-12-31" {
		t.Errorf("got %q", got)
	}
}
