package query

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// Comparisons of numbers are ranges of keys, which are signed integers: an int64 is its own, a uint64 is moved by
// half its range, and a float has one in DuckDB's order, in which the two zeros are one and NaN is
// the greatest. A constant, of whatever type, is where the keys that are at least as great begin, and
// where those begin that are greater.

// edge is the first key that something holds for; none has it where isEnd is set.
type edge struct {
	at    int64
	isEnd bool
}

var firstKey, lastEdge = edge{at: math.MinInt64}, edge{isEnd: true}

// after returns the edge behind a key.
func after(key int64) edge {
	if key == math.MaxInt64 {
		return lastEdge
	}
	return edge{at: key + 1}
}

// firstInt returns the first integer for which a condition holds, as it does for all greater ones.
func firstInt(holds func(int64) bool) edge {
	if !holds(math.MaxInt64) {
		return lastEdge
	}
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	for lo < hi {
		middle := lo>>1 + hi>>1 + lo&hi&1
		if holds(middle) {
			hi = middle
		} else {
			lo = middle + 1
		}
	}
	return edge{at: lo}
}

// numberTest accepts the numbers whose keys are from lo to lo + span, or all others.
type numberTest struct {
	typ      schema.ColumnType
	lo, span uint64
	isNone   bool // the range is empty
	isOther  bool
}

// newNumberTest makes a test of a comparison with a constant, where that is exact.
func newNumberTest(typ schema.ColumnType, op string, constant node) (*numberTest, bool) {
	c, ok := numberConstantOf(constant)
	if !ok {
		return nil, false
	}
	atLeast, greater, ok := c.edges(typ)
	if !ok {
		return nil, false
	}
	from, to := firstKey, lastEdge
	switch op {
	case "COMPARE_LESSTHAN":
		to = atLeast
	case "COMPARE_LESSTHANOREQUALTO":
		to = greater
	case "COMPARE_GREATERTHAN":
		from = greater
	case "COMPARE_GREATERTHANOREQUALTO":
		from = atLeast
	default:
		from, to = atLeast, greater
	}
	t := &numberTest{typ: typ, lo: uint64(from.at), isOther: op == "COMPARE_NOTEQUAL"}
	last := int64(math.MaxInt64)
	if !to.isEnd {
		last = to.at - 1
		t.isNone = to.at <= from.at
	}
	t.isNone = t.isNone || from.isEnd
	t.span = uint64(last) - t.lo
	if typ == schema.Uint64 {
		t.lo ^= 1 << 63
	}
	return t, true
}

// numberConstant is a number: a float, or n divided by a power of ten.
type numberConstant struct {
	n       int64
	scale   int
	isFloat bool
	f       float64
}

// numberConstantOf reads a constant as the parser gives it, or a parameter's (parameterNode).
func numberConstantOf(n node) (c numberConstant, ok bool) {
	switch n.str("class") {
	case "CAST":
		text, isText := stringConstant(n.child("child"))
		if !isText || n["try_cast"] == true {
			return c, false
		}
		var err error
		switch n.child("cast_type").str("id") {
		case "BIGINT":
			c.n, err = strconv.ParseInt(text, 10, 64)
			return c, err == nil
		case "DOUBLE":
			c.isFloat = true
			c.f, err = strconv.ParseFloat(text, 64)
			return c, err == nil && !math.IsNaN(c.f) && !math.IsInf(c.f, 0)
		}
		return c, false
	case "CONSTANT":
	default:
		return c, false
	}
	number, isNumber := n.child("value")["value"].(json.Number)
	typ := n.child("value").child("type")
	if !isNumber {
		return c, false
	}
	var err error
	switch id := typ.str("id"); {
	case id == "DOUBLE":
		c.isFloat = true
		c.f, err = number.Float64()
	case integerTypes[id]:
		c.n, err = number.Int64()
	case id == "DECIMAL":
		scale, isScale := typ.child("type_info")["scale"].(json.Number)
		width, isWidth := typ.child("type_info")["width"].(json.Number)
		if !isScale || !isWidth {
			return c, false
		}
		digits, _ := width.Int64()
		places, _ := scale.Int64()
		c.scale = int(places)
		c.n, err = number.Int64()
		return c, err == nil && digits <= 18 && places >= 0 && places <= digits
	default:
		return c, false
	}
	return c, err == nil
}

// edges returns where the keys begin that are at least as great as the constant, and those that are
// greater; ok is false where DuckDB may see it in another way.
func (c *numberConstant) edges(typ schema.ColumnType) (atLeast, greater edge, ok bool) {
	switch typ {
	case schema.Float64:
		f, ok := c.float()
		key := floatKey(f)
		return edge{at: key}, after(key), ok
	case schema.Int64:
		if c.isFloat { // DuckDB makes a float of the column's value
			return firstInt(func(v int64) bool { return float64(v) >= c.f }), firstInt(func(v int64) bool { return float64(v) > c.f }), true
		}
		power := int64(math.Pow10(c.scale)) // up to 18, exact
		floor := c.n / power
		if c.n%power < 0 {
			floor--
		}
		if c.n%power != 0 {
			return after(floor), after(floor), true
		}
		return edge{at: floor}, after(floor), true
	case schema.Uint64:
		key := int64(uint64(c.n) ^ 1<<63)
		return edge{at: key}, after(key), !c.isFloat && c.scale == 0 && c.n >= 0
	}
	return edge{}, edge{}, false
}

// float is what DuckDB makes of the constant, where that is the nearest one.
func (c *numberConstant) float() (f float64, ok bool) {
	const exact = 1 << 53
	switch {
	case c.isFloat:
		return c.f, true
	case c.scale == 0:
		return float64(c.n), true
	}
	return float64(c.n) / math.Pow10(c.scale), c.n > -exact && c.n < exact
}

// floatKey has the order of DuckDB's comparisons.
func floatKey(v float64) int64 {
	switch {
	case v == 0:
		return 0
	case math.IsNaN(v):
		return math.MaxInt64
	}
	bits := int64(math.Float64bits(v))
	return bits ^ int64(uint64(bits>>63)>>1)
}

// keep clears the bits of the rows that are not accepted; what is said of nulls does not matter.
func (t *numberTest) keep(f *partition.Field, keep []uint64) {
	switch {
	case t.isNone && !t.isOther:
		clear(keep)
	case t.isNone:
	case t.typ == schema.Float64:
		keepRange(f.Float64, keep, t.isOther, func(v float64) bool { return uint64(floatKey(v))-t.lo <= t.span })
	case t.typ == schema.Uint64:
		keepWords(f.Uint64, keep, t)
	default:
		keepWords(f.Int64, keep, t)
	}
}

// keepWords is keepRange for integers, without a call for each.
func keepWords[T int64 | uint64](values []T, keep []uint64, t *numberTest) {
	lo, span, flip := t.lo, t.span, uint64(0)
	if t.isOther {
		flip = ^uint64(0)
	}
	for i := range keep {
		var word uint64
		for k, v := range values[64*i : min(64*i+64, len(values))] {
			bit := uint64(0)
			if uint64(v)-lo <= span {
				bit = 1
			}
			word |= bit << k
		}
		keep[i] &= word ^ flip
	}
}

func keepRange[T any](values []T, keep []uint64, isOther bool, isInside func(T) bool) {
	eachSet(keep, func(row int) bool { return isInside(values[row]) != isOther })
}
