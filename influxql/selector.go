package influxql

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/influxdata/influxql"
)

// selected writes a selector that stands alone, or with fields and tags of the point that it
// selects: v0 and r0, …. Without GROUP BY time it has that point's time.
func (n *level) selected(call *influxql.Call, refs *refSet) (stream, error) {
	all := &refSet{list: slices.Clone(refs.list)}
	x := "r" + strconv.Itoa(all.add(field(call)))
	points, err := n.points(all, n.bounds, []int{all.add(field(call))}, call.Name == "percentile")
	if err != nil || points == "" {
		return stream{}, err
	}
	points = n.keyed(points, all, n.bounds)
	aux := numbered("r", len(refs.list))
	keys := append([]string{"k"}, n.series()...)
	var sql string
	if call.Name == "percentile" {
		order := append([]string{x, "t"}, numbered("x", n.ties)...)
		sql = fmt.Sprintf("SELECT %s, row_number() %s AS n, count(*) %s AS total FROM (%s) WHERE %s IS NOT NULL",
			list(keys, []string{"t", x + " AS v0"}, aux), over(keys, order), over(keys, nil), points, x)
		sql = "SELECT " + list(keys, []string{"t", "v0"}, aux) + " FROM (" + sql + ") WHERE n = " + rank(call, "total")
	} else {
		sql = pick(call, x, keys, aux, points)
	}
	if n.interval.width == 0 {
		items := list([]string{"t"}, n.series(), []string{"v0"}, n.filledAux(refs, "t"))
		return stream{sql: "SELECT " + items + " FROM (" + sql + ")", calls: []int{0}}, nil
	}
	return stream{sql: n.selectedBuckets(sql, refs), calls: []int{0}}, nil
}

// pick takes from each group the point that min, max, first or last means. The names of what
// is compared stand in the order in which it is compared.
func pick(call *influxql.Call, x string, keys, aux []string, points string) string {
	function, by := "arg_max", "{'a': "+x+", 'b': -t}"
	switch {
	case call.Name == "min":
		function, by = "arg_min", "{'a': "+x+", 'b': t}"
	case call.Name == "first" && field(call).Type == influxql.Boolean:
		function, by = "arg_min", "{'a': t, 'b': "+x+"}"
	case call.Name == "first":
		by = "{'a': -t, 'b': " + x + "}"
	case call.Name == "last":
		by = "{'a': t, 'b': " + x + "}"
	}
	point := "{'t': t, 'v0': " + x
	picked := []string{"p.t AS t", "p.v0 AS v0"}
	for _, r := range aux {
		point += ", '" + r + "': " + r
		picked = append(picked, "p."+r+" AS "+r)
	}
	point += "}"
	return fmt.Sprintf("SELECT %s FROM (SELECT %s, %s(%s, %s) AS p FROM (%s) WHERE %s IS NOT NULL GROUP BY %s)",
		list(keys, picked), list(keys), function, point, by, points, x, list(keys))
}

// selectedBuckets gives the selected points the times of their buckets, and fills the others.
func (n *level) selectedBuckets(sql string, refs *refSet) string {
	aux := numbered("r", len(refs.list))
	values := append([]string{"v0"}, aux...)
	if n.fill != influxql.NoFill {
		sql = n.spread(sql, values, n.bounds)
		items := append([]string{"k"}, n.series()...)
		items = append(items, n.fillValue(n.calls()[0], "v0"))
		sql = "SELECT " + list(items, n.filledAux(refs, "k")) + " FROM (" + sql + ")"
	}
	return "SELECT " + list([]string{n.start(n.bounds) + " AS t"}, n.series(), values) + " FROM (" + sql + ")"
}

// filledAux writes the fields and tags that stand beside a selector, with what fill() makes of
// nulls. The columns in order are those of the rows.
func (n *level) filledAux(refs *refSet, order ...string) []string {
	items := numbered("r", len(refs.list))
	order = append([]string{n.by(order[0])}, order[1:]...)
	for i, r := range items {
		switch n.fill {
		case influxql.NumberFill:
			if number, ok := n.fillNumber(refs.list[i].Type); ok {
				items[i] = "coalesce(" + r + ", " + number + ") AS " + r
			}
		case influxql.PreviousFill:
			items[i] = lastKnown(r, n.series(), order) + " AS " + r
		}
	}
	return items
}

