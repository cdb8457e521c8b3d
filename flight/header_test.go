package flight

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// headers collects the headers that a writer sends.
type headers [][]byte

func (h *headers) Send(d *flight.FlightData) error {
	*h = append(*h, append([]byte(nil), d.DataHeader...))
	return nil
}

// headerOf is the header of a schema.
func headerOf(t *testing.T, fields ...arrow.Field) []byte {
	t.Helper()
	var sent headers
	w := flight.NewRecordWriter(&sent, ipc.WithSchema(arrow.NewSchema(fields, nil)))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sent[0]
}

// headerOfViews is the header of a record with a column of string views.
func headerOfViews(t *testing.T) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.BinaryTypes.StringView}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.StringViewBuilder).Append("a text that is too long to be in the view itself")
	record := b.NewRecordBatch()
	defer record.Release()
	var sent headers
	w := flight.NewRecordWriter(&sent, ipc.WithSchema(schema))
	if err := w.Write(record); err != nil {
		t.Fatal(err)
	}
	return sent[1]
}

func fieldsVector(raw []byte) int {
	h := &headerCheck{raw: raw}
	place, _ := h.vector(h.reference(h.field(h.reference(0), messageHeader)), schemaFields, 4)
	return place - 4
}

func TestHeadersThatAskForTooMuchAreRefused(t *testing.T) {
	text := arrow.Field{Name: "a", Type: arrow.BinaryTypes.String, Metadata: arrow.NewMetadata([]string{"k"}, []string{"v"})}
	union := arrow.Field{Name: "u", Type: arrow.DenseUnionOf([]arrow.Field{text, {Name: "n", Type: arrow.PrimitiveTypes.Int64}}, []arrow.UnionTypeCode{0, 1})}
	zone := arrow.Field{Name: "t", Type: &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}}
	dictionary := arrow.Field{Name: "d", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}}
	good := headerOf(t, text, union, zone, dictionary)
	if err := checkHeader(good); err != nil {
		t.Errorf("a good header: %v", err)
	}

	claims := append([]byte(nil), good...)
	binary.LittleEndian.PutUint32(claims[fieldsVector(claims):], 0xffffffff)
	deep := text
	for range maxHeaderDepth + 1 {
		deep = arrow.Field{Name: "l", Type: arrow.ListOfField(deep)}
	}
	many := make([]arrow.Field, maxHeaderItems+1)
	for i := range many {
		many[i] = arrow.Field{Type: arrow.Null}
	}
	views := headerOfViews(t)
	if err := checkHeader(views); err != nil {
		t.Errorf("views: %v", err)
	}
	h := &headerCheck{raw: views}
	counts, _ := h.vector(h.reference(h.field(h.reference(0), messageHeader)), recordViewBuffers, 8)
	binary.LittleEndian.PutUint64(views[counts:], 1<<40)
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"more fields than bytes": {claims, errHeader},
		"deep":                   {headerOf(t, deep), errHeaderLarge},
		"many":                   {headerOf(t, many...), errHeaderLarge},
		"views in many buffers":  {views, errHeader},
		"short":                  {[]byte{1, 2, 3}, errHeader},
		"far away":               {[]byte{0xff, 0xff, 0xff, 0xff}, errHeader},
	} {
		if err := checkHeader(c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for i := range good { // nothing is read behind the end
		_ = checkHeader(good[:i])
	}
}

// A field that is referred to twice counts twice, so that a few bytes cannot become many fields.
func TestHeadersCountWhatIsReferredToTwice(t *testing.T) {
	long := arrow.Field{Name: string(make([]byte, maxHeaderBytes/4)), Type: arrow.Null}
	raw := headerOf(t, long, long, long)
	if err := checkHeader(raw); err != nil {
		t.Fatal(err)
	}
	fields := fieldsVector(raw) + 4
	last := fields + 8
	to := last + int(binary.LittleEndian.Uint32(raw[last:]))
	for i := range 2 {
		place := fields + 4*i
		binary.LittleEndian.PutUint32(raw[place:], uint32(to-place))
	}
	if err := checkHeader(raw); err != nil {
		t.Errorf("three times the same: %v", err)
	}
	if err := checkHeader(headerOf(t, long, long, long, long, long)); !errors.Is(err, errHeaderLarge) {
		t.Errorf("five long names: %v", err)
	}
}

func FuzzCheckHeader(f *testing.F) {
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(_ *testing.T, raw []byte) { _ = checkHeader(raw) })
}
