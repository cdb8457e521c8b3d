package query

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// A SELECT with date_bin_gapfill has a row for each bin of each group, also where there is no
// data. It becomes three SELECTs:
//
//	inner    the user's FROM, WHERE and GROUP BY: the keys as k0 (the bin), k1 …, and the
//	         aggregates as a0 …
//	middle   every group × every bin, joined to the inner rows, and the values of locf and
//	         interpolate as f0 …, which need the rows around
//	outer    the user's items, HAVING, ORDER BY and LIMIT, in which keys, aggregates and fills
//	         are references to the columns of the middle
//
// The bins reach from the lower to the upper bound on time in WHERE. InfluxDB refuses a query
// that lacks one of them; here the first or last bin with data, of any group, takes
// its place. A group without any data has no rows. In a gap an aggregate is null, and so HAVING
// sees it.

// binsName is the inner SELECT's. No user's table can have it (scanPrefix).
const binsName = scanPrefix + "bins"

// maxBins bounds the bins of a group, as they are made in memory.
const maxBins = 10_000_000

// gapfill is a SELECT on its way to be three.
type gapfill struct {
	r      *rewriter
	grid   grid
	source node
	keys   []node // the first is the bin
	ids    []string
	calls  columnsOf // aggregates
	fills  columnsOf
	names  []string // of the items, in lower case
}

// columnsOf are expressions that become columns, each once.
type columnsOf struct {
	prefix string
	list   []node
	ids    []string
}

func (c *columnsOf) reference(n node) node {
	id := identity(n)
	i := slices.Index(c.ids, id)
	if i < 0 {
		i = len(c.list)
		c.list, c.ids = append(c.list, n), append(c.ids, id)
	}
	return columnRef(c.prefix + strconv.Itoa(i))
}

func columnRef(name string) node {
	return node{"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": 0, "column_names": []any{name}}
}

// identity is equal for expressions that are written in the same way.
func identity(n node) string {
	c := clone(n)
	walk(c, func(n node) { delete(n, "query_location") })
	delete(c, "alias")
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Sprintf("%p", n) // equal to nothing
	}
	return string(text)
}

const gapfillFunction = "date_bin_gapfill"

// isFill reports whether a call is one that only a SELECT with date_bin_gapfill understands.
func isFill(n node) bool {
	return n.str("class") == "FUNCTION" && slices.Contains([]string{"locf", "interpolate"}, strings.ToLower(n.str("function_name")))
}

func isBin(n node) bool {
	return n.str("class") == "FUNCTION" && strings.EqualFold(n.str("function_name"), gapfillFunction)
}

// findBin returns the call of date_bin_gapfill in a SELECT, not in one within it.
func findBin(n node) (found node) {
	walkExpressions(n["select_list"], func(n node) {
		if isBin(n) {
			found = n
		}
	})
	walkExpressions(n["group_expressions"], func(n node) {
		if isBin(n) {
			found = n
		}
	})
	return found
}

// walkExpressions visits the objects of v but those of queries within it.
func walkExpressions(v any, visit func(n node)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			walkExpressions(e, visit)
		}
	case map[string]any:
		visit(v)
		for key, e := range v {
			if key != "subquery" {
				walkExpressions(e, visit)
			}
		}
	}
}

// nameItems gives the items of a SELECT that will change their text as names.
func (r *rewriter) nameItems(n node) error {
	for _, item := range nodes(n.list("select_list")) {
		if item.str("alias") != "" || item.str("class") == "STAR" {
			continue
		}
		if names := item.list("column_names"); len(names) > 0 {
			item["alias"] = names[len(names)-1]
			continue
		}
		text, err := r.gate.printExpression(r.ctx, clone(item))
		if err != nil {
			return err
		}
		item["alias"] = text
	}
	return nil
}

