package schema

import (
	"bytes"
	"cmp"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// checkOrder compares the order of two values with that of their encodings.
func checkOrder[T any](t *rapid.T, g *rapid.Generator[T], compare func(a, b T) int, encode func(T) []byte) {
	t.Helper()
	a, b := g.Draw(t, "a"), g.Draw(t, "b")
	if got, want := bytes.Compare(encode(a), encode(b)), compare(a, b); got != want {
		t.Fatalf("%v and %v compare as %d, their encodings as %d", a, b, want, got)
	}
}

func TestSortableEncodingsOrderAsTheValuesDo(t *testing.T) {
	t.Run("int64", rapid.MakeCheck(func(t *rapid.T) {
		edges := rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64})
		checkOrder(t, rapid.OneOf(rapid.Int64(), edges), cmp.Compare[int64], SortableInt64)
	}))
	t.Run("uint64", rapid.MakeCheck(func(t *rapid.T) {
		edges := rapid.SampledFrom([]uint64{0, 1, 1 << 63, 1<<63 - 1, math.MaxUint64})
		checkOrder(t, rapid.OneOf(rapid.Uint64(), edges), cmp.Compare[uint64], SortableUint64)
	}))
	t.Run("float64", rapid.MakeCheck(func(t *rapid.T) {
		edges := rapid.SampledFrom([]float64{
			math.Inf(-1), -math.MaxFloat64, -1, -math.SmallestNonzeroFloat64, math.Copysign(0, -1),
			0, math.SmallestNonzeroFloat64, 1, math.MaxFloat64, math.Inf(1),
		})
		numbers := rapid.Float64().Filter(func(v float64) bool { return !math.IsNaN(v) })
		checkOrder(t, rapid.OneOf(numbers, edges), compareFloats, SortableFloat64)
	}))
	t.Run("bool", rapid.MakeCheck(func(t *rapid.T) {
		checkOrder(t, rapid.Bool(), func(a, b bool) int { return cmp.Compare(number(a), number(b)) }, SortableBool)
	}))
}

// compareFloats has -0 before +0.
func compareFloats(a, b float64) int {
	return cmp.Or(cmp.Compare(a, b), cmp.Compare(number(math.Signbit(b)), number(math.Signbit(a))))
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestStringBoundsBoundAndAreShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SampledFrom([]byte{0, 'a', 0x7f, 0xc3, 0xfe, 0xff})
		s := string(rapid.SliceOfN(letters, 0, 2*MaxStatBytes).Draw(t, "s"))
		lower, upper := SortableStringMin(s), SortableStringMax(s)
		if len(lower) > MaxStatBytes || len(upper) > MaxStatBytes {
			t.Fatalf("the bounds have %d and %d bytes", len(lower), len(upper))
		}
		if lower == nil || string(lower) > s {
			t.Fatalf("%x is not a lower bound of %x", lower, s)
		}
		if upper != nil && string(upper) < s {
			t.Fatalf("%x is not an upper bound of %x", upper, s)
		}
		if len(s) <= MaxStatBytes && (string(lower) != s || string(upper) != s) {
			t.Fatalf("the bounds of the short %x are %x and %x", s, lower, upper)
		}
	})
}

func TestUpperBoundOfALongStringIsTight(t *testing.T) {
	full := strings.Repeat("\xff", MaxStatBytes)
	for _, test := range []struct {
		s    string
		want []byte // nil: there is no bound
	}{
		{strings.Repeat("a", MaxStatBytes+1), []byte(strings.Repeat("a", MaxStatBytes-1) + "b")},
		{"a" + full, []byte("b")},
		{"a\xff" + strings.Repeat("z", MaxStatBytes), []byte("a\xff" + strings.Repeat("z", MaxStatBytes-3) + "{")},
		{full + "a", nil},
		{full, []byte(full)},
	} {
		if got := SortableStringMax(test.s); !bytes.Equal(got, test.want) || (got == nil) != (test.want == nil) {
			t.Errorf("the upper bound of %x is %x, want %x", test.s, got, test.want)
		}
	}
}
