package query

import (
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

const (
	// parquetRows is the size of a row group: what DuckDB and our own files have.
	parquetRows = 120 << 10
	// parquetBytes bounds the data of a row group, which is held in memory.
	parquetBytes = 32 << 20
	// parquetLevel is the fastest of zstd's: others cost more time than they save bytes.
	parquetLevel = 1
)

// WriteParquet writes a Parquet file, row group by row group. An answer without rows is a
// file without row groups.
func WriteParquet(w io.Writer, r Rows) error {
	r = &rebatched{source: intervalsAsText(plainTypes(r)), maxRows: parquetRows, maxBytes: parquetBytes}
	r = withDictionaries(r, dropValues)
	out, err := pqarrow.NewFileWriter(r.Schema(), writerOnly{w}, parquetProperties(r.Schema()), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return &UserError{Message: fmt.Sprintf("the answer has a column that Parquet cannot hold; cast it to VARCHAR: %v", err), Err: err}
	}
	for r.Next() {
		if err := out.Write(r.Record()); err != nil {
			return fmt.Errorf("query: write parquet: %w", err)
		}
	}
	if err := r.Err(); err != nil {
		return err // without the footer, no reader takes the file for a whole one
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("query: write parquet: %w", err)
	}
	return nil
}

// writerOnly hides what else a writer can do: pqarrow closes a file that it has written.
type writerOnly struct{ io.Writer }

func parquetProperties(schema *arrow.Schema) *parquet.WriterProperties {
	properties := []parquet.WriterProperty{
		parquet.WithCreatedBy("siltstone"),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(parquetLevel),
		parquet.WithMaxRowGroupLength(parquetRows),
		parquet.WithDictionaryDefault(false),
	}
	for _, f := range schema.Fields() {
		if id := f.Type.ID(); id == arrow.STRING || id == arrow.DICTIONARY {
			properties = append(properties, parquet.WithDictionaryFor(f.Name, true))
		}
	}
	return parquet.NewWriterProperties(properties...)
}

// intervalsAsText writes intervals as the text formats do, because pqarrow cannot.
func intervalsAsText(rows Rows) Rows {
	return mapColumns(rows, func(f arrow.Field) *change {
		if f.Type.ID() != arrow.INTERVAL_MONTH_DAY_NANO {
			return nil
		}
		return &change{arrow.BinaryTypes.String, func(column arrow.Array) (arrow.Array, error) {
			builder := array.NewStringBuilder(memory.DefaultAllocator)
			defer builder.Release()
			encode := newEncoder(column, plainStyle)
			var text []byte
			for i := range column.Len() {
				if column.IsNull(i) {
					builder.AppendNull()
					continue
				}
				text = encode(text[:0], i)
				builder.BinaryBuilder.Append(text)
			}
			return builder.NewArray(), nil
		}}
	})
}
