package query

import (
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/siltstone-db/siltstone/schema"
)

// templates are the functions that a template replaces, by name and number of arguments. Each
// argument stands in a template as often as needed, and is computed once: DuckDB finds
// common expressions.
var templates = map[string]string{
	"nvl/2":    "coalesce($1, $2)",
	"ifnull/2": "coalesce($1, $2)",
	"nvl2/3":   "CASE WHEN $1 IS NOT NULL THEN $2 ELSE $3 END",

	"nanvl/2":  "CASE WHEN isnan($1::DOUBLE) THEN $2 ELSE $1 END",
	"iszero/1": "($1 = 0)",
	"signum/1": "sign($1)::DOUBLE",

	"to_hex/1":          "lower(to_hex($1))",
	"octet_length/1":    "strlen($1)",
	"btrim/1":           "trim($1)",
	"btrim/2":           "trim($1, $2)",
	"initcap/1":         "array_to_string(list_transform(regexp_extract_all($1, '[[:alnum:]]+|[^[:alnum:]]+'), lambda w: upper(left(w, 1)) || lower(substr(w, 2))), '')",
	"find_in_set/2":     "CASE WHEN $1 IS NOT NULL AND $2 IS NOT NULL THEN coalesce(list_position(string_split($2, ','), $1), 0) END",
	"overlay/3":         "(left($1, ($3 - 1)::BIGINT) || $2 || substr($1, ($3 + length($2))::BIGINT))",
	"overlay/4":         "(left($1, ($3 - 1)::BIGINT) || $2 || substr($1, ($3 + $4)::BIGINT))",
	"regexp_like/2":     "regexp_matches($1, $2)",
	"regexp_like/3":     "regexp_matches($1, $2, $3)",
	"regexp_count/2":    "len(regexp_extract_all($1, $2))",
	"~*/2":              "regexp_matches($1, $2, 'i')",
	"!~*/2":             "(NOT regexp_matches($1, $2, 'i'))",
	"substr_index/3":    substringIndex,
	"substring_index/3": substringIndex,

	"to_timestamp/2": "strptime($1, $2)::TIMESTAMP_NS",
	"to_char/2":      "strftime($1, $2)",
	"date_format/2":  "strftime($1, $2)",
	"to_date/1":      "$1::DATE",
	"to_unixtime/1":  "(epoch_ns($1::TIMESTAMP_NS) // 1000000000)",
	"tz/1":           "$1::TIMESTAMP_NS",
	"tz/2":           zonedTemplate,
	"arrow_typeof/1": arrowTypeof,
}

// substringIndex is what stands before the $3th $2 in $1, from the end if $3 is negative.
const substringIndex = `CASE WHEN $3 > 0 THEN array_to_string(string_split($1, $2)[:$3], $2)
	ELSE array_to_string(string_split($1, $2)[$3:], $2) END`

// zonedTemplate is the clock in zone $2 at the instant $1: what DuckDB says of the microseconds
// is the difference to add to the nanoseconds.
const zonedTemplate = `make_timestamp_ns(epoch_ns($1::TIMESTAMP_NS) +
	(epoch_us(timezone($2, make_timestamp(epoch_us($1::TIMESTAMP_NS))::TIMESTAMPTZ)) - epoch_us($1::TIMESTAMP_NS)) * 1000)`

// instantTemplate is an instant that is given as a number of units of $2 nanoseconds, or in
// any other form. The types decide while the query is planned.
const instantTemplate = `CASE WHEN typeof($1) LIKE '%INT' OR typeof($1) = 'INTEGER' THEN make_timestamp_ns($1::BIGINT * $2)
	WHEN typeof($1) IN ('DOUBLE', 'FLOAT') OR typeof($1) LIKE 'DECIMAL%' THEN make_timestamp_ns(($1::DOUBLE * $2)::BIGINT)
	ELSE $1::VARCHAR::TIMESTAMP_NS END`

// arrowTypeof names the type of $1 as InfluxDB does.
const arrowTypeof = `CASE typeof($1) WHEN 'TINYINT' THEN 'Int8' WHEN 'SMALLINT' THEN 'Int16' WHEN 'INTEGER' THEN 'Int64'
	WHEN 'BIGINT' THEN 'Int64' WHEN 'HUGEINT' THEN 'Int64' WHEN 'UTINYINT' THEN 'UInt8' WHEN 'USMALLINT' THEN 'UInt16'
	WHEN 'UINTEGER' THEN 'UInt32' WHEN 'UBIGINT' THEN 'UInt64' WHEN 'FLOAT' THEN 'Float32' WHEN 'DOUBLE' THEN 'Float64'
	WHEN 'VARCHAR' THEN 'Utf8' WHEN 'BLOB' THEN 'Binary' WHEN 'BOOLEAN' THEN 'Boolean' WHEN 'DATE' THEN 'Date32'
	WHEN 'TIMESTAMP' THEN 'Timestamp(Nanosecond, None)' WHEN 'TIMESTAMP_NS' THEN 'Timestamp(Nanosecond, None)'
	WHEN 'TIMESTAMP_MS' THEN 'Timestamp(Millisecond, None)' WHEN 'TIMESTAMP_S' THEN 'Timestamp(Second, None)'
	WHEN 'TIMESTAMP WITH TIME ZONE' THEN 'Timestamp(Nanosecond, Some("UTC"))' WHEN 'INTERVAL' THEN 'Interval(MonthDayNano)'
	WHEN '"NULL"' THEN 'Null' ELSE CASE WHEN typeof($1) LIKE 'DECIMAL%' THEN 'Float64' ELSE typeof($1) END END`

