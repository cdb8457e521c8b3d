package partition

import (
	"encoding/binary"
	"math"
	"slices"
)

// Most floats that are measured are decimal numbers of few digits: 23.5, 0.07. As
// IEEE 754 they fill eight bytes with what looks like noise to S2; as integers, with
// the point's place said once, they take two. So a column is stored as n/10^d where
// that division gives back each of its values bit by bit, and as it is where not.

// rawFloats stands in the place of the number of decimals before values stored as they are.
const rawFloats = 0xff

// decimalFactor lists the powers of ten that are tried; all are exact.
var decimalFactor = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}

// decimalSample is the number of values that tell how many decimals to try first.
const decimalSample = 16

// appendFloats stores a column; scaled is memory to work in.
func appendFloats(dst []byte, v []float64, scaled []int64) (out []byte, _ []int64) {
	for d := decimalsOf(v[:min(len(v), decimalSample)]); d < len(decimalFactor); d++ {
		var ok bool
		if scaled, ok = scaleFloats(scaled[:0], v, decimalFactor[d]); ok {
			return appendPacked(append(dst, byte(d)), scaled, scaleOne), scaled
		}
	}
	dst = append(dst, rawFloats)
	at := len(dst)
	dst = slices.Grow(dst, 8*len(v))[:at+8*len(v)]
	for i, x := range v {
		binary.LittleEndian.PutUint64(dst[at+8*i:], math.Float64bits(x))
	}
	return dst, scaled
}

// decimalsOf returns the least number of decimals that has room for each of the
// values, or len(decimalFactor).
func decimalsOf(v []float64) int {
	d := 0
	for _, x := range v {
		for ; d < len(decimalFactor); d++ {
			if _, ok := scaleFloat(x, decimalFactor[d]); ok {
				break
			}
		}
	}
	return d
}

// scaleFloat returns the integer that gives x when divided by factor; ok is false when
// there is none, as for NaN, infinities and -0.
func scaleFloat(x, factor float64) (n int64, ok bool) {
	const exact = 1 << 53
	scaled := x * factor
	if !(scaled > -exact && scaled < exact) {
		return 0, false
	}
	n = int64(math.RoundToEven(scaled))
	return n, math.Float64bits(float64(n)/factor) == math.Float64bits(x)
}

func scaleFloats(dst []int64, v []float64, factor float64) ([]int64, bool) {
	dst = slices.Grow(dst, len(v))
	for _, x := range v {
		n, ok := scaleFloat(x, factor)
		if !ok {
			return dst, false
		}
		dst = append(dst, n)
	}
	return dst, true
}

// readFloats is the inverse of appendFloats.
func readFloats(c *cursor, dst []float64, rows int, scaled []int64) (out []float64, _ []int64) {
	decimals := c.byte()
	if decimals == rawFloats {
		raw := c.bytes(uint64(rows) * 8)
		dst = slices.Grow(dst[:0], len(raw)/8)[:len(raw)/8]
		for i := range dst {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		}
		return dst, scaled
	}
	if int(decimals) >= len(decimalFactor) {
		c.bad = true
		return dst[:0], scaled
	}
	scaled = unpack(c, scaled, rows)
	factor := decimalFactor[decimals]
	dst = slices.Grow(dst[:0], len(scaled))[:len(scaled)]
	for i, n := range scaled {
		dst[i] = float64(n) / factor
	}
	return dst, scaled
}
