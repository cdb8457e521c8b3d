package influxql

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/influxdata/influxql"
)

// isAggregate reports whether a call makes one value of a bucket, so that it can share its
// grouping with others.
func isAggregate(call *influxql.Call) bool {
	switch call.Name {
	case "count", "sum", "mean", "median", "stddev", "spread", "min", "max", "first", "last", "percentile":
		return true
	}
	return false
}

// aggregated writes some of the calls, which all are aggregates, in one grouping by bucket.
func (n *level) aggregated(calls []*influxql.Call, some []int, within bounds) (stream, error) {
	if n.interval.width == 0 && allEnds(calls, some) && !n.readsSubquery() {
		// To read and group by many tags costs more than it saves.
		if ties := n.countTies(); ties > 0 && 2*ties < len(some) {
			return n.ends(calls, some, within)
		}
	}
	refs := &refSet{}
	items := slices.Clone(n.series())
	var having []string
	for _, i := range some {
		r := refs.add(field(calls[i]))
		v := "v" + strconv.Itoa(i)
		items = append(items, n.aggregate(calls[i], "r"+strconv.Itoa(r))+" AS "+v)
		having = append(having, v+" IS NOT NULL")
	}
	sql, err := n.points(refs, within, allOf(refs), false)
	if err != nil || sql == "" {
		return stream{}, err
	}
	s := stream{calls: some}
	if n.interval.width == 0 {
		sql = "SELECT " + list(items) + " FROM (" + sql + ")" + groupBy(n.series())
		s.sql = fmt.Sprintf("SELECT %s AS t, %s FROM (%s) WHERE %s",
			n.lowerBound(), list(n.series(), n.names(some)), sql, anyOf(having))
		return s, nil
	}
	sql = "SELECT " + list([]string{"k"}, items) + " FROM (" + n.keyed(sql, refs, within) + ")" +
		groupBy([]string{"k"}, n.series()) + " HAVING " + anyOf(having)
	s.sql = n.filled(sql, calls, some, within)
	return s, nil
}

// allEnds reports whether all of some calls are first or last.
func allEnds(calls []*influxql.Call, some []int) bool {
	return !slices.ContainsFunc(some, func(i int) bool { return calls[i].Name != "first" && calls[i].Name != "last" })
}

// ends writes several first and last, as last(*) is, of one table whose tags are not all grouped by.
// To compare a pair of time and value for each row and field is slow. So each series of the
// table, in which no time comes twice, yields its own ends first, and only those compete.
func (n *level) ends(calls []*influxql.Call, some []int, within bounds) (stream, error) {
	refs := &refSet{}
	ofSeries, ofGroup := slices.Clone(n.series()), slices.Clone(n.series())
	var having []string
	for _, i := range some {
		r := "r" + strconv.Itoa(refs.add(field(calls[i])))
		v, at := "v"+strconv.Itoa(i), "t"+strconv.Itoa(i)
		end, sign := "max", ""
		if calls[i].Name == "first" {
			end, sign = "min", "-"
		}
		ofSeries = append(ofSeries, fmt.Sprintf("arg_%s(%s, t) AS %s", end, r, v), fmt.Sprintf("%s(t) FILTER (%s IS NOT NULL) AS %s", end, r, at))
		last := "max"
		if end == "min" && field(calls[i]).Type == influxql.Boolean { // false is first
			last, sign = end, ""
		}
		ofGroup = append(ofGroup, fmt.Sprintf("arg_%s(%s, {'t': %s%s, 'v': %s}) AS %s", last, v, sign, at, v, v))
		having = append(having, v+" IS NOT NULL")
	}
	sql, err := n.points(refs, within, allOf(refs), true)
	if err != nil || sql == "" {
		return stream{}, err
	}
	sql = "SELECT " + list(ofSeries) + " FROM (" + sql + ")" + groupBy(n.series(), numbered("x", n.ties))
	sql = "SELECT " + list(ofGroup) + " FROM (" + sql + ")" + groupBy(n.series())
	n.ties = 0
	sql = fmt.Sprintf("SELECT %s AS t, %s FROM (%s) WHERE %s", n.lowerBound(), list(n.series(), n.names(some)), sql, anyOf(having))
	return stream{sql: sql, calls: some}, nil
}

func (n *level) names(calls []int) []string {
	names := make([]string, len(calls))
	for i, c := range calls {
		names[i] = "v" + strconv.Itoa(c)
	}
	return names
}

