package query

import (
	"strings"

	"github.com/siltstone-db/siltstone/schema"
)

// arrowTypes are the types of DuckDB for those of Arrow that arrow_cast names.
var arrowTypes = map[string]string{
	"boolean": "BOOLEAN", "int8": "TINYINT", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT",
	"uint8": "UTINYINT", "uint16": "USMALLINT", "uint32": "UINTEGER", "uint64": "UBIGINT",
	"float16": "FLOAT", "float32": "FLOAT", "float64": "DOUBLE",
	"utf8": "VARCHAR", "largeutf8": "VARCHAR", "utf8view": "VARCHAR", "binary": "BLOB", "largebinary": "BLOB", "binaryview": "BLOB",
	"date32": "DATE", "date64": "DATE", "interval(monthdaynano)": "INTERVAL", "interval(daytime)": "INTERVAL", "interval(yearmonth)": "INTERVAL",
	"time32(second)": "TIME", "time32(millisecond)": "TIME", "time64(microsecond)": "TIME", "time64(nanosecond)": "TIME",
}

// timestampUnits are the units of Arrow's time stamps, in nanoseconds, and DuckDB's types of them.
var timestampUnits = map[string]struct {
	ns  int64
	typ string
}{
	"second": {1e9, "TIMESTAMP_S"}, "millisecond": {1e6, "TIMESTAMP_MS"}, "microsecond": {1e3, "TIMESTAMP"}, "nanosecond": {1, "TIMESTAMP_NS"},
}

// arrowCast replaces arrow_cast(value, 'type').
func (r *rewriter) arrowCast(args []node) (node, error) {
	written, ok := stringConstant(args[1])
	if !ok {
		return nil, refuse("arrow_cast takes a value and the name of a type, as in arrow_cast(time, 'Int64')")
	}
	name := strings.ToLower(strings.ReplaceAll(written, " ", ""))
	if inner, isDictionary := strings.CutPrefix(name, "dictionary("); isDictionary {
		_, name, _ = strings.Cut(strings.TrimSuffix(inner, ")"), ",")
	}
	if inner, isTimestamp := strings.CutPrefix(name, "timestamp("); isTimestamp {
		word, _, _ := strings.Cut(strings.TrimSuffix(inner, ")"), ",")
		if unit, known := timestampUnits[word]; known {
			at, err := r.toInstant(unit.ns, args[0])
			if err != nil || unit.typ == "TIMESTAMP_NS" {
				return at, err
			}
			return r.expand("$1::TIMESTAMP::"+unit.typ, at) // there is no shorter way
		}
	}
	typ, known := arrowTypes[name]
	if !known {
		return nil, refuse("arrow_cast knows no type %q; known are Int8 to Int64, UInt8 to UInt64, Float32, Float64, Utf8, "+
			"Boolean, Date32, Binary, Timestamp(unit, None) and Dictionary of these", written)
	}
	if typ == "BIGINT" {
		return r.toBigint(args[0])
	}
	return r.expand("$1::"+typ, args[0])
}

// toBigint casts to an integer; of an instant it is the nanoseconds since 1970.
func (r *rewriter) toBigint(arg node) (node, error) {
	if isInstant(arg) {
		return r.expand("epoch_ns($1::TIMESTAMP_NS)", arg)
	}
	return r.expand("$1::BIGINT", arg)
}

// cast replaces casts to TIMESTAMP, which is one of nanoseconds in InfluxDB, and casts of instants
// to integers and of integers to instants, both in nanoseconds.
func (r *rewriter) cast(n node) (node, error) {
	typ, child := n.child("cast_type").str("id"), n.child("child")
	switch typ {
	case "BIGINT":
		if isInstant(child) {
			return r.toBigint(child)
		}
	case "TIMESTAMP", "TIMESTAMP_NS":
		if ns, ok := integerConstant(child); ok && ns > minLiteral && ns < maxLiteral {
			return instantNode(ns), nil
		}
		if s, ok := stringConstant(child); ok {
			if _, representable := parseExact(s); !representable {
				return nil, nil // a year that nanoseconds do not reach, or a spelling of DuckDB's own
			}
		}
		n.child("cast_type")["id"] = "TIMESTAMP_NS"
	}
	return nil, nil
}

// compare prepares a comparison of instants: DuckDB does not compare those with a zone to
// those without, which is what all our times are.
func (r *rewriter) compare(sides []*node) error {
	hasTime := false
	for _, side := range sides {
		hasTime = hasTime || isColumnNamed(*side, schema.TimeColumn)
	}
	for _, side := range sides {
		if v, ok := integerConstant(*side); ok && hasTime {
			return refuse("time cannot be compared with the integer %d: write to_timestamp_nanos(%[1]d), or a time like '2024-01-01T00:00:00Z'", v)
		}
		if text, ok := stringConstant(*side); ok && hasTime && !beginsLikeTime(text) {
			return refuse("time cannot be compared with %q: write a time like '2024-01-01T00:00:00Z', or now() - INTERVAL '1 hour'", text)
		}
		if !isZoned(*side) {
			continue
		}
		var err error
		if s, ok := stringConstant(side.child("child")); ok && side.str("class") == "CAST" {
			*side, err = r.toInstant(1, constantNode("VARCHAR", s))
		} else {
			*side, err = r.expand("$1::TIMESTAMP_NS", *side)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// beginsLikeTime reports whether DuckDB may read a time in a text.
func beginsLikeTime(text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	return strings.HasPrefix(text, "epoch") || strings.Contains(text, "infinity") || strings.IndexAny(text, "0123456789") == 0
}

// isZoned reports whether an expression is an instant with a zone by its form.
func isZoned(n node) bool {
	switch n.str("class") {
	case "CAST":
		return n.child("cast_type").str("id") == "TIMESTAMP WITH TIME ZONE"
	case "FUNCTION":
		args := nodes(n.list("children"))
		return n.str("function_name") == "timezone" && len(args) == 2 && !isZoned(args[1])
	}
	return false
}

// compareNode finds the sides of a comparison.
func (r *rewriter) compareNode(n node) error {
	var keys []string
	switch n.str("class") {
	case "COMPARISON":
		keys = []string{"left", "right"}
	case "BETWEEN":
		keys = []string{"input", "lower", "upper"}
	case "OPERATOR":
		if n.str("type") != "COMPARE_IN" && n.str("type") != "COMPARE_NOT_IN" {
			return nil
		}
		sides := nodes(n.list("children"))
		pointers := make([]*node, len(sides))
		for i := range sides {
			pointers[i] = &sides[i]
		}
		err := r.compare(pointers)
		for i := range sides {
			n.list("children")[i] = map[string]any(sides[i])
		}
		return err
	}
	sides := make([]node, len(keys))
	pointers := make([]*node, len(keys))
	for i, key := range keys {
		sides[i] = n.child(key)
		pointers[i] = &sides[i]
	}
	err := r.compare(pointers)
	for i, key := range keys {
		n[key] = map[string]any(sides[i])
	}
	return err
}
