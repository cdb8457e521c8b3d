// Package datasets carries five small sets of line protocol inside the binary, so
// that the demo and the tests have real data without a network.
//
// It promises:
//
//	D1  Every set is listed in All with the precision, the number of points and
//	    the tables that its lines really have; a test counts them.
//
// The wind, weather and bitcoin sets are measurements from InfluxData's
// documentation samples (MIT licence). The two tsbs sets were generated with
// timescale/tsbs (seed 123, 100 hosts). Package datasets is read-only and may be
// used concurrently.
package datasets
