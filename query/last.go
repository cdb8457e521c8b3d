package query

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// Many queries ask for the newest row of each series, or for what follows from those rows. The
// engine keeps them (engine.TableView.Newest), and such a query gets them in the place of
// the table: its text stays as it is, and DuckDB answers it from a row for each series.
//
// That is right if the answer over these rows is the one over all of them. It is for a SELECT
// whose WHERE is about tags, which are the same in all rows of a series, and about the beginning of
// time, and that
//
//   - takes the first row of groups of series in an order in which nothing but tags comes before
//     time DESC: DISTINCT ON (tags), or LIMIT 1;
//   - groups by tags and aggregates with max(time) and arg_max(field, time), as selector_last
//     does, if the newest rows have all of them a value of the field;
//   - asks for distinct tags;
//   - joins the table with its own max(time), grouped by tags, on these tags and time.
//
// A WHERE that ends time before some newest row, or a field that is null in one, is seen
// only when the rows are there. Such a query, and everything that last_find.go does not know,
// reads the table.

// newestRule says when the newest row of each series is all of a table that an answer depends on.
type newestRule struct {
	// until is the latest time that such a row may have.
	until int64
	// from is the first time of which the WHERE is known to let it through.
	from int64
	// tagsOnly says that not even these rows matter, only which sets of tag values occur.
	tagsOnly bool
	// complete are fields that must not be null in one, anyOf others of which one must not be.
	complete, anyOf []schema.ColumnID
	// isDear says that answering without costs more than reading the tags and times of the table.
	isDear bool
}

// and makes a rule that holds when both hold.
func (n *newestRule) and(other *newestRule) {
	n.until = min(n.until, other.until)
	n.from = max(n.from, other.from)
	n.tagsOnly = n.tagsOnly && other.tagsOnly
	n.complete = append(n.complete, other.complete...)
	n.anyOf = append(n.anyOf, other.anyOf...)
	n.isDear = n.isDear || other.isDear
}

// allows reports whether the rule holds for the rows that the constraint lets through.
func (n *newestRule) allows(s *partition.Snapshot, c *constraint) bool {
	if s.Rows > 0 && s.Time.Max > n.until {
		return false
	}
	if len(n.complete)+len(n.anyOf) == 0 {
		return true
	}
	for _, b := range newBuffers([]*partition.Snapshot{s}, c, 0) {
		for _, i := range b.chunks {
			if !n.allowsChunk(&b, &b.Chunks[i]) {
				return false
			}
		}
	}
	return true
}

func (n *newestRule) allowsChunk(b *buffer, chunk *partition.Chunk) bool {
	for _, id := range n.complete {
		if !b.eachWanted(chunk, func(row int) bool { return hasValue(chunk, id, row) }) {
			return false
		}
	}
	return len(n.anyOf) == 0 || b.eachWanted(chunk, func(row int) bool {
		return slices.ContainsFunc(n.anyOf, func(id schema.ColumnID) bool { return hasValue(chunk, id, row) })
	})
}

// eachWanted reports whether each wanted row of a chunk is good.
func (b *buffer) eachWanted(chunk *partition.Chunk, isGood func(row int) bool) bool {
	for row, at := range chunk.Time[:chunk.Rows] {
		if b.wants(chunk.Series[row], at) && !isGood(row) {
			return false
		}
	}
	return true
}

func hasValue(chunk *partition.Chunk, id schema.ColumnID, row int) bool {
	i := slices.IndexFunc(chunk.Fields, func(f partition.Field) bool { return f.ID == id })
	return i >= 0 && chunk.Fields[i].IsValid(row)
}

// compiledRules are what the compiler of InfluxQL knows of a step, whose scans are all of its measurement.
func compiledRules(known *influxql.Newest, tables []*schema.Table) []*newestRule {
	rules := make([]*newestRule, len(tables))
	for i, t := range tables {
		if t == nil {
			continue
		}
		rule := &newestRule{until: math.MaxInt64, isDear: true}
		isKnown := true
		idsOf := func(names []string) (ids []schema.ColumnID) {
			for _, name := range names {
				c, ok := t.Column(name)
				isKnown = isKnown && ok
				ids = append(ids, c.ID)
			}
			return ids
		}
		rule.complete, rule.anyOf = idsOf(known.Complete), idsOf(known.AnyOf)
		if isKnown {
			rules[i] = rule
		}
	}
	return rules
}

