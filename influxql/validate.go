package influxql

import (
	"slices"
	"strings"
	"time"

	"github.com/influxdata/influxql"
)

// validator checks that the pieces of a SELECT go together, before anything is known of the
// schema. The words of its errors are InfluxDB 1's.
type validator struct {
	interval  time.Duration // of GROUP BY time, own or the outer statement's
	inherited bool          // interval is the outer statement's
	limit     int

	calls         []*influxql.Call
	onlySelectors bool
	distinct      bool
	plain         bool   // a field or tag stands outside of all calls
	topBottom     string // the call of top or bottom
	noWildcard    bool   // inside of a binary expression
}

// validate checks one statement but for its subqueries.
func (v *validator) validate(stmt *influxql.SelectStatement) error {
	v.onlySelectors, v.limit = true, stmt.Limit
	fields := 0
	for _, f := range stmt.Fields {
		if ref, ok := f.Expr.(*influxql.VarRef); ok && ref.Val == "time" {
			continue
		}
		fields++
		v.noWildcard = false
		if err := v.expr(f.Expr); err != nil {
			return err
		}
	}
	return v.together(stmt, fields)
}

func (v *validator) together(stmt *influxql.SelectStatement, fields int) error {
	switch {
	case fields == 0:
		return refuse("at least 1 non-time field must be queried")
	case len(v.calls) > 1 && v.topBottom != "":
		return refuse("selector function %s() cannot be combined with other functions", v.topBottom)
	case len(v.calls) == 0 && stmt.Fill == influxql.NoFill:
		return refuse("fill(none) must be used with a function")
	case len(v.calls) == 0 && stmt.Fill == influxql.LinearFill:
		return refuse("fill(linear) must be used with a function")
	case len(v.calls) == 0 && v.interval != 0 && !v.inherited:
		return refuse("GROUP BY requires at least one aggregate function")
	case v.distinct && (len(v.calls) != 1 || v.plain):
		return refuse("aggregate function distinct() cannot be combined with other functions or fields")
	case v.plain && !v.onlySelectors:
		return refuse("mixing aggregate and non-aggregate queries is not supported")
	case v.plain && len(v.calls) > 1:
		return refuse("mixing multiple selector functions with tags or fields is not supported")
	}
	return nil
}

func (v *validator) expr(e influxql.Expr) error {
	switch e := e.(type) {
	case *influxql.VarRef:
		v.plain = true
	case *influxql.Wildcard:
		v.plain = true
		if v.noWildcard {
			return refuse("unable to use wildcard in a binary expression")
		}
	case *influxql.RegexLiteral:
		v.plain = true
		if v.noWildcard {
			return refuse("unable to use regex in a binary expression")
		}
	case *influxql.Call:
		return v.call(e)
	case *influxql.Distinct:
		v.calls = append(v.calls, e.NewCall())
		return v.distinctCall(e.NewCall().Args, false)
	case *influxql.BinaryExpr:
		return v.binary(e)
	case *influxql.ParenExpr:
		return v.expr(e.Expr)
	case influxql.Literal:
		return refuse("field must contain at least one variable")
	default:
		return refuse("the expression %s is not supported", e)
	}
	return nil
}

func (v *validator) binary(e *influxql.BinaryExpr) error {
	v.noWildcard = true
	_, left := e.LHS.(influxql.Literal)
	_, right := e.RHS.(influxql.Literal)
	if left && right {
		return refuse("cannot perform a binary expression on two literals")
	}
	if !left {
		if err := v.expr(e.LHS); err != nil {
			return err
		}
	}
	if !right {
		return v.expr(e.RHS)
	}
	return nil
}

// unsupported are functions of InfluxDB 1 that are not built.
var unsupported = []string{
	"holt_winters", "holt_winters_with_fit", "exponential_moving_average", "double_exponential_moving_average",
	"triple_exponential_moving_average", "relative_strength_index", "triple_exponential_derivative",
	"kaufmans_efficiency_ratio", "kaufmans_adaptive_moving_average", "chande_momentum_oscillator",
}

