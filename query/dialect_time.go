package query

import (
	"strings"
	"time"
)

// DuckDB computes with instants in microseconds, and so date_trunc, time_bucket and time ±
// INTERVAL would lose nanoseconds and make a column of another type. Here they are arithmetic
// on epoch_ns instead.

// binTemplate is the begin of the bin of $1: $2 is the width, and $3 is the origin in such a form
// that no sum overflows (see newGrid). Integer division truncates.
const binTemplate = "make_timestamp_ns(epoch_ns($1::TIMESTAMP_NS) - (epoch_ns($1::TIMESTAMP_NS) % $2 + $3) % $2)"

// floorTemplate is $1 in microseconds, rounded down: a cast would round towards 1970.
const floorTemplate = "make_timestamp((epoch_ns($1::TIMESTAMP_NS) - (epoch_ns($1::TIMESTAMP_NS) % 1000 + 1000) % 1000) // 1000)"

// monthBinTemplate is the begin of the bin of $1 of $2 months, counted from a first of a month $3.
const monthBinTemplate = "time_bucket(to_months($2), $1, $3::TIMESTAMP)::TIMESTAMP_NS"

// anyBinTemplate is for a width $2 or an origin $3 that are not constant.
const anyBinTemplate = `CASE WHEN date_part('month', $2::INTERVAL) = 0 AND date_part('year', $2::INTERVAL) = 0
	THEN make_timestamp_ns(epoch_ns($1::TIMESTAMP_NS) -
		(((epoch_ns($1::TIMESTAMP_NS) - epoch_ns($3::TIMESTAMP_NS)) % (epoch_us($2::INTERVAL) * 1000)) + epoch_us($2::INTERVAL) * 1000)
		% (epoch_us($2::INTERVAL) * 1000))
	ELSE time_bucket($2::INTERVAL, $1::TIMESTAMP_NS::TIMESTAMP, $3::TIMESTAMP_NS::TIMESTAMP)::TIMESTAMP_NS END`

// grid is the bins of date_bin: a width, in months or nanoseconds, and an instant at which
// one begins.
type grid struct {
	width  span
	origin int64
}

// newGrid checks the arguments of date_bin.
func newGrid(width span, origin int64) (grid, error) {
	switch {
	case width.months != 0 && width.ns != 0:
		return grid{}, refuse("DATE_BIN stride does not support combination of month, day and nanosecond intervals")
	case width.months < 0 || width.ns < 0 || width == span{}:
		return grid{}, refuse("DATE_BIN stride must be positive")
	case width.months > 0 && time.Unix(0, origin).UTC().Day() > 28:
		return grid{}, refuse("DATE_BIN by months needs an origin on one of the first 28 days of a month")
	}
	return grid{width, origin}, nil
}

// begin returns the begin of the bin of an instant.
func (g grid) begin(ns int64) int64 {
	if g.width.months == 0 {
		w := g.width.ns
		return ns - (ns%w+g.shift())%w
	}
	ns -= g.monthOffset()
	t, first := time.Unix(0, ns).UTC(), time.Unix(0, g.origin).UTC()
	months := int64(t.Year()-first.Year())*12 + int64(t.Month()-first.Month())
	months -= (months%g.width.months + g.width.months) % g.width.months
	return time.Date(first.Year(), first.Month()+time.Month(months), 1, 0, 0, 0, 0, time.UTC).UnixNano() + g.monthOffset()
}

// shift is what to add to a remainder of the width, between -width and width, to get one that
// counts from the origin and is positive.
func (g grid) shift() int64 {
	w := g.width.ns
	return 2*w - (g.origin%w+w)%w
}

// monthOffset is the time from the begin of the origin's month to the origin.
func (g grid) monthOffset() int64 {
	t := time.Unix(0, g.origin).UTC()
	return g.origin - time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).UnixNano()
}

// bin returns the begin of the bin of an expression.
func (r *rewriter) bin(g grid, source node) (node, error) {
	if ns, ok := evalInstant(source); ok {
		return instantNode(g.begin(ns)), nil
	}
	if g.width.months == 0 {
		return r.expand(binTemplate, source, bigint(g.width.ns), bigint(g.shift()))
	}
	offset := g.monthOffset()
	source, err := r.moved(source, span{ns: -offset})
	if err != nil {
		return nil, err
	}
	if source, err = r.expand(floorTemplate, source); err != nil {
		return nil, err
	}
	begin, err := r.expand(monthBinTemplate, source, castNode(bigintText(g.width.months), "INTEGER"), instantNode(g.origin-offset))
	if err != nil {
		return nil, err
	}
	return r.moved(begin, span{ns: offset})
}

