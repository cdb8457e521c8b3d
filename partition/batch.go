package partition

import (
	"encoding/binary"
	"iter"
	"math"

	"github.com/siltstone-db/siltstone/schema"
)

// Batch is the rows of one request for one partition, in columns. It is built row by
// row, encoded into the log, and appended to its partition once it is durable.
type Batch struct {
	Key   schema.PartitionKey
	Range schema.TimeRange
	Time  []int64  // by row
	Index []uint32 // by row: which of Series it belongs to
	// Series are the canonical keys of the tag sets, see AppendTag. A tag set may
	// occur more than once.
	Series [][]byte
	Fields []Field
}

// Limits of a batch; a caller with more makes several batches for one partition.
const (
	// MaxBatchCells bounds rows × (columns + 1), so that a decoder can refuse absurd
	// sizes before it allocates.
	MaxBatchCells = 1 << 24
	// sparseSlack is the number of nulls that a batch or chunk may hold besides
	// sparseRatio nulls for each value. Rows that share few columns are cut into
	// short runs instead of being padded: memory stays linear in what was written.
	sparseSlack = 512
	sparseRatio = 4
)

// AppendTag appends one tag to a canonical series key: the uvarint of the column id,
// the uvarint of the value's length and the value. Tags must come in id order; two
// tag sets are equal exactly if their keys are.
func AppendTag(key []byte, id schema.ColumnID, value []byte) []byte {
	key = binary.AppendUvarint(key, uint64(id))
	key = binary.AppendUvarint(key, uint64(len(value)))
	return append(key, value...)
}

// TagValue finds the value of a tag in a canonical series key; it aliases the key.
func TagValue(key []byte, id schema.ColumnID) (value []byte, ok bool) {
	for len(key) > 0 {
		next, value, rest, ok := nextTag(key)
		if !ok || next > id {
			return nil, false
		}
		if next == id {
			return value, true
		}
		key = rest
	}
	return nil, false
}

// Tags yields the tags of a canonical series key in id order; values alias the key.
func Tags(key []byte) iter.Seq2[schema.ColumnID, []byte] {
	return func(yield func(schema.ColumnID, []byte) bool) {
		for len(key) > 0 {
			id, value, rest, ok := nextTag(key)
			if !ok || !yield(id, value) {
				return
			}
			key = rest
		}
	}
}

// nextTag splits the first tag off a canonical series key.
func nextTag(key []byte) (id schema.ColumnID, value, rest []byte, ok bool) {
	if end := shortTag(key); end > 0 {
		return schema.ColumnID(key[0]), key[2:end], key[end:], true
	}
	v, n := shortUvarint(key)
	if n <= 0 || v == 0 || v > math.MaxUint32 {
		return 0, nil, nil, false
	}
	key = key[n:]
	size, n := shortUvarint(key)
	if n <= 0 || size > uint64(len(key)-n) {
		return 0, nil, nil, false
	}
	key = key[n:]
	return schema.ColumnID(v), key[:size], key[size:], true
}

// shortTag returns the length of the first tag of a key if its numbers take a byte each, as mostly, and
// else 0.
func shortTag(key []byte) int {
	if len(key) < 2 || key[0] == 0 || key[0]|key[1] >= 0x80 {
		return 0
	}
	if end := 2 + int(key[1]); end <= len(key) {
		return end
	}
	return 0
}

// shortUvarint is binary.Uvarint for numbers in their shortest spelling only, so that
// equal tag sets cannot have different keys.
func shortUvarint(b []byte) (v uint64, n int) {
	v, n = binary.Uvarint(b)
	if n > 1 && b[n-1] == 0 {
		return 0, -n
	}
	return v, n
}

// Rows returns the number of rows.
func (b *Batch) Rows() int { return len(b.Time) }

// Fits reports whether a row of rowValues field values, newFields of them in columns
// that the batch does not have yet, may be added; values is the number of field values
// that the batch holds. A batch takes any first row. The question must be asked before such columns are added:
// each one is padded to the number of rows, so that after a million narrow rows a
// single wide one would take gigabytes.
func (b *Batch) Fits(rowValues, newFields, values int) bool {
	if len(b.Time) == 0 {
		return true
	}
	rows, columns := len(b.Time)+1, len(b.Fields)+newFields
	return rows*(columns+1) <= MaxBatchCells && !isSparse(rows*columns, values+rowValues)
}

