package chart

import (
	"math"
	"slices"
	"strconv"
)

// scale maps values to the part of an axis from 0 to 1.
type scale struct {
	low, high float64
	log       bool
}

// newScale takes in all values. A scale begins at 0, or, of logarithms, at a power of ten.
func newScale(values []float64, log bool) scale {
	if len(values) == 0 {
		return scale{0, 1, false}
	}
	high := slices.Max(values)
	if !log {
		if high <= 0 {
			high = 1
		}
		return scale{0, high * 1.08, false} // room for the value above a point
	}
	low := high
	for _, v := range values {
		if v > 0 {
			low = min(low, v)
		}
	}
	if high <= 0 {
		return scale{0.1, 1, true}
	}
	s := scale{math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high))), true}
	if s.low == s.high {
		s.high *= 10
	}
	return s
}

func (s scale) at(v float64) float64 {
	if !s.log {
		return v / s.high
	}
	if v <= s.low {
		return 0
	}
	return math.Log(v/s.low) / math.Log(s.high/s.low)
}

// ticks are round values, five or so.
func (s scale) ticks() (all []float64) {
	if s.log {
		for v := s.low; v <= s.high*1.01; v *= 10 {
			all = append(all, v)
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10(s.high/4)))
	for _, factor := range []float64{5, 2} {
		if s.high/(step*factor) >= 4 {
			step *= factor
			break
		}
	}
	for i := 0; float64(i)*step <= s.high; i++ {
		all = append(all, float64(i)*step)
	}
	return all
}

// number prints two to three digits, and thousands and millions as such.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case a >= 1e6:
		return short(v/1e6) + "M"
	case a >= 1e4:
		return short(v/1e3) + "k"
	}
	return short(v)
}

func short(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	text := strconv.FormatFloat(v, 'g', 3, 64)
	if a := math.Abs(v); a >= 1e-4 {
		f, _ := strconv.ParseFloat(text, 64)
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	return text
}
