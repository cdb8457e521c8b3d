package influxql

import (
	"fmt"
	"strconv"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/internal/sqltext"
)

// value is an expression in SQL.
type value struct {
	sql string
	typ influxql.DataType // Unknown for what is always null
}

var null = value{sql: "NULL"}

// as is how a column of one type is seen as another: numbers become each other and all
// else is null.
func (v value) as(t influxql.DataType) string {
	switch {
	case v.typ == t || isText(v.typ) && isText(t):
		return v.sql
	case !isNumber(v.typ) || !isNumber(t):
		return "NULL::" + sqlTypeOf(t)
	case t == influxql.Float:
		return "(" + v.sql + ")::DOUBLE"
	case v.typ == influxql.Float:
		return "TRY_CAST(trunc(" + v.sql + ") AS " + sqlTypeOf(t) + ")"
	}
	return "TRY_CAST(" + v.sql + " AS " + sqlTypeOf(t) + ")"
}

// resolver gives the columns that names and calls in an expression mean.
type resolver interface {
	ref(*influxql.VarRef) value
	call(*influxql.Call) value
	// dividesWhole says that the quotient of integers is one too, as in WHERE.
	dividesWhole() bool
}

// expression writes an expression. It is null where InfluxQL has no value.
func expression(e influxql.Expr, in resolver) (value, error) {
	switch e := e.(type) {
	case *influxql.ParenExpr:
		return expression(e.Expr, in)
	case *influxql.VarRef:
		return in.ref(e), nil
	case *influxql.Call:
		if isMath(e) {
			return mathCall(e, in)
		}
		return in.call(e), nil
	case *influxql.BinaryExpr:
		return binary(e, in)
	case *influxql.NumberLiteral:
		return value{floatText(e.Val), influxql.Float}, nil
	case *influxql.IntegerLiteral:
		return value{intText(e.Val), influxql.Integer}, nil
	case *influxql.UnsignedLiteral:
		return value{strconv.FormatUint(e.Val, 10) + "::UBIGINT", influxql.Unsigned}, nil
	case *influxql.BooleanLiteral:
		return value{strconv.FormatBool(e.Val), influxql.Boolean}, nil
	case *influxql.StringLiteral:
		return value{sqltext.Literal(e.Val), influxql.String}, nil
	case *influxql.NilLiteral:
		return null, nil
	}
	return null, refuse("the expression %s is not supported", e)
}

func binary(e *influxql.BinaryExpr, in resolver) (value, error) {
	switch e.Op {
	case influxql.AND, influxql.OR, influxql.EQ, influxql.NEQ, influxql.LT, influxql.LTE, influxql.GT, influxql.GTE,
		influxql.EQREGEX, influxql.NEQREGEX:
		sql, err := condition(e, in)
		return value{sql, influxql.Boolean}, err
	}
	left, err := expression(e.LHS, in)
	if err != nil {
		return null, err
	}
	right, err := expression(e.RHS, in)
	if err != nil {
		return null, err
	}
	switch {
	case left.typ == influxql.Boolean && right.typ == influxql.Boolean:
		return operate(boolOperators, e.Op, left, right, influxql.Boolean), nil
	case !isNumber(left.typ) || !isNumber(right.typ):
		return null, nil
	case left.typ == influxql.Float || right.typ == influxql.Float:
		return operate(floatOperators, e.Op, left, right, influxql.Float), nil
	case left.typ == influxql.Integer && right.typ == influxql.Integer:
		if e.Op == influxql.DIV && !in.dividesWhole() {
			return operate(floatOperators, e.Op, left, right, influxql.Float), nil
		}
		return operate(wholeOperators, e.Op, left, right, influxql.Integer), nil
	}
	return operate(wholeOperators, e.Op, left, right, influxql.Unsigned), nil
}

// The operators by the type in which they compute, with the operands as %[1]s and %[2]s. What is
// divided by zero is 0, as in InfluxDB. Integers that do not fit are null.
var (
	boolOperators = map[influxql.Token]string{
		influxql.BITWISE_AND: "(%[1]s AND %[2]s)",
		influxql.BITWISE_OR:  "(%[1]s OR %[2]s)",
		influxql.BITWISE_XOR: "(%[1]s <> %[2]s)",
	}
	floatOperators = map[influxql.Token]string{
		influxql.ADD: "(%[1]s + %[2]s)",
		influxql.SUB: "(%[1]s - %[2]s)",
		influxql.MUL: "(%[1]s * %[2]s)",
		influxql.DIV: "(CASE WHEN %[2]s = 0 AND %[1]s IS NOT NULL THEN 0 ELSE %[1]s / %[2]s END)",
		influxql.MOD: "(%[1]s %% %[2]s)",
	}
	wholeOperators = map[influxql.Token]string{
		influxql.ADD:         "TRY(%[1]s + %[2]s)",
		influxql.SUB:         "TRY(%[1]s - %[2]s)",
		influxql.MUL:         "TRY(%[1]s * %[2]s)",
		influxql.DIV:         "(CASE WHEN %[2]s = 0 AND %[1]s IS NOT NULL THEN 0 ELSE %[1]s // %[2]s END)",
		influxql.MOD:         "(CASE WHEN %[2]s = 0 AND %[1]s IS NOT NULL THEN 0 ELSE %[1]s %% %[2]s END)",
		influxql.BITWISE_AND: "(%[1]s & %[2]s)",
		influxql.BITWISE_OR:  "(%[1]s | %[2]s)",
		influxql.BITWISE_XOR: "xor(%[1]s, %[2]s)",
	}
)

// operate writes an operator that computes in a type, or null where that has no such one.
func operate(operators map[influxql.Token]string, op influxql.Token, left, right value, t influxql.DataType) value {
	layout, ok := operators[op]
	if !ok {
		return null
	}
	return value{fmt.Sprintf(layout, left.as(t), right.as(t)), t}
}

func mathCall(e *influxql.Call, in resolver) (value, error) {
	args := make([]string, len(e.Args))
	whole := influxql.Unknown // the type of an argument that is no float
	for i, arg := range e.Args {
		v, err := expression(arg, in)
		if err != nil {
			return null, err
		}
		if !isNumber(v.typ) {
			return null, nil
		}
		if v.typ != influxql.Float {
			whole = v.typ
		}
		args[i] = v.as(influxql.Float)
		if i == 0 && whole != influxql.Unknown {
			switch e.Name {
			case "floor", "ceil", "round":
				return v, nil
			case "abs":
				return value{"TRY(abs(" + v.sql + "))", v.typ}, nil
			}
		}
	}
	var sql string
	switch e.Name {
	case "ln":
		sql = logarithm("ln", args[0])
	case "log2", "log10":
		sql = logarithm(e.Name, args[0])
	case "log":
		sql = "(" + logarithm("ln", args[0]) + " / " + logarithm("ln", args[1]) + ")"
	case "atan2", "pow":
		sql = e.Name + "(" + args[0] + ", " + args[1] + ")"
	default:
		sql = e.Name + "(" + args[0] + ")"
	}
	return value{"TRY(" + sql + ")", influxql.Float}, nil
}

// logarithm is minus infinity at 0, where SQL has an error.
func logarithm(name, x string) string {
	return "(CASE WHEN " + x + " = 0 THEN '-inf'::DOUBLE ELSE TRY(" + name + "(" + x + ")) END)"
}
