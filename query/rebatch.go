package query

import (
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// DuckDB answers in records of 2,048 rows. Each record costs a message, and in Parquet a
// row group, so that they are put together before they are sent as Arrow.

const (
	// messageBytes bounds the data of a record of Rebatch, by estimate. Many clients
	// refuse gRPC messages of more than 4 MiB.
	messageBytes = 2 << 20
	// messageWait bounds how long a record is held back for more rows of a slow query.
	messageWait = 200 * time.Millisecond
)

// Rebatch gives the rows of an answer in records of up to the given number of rows and
// some 2 MiB, whatever is less. The first record is the answer's own, so that the
// client has something to do; a record of a slow query is not held back for long. Closing
// the new answer closes the old one.
func Rebatch(rows Rows, n int) Rows {
	return &rebatched{source: rows, maxRows: int64(n), maxBytes: messageBytes, early: true, wait: messageWait}
}

// rebatched is an answer in records of another size.
type rebatched struct {
	source   Rows
	maxRows  int64
	maxBytes int64
	early    bool          // the next record is as small as the source's
	wait     time.Duration // 0 waits for a full record

	rest    arrow.RecordBatch // of the source's record, when it was too large
	current arrow.RecordBatch
	err     error
}

func (r *rebatched) Schema() *arrow.Schema { return r.source.Schema() }

func (r *rebatched) Record() arrow.RecordBatch { return r.current }

func (r *rebatched) Err() error { return r.err }

func (r *rebatched) Close() {
	release(&r.current)
	release(&r.rest)
	r.source.Close()
}

func release(rec *arrow.RecordBatch) {
	if *rec != nil {
		(*rec).Release()
		*rec = nil
	}
}

func (r *rebatched) Next() bool {
	release(&r.current)
	if r.err != nil {
		return false
	}
	pieces, err := r.collect()
	defer func() {
		for _, p := range pieces {
			p.Release()
		}
	}()
	if err != nil || len(pieces) == 0 {
		r.err = err
		return false
	}
	r.current, r.err = joinRecords(pieces)
	return r.err == nil
}

// collect takes pieces of the source until they fill a record.
func (r *rebatched) collect() (pieces []arrow.RecordBatch, err error) {
	var rows, bytes int64
	begin := time.Now()
	for rows < r.maxRows && bytes < r.maxBytes {
		piece := r.take()
		if piece == nil {
			return pieces, r.source.Err()
		}
		if piece.NumRows() == 0 {
			piece.Release()
			continue
		}
		size := recordBytes(piece)
		n := min(piece.NumRows(), r.maxRows-rows)
		if left := r.maxBytes - bytes; size > left {
			n = min(n, piece.NumRows()*left/size)
		}
		if n == 0 && len(pieces) > 0 {
			r.rest = piece
			return pieces, nil
		}
		if n = max(n, 1); n < piece.NumRows() {
			r.rest = piece.NewSlice(n, piece.NumRows())
			head := piece.NewSlice(0, n)
			piece.Release()
			piece = head
			size = recordBytes(piece)
		}
		pieces = append(pieces, piece)
		rows, bytes = rows+n, bytes+size
		if r.early || r.wait > 0 && time.Since(begin) > r.wait {
			r.early = false
			break
		}
	}
	return pieces, nil
}

// take returns what is left of a record, or the next one, or nil. The caller owns it.
func (r *rebatched) take() arrow.RecordBatch {
	if piece := r.rest; piece != nil {
		r.rest = nil
		return piece
	}
	if !r.source.Next() {
		return nil
	}
	piece := r.source.Record()
	piece.Retain()
	return piece
}

// joinRecords makes one record of those that follow each other.
func joinRecords(pieces []arrow.RecordBatch) (arrow.RecordBatch, error) {
	if len(pieces) == 1 {
		pieces[0].Retain()
		return pieces[0], nil
	}
	first := pieces[0]
	columns := make([]arrow.Array, 0, first.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	parts := make([]arrow.Array, len(pieces))
	var rows int64
	for _, p := range pieces {
		rows += p.NumRows()
	}
	for k := range int(first.NumCols()) {
		for i, p := range pieces {
			parts[i] = p.Column(k)
		}
		column, err := array.Concatenate(parts, memory.DefaultAllocator)
		if err != nil {
			return nil, fmt.Errorf("query: column %q: %w", first.ColumnName(k), err)
		}
		columns = append(columns, column)
	}
	return array.NewRecordBatch(first.Schema(), columns, rows), nil
}

// recordBytes estimates the size of a record's values.
func recordBytes(rec arrow.RecordBatch) int64 {
	var n int64
	for _, c := range rec.Columns() {
		n += arrayBytes(c)
	}
	return n
}

func arrayBytes(a arrow.Array) int64 {
	n := int64(a.Len())
	if n == 0 {
		return 0
	}
	switch a := a.(type) {
	case *array.String:
		return 4*n + int64(len(a.ValueBytes()))
	case *array.Binary:
		return 4*n + int64(len(a.ValueBytes()))
	case *array.Struct:
		var size int64
		for k := range a.NumField() {
			size += arrayBytes(a.Field(k))
		}
		return size
	case array.ListLike:
		begin, _ := a.ValueOffsets(0)
		_, end := a.ValueOffsets(a.Len() - 1)
		values := array.NewSlice(a.ListValues(), begin, end)
		defer values.Release()
		return 4*n + arrayBytes(values)
	}
	if fixed, ok := a.DataType().(arrow.FixedWidthDataType); ok {
		return (n*int64(fixed.BitWidth()) + 7) / 8
	}
	return 16 * n
}
