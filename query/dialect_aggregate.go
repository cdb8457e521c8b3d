package query

import "strings"

// Aggregates keep what surrounds their arguments, be it FILTER, DISTINCT, ORDER BY or OVER.

// renamed are the aggregates that have another name in DuckDB.
var renamedAggregates = map[string]string{
	"approx_distinct": "approx_count_distinct", "var": "var_samp", "var_sample": "var_samp", "var_population": "var_pop",
	"covar": "covar_samp", "percentile_cont": "quantile_cont", "percentile_disc": "quantile_disc",
}

// aggregates are the names of DuckDB's aggregates.
var aggregates = setOf(`any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null
	arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and bit_or bit_xor bitstring_agg
	bool_and bool_or corr count count_if count_star countif covar_pop covar_samp entropy favg first fsum geomean geometric_mean
	group_concat histogram histogram_exact kahan_sum kurtosis kurtosis_pop last list listagg mad max max_by mean median min min_by
	mode product quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
	regr_sxy regr_syy reservoir_quantile sem skewness stddev stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan
	var_pop var_samp variance wavg weighted_avg`)

func isAggregate(n node) bool {
	return n.str("class") == "FUNCTION" && aggregates[strings.ToLower(n.str("function_name"))]
}

// aggregate returns what replaces an aggregate, called as such or over a window, or nil.
func (r *rewriter) aggregate(name string, n node) (node, error) {
	args := nodes(n.list("children"))
	isWindow := n.str("class") == "WINDOW"
	if other, ok := renamedAggregates[name]; ok {
		return called(n, other, args...), nil
	}
	switch name {
	case "approx_percentile_cont":
		if len(args) < 2 || len(args) > 3 {
			return nil, refuse("approx_percentile_cont takes a value and a fraction, as in approx_percentile_cont(usage, 0.9)")
		}
		return r.quantile(n, args[0], args[1])
	case "approx_median":
		if len(args) == 1 {
			return r.quantile(n, args[0], castNode("0.5", "FLOAT"))
		}
	case "first_value":
		if !isWindow {
			return called(n, "first", args...), nil
		}
	case "last_value":
		if !isWindow {
			return called(n, "last", args...), nil
		}
	case "nth_value":
		if !isWindow && len(args) == 2 {
			return r.expand("list_extract($1, $2)", called(n, "array_agg", args[0]), args[1])
		}
	case "selector_first", "selector_last", "selector_min", "selector_max":
		return r.selector(strings.TrimPrefix(name, "selector_"), n, args)
	}
	return nil, nil
}

// quantile is approx_quantile, which takes its fraction in this type only.
func (r *rewriter) quantile(n, value, fraction node) (node, error) {
	fraction, err := r.expand("$1::FLOAT", fraction)
	if err != nil {
		return nil, err
	}
	return called(n, "approx_quantile", value, fraction), nil
}

// called is n with another name and other arguments.
func called(n node, name string, args ...node) node {
	c := make(node, len(n))
	for key, v := range n {
		c[key] = v
	}
	children := make([]any, len(args))
	for i, a := range args {
		children[i] = map[string]any(a)
	}
	c["function_name"], c["children"], c["alias"] = name, children, ""
	if n.str("class") == "WINDOW" {
		c["type"] = "WINDOW_AGGREGATE"
	}
	return c
}

// selectors are the parts of a selector: the aggregates of (value, time), and by what
// they choose. A row without a value is none; of equal values the first in time is chosen.
var selectors = map[string]struct{ value, time, order string }{
	"first": {"arg_min", "arg_min", "$2"},
	"last":  {"arg_max", "arg_max", "$2"},
	"min":   {"arg_min", "arg_min", "row($1, $2)"},
	"max":   {"arg_max", "arg_max", "row($1, -epoch_ns($2::TIMESTAMP_NS))"},
}

// selector replaces selector_first(value, time) and its like by a struct of value and time.
func (r *rewriter) selector(name string, n node, args []node) (node, error) {
	if len(args) != 2 {
		return nil, refuse("selector_%s takes a value and a time, as in selector_%[1]s(usage, time)['value']", name)
	}
	s := selectors[name]
	order, err := r.expand(s.order, args[0], args[1])
	if err != nil {
		return nil, err
	}
	if n, err = r.withValue(n, args[0]); err != nil {
		return nil, err
	}
	r.copied += 2 * size(n)
	value := called(clone(n), s.value, clone(args[0]), order)
	at := called(clone(n), s.time, clone(args[1]), clone(order))
	return r.expand("{'value': $1, 'time': $2}", value, at)
}

// withValue adds to an aggregate's FILTER that value is not null.
func (r *rewriter) withValue(n, value node) (node, error) {
	key := "filter"
	if n.str("class") == "WINDOW" {
		key = "filter_expr"
	}
	filter, err := r.expand("$1 IS NOT NULL", clone(value))
	if err != nil {
		return nil, err
	}
	if old := n.child(key); old != nil {
		if filter, err = r.expand("$1 AND $2", old, filter); err != nil {
			return nil, err
		}
	}
	filtered := called(n, n.str("function_name"), nodes(n.list("children"))...)
	filtered[key] = map[string]any(filter)
	return filtered, nil
}

// extract returns one part of a struct that a selector made, so that the other is not computed.
func (r *rewriter) extract(n node) (node, error) {
	args := nodes(n.list("children"))
	if len(args) != 2 || args[0].str("function_name") != "struct_pack" {
		return nil, nil
	}
	key, ok := stringConstant(args[1])
	if !ok {
		return nil, nil
	}
	for _, part := range nodes(args[0].list("children")) {
		if strings.EqualFold(part.str("alias"), key) {
			return called(part, part.str("function_name"), nodes(part.list("children"))...), nil
		}
	}
	return nil, nil
}
