package query

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// scanPrefix begins the names that replace those of the tables in a tree. Nothing else in
// a tree may have such a name.
const scanPrefix = "siltstone_scan_"

func scanName(i int) string { return scanPrefix + strconv.Itoa(i) }

// rename makes every table in the tree a reference to its own scan. It keeps its old name
// as an alias, so that qualified columns still mean it.
func (s *statement) rename() {
	for i, t := range s.tables {
		if t.node.str("alias") == "" {
			t.node["alias"] = t.node.str("table_name")
		}
		t.node["catalog_name"], t.node["schema_name"] = "", ""
		t.node["table_name"] = scanName(i)
	}
}

// rewriter replaces parameters and the functions of the current time by constants, and what
// DuckDB does not know by what it knows (dialect.go). It notes which columns the query
// can possibly mean.
type rewriter struct {
	ctx      context.Context // of the query, for the parser
	gate     *gate
	database string
	params   map[string]any
	open     bool // parameters without a value stay
	now      time.Time
	used     columnNames
	copied   int  // nodes that stand in more than one place since
	lambdas  int  // around the current node
	compiled bool // the query was written by us, which needs no checks of sizes
	inFrom   node // the call of the table function that is visited, if one is
}

// columnNames are the names that occur in a query where a column may stand.
type columnNames struct {
	all   bool            // a star, a whole row or a position: every column may be meant
	names map[string]bool // in lower case
}

func (u *columnNames) has(name string) bool { return u.all || u.names[strings.ToLower(name)] }

// rewrite changes the statement's tree in place. A part of the tree may be copied by it, so
// that each table gets the name of its scan first: copies share it.
func (s *statement) rewrite(ctx context.Context, g *gate, params map[string]any, now time.Time) (columnNames, error) {
	return s.rewriteWith(rewriter{ctx: ctx, gate: g, params: params, now: now})
}

func (s *statement) rewriteWith(r rewriter) (columnNames, error) {
	s.rename()
	r.used.names = make(map[string]bool)
	if _, err := r.value(map[string]any(s.query)); err != nil {
		return columnNames{}, err
	}
	if err := refuseLeftovers(s.query); err != nil {
		return columnNames{}, err
	}
	for _, t := range s.tables {
		alias := t.node.str("alias")
		if r.used.names[wholeRow(strings.ToLower(alias))] || len(t.node.list("column_name_alias")) > 0 {
			r.used.all = true
		}
	}
	return r.used, checkDepth(s.query)
}

// children rewrites the values of an object.
func (r *rewriter) children(n node) error {
	for key, v := range n {
		if list, ok := v.([]any); ok && key == "select_list" {
			if err := r.selectList(list); err != nil {
				return err
			}
			continue
		}
		replacement, err := r.value(v)
		if err != nil {
			return err
		}
		n[key] = replacement
	}
	return nil
}

// selectList rewrites the items of a SELECT. One that changes keeps its old text as its name.
func (r *rewriter) selectList(items []any) error {
	for i, item := range items {
		old := asNode(item)
		mayChange := old.str("alias") == "" && named[old.str("class")] && !contains(old, "STAR")
		var before node
		if mayChange {
			before = clone(old)
		}
		replacement, err := r.value(item)
		if err != nil {
			return err
		}
		items[i] = replacement
		if mayChange && !reflect.DeepEqual(map[string]any(before), replacement) {
			if asNode(replacement)["alias"], err = r.gate.printExpression(r.ctx, before); err != nil {
				return err
			}
		}
	}
	return nil
}

// named are the classes of expressions whose text is the name of a column.
var named = setOf("FUNCTION WINDOW CAST OPERATOR CONJUNCTION COMPARISON BETWEEN CASE PARAMETER COLUMN_REF CONSTANT")

