// Package partition holds the rows of one table on one UTC day in memory, from
// the moment they are durable in the log until they are in a Parquet file.
//
// It promises:
//
//	P1  A Batch is columnar and complete: nothing in it refers to the request it
//	    came from, and its encoding carries all that replay needs.
//	P2  A Snapshot never changes and is taken without copying values; writers go
//	    on while it is read.
//	P3  Rows keep their arrival order; Sorted yields one row for each (tags, time)
//	    in which each field has the value written last.
//	P4  Bytes reports what the partition holds in memory, so that a pool can bound it.
//	P5  Memory is linear in the values written: rows that share few columns are cut
//	    into short runs instead of being padded.
//
// Series, not tags, are the unit of identity: a row carries one series number, and
// the partition's series table maps it to dictionary-coded tag values. An append
// thus costs the same for one tag and for twenty, and sorting by tags compares
// integers.
//
// It leaves the order of rows to its caller (engine applies batches in log order),
// and durability to wal and persist; whether a decoded batch's columns exist, with the
// types it says, is for the caller to check. It owns the bytes inside the log's records,
// see docs/format/batch.md. A Partition may be used concurrently; a Batch, an Encoder
// and a Decoder may not.
package partition
