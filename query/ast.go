package query

import (
	_ "embed"
	"strings"
)

// node is an object of the syntax tree that json_serialize_sql returns. The tree is
// DuckDB's own and its shape is theirs, so it stays generic; what matters is that every
// object in it is visited, and that one of an unknown kind is refused.
type node map[string]any

func (n node) str(key string) string { s, _ := n[key].(string); return s }

func (n node) child(key string) node { return asNode(n[key]) }

func (n node) list(key string) []any { l, _ := n[key].([]any); return l }

func asNode(v any) node { m, _ := v.(map[string]any); return m }

func setOf(words string) map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

var (
	//go:embed functions.txt
	functionsText string

	allowedFunctions = readFunctions(functionsText)

	allowedTableFunctions = setOf("range generate_series unnest")

	// allowedExpressions are the values of "type" in objects that have a "class".
	allowedExpressions = setOf(`
		COLUMN_REF VALUE_CONSTANT VALUE_PARAMETER POSITIONAL_REFERENCE STAR
		CONJUNCTION_AND CONJUNCTION_OR
		COMPARE_EQUAL COMPARE_NOTEQUAL COMPARE_LESSTHAN COMPARE_GREATERTHAN COMPARE_LESSTHANOREQUALTO
		COMPARE_GREATERTHANOREQUALTO COMPARE_DISTINCT_FROM COMPARE_NOT_DISTINCT_FROM
		COMPARE_BETWEEN COMPARE_NOT_BETWEEN COMPARE_IN COMPARE_NOT_IN
		OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL OPERATOR_COALESCE OPERATOR_NULLIF OPERATOR_TRY
		OPERATOR_CAST OPERATOR_UNPACK ARRAY_EXTRACT ARRAY_SLICE STRUCT_EXTRACT ARRAY_CONSTRUCTOR ARROW
		CASE_EXPR FUNCTION GROUPING_FUNCTION LAMBDA COLLATE SUBQUERY
		WINDOW_AGGREGATE WINDOW_RANK WINDOW_RANK_DENSE WINDOW_NTILE WINDOW_PERCENT_RANK WINDOW_CUME_DIST
		WINDOW_ROW_NUMBER WINDOW_FIRST_VALUE WINDOW_LAST_VALUE WINDOW_LEAD WINDOW_LAG WINDOW_NTH_VALUE
		WINDOW_FILL`)

	allowedClasses = setOf(`
		COLUMN_REF CONSTANT PARAMETER POSITIONAL_REFERENCE STAR CONJUNCTION COMPARISON BETWEEN OPERATOR CAST
		CASE FUNCTION LAMBDA COLLATE SUBQUERY WINDOW`)

	// allowedStructures are the values of "type" in the other objects: query nodes,
	// table references, modifiers, directions of ORDER BY, and what describes a type.
	allowedStructures = setOf(`
		SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE
		BASE_TABLE SUBQUERY JOIN TABLE_FUNCTION EXPRESSION_LIST EMPTY
		ORDER_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER DISTINCT_MODIFIER
		ORDER_DEFAULT ASCENDING DESCENDING
		DECIMAL_TYPE_INFO LIST_TYPE_INFO STRUCT_TYPE_INFO ARRAY_TYPE_INFO UNBOUND_TYPE_INFO`)

	// allowedTypes are the ids of types; DuckDB resolves all others through its catalog.
	allowedTypes = map[string]bool{
		"NULL": true, "BOOLEAN": true, "TINYINT": true, "SMALLINT": true, "INTEGER": true, "BIGINT": true,
		"UTINYINT": true, "USMALLINT": true, "UINTEGER": true, "UBIGINT": true, "HUGEINT": true, "UHUGEINT": true,
		"FLOAT": true, "DOUBLE": true, "DECIMAL": true, "VARCHAR": true, "BLOB": true, "BIT": true, "UUID": true,
		"DATE": true, "TIME": true, "INTERVAL": true, "TIMESTAMP": true, "TIMESTAMP_S": true, "TIMESTAMP_MS": true,
		"TIMESTAMP_NS": true, "TIMESTAMP WITH TIME ZONE": true, "LIST": true, "STRUCT": true, "MAP": true, "ARRAY": true,
	}
)

// readFunctions reads one name a line; lines that begin with "# " are comments.
func readFunctions(text string) map[string]bool {
	set := make(map[string]bool)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "# ") {
			set[line] = true
		}
	}
	return set
}

// The limits on a tree. DuckDB's binder needs time that grows with the third power of the
// nesting of an expression (27 ms at 100 levels, 10 s at 900), and cannot be
// interrupted meanwhile: maxNesting bounds one expression and maxWork, the sum of the
// squared depths of all, bounds their number.
const (
	maxNesting = 150
	maxWork    = 8 << 20
	// maxConditions bounds one chain of AND or OR, for which DuckDB needs time that grows with the
	// square: 10,000 take seconds, of which few can be interrupted.
	maxConditions = 2_500
)

// scope is the chain of common table expressions that a name may mean.
type scope struct {
	name  string // lower case
	outer *scope
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.outer {
		if s.name == name {
			return true
		}
	}
	return false
}

