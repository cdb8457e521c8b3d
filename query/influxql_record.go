package query

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/schema"
)

// Keys of the metadata by which InfluxDB 3's clients learn what the columns of an InfluxQL answer are.
const (
	groupKeyMetadata   = "iox::influxql::group_key::metadata"
	columnTypeMetadata = "iox::column::type"
	timestampType      = "iox::column_type::timestamp"
)

// measurementType is that of the column in which the name of a step is repeated.
var measurementType = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}

// groupKey is the metadata that says which columns name a series.
type groupKey struct {
	Measurement int           `json:"measurement_column_index"`
	Tags        []groupKeyTag `json:"tag_key_columns"`
}

type groupKeyTag struct {
	Key       string `json:"tag_key"`
	Column    int    `json:"column_index"`
	Projected bool   `json:"is_projected"`
}

// influxqlSchema describes the records of a plan. The zone in which times are to be shown is that
// of the time column's type; without one it has none.
func influxqlSchema(plan *influxql.Plan) *arrow.Schema {
	key := groupKey{Tags: []groupKeyTag{}}
	zone := ""
	if plan.Location != nil {
		zone = plan.Location.String()
	}
	fields := make([]arrow.Field, len(plan.Columns))
	for i, c := range plan.Columns {
		fields[i] = influxqlField(c, zone)
		switch c.Role {
		case influxql.MeasurementColumn:
			key.Measurement = i
		case influxql.GroupColumn:
			key.Tags = append(key.Tags, groupKeyTag{Key: c.Name, Column: i})
		}
	}
	text, err := json.Marshal(key)
	if err != nil {
		panic(fmt.Sprintf("query: strings and numbers do not become JSON: %v", err))
	}
	metadata := arrow.NewMetadata([]string{groupKeyMetadata}, []string{string(text)})
	return arrow.NewSchema(fields, &metadata)
}

func influxqlField(c influxql.Column, zone string) arrow.Field {
	field := arrow.Field{Name: c.Name, Type: arrowType(c.Type), Nullable: true}
	kind := c.Type.String()
	switch {
	case c.Role == influxql.MeasurementColumn:
		field.Type, field.Nullable, kind = measurementType, false, schema.Tag.String()
	case c.Role == influxql.TimeColumn || c.Type == 0:
		field.Type, kind = &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: zone}, timestampType
		field.Nullable = c.Role != influxql.TimeColumn
	}
	field.Metadata = arrow.NewMetadata([]string{columnTypeMetadata}, []string{kind})
	return field
}

// arrowType is what a column of a type holds in an answer.
func arrowType(t schema.ColumnType) arrow.DataType {
	switch t {
	case schema.Float64:
		return arrow.PrimitiveTypes.Float64
	case schema.Int64:
		return arrow.PrimitiveTypes.Int64
	case schema.Uint64:
		return arrow.PrimitiveTypes.Uint64
	case schema.Bool:
		return arrow.FixedWidthTypes.Boolean
	}
	return arrow.BinaryTypes.String
}

// record gives a record of the running step the schema of the statement.
func (r *InfluxQLResult) record(batch arrow.RecordBatch) (arrow.RecordBatch, error) {
	var made []arrow.Array
	defer func() {
		for _, column := range made {
			column.Release()
		}
	}()
	columns := make([]arrow.Array, len(r.plan.Columns))
	from := 0
	for i, c := range r.plan.Columns {
		if c.Role == influxql.MeasurementColumn {
			columns[i] = repeated(r.plan.Steps[r.next-1].Name, int(batch.NumRows()))
			made = append(made, columns[i])
			continue
		}
		if from >= int(batch.NumCols()) {
			return nil, fmt.Errorf("query: a step of an InfluxQL statement yields %d columns and not those of its plan", batch.NumCols())
		}
		column, want := batch.Column(from), r.schema.Field(i).Type
		from++
		if !arrow.TypeEqual(column.DataType(), want) {
			var err error
			if column, err = retyped(r.job.ctx, column, want); err != nil {
				return nil, fmt.Errorf("query: column %q of an InfluxQL statement: %w", c.Name, err)
			}
			made = append(made, column)
		}
		columns[i] = column
	}
	return array.NewRecordBatch(r.schema, columns, batch.NumRows()), nil
}

// retyped gives a column another type. Instants are the same in every zone.
func retyped(ctx context.Context, column arrow.Array, want arrow.DataType) (arrow.Array, error) {
	from, isTime := column.DataType().(*arrow.TimestampType)
	to, wantsTime := want.(*arrow.TimestampType)
	if isTime && wantsTime && from.Unit == to.Unit {
		old := column.Data()
		data := array.NewData(want, old.Len(), old.Buffers(), nil, old.NullN(), old.Offset())
		defer data.Release()
		return array.NewTimestampData(data), nil
	}
	return compute.CastArray(ctx, column, compute.SafeCastOptions(want))
}

// repeated is a column that holds one text.
func repeated(text string, rows int) arrow.Array {
	values := array.NewStringBuilder(memory.DefaultAllocator)
	defer values.Release()
	values.Append(text)
	dictionary := values.NewArray()
	defer dictionary.Release()
	index := array.NewInt32Builder(memory.DefaultAllocator)
	defer index.Release()
	index.Reserve(rows)
	for range rows {
		index.UnsafeAppend(0)
	}
	indices := index.NewArray()
	defer indices.Release()
	return array.NewDictionaryArray(measurementType, indices, dictionary)
}

// listedRecord is the answer of a step that the schema knew.
func listedRecord(s *arrow.Schema, columns []influxql.Column, step *influxql.Step) (arrow.RecordBatch, error) {
	arrays := make([]arrow.Array, len(columns))
	defer func() {
		for _, a := range arrays {
			if a != nil {
				a.Release()
			}
		}
	}()
	rows, from := len(step.Rows[0]), 0
	for i, c := range columns {
		if c.Role == influxql.MeasurementColumn {
			arrays[i] = repeated(step.Name, rows)
			continue
		}
		if from >= len(step.Rows) || len(step.Rows[from]) != rows {
			return nil, fmt.Errorf("query: the rows of %q lack column %q", step.Name, c.Name)
		}
		var err error
		if arrays[i], err = listedColumn(s.Field(i).Type, step.Rows[from]); err != nil {
			return nil, fmt.Errorf("query: column %q of %q: %w", c.Name, step.Name, err)
		}
		from++
	}
	return array.NewRecordBatch(s, arrays, int64(rows)), nil
}

// listedColumn reads texts as values of a type.
func listedColumn(t arrow.DataType, texts []string) (arrow.Array, error) {
	builder := array.NewBuilder(memory.DefaultAllocator, t)
	defer builder.Release()
	for _, text := range texts {
		var err error
		switch b := builder.(type) {
		case *array.StringBuilder:
			b.Append(text)
		case *array.TimestampBuilder:
			var ns int64
			ns, err = strconv.ParseInt(text, 10, 64)
			b.Append(arrow.Timestamp(ns))
		default:
			err = builder.AppendValueFromString(text)
		}
		if err != nil {
			return nil, err
		}
	}
	return builder.NewArray(), nil
}
