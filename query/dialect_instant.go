package query

import (
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// span is an interval: months have no fixed length, all else is nanoseconds. A day is 24 hours,
// as times are UTC.
type span struct {
	months int64
	ns     int64
}

// spanUnits gives the units of an interval, under the names that DuckDB and InfluxDB know.
var spanUnits = func() map[string]span {
	units := make(map[string]span)
	for names, unit := range map[string]span{
		"ns nanosecond nanoseconds":              {ns: 1},
		"us usec usecs microsecond microseconds": {ns: int64(time.Microsecond)},
		"ms msec msecs millisecond milliseconds": {ns: int64(time.Millisecond)},
		"s sec secs second seconds":              {ns: int64(time.Second)},
		"m min mins minute minutes":              {ns: int64(time.Minute)},
		"h hr hrs hour hours":                    {ns: int64(time.Hour)},
		"d day days":                             {ns: 24 * int64(time.Hour)},
		"w week weeks":                           {ns: 7 * 24 * int64(time.Hour)},
		"mon mons month months":                  {months: 1},
		"quarter quarters":                       {months: 3},
		"y yr yrs year years":                    {months: 12},
	} {
		for _, name := range strings.Fields(names) {
			units[name] = unit
		}
	}
	return units
}()

// maxSpanNumber bounds the numbers in an interval, so that no product overflows unseen.
const maxSpanNumber = 1 << 53

// parseSpan reads an interval of whole numbers and units: 1 hour 30 minutes, 90m.
func parseSpan(s string) (total span, ok bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "+-0123456789"))
		n, err := strconv.ParseInt(s[:digits], 10, 64)
		s = strings.TrimLeft(s[digits:], " ")
		letters := len(s) - len(strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz"))
		unit, known := spanUnits[s[:letters]]
		if err != nil || !known {
			return span{}, false
		}
		if total, ok = total.plus(unit, n); !ok {
			return span{}, false
		}
		s = strings.TrimLeft(s[letters:], " ")
	}
	return total, ok
}

// plus adds n times a unit.
func (s span) plus(unit span, n int64) (span, bool) {
	if n > maxSpanNumber || n < -maxSpanNumber || unit.ns != 0 && max(n, -n) > (1<<61)/unit.ns || unit.months != 0 && max(n, -n) > 1<<20 {
		return span{}, false
	}
	s.months += n * unit.months
	s.ns += n * unit.ns
	return s, s.months < 1<<20 && s.months > -(1<<20) && s.ns < 1<<61 && s.ns > -(1<<61)
}

func (s span) negated() span { return span{-s.months, -s.ns} }

// evalSpan evaluates the ways to write an interval: a string with numbers and units, and a
// number before a unit, which the parser makes a call of to_hours and the like.
func evalSpan(n node) (span, bool) {
	switch n.str("class") {
	case "CAST":
		s, isString := stringConstant(n.child("child"))
		if !isString || n.child("cast_type").str("id") != "INTERVAL" {
			return span{}, false
		}
		return parseSpan(s)
	case "FUNCTION":
		return evalSpanFunction(n)
	}
	return span{}, false
}

func evalSpanFunction(n node) (span, bool) {
	args, name := nodes(n.list("children")), n.str("function_name")
	if (name == "+" || name == "-") && len(args) == 2 {
		a, okA := evalSpan(args[0])
		b, okB := evalSpan(args[1])
		if name == "-" {
			b = b.negated()
		}
		sum, ok := a.plus(span{months: 1}, b.months)
		if sum, ok2 := sum.plus(span{ns: 1}, b.ns); okA && okB && ok && ok2 {
			return sum, true
		}
		return span{}, false
	}
	if name == "-" && len(args) == 1 {
		a, ok := evalSpan(args[0])
		return a.negated(), ok
	}
	word, isUnit := strings.CutPrefix(name, "to_")
	unit, known := spanUnits[word]
	if !isUnit || !known || len(args) != 1 {
		return span{}, false
	}
	count, err := strconv.ParseInt(wholeNumber(args[0]), 10, 64)
	if err != nil {
		return span{}, false
	}
	return span{}.plus(unit, count)
}

