package flight

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/siltstone-db/siltstone/query"
)

// maxMessageBytes is about how large a message of a result may be. Clients of gRPC take 4 MiB
// unless told otherwise; the estimate is rough, and InfluxDB 3 aims at the same size. A
// single row may be larger.
const maxMessageBytes = 2 << 20

// send writes rows to a stream as they come.
func send(stream flight.DataStreamWriter, rows query.Rows) error {
	plain := plainSchema(rows.Schema())
	w := flight.NewRecordWriter(stream, ipc.WithSchema(plain))
	for rows.Next() {
		record, err := plainRecord(plain, rows.Record())
		if err != nil {
			return err
		}
		err = write(w, record)
		record.Release()
		if err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return w.Close() // sends the schema if there was no row
}

// write sends a record in as many messages as its size takes.
func write(w *flight.Writer, record arrow.RecordBatch) error {
	rows := record.NumRows()
	if rows < 2 || sizeOf(record) <= maxMessageBytes {
		return w.Write(record)
	}
	for _, half := range [][2]int64{{0, rows / 2}, {rows / 2, rows}} {
		part := record.NewSlice(half[0], half[1])
		err := write(w, part)
		part.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// sizeOf returns about how many bytes a record takes on the wire.
func sizeOf(record arrow.RecordBatch) int64 {
	var bytes int64
	for _, column := range record.Columns() {
		bytes += columnSize(column)
	}
	return bytes
}

// columnSize counts what the rows of a slice use, not the buffers that they are a part of.
func columnSize(column arrow.Array) int64 {
	rows := int64(column.Len())
	switch c := column.(type) {
	case array.BinaryLike: // strings and bytes
		return int64(len(c.ValueBytes())) + 4*rows
	case array.ListLike:
		var items int64
		for i := range column.Len() {
			from, to := c.ValueOffsets(i)
			items += to - from
		}
		return 4*rows + items*averageSize(c.ListValues())
	case *array.Struct:
		bytes := rows / 8
		for i := range c.NumField() {
			bytes += rows * averageSize(c.Field(i))
		}
		return bytes
	}
	if t, ok := column.DataType().(arrow.FixedWidthDataType); ok {
		return (rows*int64(t.BitWidth()) + 7) / 8
	}
	return rows * averageSize(column)
}

// averageSize is what a row of a column takes in memory.
func averageSize(column arrow.Array) int64 {
	if column.Len() == 0 {
		return 0
	}
	return int64(column.Data().SizeInBytes())/int64(column.Len()) + 1
}
