package flight

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// InfluxDB 3 sends tags over Flight as plain strings, though they are dictionaries inside it:
// not every client takes a dictionary that changes from one record to the next. What the
// metadata says of the columns stays.

// plainSchema returns the schema with strings in the place of dictionaries of strings.
func plainSchema(schema *arrow.Schema) *arrow.Schema {
	fields := schema.Fields()
	changed := false
	for i, f := range fields {
		if d, ok := f.Type.(*arrow.DictionaryType); ok {
			fields[i].Type, changed = d.ValueType, true
		}
	}
	if !changed {
		return schema
	}
	metadata := schema.Metadata()
	return arrow.NewSchema(fields, &metadata)
}

// plainRecord gives a record that schema. The caller must release it.
func plainRecord(schema *arrow.Schema, record arrow.RecordBatch) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, record.NumCols())
	changed := false
	for i := range columns {
		columns[i] = record.Column(i)
		d, ok := columns[i].(*array.Dictionary)
		if !ok {
			continue
		}
		plain, err := plainColumn(d)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", schema.Field(i).Name, err)
		}
		defer plain.Release()
		columns[i], changed = plain, true
	}
	if !changed {
		record.Retain()
		return record, nil
	}
	return array.NewRecordBatch(schema, columns, record.NumRows()), nil
}

// plainColumn looks every value up.
func plainColumn(d *array.Dictionary) (arrow.Array, error) {
	values, ok := d.Dictionary().(*array.String)
	if !ok {
		return nil, fmt.Errorf("flight: a dictionary of %v, not of strings", d.Dictionary().DataType())
	}
	builder := array.NewStringBuilder(memory.DefaultAllocator)
	defer builder.Release()
	builder.Reserve(d.Len())
	for i := range d.Len() {
		if d.IsNull(i) {
			builder.AppendNull()
			continue
		}
		builder.Append(values.Value(d.GetValueIndex(i)))
	}
	return builder.NewArray(), nil
}
