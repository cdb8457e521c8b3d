// Package influxql turns InfluxQL statements into SQL of the query engine.
//
// It promises:
//
//	I1  What a statement means is decided here and nowhere else, and by the schema
//	    alone: this package reads no rows. All rows are computed by the SQL that it
//	    writes, never one by one in Go.
//	I2  A piece of the language that is not supported is refused with an error that
//	    names it. Nothing is ignored silently.
//
// It leaves to package query how SQL runs and what a view is, and to its callers
// which databases may be read, and who may create or drop something.
//
// The grammar is that of github.com/influxdata/influxql, InfluxDB 1's own. How SELECT becomes SQL is
// told at compiler, in select.go.
//
// # What differs from InfluxDB 1
//
// A SELECT means what it means in InfluxDB 1.6, whose server the tests were compared with, but for
// the following. Where 1.6 contradicts its own documentation, what 1.8 does or says counts.
//
//   - Not supported: INTO, holt_winters, and the functions of technical analysis
//     (exponential_moving_average, relative_strength_index, …).
//   - abs of integers is their absolute value, and the offset of GROUP BY time may be a
//     date, as in 1.8. asin and acos take integers, as in 1.6.
//   - Points of several series with one time come in order of their tags; in InfluxDB
//     they come in any order.
//   - mode takes of several values that are as frequent the one that came first. InfluxDB promises that
//     and looks only at some of the points.
//   - integral of an integer field over GROUP BY time cuts the lines at the ends of buckets as that of
//     a float field. InfluxDB takes wrong values there.
//   - LIMIT counts the rows of a series, also where several functions have points at different times,
//     or where they come from a subquery; InfluxDB cuts each function on its own, and rows
//     of a subquery whenever the series changes.
//   - SLIMIT counts the series that have rows, in the order in which they are shown. InfluxDB counts
//     those of the index, each shard on its own.
//   - Sums, differences and products of integers that do not fit are null; in InfluxDB they wrap.
//   - A number in fill() does not become a field of text beside a selector, which is null there.
//   - Buckets in a time zone of an hour or less are aligned as they were in 1970. Where a range of
//     time has no bound, changes of clocks are known from 1970 to 2038.
package influxql
