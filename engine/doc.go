// Package engine is the store: it composes log, catalog, partitions and Parquet files,
// owns every goroutine of storage, and keeps the invariants that cross packages.
//
// It promises:
//
//	E1  When Write returns without error, every accepted point is on disk (the log is
//	    synced) and visible to every View made afterwards. Nothing is visible before.
//	E2  A rejected line leaves no trace: no table, no column, no type, no row.
//	E3  Each accepted row is in exactly one of {buffer, file} for any View, whatever
//	    is flushed while it is made or read.
//	E4  Of two writes of one point the later wins, field by field: rows keep the order
//	    of the log in buffers, and files carry an Order.
//	E5  Killing the process at any moment, recovery included, loses nothing that E1
//	    promised and doubles nothing.
//	E6  Memory of buffers stays within the pool's share: what does not fit is refused
//	    with ErrOverloaded before it is logged.
//	E7  After a failed write or sync of the log no write is acknowledged until the
//	    engine is opened again; queries go on. If the disk was full, writes go on by
//	    themselves when there is space, and what was refused stays out.
//	E8  Where the rejected-points log is on, Write returns only after every line with a
//	    fault is in it, durably, and its files stay within a size and an age.
//	E9  A table with Key.Rule FirstByTag holds one row for each value of the tag, the
//	    first that was acknowledged, whatever is repeated, killed, flushed or deleted.
//	E10 Whatever the machine's clock does, nothing is deleted before the time that was
//	    given for it has passed, and no point with a time stamp is refused for it.
//	E11 Who calls TableView.Verify before reading a file gets what was written, or a
//	    *FileError that names the file: never another value.
//
// # Life of a write
//
// Write (write.go) reads the body line by line into columns (ingest*.go), one Batch
// for each partition, against an immutable snapshot of the schema. New columns are
// defined in the catalog first, durably, so that the log refers to ids that exist. The
// encoded batches are one log record; package wal groups the records of concurrent
// writers into one write and one sync, and calls apply in log order. Rejected lines
// (rejected.go) become a second record. With NoSync the caller does not wait for the
// sync; a View does.
//
// # Flushing
//
// The flusher (flush.go) freezes the partitions of a table, writes them sorted and
// merged to a Parquet file, and commits {file, flushed positions} to the catalog at
// once; only then does the table swap buffer for file, under the same lock under which
// views are made. A log record is needed again as long as one of the partitions it
// touches is not flushed; the smallest such position is the catalog's Position, behind
// which the log is trimmed.
//
// # Compaction
//
// The compactor (compact.go) merges files that the policy (compact_policy.go) chooses, and
// puts the result in their place in one commit. It holds no lock while it reads and writes.
//
// # Rollups
//
// Which intervals of a rollup are stale is part of the commits that make them so (rollup_stale.go). A refresh
// (rollup_refresh.go) computes them from a view and puts them in the place of what is stored in one commit.
//
// # A full disk
//
// The healer (heal.go) looks at the disk once a second (space.go), rearms the log and
// reopens the catalog when they ran out of space, and repeats flushes that did.
//
// # Checking
//
// Check (check.go) verifies a directory that nobody has open, Engine.Check the engine's
// own. Both read what the catalog names (check_files.go) and the log behind it
// (check_log.go) with the code that recovery and queries read with, and write nothing.
//
// # Locks
//
// In the order in which they may be taken:
//
//	datasources    one datasource is created at a time
//	firsts         a database with FirstByTag tables: from looking keys up to applying
//	rollups.turn   one refresh of a rollup; across its I/O
//	merging        one merge of files; across its I/O
//	flusher.mu     one flush or purge at a time, or the reopening of the catalog with what
//	               follows from it; held across file I/O; never by writers or views
//	applying       one record's batches; held to apply them, to freeze, and while the
//	               catalog is reopened
//	tables.mu      the map of tables; held for a lookup
//	lastIndex.mu   a table's newest rows; held to read buffered rows and to swap files, not
//	               while files are read
//	table.mu       one table's buffers and files; held to append a batch, to make a
//	               view and to swap, never across I/O; that of a rollup's source, then the rollup's
//	Partition's    inside package partition
//
// The log calls apply from the committing goroutines, one at a time; apply takes
// applying, tables.mu and table.mu, and adds keys to the catalog, which takes a lock of
// its own for that and none that is held during a sync, save that of a purge. The
// catalog and the log take no lock of the engine.
package engine
