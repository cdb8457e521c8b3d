// Package catalog is the durable record of what exists: databases, tables, columns,
// Parquet files, and the log positions up to which rows are in those files. It lives
// in a small Pebble store that nothing outside this package sees.
//
// It promises:
//
//	C1  Define is all or nothing: a change is durable when Define returns without
//	    error, and a refused change leaves no trace, in memory or on disk.
//	C2  Commit is all or nothing in the same way. A file is visible in Files if and
//	    only if its edit is durable.
//	C3  A column's type never changes. Ids of databases, tables and columns are never
//	    used again; neither are ids of files, even of files that were never committed.
//	C4  Positions never go back.
//	C5  Schema, Files, Position and Flushed take no lock, do no I/O and show only what
//	    is durable. What they return never changes.
//	C6  After the first failure of the storage nothing more is written: the directory
//	    stays as a crash at that moment would have left it, and Define and Commit
//	    return ErrFailed until the catalog is closed and opened again.
//	C7  What is damaged is refused: Open names the record and does not guess.
//
// When Define or Commit returns ErrFailed, that change is in doubt: after reopening
// it is there whole or not at all.
//
// It leaves to others: whether a name is acceptable and what to answer to a client
// (engine), the files themselves and removing those that no edit names (persist,
// engine), the rows and their log (partition, wal). Names are data here and never
// become part of a file name.
//
// Every method may be called concurrently; Define and Commit exclude each other.
// The package owns every byte under Options.Dir; docs/format/catalog.md describes
// the keys and values.
package catalog