// instantUnits are the functions that make an instant of a number, with their unit.
var instantUnits = map[string]int64{
	"to_timestamp": 1e9, "from_unixtime": 1e9, "to_timestamp_seconds": 1e9, "to_timestamp_millis": 1e6,
	"to_timestamp_micros": 1e3, "to_timestamp_nanos": 1,
}

// toInstant replaces to_timestamp and its like.
func (r *rewriter) toInstant(unit int64, arg node) (node, error) {
	if s, ok := stringConstant(arg); ok {
		if _, zoned := inUTC(s); !zoned {
			return castNode(s, "TIMESTAMP_NS"), nil
		}
		utc, _ := inUTC(s)
		return castNode(utc, "TIMESTAMP_NS"), nil
	}
	if n, ok := integerConstant(arg); ok {
		if ns := n * unit; ns/unit == n && ns > minLiteral && ns < maxLiteral {
			return instantNode(ns), nil
		}
	}
	if isInstant(arg) {
		return r.expand("$1::TIMESTAMP_NS", arg)
	}
	return r.expand(instantTemplate, arg, bigint(unit))
}

// isInstant reports whether an expression is an instant by its form: the column time, a cast,
// or what a replacement made.
func isInstant(n node) bool {
	switch n.str("class") {
	case "COLUMN_REF":
		return isColumnNamed(n, schema.TimeColumn)
	case "CAST":
		return strings.HasPrefix(n.child("cast_type").str("id"), "TIMESTAMP")
	case "FUNCTION":
		args := nodes(n.list("children"))
		switch n.str("function_name") {
		case "make_timestamp_ns", "make_timestamp", "timezone":
			return true
		case "min", "max", "first", "last", "any_value":
			return len(args) == 1 && isInstant(args[0])
		}
	}
	return false
}

// datePart adds nanoseconds to the parts that DuckDB knows.
func (r *rewriter) datePart(args []node) (node, error) {
	if len(args) != 2 {
		return nil, nil
	}
	if part, _ := stringConstant(args[0]); strings.HasPrefix(strings.ToLower(part), "nanosecond") {
		return r.expand("nanosecond($1::TIMESTAMP_NS)", args[1])
	}
	return nil, nil
}

// toLocalTime replaces to_local_time(x), the clock of the zone that x is in. A zone is only
// known by the form of x: AT TIME ZONE reads x as the clock of that zone.
func (r *rewriter) toLocalTime(arg node) (node, error) {
	if args := nodes(arg.list("children")); arg.str("function_name") == "timezone" && len(args) == 2 {
		arg = args[1]
	}
	return r.expand("$1::TIMESTAMP_NS", arg)
}

// clockOf replaces x AT TIME ZONE y, where x has a zone by its form, by the clock in y. Of an x
// without, DuckDB makes an instant.
func (r *rewriter) clockOf(args []node) (node, error) {
	if len(args) != 2 || !isZoned(args[1]) {
		return nil, nil
	}
	at := args[1]
	if inner := nodes(at.list("children")); at.str("class") == "FUNCTION" && len(inner) == 2 {
		if zone, _ := stringConstant(inner[0]); strings.EqualFold(zone, "UTC") {
			at = inner[1] // DuckDB would cut off the nanoseconds
		}
	}
	return r.expand(zonedTemplate, at, args[0])
}

// regexpMatch replaces regexp_match(text, pattern): a list of what the groups match, or of the
// whole match where there is no group; null where nothing matches.
func (r *rewriter) regexpMatch(args []node) (node, error) {
	pattern, ok := stringConstant(args[1])
	if !ok {
		return r.expand("CASE WHEN regexp_matches($1, $2) THEN [regexp_extract($1, $2)] END", args[0], args[1])
	}
	groups := []string{"regexp_extract($1, $2)"}
	if re, err := syntax.Parse(pattern, syntax.Perl); err == nil && re.MaxCap() > 0 {
		groups = nil
		for i := range re.MaxCap() {
			groups = append(groups, "regexp_extract($1, $2, "+strconv.Itoa(i+1)+")")
		}
	}
	return r.expand("CASE WHEN regexp_matches($1, $2) THEN ["+strings.Join(groups, ", ")+"] END", args[0], args[1])
}

// encodings are the templates of encode and decode with a format.
var encodings = map[string]string{
	"encode base64": "to_base64($1::BLOB)", "encode hex": "lower(hex($1))",
	"decode base64": "from_base64($1)", "decode hex": "unhex($1)",
}

func (r *rewriter) encode(name string, args []node) (node, error) {
	format, _ := stringConstant(args[1])
	template, ok := encodings[name+" "+strings.ToLower(format)]
	if !ok {
		return nil, refuse("%s knows the formats 'base64' and 'hex'", name)
	}
	return r.expand(template, args[0])
}