func (v *validator) call(e *influxql.Call) error {
	if isMath(e) {
		return v.math(e)
	}
	v.calls = append(v.calls, e)
	switch {
	case slices.Contains(unsupported, e.Name):
		return refuse("the function %s() is not supported", e.Name)
	case slices.Contains(transformations, e.Name):
		return v.transformation(e)
	}
	switch e.Name {
	case "percentile":
		return v.percentile(e.Args)
	case "sample":
		return v.sample(e.Args)
	case "distinct":
		return v.distinctCall(e.Args, false)
	case "top", "bottom":
		return v.topBottomCall(e)
	case "integral":
		return v.integral(e.Args)
	case "max", "min", "first", "last":
	case "count", "sum", "mean", "median", "mode", "stddev", "spread":
		v.onlySelectors = false
	default:
		return refuse("undefined function %s()", e.Name)
	}
	if len(e.Args) != 1 {
		return refuse("invalid number of arguments for %s, expected 1, got %d", e.Name, len(e.Args))
	}
	if inner, ok := asDistinct(e.Args[0]); ok && e.Name == "count" {
		return v.distinctCall(inner.Args, true)
	}
	return v.symbol(e.Name, e.Args[0])
}

// asDistinct recognizes both ways to write distinct.
func asDistinct(e influxql.Expr) (*influxql.Call, bool) {
	switch e := e.(type) {
	case *influxql.Distinct:
		return e.NewCall(), true
	case *influxql.Call:
		return e, e.Name == "distinct"
	}
	return nil, false
}

func (v *validator) math(e *influxql.Call) error {
	if want := mathArguments(e.Name); len(e.Args) != want {
		return refuse("invalid number of arguments for %s, expected %d, got %d", e.Name, want, len(e.Args))
	}
	for _, arg := range e.Args {
		if _, ok := arg.(influxql.Literal); ok {
			if _, isRegex := arg.(*influxql.RegexLiteral); !isRegex {
				continue
			}
		}
		if err := v.expr(arg); err != nil {
			return err
		}
	}
	return nil
}

// symbol checks the argument of a function, which must be a field or stand for some.
func (v *validator) symbol(name string, arg influxql.Expr) error {
	switch arg.(type) {
	case *influxql.VarRef:
		return nil
	case *influxql.Wildcard:
		if v.noWildcard {
			return refuse("unsupported expression with wildcard: %s()", name)
		}
	case *influxql.RegexLiteral:
		if v.noWildcard {
			return refuse("unsupported expression with regex field: %s()", name)
		}
	default:
		return refuse("expected field argument in %s()", name)
	}
	v.onlySelectors = false
	return nil
}

func (v *validator) percentile(args []influxql.Expr) error {
	if len(args) != 2 {
		return refuse("invalid number of arguments for percentile, expected 2, got %d", len(args))
	}
	switch args[1].(type) {
	case *influxql.IntegerLiteral, *influxql.NumberLiteral:
		return v.symbol("percentile", args[0])
	}
	return refuse("expected float argument in percentile()")
}

func (v *validator) sample(args []influxql.Expr) error {
	if len(args) != 2 {
		return refuse("invalid number of arguments for sample, expected 2, got %d", len(args))
	}
	n, ok := args[1].(*influxql.IntegerLiteral)
	if !ok {
		return refuse("expected integer argument in sample()")
	}
	if n.Val <= 0 {
		return refuse("sample window must be greater than 1, got %d", n.Val)
	}
	return v.symbol("sample", args[0])
}

func (v *validator) integral(args []influxql.Expr) error {
	if len(args) < 1 || len(args) > 2 {
		return refuse("invalid number of arguments for integral, expected at least 1 but no more than 2, got %d", len(args))
	}
	if len(args) == 2 {
		unit, ok := args[1].(*influxql.DurationLiteral)
		if !ok {
			return refuse("second argument must be a duration")
		}
		if unit.Val <= 0 {
			return refuse("duration argument must be positive, got %s", influxql.FormatDuration(unit.Val))
		}
	}
	v.onlySelectors = false
	return v.symbol("integral", args[0])
}

func (v *validator) distinctCall(args []influxql.Expr, nested bool) error {
	if len(args) == 0 {
		return refuse("distinct function requires at least one argument")
	}
	if len(args) != 1 {
		return refuse("distinct function can only have one argument")
	}
	if _, ok := args[0].(*influxql.VarRef); !ok {
		return refuse("expected field argument in distinct()")
	}
	v.distinct = v.distinct || !nested
	v.onlySelectors = false
	return nil
}

