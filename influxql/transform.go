package influxql

import (
	"fmt"
	"strconv"
	"time"

	"github.com/influxdata/influxql"
)

// transformed writes a function of each point and those before it, over the points of a field
// or over what a nested call yields. To have a point before the first bucket, that reads one
// bucket more.
func (n *level) transformed(call *influxql.Call, number int, within bounds) (stream, error) {
	v := "v" + strconv.Itoa(number)
	input, err := n.input(call, number, within)
	if err != nil || input.sql == "" {
		return stream{}, err
	}
	order := append([]string{n.by("t")}, input.ties...)
	if input.repeats && skipsSameTime(call.Name) {
		input.sql = fmt.Sprintf("SELECT %s FROM (SELECT %s, row_number() %s AS m FROM (%s)) WHERE m = 1",
			list([]string{"t"}, n.series(), []string{v}, input.ties), list([]string{"t"}, n.series(), []string{v}, input.ties),
			over(append([]string{"t"}, n.series()...), input.ties), input.sql)
		input.repeats = false
	}
	window := over(n.series(), order)
	t := influxql.EvalType(call, nil, callTypes{})
	argument := influxql.EvalType(call.Args[0], nil, callTypes{})
	result, before := n.transformation(call, v, t, argument, window)
	items := list([]string{"t"}, n.series(), []string{result + " AS " + v, before + " AS first"}, input.ties)
	sql := "SELECT " + items + " FROM (" + input.sql + ")"
	condition := "NOT first"
	if call.Name == "non_negative_derivative" || call.Name == "non_negative_difference" {
		condition += " AND " + v + " >= 0"
	}
	sql = "SELECT " + list([]string{"t"}, n.series(), []string{v}, input.ties) + " FROM (" + sql + ") WHERE " + condition
	return stream{sql: sql, calls: []int{number}, ties: input.ties, repeats: input.repeats}, nil
}

// input is the stream of points that are not null and that a transformation works on.
func (n *level) input(call *influxql.Call, number int, within bounds) (stream, error) {
	v := "v" + strconv.Itoa(number)
	inner, nested := call.Args[0].(*influxql.Call)
	if !nested {
		refs := &refSet{list: []*influxql.VarRef{field(call)}}
		points, err := n.points(refs, within, []int{0}, true)
		if err != nil || points == "" {
			return stream{}, err
		}
		ties := numbered("x", n.ties)
		sql := "SELECT " + list([]string{"t"}, n.series(), []string{"r0 AS " + v}, ties) + " FROM (" + points + ") WHERE r0 IS NOT NULL"
		return stream{sql: sql, calls: []int{number}, ties: ties, repeats: !n.hasUniqueTimes()}, nil
	}
	if call.Name != "cumulative_sum" {
		within = n.extended(within)
	}
	s, err := n.callStream(inner, number, within)
	if err != nil || s.sql == "" {
		return stream{}, err
	}
	s.sql = "SELECT " + list([]string{"t"}, n.series(), []string{v}, s.ties) + " FROM (" + s.sql + ") WHERE " + v + " IS NOT NULL"
	return s, nil
}

// extended is a range with one bucket more in front, as far as the outer level has it.
func (n *level) extended(within bounds) bounds {
	width := n.interval.width
	if n.ascending && within.low > influxql.MinTime+width {
		within.low -= width
	}
	if !n.ascending && within.high < influxql.MaxTime-width {
		within.high += width
	}
	if n.outer != nil {
		return within.intersect(n.outer.bounds)
	}
	return within
}

// skipsSameTime reports whether a function takes only the first of several points of one time.
func skipsSameTime(name string) bool {
	switch name {
	case "derivative", "non_negative_derivative", "difference", "non_negative_difference":
		return true
	}
	return false
}

// transformation writes a function, and a condition on the points that have too few before them.
func (n *level) transformation(call *influxql.Call, v string, t, argument influxql.DataType, window string) (result, first string) {
	first = "lag(t) " + window + " IS NULL"
	previous := "lag(" + v + ") " + window
	whole := argument == influxql.Integer || argument == influxql.Unsigned
	difference := v + " - " + previous
	if whole {
		difference = v + "::HUGEINT - " + previous
	}
	switch call.Name {
	case "derivative", "non_negative_derivative":
		elapsed := "(t - lag(t) " + window + ")"
		if !n.ascending {
			elapsed = "(lag(t) " + window + " - t)"
		}
		return fmt.Sprintf("(%s)::DOUBLE / (%s::DOUBLE / %s)", difference, elapsed, floatText(float64(n.unit(call, time.Second)))), first
	case "difference", "non_negative_difference":
		if whole {
			return "TRY_CAST(" + difference + " AS " + sqlTypeOf(t) + ")", first
		}
		return difference, first
	case "cumulative_sum":
		frame := window[:len(window)-1] + " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
		if whole {
			return "TRY_CAST(sum(" + v + ") " + frame + " AS " + sqlTypeOf(t) + ")", "false"
		}
		return "sum(" + v + ") " + frame, "false"
	case "moving_average":
		size := call.Args[1].(*influxql.IntegerLiteral).Val
		frame := fmt.Sprintf("%s ROWS BETWEEN %d PRECEDING AND CURRENT ROW)", window[:len(window)-1], size-1)
		return "avg(" + v + ") " + frame, fmt.Sprintf("row_number() %s < %d", window, size)
	}
	elapsed := "(t - lag(t) " + window + ")"
	unit := int64(time.Nanosecond)
	if len(call.Args) == 2 {
		unit = int64(n.unit(call, time.Nanosecond))
	}
	return fmt.Sprintf("%s // %d", elapsed, unit), first
}

