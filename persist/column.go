package persist

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// writeColumn has the library write the next column of a row group, which is one of
// strings or booleans.
func writeColumn(to *container, props *parquet.WriterProperties, chunks []arrow.Array, l *levels) error {
	pages, about, err := to.nextColumn()
	if err != nil {
		return err
	}
	column := file.NewColumnChunkWriter(about, pages, props)
	ctx := pqarrow.NewArrowWriteContext(context.Background(), nil)
	for _, a := range chunks {
		if err := pqarrow.WriteArrowToColumn(ctx, column, a, l.of(a), nil, true); err != nil {
			return err
		}
	}
	return column.Close()
}

// levels makes the definition levels of nullable columns: 1 for a value, 0 for null.
// It is a fifth of all the work if every column makes its own.
type levels struct {
	present []int16 // ones
	mixed   []int16
}

// of returns the levels of a, which are valid until the next call.
func (l *levels) of(a arrow.Array) []int16 {
	n := a.Len()
	for len(l.present) < n {
		l.present = append(l.present, 1)
	}
	if a.NullN() == 0 {
		return l.present[:n]
	}
	l.mixed = append(l.mixed[:0], l.present[:n]...)
	for i := range l.mixed {
		if a.IsNull(i) {
			l.mixed[i] = 0
		}
	}
	return l.mixed
}
