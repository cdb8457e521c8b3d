package query

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// constraint is what a WHERE clause demands of every row of a table that can contribute to
// the answer (Q3). It speaks of tags and time only, the identity of a point: leaving
// out a source by its fields would let an older value shine through.
type constraint struct {
	time schema.TimeRange
	tags map[schema.ColumnID][]string // the value must be one of these
}

// within narrows the constraint to a range of time.
func (c *constraint) within(r schema.TimeRange) *constraint {
	narrowed := *c
	narrowed.time = c.time.Intersect(r)
	return &narrowed
}

// allowsFile reports whether some row of a file can meet the constraint.
func (c *constraint) allowsFile(f *schema.File) bool {
	if !c.allowsTime(f.Time) {
		return false
	}
	for id, wanted := range c.tags {
		i, ok := slices.BinarySearchFunc(f.Columns, id, func(s schema.ColumnStats, id schema.ColumnID) int {
			return int(s.Column) - int(id)
		})
		if !ok {
			return false // all null
		}
		if !slices.ContainsFunc(wanted, func(v string) bool { return f.Columns[i].MayContain(v) }) {
			return false
		}
	}
	return true
}

// allowsTime reports whether some row in a range can meet the constraint.
func (c *constraint) allowsTime(r schema.TimeRange) bool {
	return !c.time.IsEmpty() && r.Overlaps(c.time)
}

// constraints extracts, for each scan of the statement, what its WHERE clauses demand. The
// tables are those of the scans, nil for one that is generated.
func (s *statement) constraints(tables []*schema.Table) []constraint {
	p := pruner{found: make([]constraint, len(tables)), tables: tables}
	for i := range p.found {
		p.found[i].time = schema.MaxTimeRange
	}
	p.visit(s.query)
	return p.found
}

type pruner struct {
	found  []constraint
	tables []*schema.Table
}

// visit finds every SELECT in the tree.
func (p *pruner) visit(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			p.visit(e)
		}
	case node:
		p.visit(map[string]any(v))
	case map[string]any:
		if n := node(v); n.str("type") == "SELECT_NODE" && n["sample"] == nil {
			p.selectNode(n)
		}
		for _, e := range v {
			p.visit(e)
		}
	}
}

// selectNode applies the WHERE clause to the tables in FROM. An unqualified name is only
// trusted where there is one table. A condition on the nullable side of an outer
// join holds as well: it is false for the nulls that stand for a row that was left out.
func (p *pruner) selectNode(n node) {
	scans := make(map[string]int) // by alias, in lower case
	from := n.child("from_table")
	if !p.collect(from, scans) {
		return
	}
	single := -1
	if from.str("type") == "BASE_TABLE" {
		for _, i := range scans {
			single = i
		}
	}
	p.condition(n.child("where_clause"), scans, single)
}

// collect notes the scans of a FROM clause, or returns false where the rows of one
// table decide which rows of another are looked at.
func (p *pruner) collect(ref node, scans map[string]int) bool {
	if ref["sample"] != nil {
		return false
	}
	switch ref.str("type") {
	case "JOIN":
		kind, join := ref.str("ref_type"), ref.str("join_type")
		if kind != "REGULAR" && kind != "CROSS" || join != "INNER" && join != "LEFT" {
			return false
		}
		return p.collect(ref.child("left"), scans) && p.collect(ref.child("right"), scans)
	case "BASE_TABLE":
		number, ok := strings.CutPrefix(ref.str("table_name"), scanPrefix)
		i, err := strconv.Atoi(number)
		if !ok || err != nil {
			return false // a common table expression
		}
		if p.tables[i] == nil || len(ref.list("column_name_alias")) > 0 {
			return true
		}
		alias := strings.ToLower(ref.str("alias"))
		if _, twice := scans[alias]; twice {
			return false
		}
		scans[alias] = i
	}
	return true
}

// condition applies the conjuncts of a condition.
func (p *pruner) condition(n node, scans map[string]int, single int) {
	switch n.str("type") {
	case "CONJUNCTION_AND":
		for _, e := range n.list("children") {
			p.condition(asNode(e), scans, single)
		}
	case "COMPARE_EQUAL", "COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO", "COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO":
		if n.str("class") != "COMPARISON" {
			return
		}
		p.compare(n.str("type"), n.child("left"), []any{n["right"]}, scans, single)
		p.compare(mirrored[n.str("type")], n.child("right"), []any{n["left"]}, scans, single)
	case "COMPARE_BETWEEN":
		p.compare("COMPARE_GREATERTHANOREQUALTO", n.child("input"), []any{n["lower"]}, scans, single)
		p.compare("COMPARE_LESSTHANOREQUALTO", n.child("input"), []any{n["upper"]}, scans, single)
	case "COMPARE_IN":
		if all := n.list("children"); len(all) > 1 {
			p.compare("COMPARE_EQUAL", asNode(all[0]), all[1:], scans, single)
		}
	}
}

// mirrored gives the comparison that holds when the operands are exchanged.
var mirrored = map[string]string{
	"COMPARE_EQUAL": "COMPARE_EQUAL", "COMPARE_LESSTHAN": "COMPARE_GREATERTHAN", "COMPARE_GREATERTHAN": "COMPARE_LESSTHAN",
	"COMPARE_LESSTHANOREQUALTO": "COMPARE_GREATERTHANOREQUALTO", "COMPARE_GREATERTHANOREQUALTO": "COMPARE_LESSTHANOREQUALTO",
}

