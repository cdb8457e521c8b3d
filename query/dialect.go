package query

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// What users of InfluxDB 3 and Grafana write and DuckDB does not know is replaced in the syntax
// tree, from the leaves to the root, by what DuckDB knows. The tree was checked before
// (gate.go), so that what stands in its place may use any function: a user's text
// cannot reach it but through the list of what is allowed.
//
// A replacement is written as a template, an expression in SQL in which $1, $2 … stand for
// parts of the tree. It is parsed once, by DuckDB like everything else.
//
//	dialect.go            what is replaced, and templates
//	dialect_time.go       date_bin, date_trunc, instants ± intervals
//	dialect_instant.go    constants: instants and intervals are computed here
//	dialect_cast.go       casts and comparisons of instants
//	dialect_functions.go  other functions
//	dialect_aggregate.go  aggregates and selectors
//	dialect_gapfill.go    date_bin_gapfill, locf and interpolate
//	dialect_text.go       what the tree does not tell

// dialect returns what replaces an expression whose children are rewritten, or nil.
func (r *rewriter) dialect(n node) (node, error) {
	switch n.str("class") {
	case "FUNCTION":
		name := strings.ToLower(n.str("function_name"))
		replacement, err := r.boundCall(name, n)
		if replacement != nil || err != nil {
			return replacement, err
		}
		replacement, err = r.function(name, nodes(n.list("children")))
		if replacement != nil || err != nil {
			return replacement, err
		}
		return r.aggregate(name, n)
	case "WINDOW":
		return r.aggregate(strings.ToLower(n.str("function_name")), n)
	case "CAST":
		return r.cast(n)
	case "COMPARISON", "BETWEEN":
		return nil, r.compareNode(n)
	case "OPERATOR":
		if kind := n.str("type"); kind == "ARRAY_EXTRACT" || kind == "STRUCT_EXTRACT" {
			return r.extract(n)
		}
		return nil, r.compareNode(n)
	}
	return nil, nil
}

// function returns what replaces a call, or nil.
func (r *rewriter) function(name string, args []node) (node, error) {
	if template, ok := templates[name+"/"+strconv.Itoa(len(args))]; ok {
		return r.expand(template, args...)
	}
	if unit, ok := instantUnits[name]; ok && len(args) == 1 {
		return r.toInstant(unit, args[0])
	}
	switch name {
	case "date_bin":
		return r.dateBin(args)
	case "date_trunc", "datetrunc":
		return r.dateTrunc(args)
	case "time_bucket":
		return r.timeBucket(args)
	case "date_part", "datepart":
		return r.datePart(args)
	case "timezone":
		return r.clockOf(args)
	case "+", "-":
		return r.shift(name, args)
	}
	switch {
	case name == "to_local_time" && len(args) == 1:
		return r.toLocalTime(args[0])
	case name == "arrow_cast" && len(args) == 2:
		return r.arrowCast(args)
	case name == "regexp_match" && len(args) == 2:
		return r.regexpMatch(args)
	case (name == "encode" || name == "decode") && len(args) == 2:
		return r.encode(name, args)
	}
	return nil, nil
}

func nodes(list []any) []node {
	all := make([]node, len(list))
	for i, e := range list {
		all[i] = asNode(e)
	}
	return all
}

// maxCopied bounds the nodes that a rewritten tree has more than the one it was made of: a
// template that names a part twice doubles it, and one around it doubles that.
const maxCopied = 1 << 15

// expand returns a template's expression, in which args take the places of $1, $2 ….
func (r *rewriter) expand(template string, args ...node) (node, error) {
	parsed, err := r.gate.template(r.ctx, template)
	if err != nil {
		return nil, err
	}
	return r.fill(parsed, args)
}

// fill returns a copy of a part of a tree in which args take the places of $1, $2 ….
func (r *rewriter) fill(parsed node, args []node) (node, error) {
	taken := make([]bool, len(args))
	filled := asNode(r.fillValue(map[string]any(parsed), args, taken))
	if r.copied > maxCopied {
		return nil, refuse("functions of time are nested too deeply")
	}
	return filled, nil
}

func (r *rewriter) fillValue(v any, args []node, taken []bool) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			all[i] = r.fillValue(e, args, taken)
		}
		return all
	case map[string]any:
		if node(v).str("class") == "PARAMETER" {
			return map[string]any(r.take(v, args, taken))
		}
		filled := make(map[string]any, len(v))
		for key, e := range v {
			filled[key] = r.fillValue(e, args, taken)
		}
		return filled
	}
	return v
}