// wholeNumber returns the digits of the constant within the casts and the trunc that
// the parser wraps around the number of an interval.
func wholeNumber(n node) string {
	for range 8 {
		switch {
		case n.str("class") == "CAST":
			n = n.child("child")
		case n.str("class") == "FUNCTION" && n.str("function_name") == "trunc" && len(n.list("children")) == 1:
			n = asNode(n.list("children")[0])
		default:
			value := n.child("value")
			if number, ok := value["value"].(interface{ String() string }); ok && value.child("type").str("id") == "INTEGER" {
				return number.String()
			}
			s, _ := stringConstant(n)
			return s
		}
	}
	return ""
}

// isInterval reports whether an expression is an interval by its form.
func isInterval(n node) bool {
	switch n.str("class") {
	case "CAST":
		return n.child("cast_type").str("id") == "INTERVAL"
	case "FUNCTION":
		args, name := nodes(n.list("children")), n.str("function_name")
		switch {
		case name == "*" && len(args) == 2:
			return isInterval(args[0]) || isInterval(args[1])
		case name == "/" && len(args) == 2:
			return isInterval(args[0])
		case (name == "+" || name == "-") && len(args) > 0:
			all := true
			for _, a := range args {
				all = all && isInterval(a)
			}
			return all
		case name == "age":
			return true
		}
		word, isUnit := strings.CutPrefix(name, "to_")
		_, known := spanUnits[word]
		return isUnit && (known || word == "decades" || word == "centuries" || word == "millennia")
	}
	return false
}

// instantNode is a constant instant.
func instantNode(ns int64) node {
	return castNode(time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05.000000000"), "TIMESTAMP_NS")
}

// evalInstant evaluates a constant instant exactly; a text alone is one where an instant is
// wanted.
func evalInstant(n node) (ns int64, ok bool) {
	precision := time.Duration(1)
	if n.str("class") == "CAST" {
		typ := n.child("cast_type").str("id")
		if precision, ok = castPrecision[typ]; !ok {
			return 0, false
		}
		precision = max(precision, 1)
		n = n.child("child")
		if s, _ := stringConstant(n); typ == "DATE" && len(s) != len(time.DateOnly) {
			return 0, false
		}
	}
	s, ok := stringConstant(n)
	if !ok {
		return 0, false
	}
	ns, ok = parseExact(s)
	return ns, ok && ns%int64(precision) == 0 && ns >= minLiteral && ns <= maxLiteral
}

// parseExact reads a time stamp in one of the spellings that DuckDB reads in the same way.
func parseExact(s string) (ns int64, ok bool) {
	for _, layout := range instantLayouts {
		t, err := time.ParseInLocation(layout, s, time.UTC)
		if err != nil {
			continue
		}
		return t.UnixNano(), t.Year() >= 1678 && t.Year() <= 2261
	}
	return 0, false
}

// add returns an instant moved by a span, as DuckDB does it: the months first, with a day that
// the month does not have becoming its last one.
func (s span) add(ns int64) (int64, bool) {
	t := time.Unix(0, ns).UTC()
	if s.months != 0 {
		first := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, int(s.months), 0)
		last := first.AddDate(0, 1, -1).Day()
		clock := t.Sub(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC))
		t = first.AddDate(0, 0, min(t.Day(), last)-1).Add(clock)
	}
	if t.Year() < 1678 || t.Year() > 2261 {
		return 0, false
	}
	sum := saturatingAdd(t.UnixNano(), s.ns)
	return sum, sum > minLiteral && sum < maxLiteral && sum > schema.MaxTimeRange.Min && sum < schema.MaxTimeRange.Max
}
