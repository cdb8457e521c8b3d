// Command bench measures Siltstone on the machine it runs on: named scenarios, each
// with its own data, its own server process and a table of what it cost.
//
//	go run -tags duckdb_arrow ./bench ingest    bulk loads
//	go run -tags duckdb_arrow ./bench ack       latency of single durable lines
//	go run -tags duckdb_arrow ./bench replay    recovery after a kill
//	go run -tags duckdb_arrow ./bench start     start-up on thousands of files
//	go run -tags duckdb_arrow ./bench query     the TSBS queries, on files, buffers and overlapping files
//	go run -tags duckdb_arrow ./bench mixed     all of it at once, and flushes
//	go run -tags duckdb_arrow ./bench compact   files merged into fewer
//	go run -tags duckdb_arrow ./bench peers     the same work for other databases
//	go run -tags duckdb_arrow ./bench tuning    two settings under a heavy load, in compressed time
//	go run -tags duckdb_arrow ./bench docs      records rendered into the documentation
//	go run -tags duckdb_arrow ./bench engine    bulk loads without HTTP, for profiles
//	go run -tags duckdb_arrow ./bench all       ingest, ack, replay, start, query and mixed
//
// It promises:
//
//	B1  What is measured is the product: a child process of the siltstone binary on a
//	    fresh directory of a real disk, over HTTP. Only engine runs in this process. Peers
//	    are likewise children on loopback, with what they take by default.
//	B2  The client stays out of the way: bodies are made before the clock starts, a
//	    worker is one goroutine with one connection, and answers are parsed after the
//	    clock stops.
//	B3  A figure counts only if the work was done: each scenario asks the server for
//	    the rows afterwards and fails when one is missing or too many.
//	B4  CPU seconds, peak memory and bytes are read from the operating system and the
//	    server, not estimated. CPU that other processes took meanwhile is reported
//	    beside them, because it is what makes times noisy.
//
// It leaves the shape of data and queries to bench/tsbs. Nothing imports it, and it
// keeps no bytes: directories go away with the run, --json and --record write a record of it.
// Accounting needs Linux's /proc.
package main