// value visits v and returns what takes its place, which is made of children that are
// rewritten already.
func (r *rewriter) value(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			replacement, err := r.value(e)
			if err != nil {
				return nil, err
			}
			v[i] = replacement
		}
	case map[string]any:
		r.note(v)
		moveToUTC(v)
		spellJoins(v)
		schemaOf(v)
		isSelect := node(v).str("type") == "SELECT_NODE"
		if isSelect && findBin(v) != nil {
			if err := r.nameItems(v); err != nil {
				return nil, err
			}
		}
		if err := r.within(v); err != nil {
			return nil, err
		}
		if isSelect {
			return v, r.gapfill(v)
		}
		replacement, err := r.constant(v)
		if err == nil && replacement == nil {
			replacement, err = r.dialect(v)
		}
		if err != nil || replacement == nil {
			return v, err
		}
		replacement["alias"] = node(v).str("alias")
		return map[string]any(replacement), nil
	}
	return v, nil
}

// within rewrites what is in an object, and keeps in mind where that stands.
func (r *rewriter) within(n node) error {
	if n.str("class") == "LAMBDA" {
		r.lambdas++
		defer func() { r.lambdas-- }()
	}
	if n.str("type") == "TABLE_FUNCTION" {
		outer := r.inFrom
		r.inFrom = n.child("function")
		defer func() { r.inFrom = outer }()
	}
	return r.children(n)
}

// wholeRow marks a name that stands alone: it is a column's, or a table's as a whole.
func wholeRow(name string) string { return name + "\x00" }

// note records the columns that an object may mean.
func (r *rewriter) note(n node) {
	switch n.str("class") {
	case "STAR", "POSITIONAL_REFERENCE":
		r.used.all = true
	case "COLUMN_REF":
		names := n.list("column_names")
		for _, e := range names {
			name, _ := e.(string)
			r.used.names[strings.ToLower(name)] = true
			if len(names) == 1 {
				r.used.names[wholeRow(strings.ToLower(name))] = true
			}
		}
	}
	if n.str("ref_type") == "NATURAL" {
		r.used.all = true
	}
	for _, e := range n.list("using_columns") {
		name, _ := e.(string)
		r.used.names[strings.ToLower(name)] = true
	}
}

// spellJoins makes an inner join of a CROSS JOIN within another join: the printer writes a
// comma for it, which binds less tightly.
func spellJoins(n node) {
	if n.str("type") != "JOIN" || n.str("ref_type") == "CROSS" {
		return
	}
	for _, side := range []node{n.child("left"), n.child("right")} {
		if side.str("type") == "JOIN" && side.str("ref_type") == "CROSS" {
			side["ref_type"], side["join_type"] = "REGULAR", "INNER"
			side["condition"] = map[string]any(castNode("true", "BOOLEAN"))
		}
	}
}

// moveToUTC changes the constant in a cast to a time stamp to UTC, if it names its zone.
func moveToUTC(n node) {
	typ := n.child("cast_type").str("id")
	if _, isInstant := castPrecision[typ]; !isInstant || typ == "DATE" {
		return
	}
	if s, ok := stringConstant(n.child("child")); ok {
		if utc, ok := inUTC(s); ok {
			n.child("child").child("value")["value"] = utc
		}
	}
}

// constant returns the constant that replaces an expression, or nil.
func (r *rewriter) constant(n node) (node, error) {
	switch n.str("class") {
	case "PARAMETER":
		id := n.str("identifier")
		v, ok := r.params[id]
		if !ok && r.open {
			return nil, nil
		}
		if !ok {
			return nil, refuse("No value found for placeholder with name $%s", id)
		}
		return parameterNode(id, v)
	case "FUNCTION":
		if len(n.list("children")) == 0 {
			return r.environment(strings.ToLower(n.str("function_name"))), nil
		}
	case "COLUMN_REF":
		if names := n.list("column_names"); len(names) == 1 {
			name, _ := names[0].(string)
			if name = strings.ToLower(name); environmentNames[name] {
				return r.environment(name), nil
			}
		}
	}
	return nil, nil
}

// environmentNames are the functions that are called without parentheses too.
var environmentNames = setOf(`current_timestamp localtimestamp current_date current_catalog current_schema`)