// isSparse reports whether cells holds too many nulls for its number of values.
func isSparse(cells, values int) bool { return cells-values > sparseRatio*values+sparseSlack }

// Finish pads the fields to the number of rows; a batch is complete only then.
func (b *Batch) Finish() {
	for i := range b.Fields {
		b.Fields[i].Pad(len(b.Time))
	}
}

// Reset empties the batch for another partition and keeps its memory.
func (b *Batch) Reset(key schema.PartitionKey) {
	b.Key, b.Range = key, schema.EmptyTimeRange
	clear(b.Series) // keys are in memory of others
	b.Time, b.Index, b.Series = b.Time[:0], b.Index[:0], b.Series[:0]
	for i := range b.Fields {
		b.Fields[i].reset()
	}
	b.Fields = b.Fields[:0]
}

// AddField appends a column without values and returns its position. Memory of an
// earlier use at that position is reused.
func (b *Batch) AddField(id schema.ColumnID, t schema.ColumnType) int {
	n := len(b.Fields)
	if n < cap(b.Fields) {
		b.Fields = b.Fields[:n+1]
	} else {
		b.Fields = append(b.Fields, Field{})
	}
	f := &b.Fields[n]
	f.reset()
	f.ID, f.Type = id, t
	return n
}

// Select returns the rows for which keep says so, in their order; b itself if these are all. The result
// shares the keys of series.
func (b *Batch) Select(keep func(row int) bool) *Batch {
	from := 0
	for from < b.Rows() && keep(from) {
		from++
	}
	if from == b.Rows() {
		return b
	}
	out := &Batch{Key: b.Key, Range: schema.EmptyTimeRange, Series: b.Series}
	for i := range b.Fields {
		out.AddField(b.Fields[i].ID, b.Fields[i].Type)
	}
	out.appendRows(b, 0, from)
	for row := from + 1; row < b.Rows(); row++ {
		if keep(row) {
			out.appendRows(b, row, row+1)
		}
	}
	return out
}

// appendRows copies rows of a batch with the same series and fields.
func (b *Batch) appendRows(src *Batch, from, to int) {
	if from == to {
		return
	}
	for i := range b.Fields {
		b.Fields[i].Pad(len(b.Time)) // the first of a field of text makes room for its beginning
		b.Fields[i].appendRange(&src.Fields[i], from, to)
	}
	b.Time = append(b.Time, src.Time[from:to]...)
	b.Index = append(b.Index, src.Index[from:to]...)
	for _, at := range src.Time[from:to] {
		b.Range = b.Range.Include(at)
	}
}

// MemoryBytes estimates what the batch takes in the buffers if its partition and all
// its series are new: a row for each of many days costs far more than its values.
func (b *Batch) MemoryBytes() int64 {
	n := baseBytes + chunkOverhead + int64(max(len(b.Time), minChunkRows))*(8+4)
	for _, key := range b.Series {
		n += int64(len(key)) + seriesOverhead + tagValueOverhead + 2*indexOverhead
	}
	for i := range b.Fields {
		n += b.Fields[i].bytes() + fieldHeaderBytes + 8*minChunkRows
	}
	return n
}

// valuesIn counts the field values of rows [from, to), nulls excepted.
func (b *Batch) valuesIn(from, to int) int {
	n := 0
	for i := range b.Fields {
		n += b.Fields[i].valuesIn(from, to)
	}
	return n
}

// bytes returns the memory that the field's values take.
func (f *Field) bytes() int64 {
	return int64(8*(len(f.Int64)+len(f.Uint64)+len(f.Float64)+len(f.Valid)) + len(f.Bool) + 4*len(f.Offsets) + len(f.Data))
}

// capBytes returns the memory that the field has allocated.
func (f *Field) capBytes() int64 {
	return int64(8*(cap(f.Int64)+cap(f.Uint64)+cap(f.Float64)+cap(f.Valid)) + cap(f.Bool) + 4*cap(f.Offsets) + cap(f.Data))
}

func floatFrom(bits uint64) float64 { return math.Float64frombits(bits) }
