package flight

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/schema_ref"
)

// sqlType is a type of columns, as ODBC and JDBC describe it. The numbers are XDBC's.
type sqlType struct {
	name           string
	code           int32 // of the type and its subtype
	size           int32 // digits, bits or characters
	quote          string
	caseSensitive  bool
	unsigned       bool
	isNumber       bool
	radix          int32 // 0: no number
	dateTimeCode   int32 // 0: no instant
	fractionDigits int32
}

// Codes of types.
const (
	xdbcBit       = -7
	xdbcBigInt    = -5
	xdbcDouble    = 8
	xdbcVarchar   = 12
	xdbcDateTime  = 9 // the type of which timestamp is a subtype
	xdbcTimestamp = 93
)

// sqlTypes are the types of columns of tables, ordered by code as the specification wants.
var sqlTypes = []sqlType{
	{name: "BOOLEAN", code: xdbcBit, size: 1},
	{name: "BIGINT", code: xdbcBigInt, size: 19, isNumber: true, radix: 10},
	{name: "UBIGINT", code: xdbcBigInt, size: 20, unsigned: true, isNumber: true, radix: 10},
	{name: "DOUBLE", code: xdbcDouble, size: 53, isNumber: true, radix: 2},
	{name: "VARCHAR", code: xdbcVarchar, size: 64 << 10, quote: "'", caseSensitive: true},
	{name: "TIMESTAMP_NS", code: xdbcTimestamp, size: 29, quote: "'", dateTimeCode: 3, fractionDigits: 9},
}

func (*sqlServer) GetFlightInfoXdbcTypeInfo(_ context.Context, _ flightsql.GetXdbcTypeInfo, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return metadataInfo(d, schema_ref.XdbcTypeInfo)
}

func (*sqlServer) DoGetXdbcTypeInfo(_ context.Context, cmd flightsql.GetXdbcTypeInfo) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return answerWith(schema_ref.XdbcTypeInfo, func(b *array.RecordBuilder) {
		for i := range sqlTypes {
			if wanted := cmd.GetDataType(); wanted == nil || *wanted == sqlTypes[i].code {
				sqlTypes[i].appendTo(b)
			}
		}
	})
}

// appendTo appends a row of XdbcTypeInfo; the columns are in the order of the specification.
func (t *sqlType) appendTo(b *array.RecordBuilder) {
	const nullable, searchable = 1, 3
	text := func(column int, s string) {
		if s == "" {
			b.Field(column).AppendNull()
			return
		}
		b.Field(column).(*array.StringBuilder).Append(s)
	}
	number := func(column int, n int32, isKnown bool) {
		if !isKnown {
			b.Field(column).AppendNull()
			return
		}
		b.Field(column).(*array.Int32Builder).Append(n)
	}
	flag := func(column int, v, isKnown bool) {
		if !isKnown {
			b.Field(column).AppendNull()
			return
		}
		b.Field(column).(*array.BooleanBuilder).Append(v)
	}
	isTime := t.dateTimeCode > 0
	text(0, t.name)
	number(1, t.code, true)
	number(2, t.size, true)
	text(3, t.quote)
	text(4, t.quote)
	b.Field(5).AppendNull()
	number(6, nullable, true)
	flag(7, t.caseSensitive, true)
	number(8, searchable, true)
	flag(9, t.unsigned, t.isNumber)
	flag(10, false, true)
	flag(11, false, t.isNumber)
	text(12, t.name)
	number(13, 0, t.isNumber || isTime)
	number(14, t.fractionDigits, t.isNumber || isTime)
	number(15, t.sqlCode(), true)
	number(16, t.dateTimeCode, isTime)
	number(17, t.radix, t.radix > 0)
	b.Field(18).AppendNull()
}

// sqlCode is the type without its subtype.
func (t *sqlType) sqlCode() int32 {
	if t.dateTimeCode > 0 {
		return xdbcDateTime
	}
	return t.code
}