// unit is the duration for which a derivative is: its second argument, the interval of GROUP BY time,
// or what is given.
func (n *level) unit(call *influxql.Call, otherwise time.Duration) time.Duration {
	if len(call.Args) == 2 {
		return call.Args[1].(*influxql.DurationLiteral).Val
	}
	if n.interval.width != 0 {
		return time.Duration(n.interval.width)
	}
	return otherwise
}

// integral writes the area under the points of each bucket. A line that crosses the end of its
// bucket is cut there; what is behind belongs to the bucket of the next point.
func (n *level) integral(call *influxql.Call, number int, within bounds) (stream, error) {
	refs := &refSet{list: []*influxql.VarRef{field(call)}}
	points, err := n.points(refs, within, []int{0}, true)
	if err != nil || points == "" {
		return stream{}, err
	}
	unit := floatText(float64(time.Second))
	if len(call.Args) == 2 {
		unit = floatText(float64(call.Args[1].(*influxql.DurationLiteral).Val))
	}
	series := n.series()
	keys := append([]string{"k"}, series...)
	// One point for each time, in floats: the last one in the order of points.
	one := "last(r0)"
	if n.ties > 0 {
		one = "last(r0 ORDER BY " + list(numbered("x", n.ties)) + ")"
	}
	sql := fmt.Sprintf("SELECT %s, t, %s::DOUBLE AS v FROM (%s) WHERE r0 IS NOT NULL GROUP BY %s, t",
		list(keys), one, n.keyed(points, refs, within), list(keys))
	window := over(series, []string{"t"})
	sql = fmt.Sprintf("SELECT %s, t, v, lead(t) %s AS t2, lead(v) %s AS v2, lead(k) %s AS k2 FROM (%s)", list(keys), window, window, window, sql)
	end := fmt.Sprintf("(%s)", n.bucketEnd(within))
	cut := fmt.Sprintf("(v2 - v) / (t2 - t) * (%s - t) + v", end)
	sql = fmt.Sprintf("SELECT %s, k2, t, v, t2, v2, CASE WHEN k2 = k THEN t2 ELSE %s END AS te, CASE WHEN k2 = k THEN v2 ELSE %s END AS ve FROM (%s)",
		list(keys), end, cut, sql)
	areas := fmt.Sprintf("SELECT %s, t, t2 IS NOT NULL AS more, coalesce(0.5 * (v + ve) * ((te - t) / %s), 0) AS a FROM (%s)", list(keys), unit, sql)
	if n.interval.width != 0 {
		after := fmt.Sprintf("SELECT %s, te AS t, false AS more, 0.5 * (ve + v2) * ((t2 - te) / %s) AS a FROM (%s) WHERE k2 <> k",
			list([]string{"k2 AS k"}, series), unit, sql)
		areas = areas + " UNION ALL " + after
	}
	// A last bucket that holds no more than a point at its begin is no bucket, whatever lies in
	// front of it.
	start := n.start(within)
	v := "v" + strconv.Itoa(number)
	having := ""
	if n.interval.width != 0 {
		having = " HAVING max(t) > " + start + " OR bool_or(more)"
	}
	sql = fmt.Sprintf("SELECT %s, sum(a) AS %s FROM (%s) GROUP BY %s%s", list(keys), v, areas, list(keys), having)
	if n.interval.width == 0 && field(call).Type == influxql.Float {
		start = intText(0) // the integral of integers has the lower bound of time, as aggregates have
	}
	return stream{sql: "SELECT " + list([]string{start + " AS t"}, series, []string{v}) + " FROM (" + sql + ")", calls: []int{number}}, nil
}

// bucketEnd is the time at which the bucket in k ends.
func (n *level) bucketEnd(within bounds) string {
	if n.interval.width == 0 {
		return "t2"
	}
	return n.interval.startSQL(fmt.Sprintf("(k + %d)", n.interval.width), within.low, within.high)
}
