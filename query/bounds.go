package query

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// DuckDB counts what it sorts and groups against its memory limit, and looks between two
// chunks of rows whether it is interrupted. What one call of a scalar function makes is
// neither counted nor interrupted: repeat('x', 1000000000) takes half a minute and a
// gigabyte, whatever the limits are. So the functions whose result may be longer than their
// arguments get their size checked when they run. What grows step by step, over many
// calls, is for the watchdog.

const (
	// maxMadeText is the longest text that a number makes: that of a string field.
	maxMadeText = 64 << 10
	// maxMadeList is the longest list that constant numbers make.
	maxMadeList = 1 << 20
	// maxMadeLists is the longest of the lists that numbers make which differ from row to
	// row: a chunk has 2,048 of them.
	maxMadeLists = 8 << 10
	// maxReplaced is the longest text that a replacement may make of another.
	maxReplaced = 4 << 20
)

// bounded and boundedOnce give, by name and number of arguments, a call with a check of its
// size. The latter are for calls with constant arguments.
var (
	bounded     = makeBounded(maxMadeLists)
	boundedOnce = makeBounded(maxMadeList)
)

func makeBounded(maxList int) map[string]string {
	all := map[string]string{
		"repeat/2":    "repeat($1, " + atMost("$2::BIGINT", "len($1) * $2::BIGINT", maxMadeText, "repeat makes") + ")",
		"lpad/3":      "lpad($1, " + atMost("$2::INTEGER", "$2::INTEGER", maxMadeText, "lpad makes") + ", $3)",
		"rpad/3":      "rpad($1, " + atMost("$2::INTEGER", "$2::INTEGER", maxMadeText, "rpad makes") + ", $3)",
		"bar/4":       "bar($1, $2, $3, " + atMost("$4", "$4", maxMadeText, "bar makes") + ")",
		"bitstring/2": "bitstring($1, " + atMost("$2::INTEGER", "$2::INTEGER", maxMadeText, "bitstring makes") + ")",
		"equi_width_bins/4": "equi_width_bins($1, $2, " + atMost("$3::BIGINT", "$3::BIGINT", maxMadeText, "equi_width_bins makes") +
			", $4)",
		"replace/3":         "replace($1, $2, " + atMost("$3", "len($1) * len($3)", maxReplaced, "replace may make") + ")",
		"regexp_replace/3":  "regexp_replace($1, $2, " + atMost("$3", "len($1) * len($3)", maxReplaced, "regexp_replace may make") + ")",
		"regexp_replace/4":  "regexp_replace($1, $2, " + atMost("$3", "len($1) * len($3)", maxReplaced, "regexp_replace may make") + ", $4)",
		"array_to_string/2": "array_to_string($1, " + atMost("$2", "len($1) * len($2)", maxReplaced, "array_to_string makes") + ")",
	}
	for _, name := range []string{"list_resize", "array_resize"} {
		size := atMost("$2::BIGINT", "$2::BIGINT", maxList, name+" makes")
		all[name+"/2"] = name + "($1, " + size + ")"
		all[name+"/3"] = name + "($1, " + size + ", $3)"
	}
	for _, name := range []string{"range", "generate_series"} {
		all[name+"/1"] = name + "(" + atMost("$1", "abs($1::DOUBLE)", maxList, name+" makes") + ")"
		all[name+"/2"] = name + "($1, " + atMost("$2", "abs($2::DOUBLE - $1::DOUBLE)", maxList, name+" makes") + ")"
		all[name+"/3"] = name + "($1, " + atMost("$2", rangeLength, maxList, name+" makes") + ", $3)"
	}
	return all
}

// rangeLength is the length of a range of numbers or of instants: a template knows no types.
const rangeLength = `coalesce(
	abs((try_cast($2::VARCHAR AS DOUBLE) - try_cast($1::VARCHAR AS DOUBLE)) / try_cast($3::VARCHAR AS DOUBLE)),
	abs((epoch(try_cast($2::VARCHAR AS TIMESTAMP)) - epoch(try_cast($1::VARCHAR AS TIMESTAMP))) / epoch(try_cast($3::VARCHAR AS INTERVAL))))`

// atMost writes an argument that is an error where a size exceeds a limit.
func atMost(argument, size string, limit int, what string) string {
	return fmt.Sprintf("CASE WHEN %s > %d THEN error('%s more than %d characters or elements') ELSE %s END", size, limit, what, limit, argument)
}

// boundCall returns a call with a check of its size, or nil for one that needs none.
func (r *rewriter) boundCall(name string, n node) (node, error) {
	args := nodes(n.list("children"))
	if name == "format" || name == "printf" {
		return nil, checkLayout(name, args)
	}
	templates := bounded
	if isConstant(n) {
		templates = boundedOnce
	}
	template, ok := templates[name+"/"+strconv.Itoa(len(args))]
	if !ok || r.compiled || r.isTableFunction(n) {
		return nil, nil
	}
	if r.lambdas > 0 {
		return nil, refuse("function %q is not supported within a lambda", name)
	}
	return r.expand(template, args...)
}

// isConstant reports whether an expression is made of nothing but constants, casts and
// arithmetic.
func isConstant(v any) bool {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if !isConstant(e) {
				return false
			}
		}
	case node:
		return isConstant(map[string]any(v))
	case map[string]any:
		switch n := node(v); n.str("class") {
		case "", "CONSTANT", "CAST":
		case "FUNCTION":
			if name := n.str("function_name"); !constantFunctions[name] {
				return false
			}
		default:
			return false
		}
		for _, e := range v {
			if !isConstant(e) {
				return false
			}
		}
	}
	return true
}

var constantFunctions = setOf("+ - * / // range generate_series list_resize array_resize list_value to_seconds to_minutes to_hours to_days to_milliseconds trunc")

// isTableFunction reports whether a call stands in FROM, where its rows are streamed.
func (r *rewriter) isTableFunction(n node) bool {
	return r.inFrom != nil && reflect.ValueOf(n).Pointer() == reflect.ValueOf(r.inFrom).Pointer()
}

// maxLayoutDigits bounds the widths in a layout of format and printf.
const maxLayoutDigits = 3

// checkLayout refuses layouts that may pad to any width.
func checkLayout(name string, args []node) error {
	if len(args) == 0 {
		return nil
	}
	layout, ok := stringConstant(args[0])
	if !ok {
		return refuse("the layout of %s must be a constant", name)
	}
	digits, open := 0, false
	for rest := strings.ReplaceAll(layout, "{{", ""); rest != ""; rest = rest[1:] {
		c := rest[0]
		if c < '0' || c > '9' {
			digits = 0
		} else if digits++; digits > maxLayoutDigits {
			return refuse("%s pads to less than 1000 characters", name)
		}
		if c == '*' && name == "printf" || c == '{' && open {
			return refuse("the widths in the layout of %s must be constants", name)
		}
		open = c == '{' || open && c != '}'
	}
	return nil
}
