package partition

import "github.com/siltstone-db/siltstone/schema"

// Snapshot is an immutable picture of a partition's rows in arrival order: of two
// rows with the same tags and time the later one wins, field by field.
type Snapshot struct {
	Key  schema.PartitionKey
	Rows int
	Time schema.TimeRange // EmptyTimeRange when Rows is 0
	Seq  schema.SeqRange  // log positions of the rows

	// SeriesCount is the number of distinct tag sets; a row's series is an index below it.
	SeriesCount int
	// Tags has one entry for each tag column that occurs, in no particular order.
	Tags []TagColumn
	// Chunks hold the rows; concatenated they are the partition.
	Chunks []Chunk
}

// TagColumn gives one tag's value for each series, dictionary-coded. The value of
// the tag in row r is Values[Index[series of r]-1], or null where the index is 0 or
// the series number is not below len(Index).
type TagColumn struct {
	ID     schema.ColumnID
	Index  []uint32 // by series; 0 is null, else 1 + the position in Values
	Values []string // distinct, in order of first use
}

// Value returns the tag's value for a series; ok is false for null.
func (t *TagColumn) Value(series uint32) (value string, ok bool) {
	if int(series) >= len(t.Index) || t.Index[series] == 0 {
		return "", false
	}
	return t.Values[t.Index[series]-1], true
}

// Chunk is a run of consecutive rows, one slice a column.
type Chunk struct {
	Rows   int
	Time   []int64  // nanoseconds since the Unix epoch
	Series []uint32 // by row
	Range  schema.TimeRange
	// Fields has one entry for each field column that occurs in the chunk; other
	// fields are null in all its rows.
	Fields []Field
}

// Field is the values of one field column in one chunk, in Arrow's layout but for
// booleans, which take a byte each (0 or 1), as in DuckDB's vectors.
type Field struct {
	ID   schema.ColumnID
	Type schema.ColumnType
	// Valid has bit r%64 of word r/64 set where row r has a value (Arrow's and
	// DuckDB's validity layout); nil means that all rows have one.
	Valid []uint64

	// Exactly one of these is set, by Type.
	Int64   []int64
	Uint64  []uint64
	Float64 []float64
	Bool    []uint8
	// Strings: the value of row r is Data[Offsets[r]:Offsets[r+1]].
	Offsets []uint32
	Data    []byte
}

// IsValid reports whether row r has a value.
func (f *Field) IsValid(r int) bool { return f.Valid == nil || f.Valid[r>>6]>>(r&63)&1 != 0 }

// Bytes returns the string value of row r; it aliases the column.
func (f *Field) Bytes(r int) []byte { return f.Data[f.Offsets[r]:f.Offsets[r+1]] }

// Runs cuts the snapshot into pieces of whole chunks with at most maxRows rows each
// (more where a single chunk has more), in arrival order.
func (s *Snapshot) Runs(maxRows int) []*Snapshot {
	var runs []*Snapshot
	for _, c := range s.Chunks {
		if n := len(runs); n == 0 || runs[n-1].Rows+c.Rows > maxRows {
			run := *s
			run.Rows, run.Time, run.Chunks = 0, schema.EmptyTimeRange, nil
			runs = append(runs, &run)
		}
		run := runs[len(runs)-1]
		run.Rows += c.Rows
		run.Time = run.Time.Union(c.Range)
		run.Chunks = append(run.Chunks, c)
	}
	return runs
}
