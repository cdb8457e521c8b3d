// Package tsbs makes the data and the queries of the Time Series Benchmark Suite's
// cpu-only case, so that a benchmark needs no files.
//
// It promises:
//
//	G1  A Config makes the same bytes on every run and every machine.
//	G2  The lines have the shape of TSBS's own: the same series texts, fields, order,
//	    time stamps and behaviour of values. A test holds them against a sample that
//	    TSBS made. The values themselves differ, as its random numbers do.
//	G3  No two lines have the same series and time, so that as many rows must be
//	    stored as lines were sent.
//
// It leaves it to the caller where lines and queries go. A Generator is for one
// goroutine at a time; everything else is immutable.
package tsbs