// gapfill rewrites a SELECT with date_bin_gapfill, whose parts are rewritten already.
func (r *rewriter) gapfill(n node) error {
	bin := findBin(n)
	if bin == nil {
		return nil
	}
	g := &gapfill{r: r, calls: columnsOf{prefix: "a"}, fills: columnsOf{prefix: "f"}}
	if err := g.readBin(bin); err != nil {
		return err
	}
	if err := g.readKeys(n, bin); err != nil {
		return err
	}
	bounds, err := g.bounds(n.child("where_clause"))
	if err != nil {
		return err
	}
	inner := clone(node{"type": "SELECT_NODE", "cte_map": map[string]any{"map": []any{}}, "modifiers": []any{}, "qualify": nil, "having": nil, "aggregate_handling": "STANDARD_HANDLING"})
	for _, key := range []string{"from_table", "where_clause", "sample"} {
		inner[key] = n[key]
	}
	if err := g.outer(n); err != nil {
		return err
	}
	if err := g.inner(inner); err != nil {
		return err
	}
	middle, err := g.middle(inner, bounds)
	if err != nil {
		return err
	}
	n["from_table"] = map[string]any{
		"type": "SUBQUERY", "alias": scanPrefix + "filled", "column_name_alias": []any{}, "query_location": 0, "sample": nil,
		"subquery": map[string]any{"node": map[string]any(middle), "named_param_map": []any{}},
	}
	return nil
}

// readBin reads the arguments of date_bin_gapfill.
func (g *gapfill) readBin(bin node) error {
	args := nodes(bin.list("children"))
	if len(args) < 2 || len(args) > 3 {
		return refuse("date_bin_gapfill takes an interval, a time and, if wanted, an origin")
	}
	width, ok := evalSpan(args[0])
	if text, isText := stringConstant(args[0]); isText {
		width, ok = parseSpan(text)
	}
	var origin int64
	originOK := true
	if len(args) == 3 {
		origin, originOK = evalInstant(args[2])
	}
	if !ok || !originOK {
		return refuse("date_bin_gapfill needs a constant interval and origin")
	}
	var err error
	g.source = args[1]
	g.grid, err = newGrid(width, origin)
	return err
}

// readKeys finds what the SELECT groups by: expressions, numbers or names of items, or all
// items that are no aggregates.
func (g *gapfill) readKeys(n, bin node) error {
	if len(n.list("group_sets")) > 1 {
		return refuse("date_bin_gapfill does not work with GROUPING SETS, ROLLUP or CUBE")
	}
	items := nodes(n.list("select_list"))
	for _, item := range items {
		g.names = append(g.names, strings.ToLower(item.str("alias")))
	}
	g.keys, g.ids = []node{bin}, []string{identity(bin)}
	groups := nodes(n.list("group_expressions"))
	if n.str("aggregate_handling") == "FORCE_AGGREGATES" { // GROUP BY ALL
		groups = slices.DeleteFunc(slices.Clone(items), containsAggregate)
	}
	grouped := false
	for _, key := range groups {
		if i, ok := integerConstant(key); ok && i >= 1 && int(i) <= len(items) {
			key = items[i-1]
		} else if i := g.item(key); i >= 0 && (isBin(items[i]) || !mentions(items[i], key)) {
			key = items[i]
		}
		if id := identity(key); !slices.Contains(g.ids, id) {
			g.keys, g.ids = append(g.keys, key), append(g.ids, id)
		} else if id == g.ids[0] {
			grouped = true
		}
	}
	if !grouped {
		return refuse("date_bin_gapfill must be one of the GROUP BY expressions")
	}
	return nil
}

// item returns the item that a name alone means, or -1.
func (g *gapfill) item(n node) int {
	names := n.list("column_names")
	if n.str("class") != "COLUMN_REF" || len(names) != 1 {
		return -1
	}
	name, _ := names[0].(string)
	return slices.Index(g.names, strings.ToLower(name))
}

// mentions reports whether a column occurs in an item: then the name of the item means the
// column.
func mentions(item, column node) (found bool) {
	id := identity(column)
	walkExpressions(map[string]any(item), func(n node) { found = found || n.str("class") == "COLUMN_REF" && identity(n) == id })
	return found
}

