package query

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// Most queries over many rows ask for sums, means, extremes and counts of fields by
// tags and bins of time. DuckDB decodes each value into a vector, hashes each row's tags and
// adds it to its group, 30 to 40 ns a row. But files are sorted by tags and time, so that
// rows of a group lie side by side, and folding them into one row, with a sum and a count instead
// of the values, costs about 2 ns a value (persist.ColumnReader). So where all that a SELECT asks of a table's
// fields are such aggregates, the table's scan yields folded rows, and the aggregates
// of fields become aggregates of those:
//
//	SELECT date_trunc('hour', time) AS h, host, avg(f) FROM cpu WHERE time >= … GROUP BY h, host
//	SELECT date_trunc('hour', time) AS h, host, sum(f_sum) / sum(f_count) FROM folded WHERE time >= … GROUP BY h, host
//
// A folded row has the tags in use and the time of one of its rows, or one that WHERE
// and bins take for it, so that everything but the aggregates stays as it was written and is DuckDB's affair:
// conditions, bins, HAVING, ORDER BY. It follows that several folded rows may stand for one group,
// and that a row that is merged with others (scan.go) may go along unfolded.
//
// What makes this safe: every row of a cell, which is a set of tags and a bin, gives the same
// value to every expression outside of the aggregates, because those are tags, the
// bin, or constants; and WHERE, which is a range of time, holds for all rows that were folded.
// Anything that is not known to be of this form is left to DuckDB (foldOf).
//
// The mean of integers is the quotient of two exact numbers, rounded once. DuckDB
// rounds it twice, so that one in some thousands may differ in the last digit.

// fold is what a SELECT asks of a table's rows, if it is of this form.
type fold struct {
	where  constraint // all that WHERE and the retention period demand
	bin    *foldBin   // nil: groups are no bins of time
	tags   []schema.Column
	fields []foldField
	calls  []foldCall
}

// foldBin is bins of time: the one of ns begins at ns - (ns % width + shift) % width.
type foldBin struct{ width, shift int64 }

func (b *foldBin) begin(ns int64) int64 { return ns - (ns%b.width+b.shift)%b.width }

// foldField is a column with the aggregates that are wanted of it.
type foldField struct {
	column               schema.Column
	sum, lowest, highest bool // besides the count
}

// foldCall is an aggregate in the tree.
type foldCall struct {
	n        node
	function string
	field    int // of fields; -1 is count(*)
}

// foldOf returns what the SELECT that reads scan i asks of its table, or nil where it is not of
// the form.
func (s *statement) foldOf(ctx context.Context, g *gate, i int, t *engine.TableView) *fold {
	f, _ := s.folderOf(ctx, g, i, t)
	if f == nil || len(f.fold.where.tags) > 0 { // DuckDB would ask the folded rows for tags that they do not have
		return nil
	}
	return &f.fold
}

// folderOf returns what foldOf finds, conditions on tags included, and the SELECT.
func (s *statement) folderOf(ctx context.Context, g *gate, i int, t *engine.TableView) (*folder, node) {
	if t == nil || t.Table.Key.Rule == schema.LatestByTag || haveTwins(t.Table.ShownColumns()) {
		return nil, nil
	}
	n := s.selectOf(scanName(i))
	if n == nil {
		return nil, nil
	}
	f := &folder{ctx: ctx, gate: g, table: t.Table, alias: n.child("from_table").str("alias"), items: nodes(n.list("select_list"))}
	f.fold.where.time = t.Kept()
	if !f.selects(n) || len(f.calls) == 0 {
		return nil, nil
	}
	return f, n
}

// selectOf finds the only SELECT whose FROM clause is a scan and nothing else.
func (s *statement) selectOf(scan string) (found node) {
	count := 0
	walk(s.query, func(n node) {
		if n.str("table_name") == scan {
			count++
		}
		if from := n.child("from_table"); n.str("type") == "SELECT_NODE" && from.str("type") == "BASE_TABLE" && from.str("table_name") == scan {
			found = n
		}
	})
	if count != 1 {
		return nil
	}
	return found
}

// folder looks through a SELECT.
type folder struct {
	fold

	ctx    context.Context
	gate   *gate
	table  *schema.Table
	alias  string
	items  []node
	groups []node // the expressions, without aliases and positions
}

