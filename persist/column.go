package persist

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// writeColumn writes the next column of a row group as it came in.
func writeColumn(group file.SerialRowGroupWriter, field arrow.Field, chunks []arrow.Array, l *levels) error {
	column, err := group.NextColumn()
	if err != nil {
		return err
	}
	ctx := pqarrow.NewArrowWriteContext(context.Background(), nil)
	for _, a := range chunks {
		var definition []int16
		if field.Nullable {
			definition = l.of(a)
		}
		if err := pqarrow.WriteArrowToColumn(ctx, column, a, definition, nil, field.Nullable); err != nil {
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

// dictionaryEncoder is the part of the library's encoder that writeTag needs; its own
// type is internal to the library.
type dictionaryEncoder interface {
	PutDictionary(values arrow.Array) error
}

// writeTag writes the next column of a row group from indices. The library's own way
// from an Arrow dictionary to a column hashes every index to find out which values
// occur, which took a third of the time of writing a table with ten tags; here every
// value of the dictionary is known to occur. The library counts no bytes for indices,
// so the column has one page, and the statistics of that page are those of the column.
func writeTag(group file.SerialRowGroupWriter, tag *tagColumn, l *levels) error {
	column, err := group.NextColumn()
	if err != nil {
		return err
	}
	a := tag.array()
	defer a.Release()
	encoder, ok := column.CurrentEncoder().(dictionaryEncoder)
	if !ok {
		return errors.New("the encoder takes no dictionary")
	}
	if err := encoder.PutDictionary(a.Dictionary()); err != nil {
		return err
	}
	stats := column.PageStatistics()
	stats.IncNulls(int64(tag.nulls))
	stats.IncNumValues(int64(a.Len() - tag.nulls))
	if err := stats.UpdateFromArrow(a.Dictionary(), false); err != nil {
		return err
	}
	if _, ok := tag.known[""]; ok {
		includeEmpty(stats)
	}
	if err := column.WriteDictIndices(a.Indices(), l.of(a), nil); err != nil {
		return err
	}
	return column.Close()
}

// includeEmpty makes the empty string the lower bound. The library passes over it where it
// takes values from Arrow, so that readers would leave out the row group when they look for it.
func includeEmpty(stats metadata.TypedStatistics) {
	if s, ok := stats.(*metadata.ByteArrayStatistics); ok {
		s.SetMinMax(parquet.ByteArray{}, s.Max())
	}
}
