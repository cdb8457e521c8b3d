package query

// macros are functions of InfluxDB 3 that DuckDB lacks.
// An aggregate that is a macro takes no FILTER, DISTINCT or OVER.
var macros = []string{
	`CREATE MACRO selector_first(value, moment) AS {'value': arg_min(value, moment), 'time': min(moment)}`,
	`CREATE MACRO selector_last(value, moment) AS {'value': arg_max(value, moment), 'time': max(moment)}`,
	`CREATE MACRO selector_min(value, moment) AS {'value': min(value), 'time': arg_min(moment, value)}`,
	`CREATE MACRO selector_max(value, moment) AS {'value': max(value), 'time': arg_max(moment, value)}`,
	`CREATE MACRO approx_percentile_cont(value, fraction) AS approx_quantile(value, fraction)`,
}