// dateBin replaces date_bin(width, source[, origin]).
func (r *rewriter) dateBin(args []node) (node, error) {
	if len(args) < 2 || len(args) > 3 {
		return nil, refuse("date_bin takes an interval, a time and, if wanted, an origin")
	}
	origin := instantNode(0)
	if len(args) == 3 {
		origin = args[2]
	}
	width, isConstant := evalSpan(args[0])
	if text, ok := stringConstant(args[0]); ok {
		if width, isConstant = parseSpan(text); !isConstant {
			args[0] = castNode(text, "INTERVAL")
		}
	}
	at, originIsConstant := evalInstant(origin)
	if !isConstant || !originIsConstant {
		return r.expand(anyBinTemplate, args[1], args[0], origin)
	}
	g, err := newGrid(width, at)
	if err != nil {
		return nil, err
	}
	return r.bin(g, args[1])
}

// mondays is a Monday, and firsts a first of a year, from which DuckDB counts time_bucket.
var (
	mondays = time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC).UnixNano()
	firsts  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
)

// timeBucket replaces time_bucket(width, source[, origin]) where its width is constant.
func (r *rewriter) timeBucket(args []node) (node, error) {
	if len(args) < 2 || len(args) > 3 {
		return nil, nil
	}
	width, ok := evalSpan(args[0])
	if !ok {
		return nil, nil
	}
	origin := mondays
	if width.months != 0 {
		origin = firsts
	}
	if len(args) == 3 {
		if origin, ok = evalInstant(args[2]); !ok {
			return nil, nil
		}
	}
	g, err := newGrid(width, origin)
	if err != nil {
		return nil, err
	}
	return r.bin(g, args[1])
}

// dateTrunc replaces date_trunc(part, source). Weeks begin on Mondays.
func (r *rewriter) dateTrunc(args []node) (node, error) {
	if len(args) != 2 || isInterval(args[1]) {
		return nil, nil
	}
	part, ok := stringConstant(args[0])
	if !ok {
		return nil, nil
	}
	part = strings.ToLower(part)
	unit, known := spanUnits[part]
	if !known {
		source, err := r.expand(floorTemplate, args[1])
		if err != nil {
			return nil, err
		}
		return r.expand("date_trunc($2, $1)::TIMESTAMP_NS", source, args[0])
	}
	g := grid{unit, mondays}
	if unit.months != 0 {
		g.origin = firsts
	}
	return r.bin(g, args[1])
}

// shift replaces instant ± interval, where one of the operands is an interval by its form.
func (r *rewriter) shift(op string, args []node) (node, error) {
	if len(args) != 2 {
		return nil, nil
	}
	at, by := args[0], args[1]
	if op == "+" && isInterval(at) {
		at, by = by, at
	}
	if !isInterval(by) || isInterval(at) || isNoInstant(at) {
		return nil, nil
	}
	s, ok := evalSpan(by)
	if !ok {
		return r.movedBy(at, by, op)
	}
	if op == "-" {
		s = s.negated()
	}
	return r.moved(at, s)
}

// isNoInstant reports whether an expression to which an interval is added is a time of day,
// or a difference, which is an interval itself.
func isNoInstant(n node) bool {
	switch n.str("class") {
	case "CAST":
		id := n.child("cast_type").str("id")
		return id == "TIME" || id == "INTERVAL"
	case "FUNCTION":
		return n.str("function_name") == "-"
	}
	return false
}

// moved returns an expression's instant moved by a constant span.
func (r *rewriter) moved(at node, by span) (node, error) {
	if by == (span{}) {
		return at, nil
	}
	if ns, ok := evalInstant(at); ok {
		if sum, ok := by.add(ns); ok {
			return instantNode(sum), nil
		}
	}
	if by.months != 0 {
		months, err := r.expand("to_months($1)", castNode(bigintText(by.months), "INTEGER"))
		if err != nil {
			return nil, err
		}
		if at, err = r.movedBy(at, months, "+"); err != nil {
			return nil, err
		}
		return r.moved(at, span{ns: by.ns})
	}
	return r.expand("make_timestamp_ns(epoch_ns($1::TIMESTAMP_NS) + $2)", at, bigint(by.ns))
}

// movedBy returns an expression's instant moved by an interval that is not known: DuckDB moves
// the microseconds, and the nanoseconds below are added again.
func (r *rewriter) movedBy(at, by node, op string) (node, error) {
	floor, err := r.expand(floorTemplate, clone(at))
	if err != nil {
		return nil, err
	}
	r.copied += size(at)
	return r.expand("make_timestamp_ns(epoch_us($1 "+op+" $2) * 1000 + (epoch_ns($3::TIMESTAMP_NS) % 1000 + 1000) % 1000)", floor, by, at)
}
