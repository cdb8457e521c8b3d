package catalog

import (
	"encoding/binary"
	"errors"

	"github.com/siltstone-db/siltstone/schema"
)

// A key is one byte for the kind of record, then ids of fixed width, big-endian, so
// that records of a kind are neighbours in id order. Kinds are numbered so that a
// record sorts after every record it refers to: one pass over the store loads it.
type kind byte

const (
	kindHeader   kind = 0x01 // no id
	kindRun      kind = 0x02 // no id
	kindPosition kind = 0x03 // no id
	kindDatabase kind = 0x10 // database
	kindTable    kind = 0x11 // table
	kindColumn   kind = 0x12 // table, column
	kindFile     kind = 0x20 // file
	kindFlushed  kind = 0x30 // database, table, day
)

// errBadKey says that a key has the wrong length for its kind, or no known kind.
var errBadKey = errors.New("malformed key")

var (
	headerKey   = []byte{byte(kindHeader)}
	runKey      = []byte{byte(kindRun)}
	positionKey = []byte{byte(kindPosition)}
)

func databaseKey(id schema.DatabaseID) []byte { return key32(kindDatabase, uint32(id)) }

func tableKey(id schema.TableID) []byte { return key32(kindTable, uint32(id)) }

func columnKey(t schema.TableID, c schema.ColumnID) []byte {
	return key32(kindColumn, uint32(t), uint32(c))
}

func fileKey(id schema.FileID) []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(kindFile)}, uint64(id))
}

// dayBias flips the sign bit, so that days before 1970 sort before later ones.
const dayBias = 1 << 31

func flushedKey(k schema.PartitionKey) []byte {
	return key32(kindFlushed, uint32(k.Database), uint32(k.Table), uint32(k.Day)^dayBias)
}

func key32(k kind, ids ...uint32) []byte {
	b := make([]byte, 1, 1+4*len(ids))
	b[0] = byte(k)
	for _, id := range ids {
		b = binary.BigEndian.AppendUint32(b, id)
	}
	return b
}

// key32IDs is the inverse of key32; it does not check the kind.
func key32IDs(key []byte, ids ...*uint32) error {
	if len(key) != 1+4*len(ids) {
		return errBadKey
	}
	for i, id := range ids {
		*id = binary.BigEndian.Uint32(key[1+4*i:])
	}
	return nil
}

func parseFileKey(key []byte) (schema.FileID, error) {
	if len(key) != 9 {
		return 0, errBadKey
	}
	return schema.FileID(binary.BigEndian.Uint64(key[1:])), nil
}

func parseFlushedKey(key []byte) (schema.PartitionKey, error) {
	var db, table, day uint32
	if err := key32IDs(key, &db, &table, &day); err != nil {
		return schema.PartitionKey{}, err
	}
	return schema.PartitionKey{
		Database: schema.DatabaseID(db), Table: schema.TableID(table), Day: schema.Day(int32(day ^ dayBias)),
	}, nil
}
