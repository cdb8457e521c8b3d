package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/siltstone-db/siltstone/schema"
)

// A key is one byte for the kind of record, then ids of fixed width, big-endian, so
// that records of a kind are neighbours in id order. Kinds are numbered so that a
// record sorts after every record it refers to: one pass over the store loads it.
type kind byte

const (
	kindHeader        kind = 0x01 // no id
	kindRun           kind = 0x02 // no id
	kindPosition      kind = 0x03 // no id
	kindLastToken     kind = 0x04 // no id
	kindClock         kind = 0x05 // no id
	kindCommits       kind = 0x06 // no id
	kindDatabase      kind = 0x10 // database
	kindTable         kind = 0x11 // table
	kindColumn        kind = 0x12 // table, column
	kindDatabaseState kind = 0x13 // database
	kindTableState    kind = 0x14 // table
	kindRollup        kind = 0x15 // table
	kindCache         kind = 0x16 // table, cache
	kindFile          kind = 0x20 // file
	kindTombstone     kind = 0x21 // table, place among the files
	kindRollupState   kind = 0x22 // table
	kindFlushed       kind = 0x30 // database, table, day
	kindToken         kind = 0x40 // token
	kindDatasource    kind = 0x50 // number of the datasource
	kindEvent         kind = 0x60 // table, event id; these are not loaded
)

// errBadKey says that a key has the wrong length for its kind, or no known kind.
var errBadKey = errors.New("malformed key")

var (
	headerKey    = []byte{byte(kindHeader)}
	runKey       = []byte{byte(kindRun)}
	positionKey  = []byte{byte(kindPosition)}
	lastTokenKey = []byte{byte(kindLastToken)}
	clockKey     = []byte{byte(kindClock)}
	commitsKey   = []byte{byte(kindCommits)}
)

func databaseKey(id schema.DatabaseID) []byte { return key32(kindDatabase, uint32(id)) }

func tableKey(id schema.TableID) []byte { return key32(kindTable, uint32(id)) }

func columnKey(t schema.TableID, c schema.ColumnID) []byte {
	return key32(kindColumn, uint32(t), uint32(c))
}

func databaseStateKey(id schema.DatabaseID) []byte { return key32(kindDatabaseState, uint32(id)) }

func tableStateKey(id schema.TableID) []byte { return key32(kindTableState, uint32(id)) }

func fileKey(id schema.FileID) []byte { return key64(kindFile, uint64(id)) }

func tokenKey(id uint64) []byte { return key64(kindToken, id) }

// datasourceKey takes the number of the datasource, counted from 1.
func datasourceKey(number int) []byte { return key32(kindDatasource, uint32(number)) }

// eventPrefix starts the keys of the event ids of a table.
func eventPrefix(t schema.TableID) []byte { return key32(kindEvent, uint32(t)) }

func eventKey(t schema.TableID, id [eventIDBytes]byte) []byte {
	return append(eventPrefix(t), id[:]...)
}

// prefixEnd returns the least key behind all that start with the prefix, whose first
// byte is not 0xff.
func prefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; ; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
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

func key64(k kind, id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(k)}, id)
}

// key64ID is the inverse of key64; it does not check the kind.
func key64ID(key []byte) (uint64, error) {
	if len(key) != 9 {
		return 0, errBadKey
	}
	return binary.BigEndian.Uint64(key[1:]), nil
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