// checker walks a tree, refuses what is not allowed, and collects the tables.
type checker struct {
	tables []tableRef
	caches []cacheRef
	work   int
}

// tableRef is one place in the tree that names a table.
type tableRef struct {
	node   node
	name   string       // as written
	system *systemTable // nil for a user's table
}

// value visits any JSON value. depth counts the expressions and queries around it.
func (c *checker) value(v any, s *scope, depth int) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := c.value(e, s, depth); err != nil {
				return err
			}
		}
	case map[string]any:
		return c.object(v, s, depth)
	}
	return nil
}

func (c *checker) object(n node, s *scope, depth int) error {
	if _, isExpression := n["class"]; isExpression {
		depth++
		if n["class"] == "CONJUNCTION" && len(n.list("children")) > maxConditions {
			return refuse("more than %d conditions are joined by AND or OR; use IN for a list of values", maxConditions)
		}
		if err := c.expression(n); err != nil {
			return err
		}
	} else if kind, ok := n["type"].(string); ok {
		depth++
		if !allowedStructures[kind] {
			return refuse("%s is not supported", strings.ToLower(kind))
		}
		if err := c.structure(n, kind, s); err != nil {
			return err
		}
	} else if id, ok := n["id"]; ok {
		if err := checkType(n, id); err != nil {
			return err
		}
	}
	c.work += depth * depth
	if depth > maxNesting || c.work > maxWork {
		return refuse("the query is nested too deeply or too large")
	}
	return c.children(n, s, depth)
}

// children visits the values of an object, its common table expressions first: each of
// them is in scope for those that follow it and for the object itself.
func (c *checker) children(n node, s *scope, depth int) error {
	if ctes, ok := n["cte_map"]; ok {
		var err error
		if s, err = c.withClause(asNode(ctes), s, depth); err != nil {
			return err
		}
	}
	if n.str("type") == "RECURSIVE_CTE_NODE" {
		s = &scope{strings.ToLower(n.str("cte_name")), s}
	}
	for key, v := range n {
		if key == "cte_map" {
			continue
		}
		if err := c.value(v, s, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) withClause(ctes node, s *scope, depth int) (*scope, error) {
	for _, entry := range ctes.list("map") {
		name := asNode(entry).str("key")
		if strings.ContainsAny(name, "./\\*") || strings.HasPrefix(strings.ToLower(name), scanPrefix) {
			return nil, refuse("%q cannot name a common table expression", name)
		}
		if err := c.value(asNode(entry)["value"], s, depth); err != nil {
			return nil, err
		}
		s = &scope{strings.ToLower(name), s}
	}
	return s, nil
}

func (c *checker) expression(n node) error {
	class, kind := n.str("class"), n.str("type")
	if !allowedClasses[class] || !allowedExpressions[kind] {
		return refuse("expression %s %s is not supported", strings.ToLower(class), strings.ToLower(kind))
	}
	if class != "FUNCTION" && class != "WINDOW" {
		return nil
	}
	return checkFunction(n, allowedFunctions)
}

func checkFunction(n node, allowed map[string]bool) error {
	name := n.str("function_name")
	schema, catalog := n.str("schema"), n.str("catalog")
	if !allowed[strings.ToLower(name)] || schema != "" && schema != "main" || catalog != "" {
		return refuse("function %q is not supported%s", name, hint(strings.ToLower(name), allowed))
	}
	return nil
}

func (c *checker) structure(n node, kind string, s *scope) error {
	switch kind {
	case "TABLE_FUNCTION":
		f := n.child("function")
		if kind, ok := cacheKindOf(f); ok {
			return c.cache(n, f, kind)
		}
		return checkFunction(f, allowedTableFunctions)
	case "BASE_TABLE":
		return c.table(n, s)
	}
	return nil
}

// table notes a table, unless the name means a common table expression.
func (c *checker) table(n node, s *scope) error {
	catalog, schema, name := n.str("catalog_name"), n.str("schema_name"), n.str("table_name")
	if n["at_clause"] != nil {
		return refuse("time travel is not supported")
	}
	switch {
	case catalog == "" && schema == "":
		if s.has(strings.ToLower(name)) {
			return nil
		}
		fallthrough
	case (catalog == "" || catalog == "public") && schema == "iox":
		c.tables = append(c.tables, tableRef{node: n, name: name})
		return nil
	case (catalog == "" || catalog == "public") && isSystemSchema(schema):
		system, err := findSystemTable(schema, name)
		c.tables = append(c.tables, tableRef{node: n, name: name, system: system})
		return err
	}
	return refuse("schema %q not found", strings.TrimPrefix(catalog+"."+schema, "."))
}

func checkType(n node, id any) error {
	name, _ := id.(string)
	if allowedTypes[name] {
		return nil
	}
	info := n.child("type_info")
	if name == "UNBOUND" && strings.EqualFold(info.str("name"), "json") && info.str("schema") == "" && info.str("catalog") == "" {
		return nil
	}
	return refuse("type %s is not supported", strings.ToLower(name+" "+info.str("name")))
}
