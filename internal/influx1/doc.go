// Package influx1 compares Siltstone's answers to InfluxQL with those of InfluxDB 1.6.
// It has nothing but tests.
//
// It promises:
//
//	C1  Each question of testdata/queries.txt is sent to a real server over real data,
//	    and the answer equals what InfluxDB 1.6.7 said: status, series and their order,
//	    names, tags, columns, times, nulls, values and errors. Floats may differ by a
//	    relative 1e-12, as sums depend on the order of what is added; nothing else may.
//	C2  That holds whether the data are in buffers, in files, or in both with points that
//	    were written twice.
//	C3  What differs and stays so is listed in testdata/differences.txt with the reason,
//	    and what we say instead in testdata/siltstone.txt. An entry without a difference
//	    is an error.
//	C4  The same holds for the statements of testdata/deletions.txt, each of which is sent to a database of its own,
//	    and for what is left of it.
//
// The answers of InfluxDB are recorded in testdata/influxdb-1.6.7*.txt, so that the
// comparison needs no InfluxDB. To record them anew:
//
//	go test -tags duckdb_arrow ./internal/influx1 -run TestRecording -record
//
// which takes the server that SILTSTONE_INFLUXD names, or else gets Debian's package.
package influx1
