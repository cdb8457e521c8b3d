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
// The grammar is that of github.com/influxdata/influxql, InfluxDB 1's own.
package influxql