// selects reports whether a SELECT is of the form.
func (f *folder) selects(n node) bool {
	from := n.child("from_table")
	if from["sample"] != nil || n["sample"] != nil || n["qualify"] != nil || n.str("aggregate_handling") != "STANDARD_HANDLING" ||
		len(from.list("column_name_alias")) > 0 || len(n.list("group_sets")) > 1 || from["at_clause"] != nil {
		return false
	}
	for _, e := range n.list("group_expressions") {
		if !f.group(asNode(e)) {
			return false
		}
	}
	if !f.condition(n.child("where_clause")) {
		return false
	}
	for _, item := range f.items {
		if item.str("alias") == "" && contains(item, "CAST") { // whose name only DuckDB knows
			return false
		}
		if !f.expression(item) {
			return false
		}
	}
	if having := n.child("having"); having != nil && !f.expression(having) {
		return false
	}
	for _, m := range nodes(n.list("modifiers")) {
		switch m.str("type") {
		case "ORDER_MODIFIER":
			for _, o := range nodes(m.list("orders")) {
				if by := o.child("expression"); by.str("class") != "STAR" && !f.expression(by) { // ALL is a star
					return false
				}
			}
		case "LIMIT_MODIFIER":
			if contains(m, "COLUMN_REF") || contains(m, "SUBQUERY") {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// column returns the column of the table that an expression is; known is false for a
// name that is none, which may be an alias.
func (f *folder) column(n node) (c schema.Column, known bool) {
	names := n.list("column_names")
	if n.str("class") != "COLUMN_REF" || len(names) == 0 || len(names) > 2 {
		return c, false
	}
	if qualifier, _ := names[0].(string); len(names) == 2 && !strings.EqualFold(qualifier, f.alias) {
		return c, false
	}
	name, _ := names[len(names)-1].(string)
	for _, c := range f.table.ShownColumns() {
		if schema.FoldCase(c.Name) == schema.FoldCase(name) {
			return c, true
		}
	}
	return c, false
}

// group notes an expression of GROUP BY: a tag or a bin, by its alias or position or as it is.
func (f *folder) group(n node) bool {
	c, known := f.column(n)
	if !known {
		if n = f.meant(n); n == nil {
			return false
		}
		c, known = f.column(n)
	}
	f.groups = append(f.groups, n)
	if known {
		if c.Type != schema.Tag || c.ID == 0 {
			return false
		}
		if !slices.ContainsFunc(f.tags, func(have schema.Column) bool { return have.ID == c.ID }) {
			f.tags = append(f.tags, c)
		}
		return true
	}
	return f.binned(n)
}

// meant returns the item of the SELECT that an alias or a position means, or the expression itself.
func (f *folder) meant(n node) node {
	switch n.str("class") {
	case "COLUMN_REF":
		names := n.list("column_names")
		if len(names) != 1 {
			return nil
		}
		var found node
		for _, item := range f.items {
			if name, _ := names[0].(string); strings.EqualFold(item.str("alias"), name) {
				if found != nil {
					return nil
				}
				found = item
			}
		}
		return found
	case "CONSTANT":
		if i, ok := integerConstant(n); ok && i >= 1 && i <= int64(len(f.items)) {
			return f.items[i-1]
		}
		return nil
	}
	return n
}

// binned notes a bin of time.
func (f *folder) binned(n node) bool {
	template, err := f.gate.template(f.ctx, binTemplate)
	if err != nil {
		return false
	}
	bound := make(map[string]any)
	if !matches(map[string]any(template), map[string]any(n), bound) {
		return false
	}
	c, known := f.column(asNode(bound["1"]))
	width, ok := integerConstant(asNode(bound["2"]))
	shift, ok2 := integerConstant(asNode(bound["3"]))
	if !known || c.ID != 0 || !ok || !ok2 || width <= 0 {
		return false
	}
	bin := foldBin{width, shift}
	if f.bin != nil && *f.bin != bin {
		return false
	}
	f.bin = &bin
	return true
}

// matches reports whether a tree is a template with something in the places of its
// parameters, which is noted. Where in the text a node stood, and its alias, do not matter.
func matches(pattern, v any, bound map[string]any) bool {
	switch p := pattern.(type) {
	case []any:
		list, ok := v.([]any)
		if !ok || len(list) != len(p) {
			return false
		}
		for i := range p {
			if !matches(p[i], list[i], bound) {
				return false
			}
		}
		return true
	case map[string]any:
		n, ok := v.(map[string]any)
		if !ok {
			return false
		}
		if node(p).str("class") == "PARAMETER" && bound != nil {
			id := node(p).str("identifier")
			if before, again := bound[id]; again {
				return matches(before, v, nil)
			}
			bound[id] = v
			return true
		}
		for key, e := range p {
			if key != "query_location" && key != "alias" && !matches(e, n[key], bound) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(pattern, v)
}

// condition narrows the rows to what a condition demands, and reports whether that is all.
func (f *folder) condition(n node) bool {
	if len(n) == 0 {
		return true
	}
	switch n.str("type") {
	case "CONJUNCTION_AND":
		for _, e := range nodes(n.list("children")) {
			if !f.condition(e) {
				return false
			}
		}
		return true
	case "COMPARE_BETWEEN":
		return f.compare("COMPARE_GREATERTHANOREQUALTO", n.child("input"), n.child("lower")) &&
			f.compare("COMPARE_LESSTHANOREQUALTO", n.child("input"), n.child("upper"))
	case "COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO", "COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO", "COMPARE_EQUAL":
		return n.str("class") == "COMPARISON" && (f.compare(n.str("type"), n.child("left"), n.child("right")) ||
			f.compare(mirrored[n.str("type")], n.child("right"), n.child("left")))
	case "COMPARE_IN":
		all := nodes(n.list("children"))
		return n.str("class") == "OPERATOR" && len(all) > 1 && f.isOneOf(all[0], all[1:])
	}
	return false
}

// isOneOf applies the condition that a tag has one of some values.
func (f *folder) isOneOf(column node, values []node) bool {
	c, known := f.column(column)
	if !known || c.ID == 0 || c.Type != schema.Tag {
		return false
	}
	wanted := make([]string, len(values))
	for i, v := range values {
		var isText bool
		if wanted[i], isText = stringConstant(v); !isText {
			return false
		}
	}
	f.fold.where.narrowValues(c.ID, wanted)
	return true
}

// compare applies a comparison of time with a constant, or of a tag with its value.
func (f *folder) compare(op string, column, constant node) bool {
	if op == "COMPARE_EQUAL" && f.isOneOf(column, []node{constant}) {
		return true
	}
	c, known := f.column(column)
	at, ok := evalInstant(constant)
	if !known || c.ID != 0 || !ok {
		return false
	}
	f.fold.where.time = f.fold.where.time.Intersect(timesThat(op, at))
	return true
}

// timesThat are the times that compare with one as an operator says.
func timesThat(op string, at int64) schema.TimeRange {
	r := schema.TimeRange{Min: at, Max: at}
	switch op {
	case "COMPARE_LESSTHAN":
		r = schema.TimeRange{Min: schema.MaxTimeRange.Min, Max: at - 1}
	case "COMPARE_LESSTHANOREQUALTO":
		r.Min = schema.MaxTimeRange.Min
	case "COMPARE_GREATERTHAN":
		r = schema.TimeRange{Min: at + 1, Max: schema.MaxTimeRange.Max}
	case "COMPARE_GREATERTHANOREQUALTO":
		r.Max = schema.MaxTimeRange.Max
	}
	return r
}

// foldedAround are the functions that may stand around aggregates and groups.
var foldedAround = setOf("+ - * / // % abs round floor ceil greatest least")

// expression looks through an expression outside of GROUP BY and WHERE.
func (f *folder) expression(n node) bool {
	if f.isGroup(n) {
		return true
	}
	switch n.str("class") {
	case "CONSTANT":
		return true
	case "COLUMN_REF": // an alias: a column that is no group would be an error
		_, known := f.column(n)
		return !known && f.meant(n) != nil
	case "CAST":
		return f.expression(n.child("child"))
	case "COMPARISON":
		return f.expression(n.child("left")) && f.expression(n.child("right"))
	case "CONJUNCTION":
		return f.expressions(n)
	case "OPERATOR":
		return (n.str("type") == "OPERATOR_COALESCE" || n.str("type") == "OPERATOR_NULLIF") && f.expressions(n)
	case "FUNCTION":
		if isAggregate(n) {
			return f.aggregate(n)
		}
		return foldedAround[n.str("function_name")] && f.expressions(n)
	}
	return false
}

func (f *folder) expressions(n node) bool {
	for _, e := range nodes(n.list("children")) {
		if !f.expression(e) {
			return false
		}
	}
	return true
}

// isGroup reports whether an expression is one of GROUP BY.
func (f *folder) isGroup(n node) bool {
	c, known := f.column(n)
	for _, g := range f.groups {
		if other, isColumn := f.column(g); known && isColumn && c.ID == other.ID {
			return true
		} else if !known && !isColumn && matches(map[string]any(g), map[string]any(n), nil) {
			return true
		}
	}
	return false
}

// aggregate notes an aggregate of a field.
func (f *folder) aggregate(n node) bool {
	if n["filter"] != nil || n["distinct"] == true || len(n.child("order_bys").list("orders")) > 0 {
		return false
	}
	name, args := strings.ToLower(n.str("function_name")), nodes(n.list("children"))
	if len(args) == 0 && (name == "count_star" || name == "count") {
		f.calls = append(f.calls, foldCall{n, "count", -1})
		return true
	}
	if len(args) != 1 {
		return false
	}
	c, known := f.column(args[0])
	if !known || c.ID == 0 {
		return false
	}
	field := f.field(c)
	wanted := &f.fields[field]
	switch isNumber := c.Type == schema.Int64 || c.Type == schema.Float64; {
	case !isNumber:
		return false
	case name == "count":
	case name == "sum", name == "avg", name == "mean":
		wanted.sum = true
	case name == "min":
		wanted.lowest = true
	case name == "max":
		wanted.highest = true
	default:
		return false
	}
	f.calls = append(f.calls, foldCall{n, name, field})
	return true
}

func (f *folder) field(c schema.Column) int {
	for i := range f.fields {
		if f.fields[i].column.ID == c.ID {
			return i
		}
	}
	f.fields = append(f.fields, foldField{column: c})
	return len(f.fields) - 1
}
