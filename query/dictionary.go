package query

import (
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/schema"
)

// tagType is the type of tags as dictionaries, InfluxDB 3's.
var tagType = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}

// keeping says for how long a dictionary keeps values.
type keeping bool

const (
	// keepValues is for a stream: as long as there are few values, records share a
	// dictionary, which is sent again when values are added to it. It is not sent in
	// deltas, which not all readers know.
	keepValues keeping = true
	// dropValues is for files: each record has the values that occur in it.
	dropValues keeping = false
)

// A dictionary that keeps values begins anew beyond these sizes, so that its memory is
// bounded and sending it again costs no more than the rows.
const (
	maxDictionaryValues = 64 << 10
	maxDictionaryBytes  = 1 << 20
)

// withDictionaries makes dictionaries of the columns that are tags.
func withDictionaries(rows Rows, keep keeping) Rows {
	return mapColumns(rows, func(f arrow.Field) *change {
		if f.Type.ID() != arrow.STRING {
			return nil
		}
		if kind, _ := f.Metadata.GetValue(columnTypeMetadata); kind != schema.Tag.String() {
			return nil
		}
		var d dictionary
		return &change{tagType, func(column arrow.Array) (arrow.Array, error) {
			if keep == dropValues || len(d.indices) > maxDictionaryValues || len(d.data) > maxDictionaryBytes {
				d = dictionary{}
			}
			return d.encode(column.(*array.String)), nil
		}}
	})
}

// dictionary holds values in the order in which they came.
type dictionary struct {
	indices map[string]int32
	data    []byte
	ends    []int32     // offsets into data, a leading 0 among them
	array   arrow.Array // of all values
}

// encode writes a column as indices, after adding what is new in it. Bytes that a former
// array of the dictionary shares never change: values are only appended.
func (d *dictionary) encode(column *array.String) arrow.Array {
	if d.indices == nil {
		d.indices, d.ends = make(map[string]int32), []int32{0}
	}
	offset := column.Data().Offset() // of the validity bits, which are shared
	indices := make([]int32, offset+column.Len())
	last, lastIndex := "", int32(-1)
	for i := range column.Len() {
		if column.IsNull(i) {
			continue
		}
		if v := column.Value(i); v != last || lastIndex < 0 {
			last, lastIndex = v, d.index(v)
		}
		indices[offset+i] = lastIndex
	}
	if d.array == nil || d.array.Len() < len(d.ends)-1 {
		d.array = d.values()
	}
	buffers := []*memory.Buffer{column.Data().Buffers()[0], memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(indices))}
	data := array.NewDataWithDictionary(tagType, column.Len(), buffers, column.NullN(), offset, d.array.Data().(*array.Data))
	defer data.Release()
	return array.NewDictionaryData(data)
}

// index finds a value or adds it. The value's memory is the record's.
func (d *dictionary) index(v string) int32 {
	if i, ok := d.indices[v]; ok {
		return i
	}
	i := int32(len(d.ends) - 1)
	d.indices[strings.Clone(v)] = i
	d.data = append(d.data, v...)
	d.ends = append(d.ends, int32(len(d.data)))
	return i
}

// values is an array of all values.
func (d *dictionary) values() arrow.Array {
	n := len(d.ends) - 1
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(d.ends)), memory.NewBufferBytes(d.data)}
	data := array.NewData(arrow.BinaryTypes.String, n, buffers, nil, 0, 0)
	defer data.Release()
	return array.NewStringData(data)
}

// lookUp makes a column of text of one that is a dictionary.
func lookUp(column arrow.Array) (arrow.Array, error) {
	from := column.(*array.Dictionary)
	values := from.Dictionary().(*array.String)
	builder := array.NewStringBuilder(memory.DefaultAllocator)
	defer builder.Release()
	builder.Reserve(from.Len())
	for i := range from.Len() {
		if from.IsNull(i) {
			builder.AppendNull()
			continue
		}
		builder.Append(values.Value(from.GetValueIndex(i)))
	}
	return builder.NewArray(), nil
}