// compare narrows the constraint of the scan whose column is on the left; the value is any
// of those on the right.
func (p *pruner) compare(op string, column node, values []any, scans map[string]int, single int) {
	if column.str("class") != "COLUMN_REF" {
		return
	}
	names := column.list("column_names")
	i := single
	switch {
	case len(names) == 2:
		alias, _ := names[0].(string)
		var ok bool
		if i, ok = scans[strings.ToLower(alias)]; !ok {
			return
		}
	case len(names) != 1 || single < 0:
		return
	}
	name, _ := names[len(names)-1].(string)
	if strings.EqualFold(name, schema.TimeColumn) {
		p.found[i].narrowTime(op, values)
	} else if op == "COMPARE_EQUAL" {
		p.found[i].narrowTag(p.tables[i], name, values)
	}
}

// narrowTime intersects the range with the hull of the values' ranges.
func (c *constraint) narrowTime(op string, values []any) {
	hull := schema.EmptyTimeRange
	for _, v := range values {
		r, ok := evalTime(asNode(v))
		if !ok {
			return
		}
		hull = hull.Union(r)
	}
	switch op {
	case "COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO":
		hull.Min = schema.MaxTimeRange.Min
	case "COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO":
		hull.Max = schema.MaxTimeRange.Max
	}
	c.time = c.time.Intersect(hull)
}

// narrowTag intersects the wanted values of the tag that SQL knows by a name. One that
// differs from another column in case only is left alone: what it is called depends on
// the others.
func (c *constraint) narrowTag(t *schema.Table, name string, values []any) {
	columns := t.ShownColumns()
	i := slices.IndexFunc(schema.ShownNames(columns), func(shown string) bool { return schema.FoldCase(shown) == schema.FoldCase(name) })
	if i < 0 || columns[i].ID == 0 || columns[i].Type != schema.Tag {
		return
	}
	tag := columns[i]
	twin := func(other schema.Column) bool {
		return other.ID != tag.ID && schema.FoldCase(other.Name) == schema.FoldCase(tag.Name)
	}
	if slices.ContainsFunc(columns, twin) {
		return
	}
	wanted := make([]string, 0, len(values))
	for _, v := range values {
		s, ok := stringConstant(asNode(v))
		if !ok {
			return
		}
		wanted = append(wanted, s)
	}
	c.narrowValues(tag.ID, wanted)
}

// narrowValues intersects the wanted values of a tag.
func (c *constraint) narrowValues(tag schema.ColumnID, values []string) {
	if old, ok := c.tags[tag]; ok {
		values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !slices.Contains(old, v) })
	}
	if c.tags == nil {
		c.tags = make(map[schema.ColumnID][]string)
	}
	c.tags[tag] = values
}

func stringConstant(n node) (string, bool) {
	if n.str("class") != "CONSTANT" {
		return "", false
	}
	value := n.child("value")
	s, ok := value["value"].(string)
	return s, ok && value.child("type").str("id") == "VARCHAR"
}

// evalTime evaluates a constant to the range in which its value lies: DuckDB may round to its
// type's precision. What is computed from constants is one already (dialect_time.go).
func evalTime(n node) (schema.TimeRange, bool) {
	switch n.str("class") {
	case "CONSTANT":
		s, ok := stringConstant(n)
		if !ok {
			return schema.TimeRange{}, false
		}
		return parseInstant(s, 0)
	case "CAST":
		typ := n.child("cast_type").str("id")
		precision, known := castPrecision[typ]
		s, ok := stringConstant(n.child("child"))
		if !ok || !known || typ == "DATE" && len(s) != len(time.DateOnly) {
			return schema.TimeRange{}, false
		}
		return parseInstant(s, precision)
	}
	return schema.TimeRange{}, false
}

var castPrecision = map[string]time.Duration{
	"TIMESTAMP_NS": 0, "TIMESTAMP": time.Microsecond, "TIMESTAMP_MS": time.Millisecond,
	"TIMESTAMP_S": time.Second, "DATE": 0,
}

func saturatingAdd(a, b int64) int64 {
	sum := a + b
	if b > 0 && sum < a {
		return schema.MaxTimeRange.Max
	}
	if b < 0 && sum > a {
		return schema.MaxTimeRange.Min
	}
	return sum
}

// instantLayouts are the spellings that DuckDB reads as a TIMESTAMP_NS in the same way as we do,
// those with a zone first.
var instantLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00",
	"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly,
}

// inUTC rewrites a time stamp that names its zone to UTC. DuckDB would ignore the zone in a cast
// to any type but TIMESTAMP_NS.
func inUTC(s string) (string, bool) {
	for _, layout := range instantLayouts[:2] {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Format("2006-01-02 15:04:05.999999999"), true
		}
	}
	return "", false
}

// parseInstant reads a time stamp; Go accepts a fraction of seconds in each layout. The
// range is never narrower than a microsecond, the precision of most of DuckDB's casts.
func parseInstant(s string, precision time.Duration) (schema.TimeRange, bool) {
	for _, layout := range instantLayouts {
		t, err := time.ParseInLocation(layout, s, time.UTC)
		if err != nil {
			continue
		}
		if t.Year() < 1678 || t.Year() > 2261 {
			return schema.TimeRange{}, false // not every instant of the years around is an int64
		}
		at, slack := t.UnixNano(), int64(max(precision, time.Microsecond))
		return schema.TimeRange{Min: at - slack, Max: at + slack}, true
	}
	return schema.TimeRange{}, false
}
