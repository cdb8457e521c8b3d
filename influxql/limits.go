package influxql

import (
	"fmt"
	"strings"

	"github.com/influxdata/influxql"
)

// The grammar's library calls itself for each parenthesis, and writes a statement down in a time
// that grows with the square of its depth. Neither can be interrupted, and a stack of more
// than 1 GB ends the process. These limits are far above what is written for a purpose.
const (
	// maxTextBytes bounds a text with the values of its parameters in their places. It is
	// what SQL may have, too.
	maxTextBytes = 256 << 10
	// maxParens bounds the opening parentheses of a text. They are counted before it is
	// parsed, in strings too: only the parser knows what is one.
	maxParens = 16 << 10
	// maxNesting bounds parentheses, calls and subqueries in each other.
	maxNesting = 100
	// maxOperators bounds the operators of one expression, a + b + c, each of which is a
	// level of the tree.
	maxOperators = 4096
	// maxFields bounds the fields of a SELECT and its subqueries, with those that wildcards
	// stand for. SQL for more is longer than what may be run.
	maxFields = 10_000
	// maxCalls likewise bounds the functions: each that transforms makes a copy of all the
	// SQL that it takes.
	maxCalls = 1500
)

// checkText refuses what would take too long to parse, or too much memory.
func checkText(text string, params map[string]any) error {
	longest := 0
	for name, v := range params {
		longest = max(longest, len(name), valueBytes(v))
	}
	switch {
	case len(text) > maxTextBytes:
		return refuse("the query is longer than %d bytes", maxTextBytes)
	case strings.Count(text, "$")*longest > maxTextBytes:
		return refuse("the query is longer than %d bytes with the values of its parameters", maxTextBytes)
	case strings.Count(text, "(") > maxParens:
		return refuse("the query has more than %d parentheses", maxParens)
	}
	return nil
}

// valueBytes is about how long a parameter's value is in a text.
func valueBytes(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case map[string]any: // what the value is, by its name
		n := 0
		for _, inner := range v {
			n += valueBytes(inner)
		}
		return n
	}
	return len(fmt.Sprint(v))
}

// checkDepth refuses a statement that is nested too deeply.
func checkDepth(ast influxql.Statement) error {
	deepest := &depth{}
	influxql.Walk(depthVisitor{deepest: deepest}, ast)
	for _, condition := range conditionsOf(ast) {
		influxql.Walk(depthVisitor{deepest: deepest}, condition)
	}
	if deepest.nesting > maxNesting || deepest.operators > maxOperators {
		return refuse("the query is nested too deeply: it may have %d levels of parentheses, and %d operators in a row", maxNesting, maxOperators)
	}
	return nil
}

// checkWidth refuses a statement, whose wildcards are expanded, that has too many fields.
func checkWidth(stmt *influxql.SelectStatement) error {
	fields, calls := widthOf(stmt)
	if fields > maxFields || calls > maxCalls {
		return refuse("the query has %d fields and %d functions, with those that wildcards stand for; it may have %d and %d", fields, calls, maxFields, maxCalls)
	}
	return nil
}

func widthOf(stmt *influxql.SelectStatement) (fields, calls int) {
	var different callSet
	for _, f := range stmt.Fields {
		different.addOutermost(f.Expr)
	}
	fields, calls = len(stmt.Fields), len(different.list)
	for _, source := range stmt.Sources {
		if sub, ok := source.(*influxql.SubQuery); ok {
			f, c := widthOf(sub.Statement)
			fields, calls = fields+f, calls+c
		}
	}
	return fields, calls
}

// conditionsOf returns the WHERE clauses that the library does not visit.
func conditionsOf(ast influxql.Statement) []influxql.Node {
	var condition influxql.Expr
	switch s := ast.(type) {
	case *influxql.ShowMeasurementsStatement:
		condition = s.Condition
	case *influxql.DeleteStatement:
		condition = s.Condition
	}
	if condition == nil {
		return nil
	}
	return []influxql.Node{condition}
}

// depth counts what is around a part of a statement.
type depth struct{ nesting, operators int }

// depthVisitor walks a statement down to the limits.
type depthVisitor struct {
	depth
	deepest *depth
}

// Visit implements influxql.Visitor.
func (v depthVisitor) Visit(n influxql.Node) influxql.Visitor {
	switch n.(type) {
	case *influxql.BinaryExpr:
		v.operators++
	case *influxql.ParenExpr, *influxql.Call, *influxql.SubQuery:
		v.nesting++
		v.operators = 0
	}
	v.deepest.nesting = max(v.deepest.nesting, v.nesting)
	v.deepest.operators = max(v.deepest.operators, v.operators)
	if v.nesting > maxNesting || v.operators > maxOperators {
		return nil
	}
	return v
}