// newest returns the newest rows of a table, or nil where the query has to read all.
func (r *running) newest(ctx context.Context, t *engine.TableView, rule *newestRule, c *constraint) (*partition.Snapshot, error) {
	if rule == nil || r.ignoreNewest || r.querier.opts.noNewest || c.time.IsEmpty() || len(staleWithin(t, c)) > 0 {
		return nil, nil
	}
	isNarrow := len(c.tags) > 0 || c.time.Min != t.Kept().Min
	if !t.WantNewest(rule.isDear && !isNarrow) {
		return nil, nil
	}
	s, err := t.Newest(ctx)
	switch {
	case err == nil && rule.allows(s, c):
		return s, nil
	case errors.Is(err, engine.ErrViewPassed):
		return nil, err
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, nil
}

// maxViews bounds the views that a query takes because the newest rows are later than the one before:
// with many that ask at once a query may come late every time.
const maxViews = 20

// newestFinder finds the scans of which newest rows are enough: those of which every occurrence in
// the tree allows it.
type newestFinder struct {
	tables []*schema.Table
	rules  []newestRule
	seen   []int // occurrences
	good   []int // of these, those that a rule was found for
}

// newestRules returns a rule for each scan, nil where there is none.
func (s *statement) newestRules(tables []*schema.Table) []*newestRule {
	f := newestFinder{
		tables: tables, rules: make([]newestRule, len(tables)), seen: make([]int, len(tables)), good: make([]int, len(tables)),
	}
	for i := range f.rules {
		f.rules[i] = newestRule{until: math.MaxInt64, from: math.MinInt64, tagsOnly: true}
	}
	f.visit(map[string]any(s.query))
	found := make([]*newestRule, len(tables))
	for i := range tables {
		if f.seen[i] > 0 && f.seen[i] == f.good[i] {
			found[i] = &f.rules[i]
		}
	}
	return found
}

func (f *newestFinder) visit(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			f.visit(e)
		}
	case node:
		f.visit(map[string]any(v))
	case map[string]any:
		n := node(v)
		if i, ok := scanOf(n); ok {
			f.seen[i]++
		}
		if n.str("type") == "SELECT_NODE" {
			f.selectNode(n)
		}
		for _, e := range v {
			f.visit(e)
		}
	}
}

// scanOf returns the scan that a table reference means.
func scanOf(n node) (int, bool) {
	number, ok := strings.CutPrefix(n.str("table_name"), scanPrefix)
	if !ok || n.str("type") != "BASE_TABLE" {
		return 0, false
	}
	i, err := strconv.Atoi(number)
	return i, err == nil
}

// allow says that an occurrence of a scan needs newest rows only, under a rule.
func (f *newestFinder) allow(scan int, rule *newestRule) {
	f.good[scan]++
	f.rules[scan].and(rule)
}

func (f *newestFinder) selectNode(n node) {
	if n["sample"] != nil || n["qualify"] != nil || n.str("aggregate_handling") != "STANDARD_HANDLING" {
		return
	}
	from := n.child("from_table")
	if from.str("type") == "JOIN" {
		f.join(from)
		return
	}
	t, ok := f.relation(from)
	if !ok {
		return
	}
	rule := &newestRule{until: math.MaxInt64, from: math.MinInt64}
	if !t.where(n.child("where_clause"), rule) {
		return
	}
	rule.tagsOnly = t.isDistinctTags(n)
	if rule.tagsOnly || t.isFirstOfGroups(n, rule) || t.isNewestAggregate(n, rule) {
		f.allow(t.scan, rule)
	}
}

// relation returns the user's table that a FROM clause consists of.
func (f *newestFinder) relation(ref node) (*newestRelation, bool) {
	i, ok := scanOf(ref)
	if !ok || f.tables[i] == nil || ref["sample"] != nil || ref["at_clause"] != nil || len(ref.list("column_name_alias")) > 0 {
		return nil, false
	}
	t := &newestRelation{scan: i, alias: schema.FoldCase(ref.str("alias")), columns: make(map[string]schema.Column)}
	for _, c := range f.tables[i].ShownColumns() {
		name := schema.FoldCase(c.Name)
		if _, isTwin := t.columns[name]; isTwin {
			return nil, false
		}
		t.columns[name] = c
	}
	return t, true
}

