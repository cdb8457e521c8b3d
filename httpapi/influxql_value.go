package httpapi

import (
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// v1Cell appends a value of a column; null is the writer's own affair.
type v1Cell func(buf []byte, row int) []byte

// textOf reads a value of a text column; null is empty.
type textOf func(row int) string

// textsOf reads columns of strings, plain or by dictionary.
func textsOf(column arrow.Array) textOf {
	switch a := column.(type) {
	case *array.String:
		return func(row int) string {
			if a.IsNull(row) {
				return ""
			}
			return a.Value(row)
		}
	case *array.Dictionary:
		values := textsOf(a.Dictionary())
		return func(row int) string {
			if a.IsNull(row) {
				return ""
			}
			return values(a.GetValueIndex(row))
		}
	}
	return func(row int) string {
		if column.IsNull(row) {
			return ""
		}
		return column.ValueStr(row)
	}
}

// instants reads a column of times as nanoseconds since the epoch.
func instants(a *array.Timestamp) func(row int) int64 {
	unit := int64(a.DataType().(*arrow.TimestampType).Unit.Multiplier())
	return func(row int) int64 { return int64(a.Value(row)) * unit }
}

// appendTime writes RFC 3339 with as many digits as the fraction needs.
func appendTime(buf []byte, ns int64, place *time.Location) []byte {
	return time.Unix(0, ns).In(place).AppendFormat(buf, time.RFC3339Nano)
}

// appendGoFloat writes a float as Go's encoding/json does, which is what InfluxDB 1 sends:
// 82, 0.1, 1e+21.
func appendGoFloat(buf []byte, v float64) []byte {
	size := math.Abs(v)
	if size == 0 || size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(buf, v, 'f', -1, 64)
	}
	buf = strconv.AppendFloat(buf, v, 'e', -1, 64)
	if n := len(buf); n >= 4 && buf[n-4] == 'e' && buf[n-3] == '-' && buf[n-2] == '0' { // e-07 to e-7
		buf[n-2] = buf[n-1]
		buf = buf[:n-1]
	}
	return buf
}

// isFinite reports whether a number can be written in JSON.
func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