// environment returns what a function without arguments says of the query: the time at which it
// began, and where it runs. The time has no zone, unlike DuckDB's: a TIMESTAMP_NS does not
// compare with a TIMESTAMP WITH TIME ZONE.
func (r *rewriter) environment(function string) node {
	switch function {
	case "now", "current_timestamp", "get_current_timestamp", "transaction_timestamp",
		"localtimestamp", "current_localtimestamp":
		return instantNode(min(max(schema.Nanoseconds(r.now), minLiteral), maxLiteral))
	case "current_date", "today":
		return castNode(r.now.UTC().Format(time.DateOnly), "DATE")
	case "database":
		return constantNode("VARCHAR", r.database)
	case "current_schema":
		return constantNode("VARCHAR", "iox")
	case "current_catalog", "current_database":
		return constantNode("VARCHAR", "public")
	case "version":
		return constantNode("VARCHAR", "Siltstone")
	}
	return nil
}

// schemaOf replaces database() where it is compared with a schema of information_schema: Grafana
// asks so for the tables of its database, which are in the schema iox.
func schemaOf(n node) {
	left, right := n.child("left"), n.child("right")
	if n.str("class") != "COMPARISON" || !isColumnNamed(left, "table_schema") && !isColumnNamed(right, "table_schema") {
		return
	}
	for _, side := range []node{left, right} {
		if strings.EqualFold(side.str("function_name"), "database") {
			side["function_name"] = "current_schema"
		}
	}
}

// isColumnNamed reports whether an expression is a column with a name, qualified or not.
func isColumnNamed(n node, name string) bool {
	names := n.list("column_names")
	if n.str("class") != "COLUMN_REF" || len(names) == 0 {
		return false
	}
	last, _ := names[len(names)-1].(string)
	return strings.EqualFold(last, name)
}

func constantNode(typ string, value any) node {
	return node{
		"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "query_location": 0,
		"value": map[string]any{"type": map[string]any{"id": typ, "type_info": nil}, "is_null": value == nil, "value": value},
	}
}

// castNode is a cast of a string, the one way to write a constant of any type exactly.
func castNode(text, typ string) node {
	return node{
		"class": "CAST", "type": "OPERATOR_CAST", "alias": "", "query_location": 0, "try_cast": false,
		"child":     map[string]any(constantNode("VARCHAR", text)),
		"cast_type": map[string]any{"id": typ, "type_info": nil},
	}
}

func parameterNode(name string, v any) (node, error) {
	switch v := v.(type) {
	case nil:
		return constantNode("NULL", nil), nil
	case string:
		if strings.IndexByte(v, 0) >= 0 {
			return nil, refuse("parameter $%s contains a NUL byte", name)
		}
		return constantNode("VARCHAR", strings.ToValidUTF8(v, "\uFFFD")), nil
	case bool:
		return constantNode("BOOLEAN", v), nil
	case int:
		return castNode(strconv.Itoa(v), "BIGINT"), nil
	case int64:
		return castNode(strconv.FormatInt(v, 10), "BIGINT"), nil
	case uint64:
		return castNode(strconv.FormatUint(v, 10), "UBIGINT"), nil
	case float64:
		return castNode(strconv.FormatFloat(v, 'g', -1, 64), "DOUBLE"), nil
	case time.Time:
		return castNode(v.UTC().Format("2006-01-02 15:04:05.000000000"), "TIMESTAMP_NS"), nil
	case json.Number:
		if _, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return castNode(v.String(), "BIGINT"), nil
		}
		return castNode(v.String(), "DOUBLE"), nil
	}
	return nil, refuse("parameter $%s has a value of type %T; only null, strings, numbers and booleans are supported", name, v)
}

// text prints the statement with the given common table expressions in front. The printer
// puts a query's own ones first, behind one of two keywords, so ours go between.
func (s *statement) text(ctx context.Context, g *gate, scans []string) (string, error) {
	printed, err := g.print(ctx, s.root)
	if err != nil || len(scans) == 0 {
		return s.prefix + printed, err
	}
	with := "WITH "
	if len(s.query.child("cte_map").list("map")) > 0 {
		rest, ok := strings.CutPrefix(printed, "WITH RECURSIVE ")
		if ok {
			with = "WITH RECURSIVE "
		} else if rest, ok = strings.CutPrefix(printed, "WITH "); !ok {
			return "", fmt.Errorf("query: printed tree begins with %.20q instead of WITH", printed)
		}
		return s.prefix + with + strings.Join(scans, ", ") + ", " + rest, nil
	}
	return s.prefix + with + strings.Join(scans, ", ") + " " + printed, nil
}