// lowerBound is the time of what is computed of all rows: the begin of the range, or 0.
func (n *level) lowerBound() string {
	if n.bounds.low == influxql.MinTime {
		return intText(0)
	}
	return intText(n.bounds.low)
}

func allOf(refs *refSet) []int {
	all := make([]int, len(refs.list))
	for i := range all {
		all[i] = i
	}
	return all
}

func groupBy(keys ...[]string) string {
	if all := list(keys...); all != "" {
		return " GROUP BY " + all
	}
	return ""
}

// keyed adds the key k of its bucket to each point, which is 0 for all without GROUP BY time.
func (n *level) keyed(points string, refs *refSet, within bounds) string {
	key := "0::BIGINT"
	if n.interval.width != 0 {
		key = n.interval.keySQL("t", within.low, within.high)
	}
	return "SELECT " + list([]string{key + " AS k", "t"}, n.series(), numbered("r", len(refs.list)), numbered("x", n.ties)) +
		" FROM (" + points + ")"
}

// start is the time of the bucket in k.
func (n *level) start(within bounds) string {
	if n.interval.width == 0 {
		return n.lowerBound()
	}
	return n.interval.startSQL("k", within.low, within.high)
}

// aggregate writes a function of the values in a column of points, null where there are none.
func (n *level) aggregate(call *influxql.Call, column string) string {
	t := field(call).Type
	whole := t == influxql.Integer || t == influxql.Unsigned
	switch call.Name {
	case "count":
		if _, ok := asDistinct(call.Args[0]); ok {
			return "nullif(count(DISTINCT " + column + "), 0)"
		}
		return "nullif(count(" + column + "), 0)"
	case "sum":
		if whole {
			return "TRY_CAST(sum(" + column + ") AS " + sqlTypeOf(t) + ")"
		}
		return "sum(" + column + ")"
	case "mean":
		return "avg(" + column + ")"
	case "median":
		return "median((" + column + ")::DOUBLE)"
	case "stddev":
		return "CASE WHEN count(" + column + ") = 1 THEN 'nan'::DOUBLE ELSE stddev_samp((" + column + ")::DOUBLE) END"
	case "spread":
		if whole {
			return "TRY_CAST(max(" + column + ")::HUGEINT - min(" + column + ") AS " + sqlTypeOf(t) + ")"
		}
		return "max(" + column + ") - min(" + column + ")"
	case "first", "last":
		return n.firstOrLast(call.Name, column, t)
	case "percentile":
		return percentile(call, column)
	}
	return call.Name + "(" + column + ")" // min, max
}

// percentile is the value at the nearest rank, null where that is no rank.
func percentile(call *influxql.Call, column string) string {
	return "list_extract(list(" + column + " ORDER BY " + column + ") FILTER (" + column + " IS NOT NULL), " +
		rank(call, "count("+column+")") + ")"
}

// rank is where a percentile is among n values, from 1; 0 if it is nowhere.
func rank(call *influxql.Call, n string) string {
	var p float64
	switch arg := call.Args[1].(type) {
	case *influxql.NumberLiteral:
		p = arg.Val
	case *influxql.IntegerLiteral:
		p = float64(arg.Val)
	}
	return "greatest(0, floor(" + n + "::DOUBLE * " + floatText(p) + " / 100 + 0.5)::BIGINT)"
}

// firstOrLast takes the value at an end of time, and of several there the greatest, but false as the
// first. Where the series are those of the table there cannot be several.
func (n *level) firstOrLast(name, column string, t influxql.DataType) string {
	if n.hasUniqueTimes() {
		if name == "first" {
			return "arg_min(" + column + ", t)"
		}
		return "arg_max(" + column + ", t)"
	}
	switch {
	case name == "first" && t == influxql.Boolean:
		return "arg_min(" + column + ", {'t': t, 'v': " + column + "})"
	case name == "first":
		return "arg_max(" + column + ", {'t': -t, 'v': " + column + "})"
	}
	return "arg_max(" + column + ", {'t': t, 'v': " + column + "})"
}

// hasUniqueTimes reports whether each of the level's series is one series of one table.
func (n *level) hasUniqueTimes() bool {
	var tables []*influxql.Measurement
	for _, s := range n.stmt.Sources {
		if !touches(s, n.leaf) {
			continue
		}
		m, ok := s.(*influxql.Measurement)
		if !ok {
			return false
		}
		tables = append(tables, m)
	}
	return len(tables) == 1 && len(n.otherTags(n.c.table(tables[0]))) == 0
}
