package schema

// File describes one immutable Parquet file as the catalog records it. Shared
// values are never changed.
type File struct {
	ID       FileID
	Database DatabaseID
	Table    TableID
	// DayMin and DayMax are the first and last UTC day of the partitions it holds.
	DayMin, DayMax Day
	Rows           uint64
	Bytes          uint64
	// Time is the range of the time column, both ends occurring in the file.
	Time TimeRange
	// Seq is the range of log positions whose rows are in the file.
	Seq SeqRange
	// Order decides between files of one table that hold the same point: the file
	// with the higher Order was written later, and its fields win. Files that a salvage
	// put in the place of one have its Order; of these the higher ID wins.
	Order uint64
	// Swept is the Order of the newest tombstone whose rows a merge has left out of the file; 0
	// if there was none.
	Swept uint64
	// CRC32C is the Castagnoli checksum of the whole file.
	CRC32C uint32
	// FooterCRC32C is the Castagnoli checksum of all that is not in a column chunk: the
	// first four bytes and the last FooterBytes. Both are 0 for a file written before
	// they were kept, which can only be checked as a whole.
	FooterCRC32C uint32
	FooterBytes  uint64
	// Columns has one entry for each column in the file, time excluded, in id order.
	Columns []ColumnStats
}

// ColumnStats summarises one column of one file.
type ColumnStats struct {
	Column ColumnID
	Nulls  uint64
	// Min and Max bound the non-null values, in an encoding that orders as bytes
	// compare: see SortableInt64 and its siblings. Both are nil where nothing is
	// known. A string bound longer than MaxStatBytes is cut; Max is then rounded up.
	Min, Max []byte
}

// MaxStatBytes bounds the length of a string statistic.
const MaxStatBytes = 64
