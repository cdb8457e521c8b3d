package query

// macros are the functions of InfluxDB 3 that DuckDB lacks. date_bin keeps nanoseconds, which
// time_bucket does not; months and years have no fixed length and are left to time_bucket.
// An aggregate that is a macro takes no FILTER, DISTINCT or OVER.
var macros = []string{
	`CREATE MACRO date_bin(width, source) AS
		CASE WHEN date_part('month', width::INTERVAL) = 0 AND date_part('year', width::INTERVAL) = 0
		THEN make_timestamp_ns(epoch_ns(source::TIMESTAMP_NS) -
			((epoch_ns(source::TIMESTAMP_NS) % (epoch_us(width::INTERVAL) * 1000)) + epoch_us(width::INTERVAL) * 1000)
			% (epoch_us(width::INTERVAL) * 1000))
		ELSE time_bucket(width::INTERVAL, source::TIMESTAMP, TIMESTAMP '1970-01-01')::TIMESTAMP_NS END,
	(width, source, origin) AS
		CASE WHEN date_part('month', width::INTERVAL) = 0 AND date_part('year', width::INTERVAL) = 0
		THEN make_timestamp_ns(epoch_ns(source::TIMESTAMP_NS) -
			(((epoch_ns(source::TIMESTAMP_NS) - epoch_ns(origin::TIMESTAMP_NS)) % (epoch_us(width::INTERVAL) * 1000))
			+ epoch_us(width::INTERVAL) * 1000) % (epoch_us(width::INTERVAL) * 1000))
		ELSE time_bucket(width::INTERVAL, source::TIMESTAMP, origin::TIMESTAMP)::TIMESTAMP_NS END`,
	`CREATE MACRO selector_first(value, moment) AS {'value': arg_min(value, moment), 'time': min(moment)}`,
	`CREATE MACRO selector_last(value, moment) AS {'value': arg_max(value, moment), 'time': max(moment)}`,
	`CREATE MACRO selector_min(value, moment) AS {'value': min(value), 'time': arg_min(moment, value)}`,
	`CREATE MACRO selector_max(value, moment) AS {'value': max(value), 'time': arg_max(moment, value)}`,
	`CREATE MACRO approx_percentile_cont(value, fraction) AS approx_quantile(value, fraction)`,
}
