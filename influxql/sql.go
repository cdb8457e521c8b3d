package influxql

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// floatText writes a float exactly: SQL reads digits without exponent as a decimal.
func floatText(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "'inf'::DOUBLE"
	case math.IsInf(f, -1):
		return "'-inf'::DOUBLE"
	case math.IsNaN(f):
		return "'nan'::DOUBLE"
	}
	return "'" + strconv.FormatFloat(f, 'g', -1, 64) + "'::DOUBLE"
}

func intText(n int64) string {
	if n < 0 {
		return "'" + strconv.FormatInt(n, 10) + "'::BIGINT" // a minus in front would be an operator
	}
	return strconv.FormatInt(n, 10) + "::BIGINT"
}

// instantText writes a time in the one form from which files are pruned.
func instantText(ns int64) string {
	return "'" + time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05.000000000") + "'::TIMESTAMP_NS"
}

// numbered lists a prefix with the numbers from 0 to n-1.
func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = prefix + strconv.Itoa(i)
	}
	return all
}

// list joins items and lists of items by commas.
func list(groups ...[]string) string {
	var all []string
	for _, g := range groups {
		all = append(all, g...)
	}
	return strings.Join(all, ", ")
}

// over writes the window of a function: the rows of a series in their order.
func over(series, order []string) string {
	var parts []string
	if len(series) > 0 {
		parts = append(parts, "PARTITION BY "+list(series))
	}
	if len(order) > 0 {
		parts = append(parts, "ORDER BY "+list(order))
	}
	return "OVER (" + strings.Join(parts, " ") + ")"
}

// upTo is over with a frame that ends with the row itself.
func upTo(series, order []string) string {
	return strings.TrimSuffix(over(series, order), ")") + " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
}

// lastKnown is the last value that is not null, of a row or of those before it in their order.
func lastKnown(column string, series, order []string) string {
	return "last_value(" + column + " IGNORE NULLS) " + upTo(series, order)
}

// maxChain is the longest chain of OR that is written as one: DuckDB needs time that grows
// with its square, and query refuses chains of some thousands.
const maxChain = 500

// anyOf is true where one of the conditions, none of which may be null, is.
func anyOf(conditions []string) string {
	if len(conditions) <= maxChain {
		return strings.Join(conditions, " OR ")
	}
	return "greatest(" + strings.Join(conditions, ", ") + ")"
}
