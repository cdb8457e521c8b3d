package schema

import "fmt"

// DatabaseID identifies a database for ever; ids are never used again.
type DatabaseID uint32

// TableID identifies a table within the whole catalog, not only its database.
type TableID uint32

// ColumnID identifies a column within its table. It is the Parquet field_id too,
// and columns are ordered by it: the first column of a table is 1.
type ColumnID uint32

// FileID identifies a Parquet file; ids grow and are never used again.
type FileID uint64

// Seq is the position of a record in the write-ahead log. The first record is 1;
// 0 stands for "before everything".
type Seq uint64

// SeqRange is an inclusive range of log positions.
type SeqRange struct{ Min, Max Seq }

// Include widens r so that it holds s. The zero SeqRange holds nothing.
func (r SeqRange) Include(s Seq) SeqRange {
	if r == (SeqRange{}) {
		return SeqRange{s, s}
	}
	return SeqRange{min(r.Min, s), max(r.Max, s)}
}

// PartitionKey names the unit of buffering: one table on one UTC day.
type PartitionKey struct {
	Database DatabaseID
	Table    TableID
	Day      Day
}

func (k PartitionKey) String() string {
	return fmt.Sprintf("db %d table %d day %s", k.Database, k.Table, k.Day)
}
