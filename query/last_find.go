package query

import (
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// newestRelation is a table in a FROM clause.
type newestRelation struct {
	scan    int
	alias   string                   // folded, like the names
	columns map[string]schema.Column // by name; time has the id 0
}

// column returns the column that a reference means.
func (t *newestRelation) column(n node) (schema.Column, bool) {
	names := n.list("column_names")
	if n.str("class") != "COLUMN_REF" || len(names) == 0 || len(names) > 2 {
		return schema.Column{}, false
	}
	if table, _ := names[0].(string); len(names) == 2 && schema.FoldCase(table) != t.alias {
		return schema.Column{}, false
	}
	name, _ := names[len(names)-1].(string)
	c, ok := t.columns[schema.FoldCase(name)]
	return c, ok
}

func (t *newestRelation) isTime(n node) bool {
	c, ok := t.column(n)
	return ok && c.ID == 0
}

// isOfTags reports whether a value follows from the tags.
func (t *newestRelation) isOfTags(n node) bool {
	return computable(n, func(leaf node) bool {
		c, ok := t.column(leaf)
		return ok && c.Type == schema.Tag
	})
}

// where reports whether a condition is about tags, or about the ends of time, of which it notes the
// later one.
func (t *newestRelation) where(n node, rule *newestRule) bool {
	switch {
	case len(n) == 0:
		return true
	case n.str("type") == "CONJUNCTION_AND":
		for _, e := range n.list("children") {
			if !t.where(asNode(e), rule) {
				return false
			}
		}
		return true
	case n.str("class") == "COMPARISON" && t.isTime(n.child("left")):
		return bound(n.str("type"), n.child("right"), rule)
	case n.str("class") == "COMPARISON" && t.isTime(n.child("right")):
		return bound(mirrored[n.str("type")], n.child("left"), rule)
	case n.str("type") == "COMPARE_BETWEEN" && t.isTime(n.child("input")):
		return bound("COMPARE_GREATERTHANOREQUALTO", n.child("lower"), rule) && bound("COMPARE_LESSTHANOREQUALTO", n.child("upper"), rule)
	}
	return t.isOfTags(n)
}

// bound notes an end of time. Its beginning needs no note: a series whose newest row is before it has no
// other row behind it.
func bound(comparison string, value node, rule *newestRule) bool {
	at, ok := evalTime(value)
	switch comparison {
	case "COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO":
		rule.from = max(rule.from, saturatingAdd(at.Max, 1))
		return ok
	case "COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO":
		rule.until = min(rule.until, saturatingAdd(at.Min, -1))
		return ok
	}
	return false
}

// isFirstOfGroups recognises SELECT DISTINCT ON (tags) … ORDER BY …, time DESC and ORDER BY …, time DESC
// LIMIT 1.
func (t *newestRelation) isFirstOfGroups(n node, rule *newestRule) bool {
	if len(n.list("group_expressions"))+len(n.list("group_sets")) > 0 || n["having"] != nil || !t.hasPlainItems(n) {
		return false
	}
	var orders []any
	ofGroups, ofAll := false, false
	for _, e := range n.list("modifiers") {
		switch m := asNode(e); m.str("type") {
		case "ORDER_MODIFIER":
			orders = m.list("orders")
		case "DISTINCT_MODIFIER":
			targets := m.list("distinct_on_targets")
			isTag := func(e any) bool { c, ok := t.column(asNode(e)); return ok && c.Type == schema.Tag }
			if len(targets) == 0 || slices.ContainsFunc(targets, func(e any) bool { return !isTag(e) }) {
				return false
			}
			ofGroups = true
		case "LIMIT_MODIFIER":
			ofAll = isOne(m.child("limit")) && m["offset"] == nil
		default:
			return false
		}
	}
	rule.isDear = ofGroups
	return (ofGroups || ofAll) && t.isNewestFirst(orders)
}

// isNewestFirst reports whether an order is one of tags and then of time, from the newest. What follows
// decides between newest rows of several series.
func (t *newestRelation) isNewestFirst(orders []any) bool {
	for _, e := range orders {
		o := asNode(e)
		if t.isTime(o.child("expression")) {
			return o.str("type") == "DESCENDING"
		}
		if c, ok := t.column(o.child("expression")); !ok || c.Type != schema.Tag {
			return false
		}
	}
	return false
}

// hasPlainItems reports whether a SELECT answers what follows from single rows, under names that hide no
// other column from ORDER BY.
func (t *newestRelation) hasPlainItems(n node) bool {
	for _, e := range n.list("select_list") {
		item := asNode(e)
		if isComputed, _ := item["columns"].(bool); item.str("class") == "STAR" {
			if isComputed || item["expr"] != nil || len(item.list("replace_list"))+len(item.list("rename_list")) > 0 {
				return false
			}
			continue
		}
		if !computable(item, func(leaf node) bool { return leaf.str("class") == "COLUMN_REF" }) {
			return false
		}
		if hidden, ok := t.columns[schema.FoldCase(item.str("alias"))]; ok {
			if c, isColumn := t.column(item); !isColumn || c.ID != hidden.ID {
				return false
			}
		}
	}
	return true
}

// isDistinctTags recognises SELECT DISTINCT of tags.
func (t *newestRelation) isDistinctTags(n node) bool {
	if len(n.list("group_expressions"))+len(n.list("group_sets")) > 0 || n["having"] != nil {
		return false
	}
	isDistinct := false
	for _, e := range n.list("modifiers") {
		m := asNode(e)
		if m.str("type") == "DISTINCT_MODIFIER" {
			isDistinct = len(m.list("distinct_on_targets")) == 0
		}
	}
	return isDistinct && !slices.ContainsFunc(n.list("select_list"), func(e any) bool { return !t.isOfTags(asNode(e)) })
}

// isNewestAggregate recognises aggregates that depend on newest rows only, grouped by tags or not at
// all. A name that is no group's is one of an item, wherever it is allowed.
func (t *newestRelation) isNewestAggregate(n node, rule *newestRule) bool {
	items := n.list("select_list")
	sets := n.list("group_sets")
	if len(sets) > 1 {
		return false
	}
	for _, e := range n.list("group_expressions") {
		group := asNode(e)
		if _, isColumn := t.column(group); !isColumn {
			if item := itemOf(group, items); item != nil {
				group = item
			}
		}
		if group.str("class") == "CONSTANT" || !t.isOfTags(group) {
			return false
		}
	}
	found := &newestRule{until: rule.until}
	isLeaf := func(n node) bool { return n.str("class") == "COLUMN_REF" || t.isAggregate(n, found) }
	fits := func(n node) bool { return len(n) == 0 || computable(n, isLeaf) }
	for _, e := range items {
		if !fits(asNode(e)) {
			return false
		}
	}
	for _, e := range n.list("modifiers") {
		m := asNode(e)
		if m.str("type") != "ORDER_MODIFIER" && m.str("type") != "LIMIT_MODIFIER" {
			return false
		}
		for _, o := range m.list("orders") {
			by := asNode(o).child("expression")
			if isAll := by.str("class") == "STAR"; !isAll && !fits(by) {
				return false
			}
		}
	}
	if !fits(n.child("having")) || len(sets) == 0 && !found.isDear && !slices.ContainsFunc(items, func(e any) bool { return t.hasAggregate(asNode(e)) }) {
		return false
	}
	*rule = *found
	return true
}

// itemOf returns the item that GROUP BY means by a position or an alias, nil for none.
func itemOf(n node, items []any) node {
	if number, ok := n.child("value")["value"].(interface{ Int64() (int64, error) }); ok && n.str("class") == "CONSTANT" {
		if i, err := number.Int64(); err == nil && i >= 1 && int(i) <= len(items) {
			return asNode(items[i-1])
		}
	}
	names := n.list("column_names")
	if n.str("class") != "COLUMN_REF" || len(names) != 1 {
		return nil
	}
	name, _ := names[0].(string)
	for _, e := range items {
		if item := asNode(e); item.str("alias") != "" && schema.FoldCase(item.str("alias")) == schema.FoldCase(name) {
			return item
		}
	}
	return nil
}

// isAggregate recognises an aggregate of newest rows, and notes which field must not be null in them.
func (t *newestRelation) isAggregate(n node, rule *newestRule) bool {
	args := nodes(n.list("children"))
	if len(n.child("order_bys").list("orders")) > 0 {
		return false
	}
	if n.str("function_name") == "count" && n["distinct"] == true && n["filter"] == nil && len(args) == 1 {
		return t.isOfTags(args[0])
	}
	if t.isMaxTime(n) {
		return true
	}
	if n.str("function_name") != "arg_max" || n["distinct"] == true || len(args) != 2 || !t.isTime(args[1]) {
		return false
	}
	c, ok := t.column(args[0])
	if filter := n.child("filter"); !ok || filter != nil && !t.isNotNull(filter, c) {
		return false
	}
	if c.ID != 0 && c.Type != schema.Tag {
		rule.complete = append(rule.complete, c.ID)
	}
	if value, isValue := t.isSelectorTime(n); isValue && value.ID != 0 && value.Type != schema.Tag {
		rule.complete = append(rule.complete, value.ID)
	}
	rule.isDear = true
	return true
}

// isMaxTime recognises max(time).
func (t *newestRelation) isMaxTime(n node) bool {
	args := nodes(n.list("children"))
	return n.str("class") == "FUNCTION" && n.str("function_name") == "max" && n["filter"] == nil && len(args) == 1 && t.isTime(args[0])
}

// isNotNull recognises that a column is not null.
func (t *newestRelation) isNotNull(n node, column schema.Column) bool {
	args := nodes(n.list("children"))
	if n.str("type") != "OPERATOR_IS_NOT_NULL" || len(args) != 1 {
		return false
	}
	c, ok := t.column(args[0])
	return ok && (c.ID == column.ID || column.ID == 0)
}

// isSelectorTime returns the column whose last value a time is that of, as selector_last asks for it.
func (t *newestRelation) isSelectorTime(n node) (schema.Column, bool) {
	filter := n.child("filter")
	if filter == nil {
		return schema.Column{}, false
	}
	return t.column(nodes(filter.list("children"))[0])
}

// hasAggregate reports whether an expression holds one of the aggregates.
func (t *newestRelation) hasAggregate(n node) bool {
	if n.str("class") == "FUNCTION" && t.isAggregate(n, &newestRule{}) {
		return true
	}
	return slices.ContainsFunc(parts(n), t.hasAggregate)
}

// pureFunctions depend on their arguments alone. They need not be all that there are.
var pureFunctions = setOf(`+ - * / // % || ~~ !~~ ~~* !~~* ~ !~ regexp_matches regexp_full_match regexp_extract
	lower upper trim ltrim rtrim length strlen prefix suffix contains starts_with ends_with concat substring substr
	left right replace split_part date_trunc date_part time_bucket epoch epoch_ms epoch_us epoch_ns
	make_timestamp_ns round abs floor ceil greatest least isnan struct_pack`)

// pureOperators are those of class OPERATOR that do.
var pureOperators = setOf(`OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL OPERATOR_COALESCE OPERATOR_NULLIF
	COMPARE_IN COMPARE_NOT_IN STRUCT_EXTRACT ARRAY_EXTRACT`)

// computable reports whether an expression follows from constants and the columns and calls of functions
// that isLeaf accepts.
func computable(n node, isLeaf func(node) bool) bool {
	switch n.str("class") {
	case "COLUMN_REF":
		return isLeaf(n)
	case "CONSTANT":
		return true
	case "OPERATOR":
		if !pureOperators[n.str("type")] {
			return false
		}
	case "FUNCTION":
		if isLeaf(n) {
			return true
		}
		if !pureFunctions[n.str("function_name")] || n["filter"] != nil || n["distinct"] == true {
			return false
		}
	case "COMPARISON", "CONJUNCTION", "BETWEEN", "CAST":
	default:
		return false
	}
	return !slices.ContainsFunc(parts(n), func(part node) bool { return !computable(part, isLeaf) })
}

// parts are the operands of an expression.
func parts(n node) []node {
	all := nodes(n.list("children"))
	for _, key := range []string{"left", "right", "input", "lower", "upper", "child"} {
		if part := n.child(key); part != nil {
			all = append(all, part)
		}
	}
	return all
}
