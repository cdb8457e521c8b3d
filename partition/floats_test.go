package partition

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// roundTrip packs and unpacks a column; it returns the bytes taken.
func roundTrip(t interface{ Fatalf(string, ...any) }, v []float64) []byte {
	packed, _ := appendFloats(nil, v, nil)
	c := cursor{b: packed}
	got, _ := readFloats(&c, nil, len(v), nil)
	if c.bad || len(c.b) != 0 || len(got) != len(v) {
		t.Fatalf("%v: %d values come back, %d bytes are left", v, len(got), len(c.b))
	}
	for i := range v {
		if math.Float64bits(got[i]) != math.Float64bits(v[i]) {
			t.Fatalf("value %d: %x becomes %x", i, math.Float64bits(v[i]), math.Float64bits(got[i]))
		}
	}
	return packed
}

func TestFloatsKeepTheirBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		decimals := math.Pow(10, float64(rapid.IntRange(0, 8).Draw(t, "decimals")))
		decimal := rapid.Map(rapid.Int64Range(-1e9, 1e9), func(n int64) float64 { return float64(n) / decimals })
		anyBits := rapid.Map(rapid.Uint64(), math.Float64frombits)
		special := rapid.SampledFrom([]float64{
			0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64,
			1 << 53, 1<<53 + 2, -(1 << 53), 1e15, 0.1, 0.3, 1.0 / 3,
		})
		v := rapid.SliceOfN(decimal, 0, 60).Draw(t, "values")
		for range rapid.IntRange(0, 2).Draw(t, "others") {
			v = append(v, rapid.OneOf(anyBits, special, decimal).Draw(t, "other"))
		}
		roundTrip(t, v)
	})
}

// TestDecimalsTakeFewBytes gives the bytes of columns of 1000 values.
func TestDecimalsTakeFewBytes(t *testing.T) {
	const rows, header = 1000, 1 + 9
	for _, c := range []struct {
		name  string
		value func(i int) float64
		want  int
	}{
		{"whole numbers", func(i int) float64 { return float64(i % 100) }, header + rows},
		{"two decimals", func(i int) float64 { return float64(i%10_001*7) / 100 }, header + 2*rows},
		{"a decimal behind the sample", func(i int) float64 { return float64(i) + float64(i/500)/2 }, header + 2*rows},
		{"one value", func(int) float64 { return 23.456789 }, header},
		{"a third", func(i int) float64 { return float64(i) / 3 }, 1 + 8*rows},
		{"seven decimals", func(i int) float64 { return float64(i)/1e7 + 1e-7 }, 1 + 8*rows},
		{"negative zero", func(int) float64 { return math.Copysign(0, -1) }, 1 + 8*rows},
		{"not a number behind the sample", func(i int) float64 { return math.Log(float64(900-i)) * 0 }, 1 + 8*rows},
	} {
		v := make([]float64, rows)
		for i := range v {
			v[i] = c.value(i)
		}
		if got := len(roundTrip(t, v)); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
	}
}
