package query

import (
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/schema"
)

// DuckDB does not say where a column of an answer comes from, and InfluxDB 3's clients want
// to know which one is a tag. Lineage is read from the checked tree: a column of the
// answer is a table's column if a reference to it, or a star, hands it through subqueries,
// common table expressions, joins and set operations. Anything else has none, and where
// the number or the type of the columns turns out to be another, none has.

// shown is a column of a relation.
type shown struct {
	name    string
	kind    string // the value of columnTypeMetadata; empty for what is computed
	notNull bool   // true of time, unless a join or grouping may add rows without
}

// relation is what stands in a FROM clause under a name.
type relation struct {
	alias   string // lower case
	columns []shown
	known   bool // the columns are all that there are
}

// withScope is the chain of common table expressions that a name may mean.
type withScope struct {
	name    string // lower case
	columns []shown
	known   bool
	outer   *withScope
}

// tracer finds the lineage of a statement whose tables are named for their scans.
type tracer struct {
	tables      []tableRef
	definitions []*schema.Table
}

// lineage returns the columns of the statement's answer, nil if they cannot be told.
func (s *statement) lineage(definitions []*schema.Table) []shown {
	if s.prefix != "" {
		return nil
	}
	t := tracer{tables: s.tables, definitions: definitions}
	columns, known := t.query(s.query, nil)
	if !known {
		return nil
	}
	return columns
}

// describeColumns adds lineage to the schema of an answer.
func describeColumns(layout *arrow.Schema, columns []shown) *arrow.Schema {
	fields := layout.Fields()
	if len(columns) != len(fields) {
		return layout
	}
	for i, c := range columns {
		if c.kind == "" {
			continue
		}
		if !strings.EqualFold(c.name, fields[i].Name) || !hasKind(fields[i].Type, c.kind) {
			return layout
		}
		fields[i].Metadata = arrow.NewMetadata([]string{columnTypeMetadata}, []string{c.kind})
		fields[i].Nullable = !c.notNull
	}
	return arrow.NewSchema(fields, nil)
}

// hasKind reports whether a column of a kind is answered in a type.
func hasKind(t arrow.DataType, kind string) bool {
	if kind == timestampType {
		return arrow.TypeEqual(t, instant)
	}
	for _, c := range []schema.ColumnType{schema.Tag, schema.String, schema.Float64, schema.Int64, schema.Uint64, schema.Bool} {
		if c.String() == kind {
			return arrow.TypeEqual(t, arrowType(c))
		}
	}
	return false
}

func (t *tracer) query(n node, ctes *withScope) (columns []shown, known bool) {
	for _, e := range n.child("cte_map").list("map") {
		cte := asNode(e).child("value")
		columns, known := t.query(cte.child("query").child("node"), ctes)
		columns, known = renamed(columns, cte.list("aliases"), known)
		ctes = &withScope{strings.ToLower(asNode(e).str("key")), columns, known, ctes}
	}
	switch n.str("type") {
	case "SELECT_NODE":
		return t.selectNode(n, ctes)
	case "SET_OPERATION_NODE":
		if n.str("setop_type") == "UNION_BY_NAME" {
			return nil, false
		}
		left, knowLeft := t.query(n.child("left"), ctes)
		right, knowRight := t.query(n.child("right"), ctes)
		return common(left, right), knowLeft && knowRight && len(left) == len(right)
	}
	return nil, false
}

// common keeps the lineage in which the branches of a set operation agree.
func common(left, right []shown) []shown {
	columns := append([]shown(nil), left...)
	for i := range columns {
		if i >= len(right) || right[i].kind != columns[i].kind {
			columns[i].kind = ""
			continue
		}
		columns[i].notNull = columns[i].notNull && right[i].notNull
	}
	return columns
}

func (t *tracer) selectNode(n node, ctes *withScope) (columns []shown, known bool) {
	relations, whole := t.from(n.child("from_table"), ctes)
	for _, e := range n.list("select_list") {
		item := asNode(e)
		switch {
		case item.str("class") == "COLUMN_REF":
			columns = append(columns, reference(item, relations))
		case item.str("class") == "STAR":
			expanded, ok := star(item, relations)
			if !ok || !whole {
				return nil, false
			}
			columns = append(columns, expanded...)
		case hasStar(item):
			return nil, false
		default:
			columns = append(columns, shown{name: item.str("alias")})
		}
	}
	if len(n.list("group_sets")) > 1 {
		columns = withNullable(columns)
	}
	return columns, true
}

// from returns the relations of a FROM clause; whole says that a star means all their
// columns, one after another.
func (t *tracer) from(n node, ctes *withScope) (relations []relation, whole bool) {
	switch n.str("type") {
	case "EMPTY":
		return nil, true
	case "BASE_TABLE":
		columns, known := t.table(n.str("table_name"), ctes)
		return []relation{newRelation(n, n.str("table_name"), columns, known)}, true
	case "SUBQUERY":
		columns, known := t.query(n.child("subquery").child("node"), ctes)
		return []relation{newRelation(n, "", columns, known)}, true
	case "JOIN":
		return t.join(n, ctes)
	}
	return []relation{newRelation(n, "", nil, false)}, true
}

