package flight

import (
	"encoding/binary"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

// GreedyHeader is the header of a schema that claims to have 2^32-1 fields.
func GreedyHeader(t *testing.T) []byte {
	raw := headerOf(t, arrow.Field{Name: "a", Type: arrow.BinaryTypes.String})
	binary.LittleEndian.PutUint32(raw[fieldsVector(raw):], 0xffffffff)
	return raw
}
