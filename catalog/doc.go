// Package catalog is the durable record of what exists: databases, tables, columns,
// Parquet files, the log positions up to which rows are in those files, tokens and
// datasources; and of which events were stored already. It lives in a small Pebble store
// that nothing outside this package sees.
//
// A change is a call of Define, Commit, Purge, or a method that creates, sets, puts or
// deletes one thing. The package promises:
//
//	C1  A change is all or nothing: it is durable when the call returns without error,
//	    and a refused one leaves no trace, in memory or on disk.
//	C2  A file is visible in Files if and only if its edit is durable.
//	C3  A column's type and a table's key never change. Ids of databases, tables,
//	    columns and tokens are never used again, whatever is deleted and purged; neither
//	    are ids of files, even of files that were never committed.
//	C4  Positions never go back.
//	C5  Schema, Files, Position, Flushed, Tokens and Datasources take no lock, do no I/O
//	    and show only what is durable. What they return never changes.
//	C6  After the first failure of the storage nothing more is written: the directory
//	    stays as a crash at that moment would have left it, and changes, Remember and
//	    Seen return ErrFailed until the catalog is closed and opened again. Where the
//	    reason is lack of space, Reopen does the same in place.
//	C7  What is damaged is refused: Open and Seen name the record and do not guess.
//	C8  Event ids are durable when a later change that writes something returns. A crash
//	    before that loses the last calls of Remember, each whole, and none before them.
//	C9  What is deleted keeps its definition, files and event ids until it is purged,
//	    but not its name. After a purge only the id is left.
//
// When a change returns ErrFailed, it is in doubt: after reopening it is there whole or
// not at all. Calls of Remember that no later change made durable may be lost then.
//
// It leaves to others: whether a name is acceptable and what to answer to a client
// (engine), when to purge (engine), the files themselves and removing those that no edit
// names (persist, engine), the rows and their log (partition, wal), what a token allows
// (auth). Names are data here and never
// become part of a file name.
//
// Every method may be called concurrently; changes exclude each other, Remember and Seen
// wait for a purge or a Reopen only, and nothing but Close waits for a Check.
// The package owns every byte under Options.Dir; docs/format/catalog.md describes
// the keys and values.
package catalog
