// Package transfer turns rows into line protocol and back: what import and export of data
// are made of. It reads CSV (plain, and annotated as InfluxDB 2 writes it), Parquet, the
// dumps of InfluxDB 1, and the answers of a running InfluxDB 1, 2 or 3; it writes line protocol and
// annotated CSV. Everything that is read becomes line protocol, so that one way leads into a
// server, with one kind of messages.
//
// It promises:
//
//	X1  A value becomes exactly that value again: integers with all 64 bits, floats with all
//	    digits and the sign of zero, text with its line ends, null apart from empty text,
//	    instants in nanoseconds.
//	X2  What line protocol cannot say is refused by its place in the source, never changed
//	    and never dropped without a word.
//	X3  Memory is bounded by a chunk of lines and a batch of rows, whatever the size of the
//	    source. Answers of InfluxDB 3 go by way of a temporary file.
//	X4  Each line of a chunk knows the line or row of the source that it comes from.
//
// It leaves files, HTTP and the terminal to its callers. Its values are not safe for
// concurrent use.
package transfer
