// Package e2e tests the finished binary from outside: it builds siltstone, starts it as
// a child process in a process group of its own, talks HTTP to it, kills it, and reads
// its Parquet files with programs that we did not write.
//
// It shows:
//
//	X1  Real data come back: the bundled sets are queryable before and after a flush,
//	    a kill and a stop, and every figure of theirs equals the input's.
//	X2  The files are open: stock DuckDB and PyArrow read the same figures from them.
//	X3  A kill at any moment, recovery and flush included, loses no acknowledged point,
//	    doubles none, invents none and tears none.
//	X4  A bad line is answered in InfluxDB 3 Core's words, costs no good line, and
//	    leaves no table, no column and no row.
//	X5  The later write of a point wins, field by field, wherever the two are and
//	    whichever way one asks.
//	X6  Two servers cannot share a directory; a stop under load takes seconds and
//	    loses nothing; a server that recovers says so instead of refusing connections.
//	X7  A reader never sees fewer points than were acknowledged before it asked, nor
//	    more than were submitted before it was answered.
//	X8  An event of the Ingest API is stored once, however often it is sent and whatever
//	    is killed.
//	X9  A token for one database reads that one and nothing else: no other database, no
//	    file, no setting, no variable, by whichever entry and disguise.
//	X10 A query ends when its client hangs up, its time is over, or somebody kills it; too
//	    many wait, and one that wants too much memory fails alone.
//	X11 The system tables say of files, partitions and the log what is on disk, before and
//	    after a flush, a kill, a stop and a deletion.
//	X12 So does a loss of power on ext4 and XFS, that is, of all that was not synced; a
//	    server whose syncs lie fails the test. After a sync that failed nothing more is
//	    acknowledged, and a slow disk slows writers down and nobody else.
//	X13 On a full disk writes are answered 503 at once, queries go on, and writes resume
//	    within seconds of there being space, without a restart and without a loss.
//	X14 In a control group with little memory a server that gets more than it can take
//	    answers 503, is not killed, goes on with queries, and has what it acknowledged;
//	    so it has when the kernel kills it for lack of memory.
//
// What is expected is never computed by the code under test: reader_test.go has a slow
// line-protocol reader of its own, and model_test.go the rule of merging points.
//
// The tests need the build tag duckdb_arrow, as the binary does. They keep their bytes
// in the test's temporary directories, and a Python environment in the user's cache
// directory. docs/reliability.md says how to run more rounds than the default.
package e2e
