package persist

import (
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/schema"
)

// TimeFieldID is the Parquet field_id of the time column, which has no ColumnID:
// the largest one, so that it never meets the id of a tag or field.
const TimeFieldID = 1<<31 - 1

// The file's key-value metadata. The names are those of the time of writing.
const (
	formatKey     = "siltstone.format"
	formatVersion = "1"
	databaseKey   = "siltstone.database"
	tableKey      = "siltstone.table"
	sumsKey       = "siltstone.crc32c"
	createdBy     = "siltstone"
)

// fieldIDKey is the Arrow metadata key that carries a Parquet field_id.
const fieldIDKey = "PARQUET:field_id"

var (
	tagType  = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	timeType = &arrow.TimestampType{Unit: arrow.Nanosecond}
)

// ArrowSchema returns the layout of the records that Write takes and Reader gives:
// the tags in id order as dictionary<int32, utf8>, then time as timestamp[ns]
// without zone, then the fields in id order. Tags and fields are nullable, and every
// column carries its Parquet field_id.
func ArrowSchema(columns []schema.Column) *arrow.Schema {
	var tags, fields []arrow.Field
	for _, c := range columns {
		f := arrowField(c.Name, arrowType(c.Type), int64(c.ID), true)
		if c.Type == schema.Tag {
			tags = append(tags, f)
		} else {
			fields = append(fields, f)
		}
	}
	all := append(tags, arrowField(schema.TimeColumn, timeType, TimeFieldID, false))
	return arrow.NewSchema(append(all, fields...), nil)
}

func arrowField(name string, typ arrow.DataType, id int64, nullable bool) arrow.Field {
	meta := arrow.NewMetadata([]string{fieldIDKey}, []string{strconv.FormatInt(id, 10)})
	return arrow.Field{Name: name, Type: typ, Nullable: nullable, Metadata: meta}
}

func arrowType(t schema.ColumnType) arrow.DataType {
	switch t {
	case schema.Tag:
		return tagType
	case schema.Int64:
		return arrow.PrimitiveTypes.Int64
	case schema.Uint64:
		return arrow.PrimitiveTypes.Uint64
	case schema.Float64:
		return arrow.PrimitiveTypes.Float64
	case schema.String:
		return arrow.BinaryTypes.String
	case schema.Bool:
		return arrow.FixedWidthTypes.Boolean
	}
	panic(fmt.Sprintf("persist: no arrow type for %v", t))
}

// split returns the tags and the fields of columns, each in the given order: the
// columns of a record are the tags, time, the fields.
func split(columns []schema.Column) (tags, fields []schema.Column) {
	for _, c := range columns {
		if c.Type == schema.Tag {
			tags = append(tags, c)
		} else {
			fields = append(fields, c)
		}
	}
	return tags, fields
}