func containsAggregate(n node) (found bool) {
	walkExpressions(map[string]any(n), func(n node) { found = found || isAggregate(n) || isFill(n) })
	return found
}

// outer makes the user's SELECT read the middle.
func (g *gapfill) outer(n node) error {
	where, err := g.translate(n["having"], false)
	if err != nil {
		return err
	}
	for _, key := range []string{"select_list", "modifiers", "qualify"} {
		if n[key], err = g.translate(n[key], key == "modifiers"); err != nil {
			return err
		}
	}
	n["where_clause"], n["having"], n["sample"] = where, nil, nil
	n["group_expressions"], n["group_sets"], n["aggregate_handling"] = []any{}, []any{}, "STANDARD_HANDLING"
	g.order(n)
	return nil
}

// order sorts by the keys and the bin where the user does not sort, as InfluxDB does.
func (g *gapfill) order(n node) {
	var orders []any
	for i := range g.keys {
		key := columnRef("k" + strconv.Itoa((i+1)%len(g.keys)))
		orders = append(orders, map[string]any{"type": "ORDER_DEFAULT", "null_order": "ORDER_DEFAULT", "expression": map[string]any(key)})
	}
	for _, m := range nodes(n.list("modifiers")) {
		if kind := m.str("type"); kind == "ORDER_MODIFIER" || kind == "DISTINCT_MODIFIER" {
			return
		}
	}
	n["modifiers"] = append([]any{map[string]any{"type": "ORDER_MODIFIER", "orders": orders}}, n.list("modifiers")...)
}

