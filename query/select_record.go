package query

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// gatherRows copies some rows of a chunk.
func gatherRows(from *partition.Chunk, rows []uint32) *partition.Chunk {
	chunk := &partition.Chunk{Rows: len(rows), Time: make([]int64, len(rows)), Series: make([]uint32, len(rows))}
	for i, row := range rows {
		chunk.Time[i], chunk.Series[i] = from.Time[row], from.Series[row]
	}
	for i := range from.Fields {
		chunk.Fields = append(chunk.Fields, gatherField(&from.Fields[i], rows))
	}
	return chunk
}

func gatherField(from *partition.Field, rows []uint32) partition.Field {
	f := partition.Field{ID: from.ID, Type: from.Type}
	if from.Valid != nil {
		f.Valid = make([]uint64, (len(rows)+63)/64)
		for i, row := range rows {
			f.Valid[i>>6] |= from.Valid[row>>6] >> (row & 63) & 1 << (i & 63)
		}
	}
	switch from.Type {
	case schema.Int64:
		f.Int64 = gathered(from.Int64, rows)
	case schema.Uint64:
		f.Uint64 = gathered(from.Uint64, rows)
	case schema.Float64:
		f.Float64 = gathered(from.Float64, rows)
	case schema.Bool:
		f.Bool = gathered(from.Bool, rows)
	case schema.String:
		f.Offsets = make([]uint32, 1, len(rows)+1)
		for _, row := range rows {
			f.Data = append(f.Data, from.Bytes(int(row))...)
			f.Offsets = append(f.Offsets, uint32(len(f.Data)))
		}
	}
	return f
}

func gathered[T any](from []T, rows []uint32) []T {
	to := make([]T, len(rows))
	for i, row := range rows {
		to[i] = from[row]
	}
	return to
}

// codedRecord makes a record of a chunk, whose numbers it shares. Tags are codes.
func codedRecord(layout *arrow.Schema, columns []schema.Column, s *partition.Snapshot, chunk *partition.Chunk) arrow.RecordBatch {
	arrays := make([]arrow.Array, len(columns))
	for i, c := range columns {
		switch {
		case c.ID == 0:
			arrays[i] = newArray(instant, chunk.Rows, nil, arrow.Int64Traits.CastToBytes(chunk.Time))
		case c.Type == schema.Tag:
			arrays[i] = codedTag(tagOf(s, c.ID), chunk)
		default:
			if k := fieldAt(chunk, c); k >= 0 {
				arrays[i] = fieldArray(&chunk.Fields[k], chunk.Rows)
			} else {
				arrays[i] = array.MakeArrayOfNull(memory.DefaultAllocator, directType(c), chunk.Rows)
			}
		}
	}
	rec := array.NewRecordBatch(layout, arrays, int64(chunk.Rows))
	for _, a := range arrays {
		a.Release()
	}
	return rec
}

// newArray makes an array of buffers; without valid no value is null.
func newArray(typ arrow.DataType, rows int, valid []uint64, values ...[]byte) arrow.Array {
	buffers, nulls := []*memory.Buffer{nil}, 0
	if valid != nil {
		bits := arrow.Uint64Traits.CastToBytes(valid)
		nulls = rows - bitutil.CountSetBits(bits, 0, rows)
		buffers[0] = memory.NewBufferBytes(bits)
	}
	for _, b := range values {
		buffers = append(buffers, memory.NewBufferBytes(b))
	}
	data := array.NewData(typ, rows, buffers, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func fieldArray(f *partition.Field, rows int) arrow.Array {
	typ := arrowType(f.Type)
	switch f.Type {
	case schema.Int64:
		return newArray(typ, rows, f.Valid, arrow.Int64Traits.CastToBytes(f.Int64))
	case schema.Uint64:
		return newArray(typ, rows, f.Valid, arrow.Uint64Traits.CastToBytes(f.Uint64))
	case schema.Float64:
		return newArray(typ, rows, f.Valid, arrow.Float64Traits.CastToBytes(f.Float64))
	case schema.Bool:
		bits := make([]byte, bitutil.BytesForBits(int64(rows)))
		for i, b := range f.Bool[:rows] {
			bits[i>>3] |= b << (i & 7)
		}
		return newArray(typ, rows, f.Valid, bits)
	}
	return newArray(typ, rows, f.Valid, arrow.Uint32Traits.CastToBytes(f.Offsets), f.Data)
}

// codedTag makes a column of codes; tag is nil where all are null.
func codedTag(tag *partition.TagColumn, chunk *partition.Chunk) arrow.Array {
	var values []string
	codes, valid := make([]int32, chunk.Rows), make([]uint64, (chunk.Rows+63)/64)
	if tag != nil {
		values = tag.Values
		for i, series := range chunk.Series[:chunk.Rows] {
			if int(series) < len(tag.Index) && tag.Index[series] > 0 {
				codes[i] = int32(tag.Index[series] - 1)
				valid[i>>6] |= 1 << (i & 63)
			}
		}
	}
	builder := array.NewStringBuilder(memory.DefaultAllocator)
	defer builder.Release()
	builder.AppendValues(values, nil)
	dictionary := builder.NewArray()
	defer dictionary.Release()
	places := newArray(arrow.PrimitiveTypes.Int32, chunk.Rows, valid, arrow.Int32Traits.CastToBytes(codes))
	defer places.Release()
	return array.NewDictionaryArray(tagType, places, dictionary)
}