// ranked writes top and bottom. With tags it first takes one point for each of their values.
func (n *level) ranked(call *influxql.Call, refs *refSet) (stream, error) {
	all := &refSet{list: slices.Clone(refs.list)}
	number := all.add(field(call))
	x := "r" + strconv.Itoa(number)
	points, err := n.points(all, n.bounds, []int{number}, true)
	if err != nil || points == "" {
		return stream{}, err
	}
	points = n.keyed(points, all, n.bounds)
	keys := append([]string{"k"}, n.series()...)
	value := x + " DESC"
	if call.Name == "bottom" {
		value = x
	}
	ties := numbered("x", n.ties)
	order := append([]string{value, "t"}, ties...)
	columns := list(keys, []string{"t"}, numbered("r", len(all.list)), ties)
	var tags []string
	for _, arg := range call.Args[1 : len(call.Args)-1] {
		if ref := arg.(*influxql.VarRef); ref.Type == influxql.Tag {
			tags = append(tags, "r"+strconv.Itoa(all.add(ref)))
		}
	}
	if len(call.Args) > 2 {
		points = fmt.Sprintf("SELECT %s FROM (SELECT %s, row_number() %s AS m FROM (%s) WHERE %s IS NOT NULL) WHERE m = 1",
			columns, columns, over(append(slices.Clone(keys), tags...), order), points, x)
	}
	limit := call.Args[len(call.Args)-1].(*influxql.IntegerLiteral).Val
	sql := fmt.Sprintf("SELECT %s, row_number() %s AS n FROM (%s) WHERE %s IS NOT NULL", columns, over(keys, order), points, x)
	items := list([]string{"t"}, n.series(), []string{x + " AS v0"}, n.filledAux(refs, "t", "n"), []string{"n AS x0"})
	return stream{sql: fmt.Sprintf("SELECT %s FROM (%s) WHERE n <= %d", items, sql, limit), calls: []int{0}, ties: []string{"x0"}, repeats: true}, nil
}

// sampled writes sample alone or with fields and tags.
func (n *level) sampled(call *influxql.Call, refs *refSet) (stream, error) {
	return n.samples(call, 0, refs, n.bounds)
}

// samples takes some points of each bucket at random.
func (n *level) samples(call *influxql.Call, number int, refs *refSet, within bounds) (stream, error) {
	all := &refSet{list: slices.Clone(refs.list)}
	x := all.add(field(call))
	points, err := n.points(all, within, []int{x}, true)
	if err != nil || points == "" {
		return stream{}, err
	}
	column := "r" + strconv.Itoa(x)
	ties := numbered("x", n.ties)
	keys := append([]string{"k"}, n.series()...)
	columns := list([]string{"t"}, n.series(), numbered("r", len(all.list)), ties)
	sql := fmt.Sprintf("SELECT %s, row_number() %s AS n FROM (%s) WHERE %s IS NOT NULL",
		columns, over(keys, []string{"random()"}), n.keyed(points, all, within), column)
	items := list([]string{"t"}, n.series(), []string{column + " AS v" + strconv.Itoa(number)}, n.filledAux(refs, append([]string{"t"}, ties...)...), ties)
	size := call.Args[1].(*influxql.IntegerLiteral).Val
	return stream{sql: fmt.Sprintf("SELECT %s FROM (%s) WHERE n <= %d", items, sql, size), calls: []int{number}, ties: ties, repeats: true}, nil
}

// distinct writes the different values of each bucket in the order in which they came.
func (n *level) distinct(call *influxql.Call, number int, within bounds) (stream, error) {
	refs := &refSet{list: []*influxql.VarRef{field(call)}}
	points, err := n.points(refs, within, []int{0}, false)
	if err != nil || points == "" {
		return stream{}, err
	}
	keys := append([]string{"k"}, n.series()...)
	sql := fmt.Sprintf("SELECT %s, r0, min(t) AS x0 FROM (%s) WHERE r0 IS NOT NULL GROUP BY %s, r0",
		list(keys), n.keyed(points, refs, within), list(keys))
	items := list([]string{n.start(within) + " AS t"}, n.series(), []string{"r0 AS v" + strconv.Itoa(number), "x0", "r0 AS x1"})
	return stream{sql: "SELECT " + items + " FROM (" + sql + ")", calls: []int{number}, ties: []string{"x0", "x1"}, repeats: true}, nil
}

// mode writes the most frequent value of each bucket: of several the one that came first, and if no
// value came twice, the smallest.
func (n *level) mode(call *influxql.Call, number int, within bounds) (stream, error) {
	refs := &refSet{list: []*influxql.VarRef{field(call)}}
	points, err := n.points(refs, within, []int{0}, false)
	if err != nil || points == "" {
		return stream{}, err
	}
	v := "v" + strconv.Itoa(number)
	keys := append([]string{"k"}, n.series()...)
	counted := fmt.Sprintf("SELECT %s, r0, count(*) AS times, min(t) AS came FROM (%s) WHERE r0 IS NOT NULL GROUP BY %s, r0",
		list(keys), n.keyed(points, refs, within), list(keys))
	order := []string{"times DESC", "CASE WHEN times > 1 THEN came ELSE 0 END", "r0"}
	sql := fmt.Sprintf("SELECT %s, r0 AS %s FROM (SELECT %s, r0, row_number() %s AS n FROM (%s)) WHERE n = 1",
		list(keys), v, list(keys), over(keys, order), counted)
	s := stream{calls: []int{number}}
	if n.interval.width == 0 {
		s.sql = "SELECT " + list([]string{n.lowerBound() + " AS t"}, n.series(), []string{v}) + " FROM (" + sql + ")"
		return s, nil
	}
	calls := make([]*influxql.Call, number+1)
	calls[number] = call
	s.sql = n.filled(sql, calls, s.calls, within)
	return s, nil
}
