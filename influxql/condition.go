package influxql

import (
	"strings"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/internal/sqltext"
)

// condition writes a WHERE clause. It is null or false where InfluxQL leaves a row out, and
// as InfluxQL has no NOT, SQL's logic of three values agrees with it.
func condition(e influxql.Expr, in resolver) (string, error) {
	switch e := e.(type) {
	case *influxql.ParenExpr:
		return condition(e.Expr, in)
	case *influxql.BooleanLiteral:
		if e.Val {
			return "true", nil
		}
		return "false", nil
	case *influxql.BinaryExpr:
		if e.Op == influxql.AND || e.Op == influxql.OR {
			return logical(e, in)
		}
		return comparison(e, in)
	}
	v, err := expression(e, in)
	if err != nil || v.typ != influxql.Boolean {
		return "false", err
	}
	return v.sql, nil
}

// logical joins the operands of a chain of one operator flatly, so that a long one does not nest
// deeply. Equalities of one tag that OR joins become IN, from which files are pruned.
func logical(e *influxql.BinaryExpr, in resolver) (string, error) {
	operands := chain(e, e.Op, nil)
	word := " AND "
	var wanted []string // values of tag
	tag := ""
	if e.Op == influxql.OR {
		word = " OR "
		tag, wanted = equalities(operands, in)
	}
	if tag != "" {
		return "(" + tag + " IN (" + strings.Join(wanted, ", ") + "))", nil
	}
	parts := make([]string, len(operands))
	for i, o := range operands {
		var err error
		if parts[i], err = condition(o, in); err != nil {
			return "", err
		}
	}
	return "(" + strings.Join(parts, word) + ")", nil
}

func chain(e influxql.Expr, op influxql.Token, into []influxql.Expr) []influxql.Expr {
	for {
		p, ok := e.(*influxql.ParenExpr)
		if !ok {
			break
		}
		e = p.Expr
	}
	if b, ok := e.(*influxql.BinaryExpr); ok && b.Op == op {
		return chain(b.RHS, op, chain(b.LHS, op, into))
	}
	return append(into, e)
}

// tagResolver is a resolver that knows the tags of a measurement.
type tagResolver interface {
	// tag returns the column of a tag, null where a point lacks it, or "NULL" for a name that no
	// column has; known is false for a field.
	tag(name string) (column string, known bool)
}

// equalities recognizes conditions that all compare one tag with a value.
func equalities(operands []influxql.Expr, in resolver) (column string, values []string) {
	for _, o := range operands {
		b, ok := o.(*influxql.BinaryExpr)
		if !ok || b.Op != influxql.EQ {
			return "", nil
		}
		c, other, ok := tagOperand(b, in)
		text, isText := other.(*influxql.StringLiteral)
		if !ok || !isText || text.Val == "" || c == "NULL" || column != "" && c != column {
			return "", nil
		}
		column = c
		values = append(values, sqltext.Literal(text.Val))
	}
	return column, values
}

// tagOperand finds the tag that a comparison is about, and what it is compared with.
func tagOperand(e *influxql.BinaryExpr, in resolver) (column string, other influxql.Expr, ok bool) {
	tags, knowsTags := in.(tagResolver)
	if !knowsTags {
		return "", nil, false
	}
	left, right := bare(e.LHS), bare(e.RHS)
	if ref, isRef := left.(*influxql.VarRef); isRef {
		if column, ok = tags.tag(ref.Val); ok {
			return column, right, true
		}
	}
	if ref, isRef := right.(*influxql.VarRef); isRef {
		if column, ok = tags.tag(ref.Val); ok {
			return column, left, true
		}
	}
	return "", nil, false
}

func bare(e influxql.Expr) influxql.Expr {
	for {
		p, ok := e.(*influxql.ParenExpr)
		if !ok {
			return e
		}
		e = p.Expr
	}
}

// operators are those of comparisons in SQL.
var operators = map[influxql.Token]string{
	influxql.EQ: "=", influxql.NEQ: "<>", influxql.LT: "<", influxql.LTE: "<=", influxql.GT: ">", influxql.GTE: ">=",
}

func comparison(e *influxql.BinaryExpr, in resolver) (string, error) {
	if column, other, ok := tagOperand(e, in); ok {
		if sql, ok := compareTag(e.Op, column, other); ok {
			return sql, nil
		}
	}
	left, err := expression(e.LHS, in)
	if err != nil {
		return "", err
	}
	if re, ok := bare(e.RHS).(*influxql.RegexLiteral); ok {
		if !isText(left.typ) {
			return "false", nil
		}
		return matches(e.Op, left.sql, re), nil
	}
	op, isComparison := operators[e.Op]
	if !isComparison {
		v, err := binary(e, in)
		if err != nil || v.typ != influxql.Boolean {
			return "false", err
		}
		return v.sql, nil
	}
	right, err := expression(e.RHS, in)
	if err != nil {
		return "", err
	}
	equality := e.Op == influxql.EQ || e.Op == influxql.NEQ
	switch {
	case isNumber(left.typ) && isNumber(right.typ):
	case isText(left.typ) && isText(right.typ) && equality:
	case left.typ == influxql.Boolean && right.typ == influxql.Boolean && equality:
	default:
		return "false", nil
	}
	return "(" + left.sql + " " + op + " " + right.sql + ")", nil
}

// compareTag compares a tag with a constant. A point that lacks the tag has it empty.
func compareTag(op influxql.Token, column string, other influxql.Expr) (string, bool) {
	switch other := other.(type) {
	case *influxql.RegexLiteral:
		if op != influxql.EQREGEX && op != influxql.NEQREGEX {
			return "false", true
		}
		return matches(op, "coalesce("+column+", '')", other), true
	case *influxql.StringLiteral:
		return textComparison(op, column, other.Val), true
	case *influxql.VarRef:
		return "", false
	case influxql.Literal:
		return "false", true
	}
	return "", false
}

func textComparison(op influxql.Token, column, text string) string {
	switch {
	case column == "NULL" && op == influxql.EQ:
		return truth(text == "")
	case column == "NULL" && op == influxql.NEQ:
		return truth(text != "")
	case op == influxql.EQ && text == "":
		return "(" + column + " IS NULL)"
	case op == influxql.NEQ && text == "":
		return "(" + column + " IS NOT NULL)"
	case op == influxql.EQ:
		return "(" + column + " = " + sqltext.Literal(text) + ")"
	case op == influxql.NEQ:
		return "(" + column + " IS DISTINCT FROM " + sqltext.Literal(text) + ")"
	}
	return "false"
}

func truth(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// matches writes a regular expression: both sides have RE2.
func matches(op influxql.Token, column string, re *influxql.RegexLiteral) string {
	sql := "regexp_matches(" + column + ", " + sqltext.Literal(re.Val.String()) + ")"
	if op == influxql.NEQREGEX {
		return "(NOT " + sql + ")"
	}
	return sql
}