// join looks for a table that is joined with its own newest times. What else the SELECT does is of
// no account: it sees rows with these times only.
func (f *newestFinder) join(from node) {
	if from.str("ref_type") != "REGULAR" || from.str("join_type") != "INNER" {
		return
	}
	rows, times := from.child("left"), from.child("right")
	if times.str("type") == "BASE_TABLE" {
		rows, times = times, rows
	}
	t, ok := f.relation(rows)
	if !ok || times.str("type") != "SUBQUERY" || times.str("alias") == "" || times["sample"] != nil || len(times.list("column_name_alias")) > 0 {
		return
	}
	inner := times.child("subquery").child("node")
	in, ok := f.relation(inner.child("from_table"))
	if !ok || inner.str("type") != "SELECT_NODE" || f.tables[in.scan].ID != f.tables[t.scan].ID {
		return
	}
	rule := &newestRule{until: math.MaxInt64, isDear: true}
	groups, newest, ok := in.newestTimes(inner, rule)
	if !ok {
		return
	}
	equal := equalColumns(from, t.alias, schema.FoldCase(times.str("alias")))
	for outer, group := range groups {
		if group == "" || !slices.Contains(equal, [2]string{outer, group}) {
			return
		}
	}
	if slices.Contains(equal, [2]string{schema.TimeColumn, newest}) {
		f.allow(t.scan, rule) // the subquery's own is found when it is visited
	}
}

// newestTimes reads a SELECT of tags and max(time), grouped by these tags. It returns the names that it
// gives the tags, by their own, and the name of the time.
func (t *newestRelation) newestTimes(n node, rule *newestRule) (groups map[string]string, newest string, ok bool) {
	if len(n.list("modifiers")) > 0 || n["having"] != nil || n["sample"] != nil || n["qualify"] != nil ||
		len(n.list("group_sets")) != 1 || n.str("aggregate_handling") != "STANDARD_HANDLING" {
		return nil, "", false
	}
	groups = make(map[string]string)
	for _, e := range n.list("group_expressions") {
		c, ok := t.column(asNode(e))
		if !ok || c.Type != schema.Tag {
			return nil, "", false
		}
		groups[schema.FoldCase(c.Name)] = ""
	}
	for _, e := range n.list("select_list") {
		item := asNode(e)
		name := schema.FoldCase(item.str("alias"))
		if c, isColumn := t.column(item); isColumn {
			own := schema.FoldCase(c.Name)
			if _, isGroup := groups[own]; isGroup && name == "" {
				groups[own] = own
			} else if isGroup {
				groups[own] = name
			}
		} else if t.isMaxTime(item) && name != "" {
			newest = name
		}
	}
	// The tags that it asks for must be those of a group as a whole, or the newest row of one might
	// be another.
	inGroup := func(c schema.Column) bool { _, ok := groups[schema.FoldCase(c.Name)]; return ok }
	for _, c := range t.columns {
		if c.Type == schema.Tag && !inGroup(c) && mentionsColumn(n["where_clause"], c.Name) {
			return nil, "", false
		}
	}
	return groups, newest, newest != "" && t.where(n.child("where_clause"), rule)
}

// mentionsColumn reports whether a name occurs in an expression as that of a column.
func mentionsColumn(v any, name string) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return mentionsColumn(e, name) })
	case map[string]any:
		if isColumnNamed(v, name) {
			return true
		}
		for _, e := range v {
			if mentionsColumn(e, name) {
				return true
			}
		}
	}
	return false
}

// equalColumns lists which columns of two relations a join makes equal, by their names.
func equalColumns(from node, left, right string) (equal [][2]string) {
	for _, v := range from.list("using_columns") {
		name, _ := v.(string)
		equal = append(equal, [2]string{schema.FoldCase(name), schema.FoldCase(name)})
	}
	var condition func(n node)
	condition = func(n node) {
		switch n.str("type") {
		case "CONJUNCTION_AND":
			for _, e := range n.list("children") {
				condition(asNode(e))
			}
		case "COMPARE_EQUAL", "COMPARE_NOT_DISTINCT_FROM":
			a, b := qualified(n.child("left")), qualified(n.child("right"))
			if a[0] == right {
				a, b = b, a
			}
			if a[0] == left && b[0] == right {
				equal = append(equal, [2]string{a[1], b[1]})
			}
		}
	}
	condition(from.child("condition"))
	return equal
}

// qualified splits a column's name; both parts are empty for anything else.
func qualified(n node) [2]string {
	names := n.list("column_names")
	if n.str("class") != "COLUMN_REF" || len(names) != 2 {
		return [2]string{}
	}
	table, _ := names[0].(string)
	column, _ := names[1].(string)
	return [2]string{schema.FoldCase(table), schema.FoldCase(column)}
}

// isOne reports whether an expression is the number 1.
func isOne(n node) bool {
	number, ok := n.child("value")["value"].(json.Number)
	return n.str("class") == "CONSTANT" && ok && number.String() == "1"
}
