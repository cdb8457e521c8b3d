// Package query answers SQL over an engine view through an embedded DuckDB.
//
// It promises:
//
//	Q1  A query sees one view: every row that was acknowledged before it began,
//	    each once, and of rows with the same tags and time one row in which every
//	    field has the value written last, whichever file or buffer holds it and
//	    whichever plan DuckDB chooses. Of a LatestByTag table it sees each record as
//	    its newest version says, and no deleted one.
//	    A statement of InfluxQL over several measurements sees each of them at its own
//	    moment.
//	Q2  What a user sends can only read. DuckDB runs no text of a user: the text is
//	    parsed, its syntax tree is checked against lists of what is allowed, the
//	    tables in it are replaced by our scans, and only the text that is printed
//	    from that tree is run, on a database whose settings are locked.
//	Q3  Pruning never changes an answer: a file or row is left out only when the
//	    WHERE clause cannot accept it.
//	Q4  A cancelled query ends within milliseconds, and its view is unpinned when
//	    its Result is closed.
//	Q5  Memory, spill and the number of running queries are bounded; bounds.go and
//	    watchdog.go say how what DuckDB does not count is.
//	Q6  A query in a database is told nothing about another one, by no system table
//	    either; only the internal database tells about all.
//
// It leaves to package engine what a view pins, to package persist what a Parquet
// file looks like (columns are found by field_id, never by name), and to package
// httpapi the status codes: a *UserError is the user's fault, a *ResourceError means
// that the query needs more than the limits grant, anything else is ours.
//
// A Querier may be used concurrently; a Result belongs to one goroutine. The package
// owns no bytes but the spill directory, which it empties at Open.
//
// # The life of a query
//
//  1. gate.go: json_serialize_sql parses the text without executing anything, and
//     ast.go walks the tree with allow lists (Q2). show.go makes queries of
//     SHOW and DESCRIBE.
//  2. rewrite.go: every table in the tree becomes a reference to a scan of its own;
//     parameters and now() become constants; dialect*.go: what InfluxDB knows and DuckDB
//     does not becomes what DuckDB knows.
//  3. run.go pins the view, and prune.go extracts from the WHERE clauses, for each
//     scan, bounds on time and wanted tag values.
//  4. overlap.go finds the windows of time that more than one source covers, and
//     rows.go the buffered rows that lie there; scan.go writes the scan's SQL, and
//     latest.go what it takes for a table whose rows are versions of records. system.go
//     writes down what tables of system and information_schema hold.
//  5. The scans become common table expressions before the printed tree. There are no
//     catalog objects for a query, so concurrent queries cannot meet (and a scan
//     is bound once; temporary views, bound twice, cost 0.4 ms more a query).
//  6. stream.go runs the text, result.go gives the answer as Arrow, and format*.go
//     writes it down.
//
// # What differs from InfluxDB 3
//
// The dialect is DuckDB's; dialect.go adds what users of InfluxDB write. What differs:
//
//   - 5/2 is 2.5 (5//2 is 2), and names are found in any case, exact ones first.
//   - tz(x, zone) is the clock in the zone, without a zone: what to_local_time gives of it.
//     AT TIME ZONE is DuckDB's and PostgreSQL's, in microseconds.
//   - date_bin_gapfill fills from the first to the last bin with data where WHERE does not
//     bound time, instead of an error, and sorts by group and time without ORDER BY.
//   - The difference of two times is an interval, in microseconds, no Duration.
//   - approx_percentile_cont is DuckDB's approx_quantile, a t-digest as well.
//
// Without ORDER BY the order of rows is not defined.
package query