// take returns the argument that a parameter stands for: itself at first, then copies.
func (r *rewriter) take(parameter node, args []node, taken []bool) node {
	number, err := strconv.Atoi(parameter.str("identifier"))
	if err != nil || number < 1 || number > len(args) {
		return parameter
	}
	arg := args[number-1]
	if taken[number-1] {
		r.copied += size(arg)
		arg = clone(arg)
	}
	taken[number-1] = true
	if alias := parameter.str("alias"); alias != "" { // the name of an argument
		arg["alias"] = alias
	}
	return arg
}

// template parses the text of an expression, once.
func (g *gate) template(ctx context.Context, text string) (node, error) {
	if known, ok := g.templates.Load(text); ok {
		return known.(node), nil
	}
	_, query, err := g.tree(ctx, "SELECT "+text)
	if err != nil {
		return nil, fmt.Errorf("query: template %s: %w", text, err)
	}
	parsed := asNode(query.list("select_list")[0])
	g.templates.Store(text, parsed)
	return parsed, nil
}

// printExpression returns the text of an expression, which it takes over.
func (g *gate) printExpression(ctx context.Context, expression node) (string, error) {
	walk(expression, func(n node) {
		if n["query_location"] != nil {
			n["query_location"] = 0
		}
	})
	tree, err := json.Marshal(expression)
	if err != nil {
		return "", fmt.Errorf("query: encode an expression: %w", err)
	}
	if text, ok := g.names.find(string(tree)); ok {
		return text, nil
	}
	text, err := g.printNewExpression(ctx, expression)
	if err == nil {
		g.names.keep(string(tree), text)
	}
	return text, err
}

func (g *gate) printNewExpression(ctx context.Context, expression node) (string, error) {
	const empty = "SELECT 1"
	known, ok := g.templates.Load(empty)
	if !ok {
		root, _, err := g.tree(ctx, empty)
		if err != nil {
			return "", err
		}
		known, _ = g.templates.LoadOrStore(empty, root)
	}
	root := clone(known.(node))
	asNode(root.list("statements")[0]).child("node")["select_list"] = []any{map[string]any(expression)}
	text, err := g.print(ctx, root)
	return strings.TrimPrefix(text, "SELECT "), err
}

// clone copies a part of a tree.
func clone(n node) node {
	copied, _ := cloneValue(map[string]any(n)).(map[string]any)
	return copied
}

func cloneValue(v any) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			all[i] = cloneValue(e)
		}
		return all
	case map[string]any:
		copied := make(map[string]any, len(v))
		for key, e := range v {
			copied[key] = cloneValue(e)
		}
		return copied
	}
	return v
}

// walk visits every object in v, from the root.
func walk(v any, visit func(n node)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			walk(e, visit)
		}
	case node:
		walk(map[string]any(v), visit)
	case map[string]any:
		visit(v)
		for _, e := range v {
			walk(e, visit)
		}
	}
}

// size counts the objects of a part of a tree.
func size(n node) (count int) {
	walk(n, func(node) { count++ })
	return count
}

// contains reports whether an expression of a class occurs in n.
func contains(n node, class string) (found bool) {
	walk(n, func(n node) { found = found || n.str("class") == class })
	return found
}

// checkDepth refuses a tree that replacements made too deep for the binder.
func checkDepth(n node) error {
	if depth(map[string]any(n)) > 4*maxNesting {
		return refuse("the query is nested too deeply or too large")
	}
	return nil
}

// depth counts the expressions around the innermost one.
func depth(v any) (deepest int) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
		if _, isExpression := v["class"]; isExpression {
			deepest++
		}
	}
	return deepest
}

// bigint is a BIGINT constant.
func bigint(n int64) node { return castNode(bigintText(n), "BIGINT") }

func bigintText(n int64) string { return strconv.FormatInt(n, 10) }

// integerConstant returns the value of a constant of an integer type, as it is written or as
// a parameter gives it.
func integerConstant(n node) (int64, bool) {
	if n.str("class") == "CAST" && integerTypes[n.child("cast_type").str("id")] {
		s, ok := stringConstant(n.child("child"))
		if !ok {
			return integerConstant(n.child("child"))
		}
		v, err := json.Number(s).Int64()
		return v, err == nil
	}
	if n.str("function_name") == "-" && len(n.list("children")) == 1 {
		v, ok := integerConstant(asNode(n.list("children")[0]))
		return -v, ok
	}
	number, ok := n.child("value")["value"].(json.Number)
	if !ok || n.str("class") != "CONSTANT" || !integerTypes[n.child("value").child("type").str("id")] {
		return 0, false
	}
	v, err := number.Int64()
	return v, err == nil
}

var integerTypes = setOf("TINYINT SMALLINT INTEGER BIGINT UTINYINT USMALLINT UINTEGER UBIGINT")