func newRelation(n node, name string, columns []shown, known bool) relation {
	if alias := n.str("alias"); alias != "" {
		name = alias
	}
	columns, known = renamed(columns, n.list("column_name_alias"), known)
	return relation{strings.ToLower(name), columns, known}
}

// renamed gives the first columns other names.
func renamed(columns []shown, names []any, known bool) ([]shown, bool) {
	columns = append([]shown(nil), columns...)
	for i, v := range names {
		if i >= len(columns) {
			return nil, false
		}
		columns[i].name, _ = v.(string)
	}
	return columns, known
}

func (t *tracer) join(n node, ctes *withScope) (relations []relation, whole bool) {
	left, wholeLeft := t.from(n.child("left"), ctes)
	right, wholeRight := t.from(n.child("right"), ctes)
	kind := n.str("join_type")
	if kind == "SEMI" || kind == "ANTI" {
		return left, wholeLeft
	}
	relations = append(left, right...)
	if kind != "INNER" || n.str("ref_type") == "POSITIONAL" {
		for i := range relations {
			relations[i].columns = withNullable(relations[i].columns)
		}
	}
	merged := len(n.list("using_columns")) > 0 || n.str("ref_type") == "NATURAL"
	return relations, wholeLeft && wholeRight && !merged
}

// withNullable returns columns in which nulls may be.
func withNullable(columns []shown) []shown {
	columns = append([]shown(nil), columns...)
	for i := range columns {
		columns[i].notNull = false
	}
	return columns
}

// table returns the columns of a scan or a common table expression.
func (t *tracer) table(name string, ctes *withScope) (columns []shown, known bool) {
	number, isScan := strings.CutPrefix(name, scanPrefix)
	if i, err := strconv.Atoi(number); isScan && err == nil && i < len(t.tables) {
		if system := t.tables[i].system; system != nil {
			for _, c := range system.columns {
				columns = append(columns, shown{name: c.Name})
			}
			return columns, true
		}
		return tableColumns(t.definitions[i])
	}
	for ; ctes != nil; ctes = ctes.outer {
		if ctes.name == strings.ToLower(name) {
			return ctes.columns, ctes.known
		}
	}
	return nil, false
}

// tableColumns are the columns of a table in the order and under the names of its scan.
func tableColumns(table *schema.Table) (columns []shown, known bool) {
	if table == nil {
		return nil, false
	}
	all := table.ShownColumns()
	for i, name := range schema.ShownNames(all) {
		c := shown{name: name, kind: all[i].Type.String()}
		if all[i].ID == 0 {
			c.kind, c.notNull = timestampType, true
		}
		columns = append(columns, c)
	}
	return columns, true
}

// reference returns the column that a name, qualified or not, means.
func reference(item node, relations []relation) shown {
	var names []string
	for _, v := range item.list("column_names") {
		name, _ := v.(string)
		names = append(names, name)
	}
	if len(names) == 0 {
		return shown{name: item.str("alias")}
	}
	wanted, qualifier := names[len(names)-1], ""
	if len(names) > 1 {
		qualifier = strings.ToLower(names[len(names)-2])
	}
	found := shown{}
	for _, r := range relations {
		for _, c := range r.columns {
			if (qualifier != "" && r.alias != qualifier) || !strings.EqualFold(c.name, wanted) {
				continue
			}
			if found.name != "" { // of USING, or what DuckDB refuses
				c = common([]shown{found}, []shown{c})[0]
			}
			found = c
		}
	}
	found.name = wanted
	if alias := item.str("alias"); alias != "" {
		found.name = alias
	}
	return found
}

// star expands a star, unless its columns cannot be told.
func star(item node, relations []relation) (columns []shown, ok bool) {
	computed, _ := item["columns"].(bool)
	if computed || item["expr"] != nil || len(item.list("qualified_exclude_list")) > 0 {
		return nil, false
	}
	only := strings.ToLower(item.str("relation_name"))
	for _, r := range relations {
		if only != "" && r.alias != only {
			continue
		}
		if !r.known {
			return nil, false
		}
		columns = append(columns, r.columns...)
	}
	return adjusted(item, columns), true
}

// adjusted applies what EXCLUDE, REPLACE and RENAME say to the columns of a star.
func adjusted(item node, all []shown) []shown {
	excluded, replaced, names := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, v := range item.list("exclude_list") {
		name, _ := v.(string)
		excluded[schema.FoldCase(name)] = true
	}
	for _, v := range item.list("replace_list") {
		replaced[schema.FoldCase(asNode(v).str("key"))] = true
	}
	for _, v := range item.list("rename_list") {
		names[schema.FoldCase(asNode(v).child("key").str("column"))] = asNode(v).str("value")
	}
	var columns []shown
	for _, c := range all {
		key := schema.FoldCase(c.name)
		if excluded[key] {
			continue
		}
		if replaced[key] {
			c = shown{name: c.name}
		}
		if name, ok := names[key]; ok {
			c.name = name
		}
		columns = append(columns, c)
	}
	return columns
}

// hasStar reports whether an expression holds a star, which may make many of it.
func hasStar(v any) bool {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if hasStar(e) {
				return true
			}
		}
	case map[string]any:
		if v["class"] == "STAR" {
			return true
		}
		for _, e := range v {
			if hasStar(e) {
				return true
			}
		}
	case node:
		return hasStar(map[string]any(v))
	}
	return false
}
