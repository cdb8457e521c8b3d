package influxql

import (
	"fmt"
	"math"
	"strconv"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/internal/sqltext"
)

// filled gives every series all buckets of the range, and what fill() says to those without rows;
// it makes a stream of the grouping in sql.
//
// Each row yields itself and the empty buckets up to the next one of its series, the first
// row those before it too. So nothing is joined, and what is not empty is computed once.
func (n *level) filled(sql string, calls []*influxql.Call, some []int, within bounds) string {
	values := n.names(some)
	if n.fill != influxql.NoFill {
		sql = n.spread(sql, values, within)
		items := append([]string{"k"}, n.series()...)
		for _, i := range some {
			items = append(items, n.fillValue(calls[i], "v"+strconv.Itoa(i)))
		}
		sql = "SELECT " + list(items) + " FROM (" + sql + ")"
	}
	return "SELECT " + list([]string{n.start(within) + " AS t"}, n.series(), values) + " FROM (" + sql + ")"
}

// spread adds the empty buckets.
func (n *level) spread(sql string, values []string, within bounds) string {
	width := n.interval.width
	low := "k"
	if within.low > influxql.MinTime {
		low = strconv.FormatInt(n.interval.key(within.low), 10)
	}
	end := fmt.Sprintf("k + %d", width)
	if within.high < influxql.MaxTime {
		end = strconv.FormatInt(n.interval.key(within.high)+width, 10)
	}
	order := []string{"k"}
	neighbours := fmt.Sprintf("SELECT %s, lag(k) %s AS before, lead(k) %s AS after FROM (%s)",
		list(order, n.series(), values), over(n.series(), order), over(n.series(), order), sql)
	begin := "CASE WHEN before IS NULL THEN " + low + " ELSE k END"
	buckets := n.buckets(list(order, n.series(), values), begin, "coalesce(after, "+end+")", neighbours, within)
	items := append([]string{"b AS k"}, n.series()...)
	for _, v := range values {
		items = append(items, "CASE WHEN b = k THEN "+v+" END AS "+v)
	}
	return "SELECT " + list(items) + " FROM (" + buckets + ")"
}

// maxBuckets bounds the buckets between two points of a series, filled ones included, as
// date_bin_gapfill has it.
const maxBuckets = 10_000_000

// bucketsAtOnce is how many buckets are made at once for a row.
const bucketsAtOnce = 4096

// buckets repeats each row for every bucket b from begin to end. DuckDB makes a list of them, in
// memory that no limit bounds and for 2,048 rows at once, so that long ranges are cut into
// pieces, and a range of too many is an error.
func (n *level) buckets(columns, begin, end, from string, within bounds) string {
	width := n.interval.width
	if n.fewBuckets(within) { // one piece does, which takes half the time
		return fmt.Sprintf("SELECT %s, unnest(range(%s, %s, %d)) AS b FROM (%s)", columns, begin, end, width, from)
	}
	first := "b0"
	if width < math.MaxInt64/maxBuckets { // otherwise there are not that many in all of time
		tooMany := sqltext.Literal(fmt.Sprintf("GROUP BY time() would fill more than %d buckets of a series: use a longer interval, a shorter range, or fill(none)", maxBuckets))
		first = fmt.Sprintf("CASE WHEN b1::HUGEINT - b0 > %d THEN error(%s) ELSE b0 END", width*maxBuckets, tooMany)
	}
	step := width * bucketsAtOnce
	ranges := fmt.Sprintf("SELECT %s, %s AS b0, %s AS b1 FROM (%s)", columns, begin, end, from)
	pieces := fmt.Sprintf("SELECT %s, b1, unnest(range(%s, b1, %d)) AS b0 FROM (%s)", columns, first, step, ranges)
	return fmt.Sprintf("SELECT %s, unnest(range(b0, least(b0::HUGEINT + %d, b1::HUGEINT)::BIGINT, %d)) AS b FROM (%s)", columns, step, width, pieces)
}

// fewBuckets reports whether a range, or all of time, has no more buckets than are made at once.
func (n *level) fewBuckets(within bounds) bool {
	width := n.interval.width
	if width > math.MaxInt64/bucketsAtOnce { // 8192 in all of time
		return true
	}
	isBounded := within.low > influxql.MinTime && within.high < influxql.MaxTime
	return isBounded && uint64(within.high/width)-uint64(within.low/width) < bucketsAtOnce-2 // may take 64 bits
}

// fillValue writes the column of a call with the values of empty buckets.
func (n *level) fillValue(call *influxql.Call, v string) string {
	t := influxql.EvalType(call, nil, callTypes{})
	order := []string{n.by("k")}
	switch n.fill {
	case influxql.NumberFill:
		number, ok := n.fillNumber(t)
		switch {
		case ok:
			return "coalesce(" + v + ", " + number + ") AS " + v
		case isText(t):
			return "coalesce(" + v + ", '') AS " + v
		case t == influxql.Boolean:
			return "coalesce(" + v + ", false) AS " + v
		}
	case influxql.PreviousFill:
		return n.latest() + "(" + v + ", k) " + upTo(n.series(), order) + " AS " + v
	case influxql.LinearFill:
		if isNumber(t) {
			return n.linear(v, t) + " AS " + v
		}
	case influxql.NullFill:
		if call.Name == "count" { // 0, but in series that have no value at all
			return "CASE WHEN " + v + " IS NULL AND count(" + v + ") " + over(n.series(), nil) + " > 0 THEN 0 ELSE " + v + " END AS " + v
		}
	}
	return v
}

// latest is the aggregate that finds the last value in the order of the statement, over buckets up
// to a row. last_value(… IGNORE NULLS) goes back to it from every row, which takes time that
// grows with the square of a gap.
func (n *level) latest() string {
	if n.ascending {
		return "arg_max"
	}
	return "arg_min"
}

// linear lies on the line between the neighbours that have values, and is null where one is
// missing. Integers are cut.
func (n *level) linear(v string, t influxql.DataType) string {
	before := upTo(n.series(), []string{"k"})
	after := upTo(n.series(), []string{"k DESC"})
	key := "CASE WHEN " + v + " IS NOT NULL THEN k END"
	v1 := "(arg_max(" + v + ", k) " + before + ")::DOUBLE"
	v2 := "(arg_min(" + v + ", k) " + after + ")::DOUBLE"
	k1 := "max(" + key + ") " + before
	k2 := "min(" + key + ") " + after
	width := strconv.FormatInt(n.interval.width, 10)
	line := fmt.Sprintf("(%s - %s) / ((%s - %s) // %s) * ((k - %s) // %s) + %s", v2, v1, k2, k1, width, k1, width, v1)
	if t != influxql.Float {
		line = "TRY_CAST(trunc(" + line + ") AS " + sqlTypeOf(t) + ")"
	}
	return "CASE WHEN " + v + " IS NULL THEN " + line + " ELSE " + v + " END"
}