// translate replaces keys, aggregates and fills by the columns of the middle. Where names of
// items come first, those stay.
func (g *gapfill) translate(v any, itemsFirst bool) (any, error) {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			var err error
			if v[i], err = g.translate(e, itemsFirst); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		n := node(v)
		column, err := g.column(n, itemsFirst)
		if err != nil {
			return nil, err
		}
		if column != nil {
			column["alias"] = n.str("alias")
			return map[string]any(column), nil
		}
		for key, e := range v {
			if key == "subquery" {
				continue
			}
			if v[key], err = g.translate(e, itemsFirst); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// column returns the column of the middle that an expression is, or nil.
func (g *gapfill) column(n node, itemsFirst bool) (node, error) {
	if n.str("class") == "" || itemsFirst && g.item(n) >= 0 {
		return nil, nil
	}
	if i := slices.Index(g.ids, identity(n)); i >= 0 {
		return columnRef("k" + strconv.Itoa(i)), nil
	}
	if isAggregate(n) {
		return g.calls.reference(n), nil
	}
	if !isFill(n) {
		return nil, nil
	}
	name, args := strings.ToLower(n.str("function_name")), n.list("children")
	if len(args) != 1 || !containsAggregate(asNode(args[0])) {
		return nil, refuse("%s takes an aggregate, as in %[1]s(avg(usage))", name)
	}
	value, err := g.translate(args[0], false)
	if err != nil {
		return nil, err
	}
	call := clone(n)
	call["children"], call["alias"], call["function_name"] = []any{value}, "", name
	return g.fills.reference(call), nil
}

// inner completes the SELECT that groups.
func (g *gapfill) inner(n node) error {
	bin, err := g.r.bin(g.grid, g.source)
	if err != nil {
		return err
	}
	var items, groups, set []any
	for i, key := range append([]node{bin}, g.keys[1:]...) {
		item := clone(key)
		item["alias"] = "k" + strconv.Itoa(i)
		items = append(items, map[string]any(item))
		plain := clone(key)
		plain["alias"] = ""
		groups = append(groups, map[string]any(plain))
		set = append(set, json.Number(strconv.Itoa(i)))
	}
	for i, call := range g.calls.list {
		item := clone(call)
		item["alias"] = "a" + strconv.Itoa(i)
		items = append(items, map[string]any(item))
	}
	n["select_list"], n["group_expressions"], n["group_sets"] = items, groups, []any{set}
	return nil
}

// middle writes the SELECT that makes the rows of all bins.
func (g *gapfill) middle(inner node, bounds [2]string) (node, error) {
	series, err := g.series(bounds)
	if err != nil {
		return nil, err
	}
	columns, keys, join := []string{"s.k0"}, []string{"true AS k"}, []string{"b.k0 = s.k0"}
	partition := ""
	for i := range g.keys[1:] {
		k := "k" + strconv.Itoa(i+1)
		columns, keys = append(columns, "g."+k), append(keys, k)
		join = append(join, "b."+k+" IS NOT DISTINCT FROM g."+k)
		partition += ", g." + k
	}
	if partition != "" {
		partition = "PARTITION BY " + partition[2:]
	}
	for i := range g.calls.list {
		columns = append(columns, "b.a"+strconv.Itoa(i))
	}
	var args []node
	for i, call := range g.fills.list {
		args = append(args, asNode(call.list("children")[0]))
		columns = append(columns, fmt.Sprintf(fillText[call.str("function_name")], "$"+strconv.Itoa(i+1), partition, bounds[0])+" AS f"+strconv.Itoa(i))
	}
	text := fmt.Sprintf("WITH %s AS MATERIALIZED (SELECT 1) SELECT %s FROM (SELECT DISTINCT %s FROM %[1]s) g JOIN (%[4]s) s ON true LEFT JOIN %[1]s b ON %[5]s",
		binsName, strings.Join(columns, ", "), strings.Join(keys, ", "), series, strings.Join(join, " AND "))
	_, query, err := g.r.gate.tree(g.r.ctx, text)
	if err != nil {
		return nil, fmt.Errorf("query: gap filling as %s: %w", text, err)
	}
	if query, err = g.r.fill(query, args); err != nil {
		return nil, err
	}
	entry := asNode(query.child("cte_map").list("map")[0])
	entry.child("value").child("query")["node"] = map[string]any(inner)
	return query, nil
}

// fillText is what fills a gap, of the value, the window's partition and the first bin. fill, which
// is linear, would go on before the first and behind the last value; it computes in floats, in which
// a time since 1970 is 256 ns wide, so that it gets the time since the first bin. last_value would go
// back over a gap from each of its rows.
var fillText = map[string]string{
	"locf": "arg_max(%[1]s, s.k0) OVER (%[2]s ORDER BY s.k0 ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
	"interpolate": `CASE WHEN count(%[1]s) OVER (%[2]s ORDER BY s.k0 ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) > 0
		AND count(%[1]s) OVER (%[2]s ORDER BY s.k0 ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) > 0
		THEN fill(%[1]s) OVER (%[2]s ORDER BY epoch_ns(s.k0) - epoch_ns(%[3]s)) END`,
}

// series writes the SELECT of all bins.
func (g *gapfill) series(bounds [2]string) (string, error) {
	if g.grid.width.months == 0 {
		return fmt.Sprintf("SELECT make_timestamp_ns(unnest(generate_series(low, %s, %d))) AS k0 FROM (SELECT epoch_ns(%s) AS low, epoch_ns(%s) AS high)",
			g.grid.atMostBins(), g.grid.width.ns, bounds[0], bounds[1]), nil
	}
	offset := g.grid.monthOffset()
	return fmt.Sprintf(`SELECT make_timestamp_ns(epoch_ns(unnest(generate_series(
		make_timestamp((epoch_ns(%s) - %d) // 1000), make_timestamp((epoch_ns(%s) - %[2]d) // 1000), to_months(%[4]d)))) + %[2]d) AS k0`,
		bounds[0], offset, bounds[1], g.grid.width.months), nil
}

// atMostBins is the last bin, and an error where it is too far from the first: the bins are a list
// that DuckDB makes whole, in memory that it does not count. Where the query bounds time on both
// sides, bounds has found that out before anything was read.
func (g *grid) atMostBins() string {
	return fmt.Sprintf("CASE WHEN (high::HUGEINT - low) // %d > %d THEN error('date_bin_gapfill would fill ' || (high::HUGEINT - low) // %[1]d || ' bins; at most %d are made: "+
		"use a longer interval, or bounds on time that are closer to each other') ELSE high END", g.width.ns, maxBins, maxBins)
}

// bounds returns the first and the last bin as SQL.
func (g *gapfill) bounds(where node) ([2]string, error) {
	text := [2]string{"(SELECT min(k0) FROM " + binsName + ")", "(SELECT max(k0) FROM " + binsName + ")"}
	at := schema.MaxTimeRange
	g.narrow(where, &at)
	if at.Min != schema.MaxTimeRange.Min {
		text[0] = fmt.Sprintf("make_timestamp_ns(%d)", g.grid.begin(at.Min))
	}
	if at.Max != schema.MaxTimeRange.Max {
		text[1] = fmt.Sprintf("make_timestamp_ns(%d)", g.grid.begin(at.Max))
	}
	if at.Min == schema.MaxTimeRange.Min || at.Max == schema.MaxTimeRange.Max || at.IsEmpty() {
		return text, nil
	}
	width := max(g.grid.width.ns, g.grid.width.months*28*24*int64(time.Hour))
	if bins := uint64(at.Max-at.Min) / uint64(width); bins > maxBins {
		return text, refuse("date_bin_gapfill would fill %d bins between the bounds on time; at most %d are made: use a longer interval or a shorter range", bins, maxBins)
	}
	return text, nil
}

// narrow applies the conjuncts that compare the source with a constant.
func (g *gapfill) narrow(n node, at *schema.TimeRange) {
	switch n.str("type") {
	case "CONJUNCTION_AND":
		for _, e := range nodes(n.list("children")) {
			g.narrow(e, at)
		}
	case "COMPARE_BETWEEN":
		g.narrowBy("COMPARE_GREATERTHANOREQUALTO", n.child("input"), n.child("lower"), at)
		g.narrowBy("COMPARE_LESSTHANOREQUALTO", n.child("input"), n.child("upper"), at)
	default:
		if n.str("class") == "COMPARISON" {
			g.narrowBy(n.str("type"), n.child("left"), n.child("right"), at)
			g.narrowBy(mirrored[n.str("type")], n.child("right"), n.child("left"), at)
		}
	}
}

func (g *gapfill) narrowBy(op string, column, value node, at *schema.TimeRange) {
	names, source := column.list("column_names"), g.source.list("column_names")
	if len(names) == 0 || len(source) == 0 || !strings.EqualFold(fmt.Sprint(names[len(names)-1]), fmt.Sprint(source[len(source)-1])) {
		return
	}
	ns, ok := evalInstant(value)
	if !ok {
		return
	}
	switch op {
	case "COMPARE_GREATERTHANOREQUALTO":
		at.Min = max(at.Min, ns)
	case "COMPARE_GREATERTHAN":
		at.Min = max(at.Min, ns+1)
	case "COMPARE_LESSTHANOREQUALTO":
		at.Max = min(at.Max, ns)
	case "COMPARE_LESSTHAN":
		at.Max = min(at.Max, ns-1)
	case "COMPARE_EQUAL":
		at.Min, at.Max = max(at.Min, ns), min(at.Max, ns)
	}
}

// refuseLeftovers refuses what no SELECT understood.
func refuseLeftovers(n node) (err error) {
	walk(n, func(n node) {
		switch {
		case isBin(n):
			err = refuse("date_bin_gapfill must stand in the items and in the GROUP BY of the same SELECT")
		case isFill(n):
			err = refuse("%s only works on an aggregate in a SELECT with date_bin_gapfill", strings.ToLower(n.str("function_name")))
		}
	})
	return err
}
