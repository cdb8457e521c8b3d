// Package persist writes sorted Arrow records to Parquet files and reads them back.
//
// A file is a run of points of one table in the order of their tags and time. Write
// makes it, once and for all; Open reads it; Verify compares it with what the catalog
// says of it. Any reader of Parquet can read it too: docs/format/parquet.md says what
// it finds.
//
// It promises:
//
//	F1  A file gets its name after its bytes are durable, and Write returns after the
//	    name is. Whenever the process or the machine stops, there is the whole file
//	    under its name or none; what is left otherwise ends in TempSuffix.
//	F2  After an error of Write there is no new file, under its name or its temporary
//	    one, unless it could not be removed, which the error then says. A file that
//	    exists is never replaced.
//	F3  The rows of a file are in strictly ascending order: Write refuses others, so
//	    that no point occurs twice in a file and its sorting columns tell the truth.
//	F4  The description that Write returns is computed from the rows themselves: no
//	    value lies outside its column's bounds, and the checksum is that of the bytes
//	    that were handed to the file system.
//	F5  Verify finds every change of a file, VerifyColumns every change of what reading
//	    some columns depends on. Open finds what makes a file unreadable: that is a
//	    *CorruptError, never a panic. A changed value that is still readable is for
//	    the former two to find; Parquet pages carry no checksum here.
//	F6  Write holds the rows of one row group and one encoded column of it, however
//	    many rows there are.
//	F7  A merge has every point of its inputs once, with the last value of each field that is
//	    not null, and reads nothing that does not match its checksum. It holds a batch of
//	    rows and a row group as it lies on disk for each input.
//
// It leaves to its callers: ids, names and log positions of files; sorting, and
// merging equal points; leaving out columns that are null in every row; the validity
// of strings as UTF-8; removing files, and what a crash has left. It knows neither
// the catalog nor the log.
//
// Write, Open, Verify and VerifyColumns may be called concurrently, for different files. A Reader or Merger is
// for one goroutine at a time.
//
// It owns the bytes of the Parquet files and their temporary names.
package persist