func (v *validator) topBottomCall(e *influxql.Call) error {
	if v.topBottom != "" {
		return refuse("selector function %s() cannot be combined with other functions", v.topBottom)
	}
	if len(e.Args) < 2 {
		return refuse("invalid number of arguments for %s, expected at least 2, got %d", e.Name, len(e.Args))
	}
	last := e.Args[len(e.Args)-1]
	n, ok := last.(*influxql.IntegerLiteral)
	switch {
	case !ok:
		return refuse("expected integer as last argument in %s(), found %s", e.Name, last)
	case n.Val <= 0:
		return refuse("limit (%d) in %s function must be at least 1", n.Val, e.Name)
	case v.limit > 0 && n.Val > int64(v.limit):
		return refuse("limit (%d) in %s function can not be larger than the LIMIT (%d) in the select statement", n.Val, e.Name, v.limit)
	}
	if _, ok := e.Args[0].(*influxql.VarRef); !ok {
		return refuse("expected first argument to be a field in %s(), found %s", e.Name, e.Args[0])
	}
	for _, arg := range e.Args[1 : len(e.Args)-1] {
		if _, ok := arg.(*influxql.VarRef); !ok {
			return refuse("only fields or tags are allowed in %s(), found %s", e.Name, arg)
		}
		v.plain = true
	}
	v.topBottom = e.Name
	return nil
}

// transformations work on the points of a field, or on the buckets of a nested call.
var transformations = []string{
	"derivative", "non_negative_derivative", "difference", "non_negative_difference", "cumulative_sum",
	"moving_average", "elapsed",
}

func (v *validator) transformation(e *influxql.Call) error {
	if err := transformationArguments(e); err != nil {
		return err
	}
	v.onlySelectors = false
	if inner, ok := asDistinct(e.Args[0]); ok {
		if v.interval == 0 {
			return refuse("%s aggregate requires a GROUP BY interval", e.Name)
		}
		return v.distinctCall(inner.Args, true)
	}
	if inner, ok := e.Args[0].(*influxql.Call); ok {
		if v.interval == 0 {
			return refuse("%s aggregate requires a GROUP BY interval", e.Name)
		}
		return v.expr(inner)
	}
	if v.interval != 0 && !v.inherited {
		return refuse("aggregate function required inside the call to %s", e.Name)
	}
	return v.symbol(e.Name, e.Args[0])
}

func transformationArguments(e *influxql.Call) error {
	got := len(e.Args)
	switch e.Name {
	case "difference", "non_negative_difference", "cumulative_sum":
		if got != 1 {
			return refuse("invalid number of arguments for %s, expected 1, got %d", e.Name, got)
		}
		return nil
	case "moving_average":
		if got != 2 {
			return refuse("invalid number of arguments for moving_average, expected 2, got %d", got)
		}
		n, ok := e.Args[1].(*influxql.IntegerLiteral)
		if !ok {
			return refuse("second argument for moving_average must be an integer, got %T", e.Args[1])
		}
		if n.Val <= 1 {
			return refuse("moving_average window must be greater than 1, got %d", n.Val)
		}
		return nil
	}
	if got < 1 || got > 2 {
		return refuse("invalid number of arguments for %s, expected at least 1 but no more than 2, got %d", e.Name, got)
	}
	if got == 1 {
		return nil
	}
	unit, ok := e.Args[1].(*influxql.DurationLiteral)
	if !ok {
		return refuse("second argument to %s must be a duration, got %T", e.Name, e.Args[1])
	}
	if unit.Val <= 0 {
		return refuse("duration argument must be positive, got %s", influxql.FormatDuration(unit.Val))
	}
	return nil
}

// validateCondition allows only math functions in WHERE.
func validateCondition(e influxql.Expr) error {
	switch e := e.(type) {
	case *influxql.ParenExpr:
		return validateCondition(e.Expr)
	case *influxql.BinaryExpr:
		if err := validateCondition(e.LHS); err != nil {
			return err
		}
		return validateCondition(e.RHS)
	case *influxql.Call:
		if !isMath(e) {
			return refuse("invalid function call in condition: %s", e)
		}
		if want := mathArguments(e.Name); len(e.Args) != want {
			return refuse("invalid number of arguments for %s, expected %d, got %d", e.Name, want, len(e.Args))
		}
		for _, arg := range e.Args {
			if err := validateCondition(arg); err != nil {
				return err
			}
		}
	}
	return nil
}

// isTime reports whether a name means the time column, which InfluxQL takes in any case.
func isTime(name string) bool { return strings.EqualFold(name, "time") }
