package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/siltstone-db/siltstone/schema"
)

// A value is a version byte, a body, and the CRC-32C of key, version and body.
//
// Pebble has checksums for its log chunks and table blocks. They say that a block is
// what Pebble wrote, but not that the bytes were right when Pebble got them, nor that
// a value stands under its own key. Our own sum covers both, from the encoder to the
// decoder, for four bytes a record.
//
// Numbers are varints in their shortest form, so that each value has exactly one
// encoding; lengths are checked against the bytes at hand before anything is allocated.

// recordVersion is the version byte of every value but the header's, and those of
// columns whose time of creation is known, which have columnVersion, of files whose
// footer has a checksum, which have fileVersion, and of files of which deleted rows were left
// out, which have sweptVersion.
const (
	recordVersion = 1
	columnVersion = 2
	fileVersion   = 2
	sweptVersion  = 3
)

// formatVersion is the version of the catalog as a whole, kept in the header record.
// It grows when an older program must not touch the directory. Version 2 brought states
// of databases and tables, tokens, datasources, event ids, and columnVersion; what it
// left alone reads as in version 1. Version 3 brought fileVersion and the clock, version 4
// retention periods of tables, tombstones and sweptVersion, version 5 rollups and caches. Open raises a directory to the newest.
const formatVersion = 5

// headerMagic marks a Pebble store as a catalog. It and the format version that
// follows keep their place in all formats, so that any program can refuse a newer one.
const headerMagic = "siltcat\x00"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Faults of a stored value; they reach callers wrapped in a CorruptError.
var (
	errChecksum   = errors.New("checksum mismatch")
	errVersion    = errors.New("unknown record version")
	errShort      = errors.New("value ends too early")
	errTrailing   = errors.New("value has trailing bytes")
	errVarint     = errors.New("malformed number")
	errLength     = errors.New("length exceeds its bound")
	errFlags      = errors.New("unknown flags")
	errColumnType = errors.New("unknown column type")
	errLongForm   = errors.New("there is a shorter form of the value")
	errKeyRule    = errors.New("unknown key rule")
	errMagic      = errors.New("not a catalog")
)

// instanceID is an RFC 9562 version 4 UUID.
type instanceID [16]byte

func (id instanceID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

type header struct {
	format   uint64
	instance instanceID
}

func appendHeader(b []byte, h header) []byte {
	b = append(b, headerMagic...)
	b = binary.AppendUvarint(b, h.format)
	return append(b, h.instance[:]...)
}

// decodeHeader stops after the format version when that is newer than ours, because
// what follows it is then not ours to read.
func decodeHeader(value []byte) (header, error) {
	d := decoder{rest: value}
	magic := d.take(len(headerMagic))
	if d.err == nil && string(magic) != headerMagic {
		return header{}, errMagic
	}
	h := header{format: d.uvarint(math.MaxUint64)}
	if d.err != nil || h.format > formatVersion {
		return h, d.err
	}
	copy(h.instance[:], d.take(len(h.instance)))
	return h, d.finish()
}

func appendNumber(b []byte, n uint64) []byte {
	return binary.AppendUvarint(append(b, recordVersion), n)
}

func decodeNumber(value []byte) (uint64, error) {
	d := newDecoder(value)
	n := d.uvarint(math.MaxUint64)
	return n, d.finish()
}

func appendDatabase(b []byte, name string) []byte {
	return appendString(append(b, recordVersion), name)
}

func decodeDatabase(value []byte) (name string, err error) {
	d := newDecoder(value)
	name = string(d.bytes(MaxNameBytes))
	return name, d.finish()
}

func appendTable(b []byte, db schema.DatabaseID, name string) []byte {
	b = binary.AppendUvarint(append(b, recordVersion), uint64(db))
	return appendString(b, name)
}

func decodeTable(value []byte) (db schema.DatabaseID, name string, err error) {
	d := newDecoder(value)
	db = schema.DatabaseID(d.uvarint(math.MaxUint32))
	name = string(d.bytes(MaxNameBytes))
	return db, name, d.finish()
}

// appendColumn leaves out the id, which is in the key.
func appendColumn(b []byte, c schema.Column) []byte {
	if c.Created == 0 {
		return appendString(append(b, recordVersion, byte(c.Type)), c.Name)
	}
	b = appendString(append(b, columnVersion, byte(c.Type)), c.Name)
	return binary.AppendVarint(b, c.Created)
}

func decodeColumn(id schema.ColumnID, value []byte) (schema.Column, error) {
	d := decoder{rest: value}
	version := d.version(columnVersion)
	c := schema.Column{ID: id, Type: schema.ColumnType(d.byte()), Name: string(d.bytes(MaxNameBytes))}
	if version == columnVersion {
		c.Created = d.varint()
	}
	switch {
	case d.err != nil:
	case !c.Type.Valid():
		d.err = errColumnType
	case version == columnVersion && c.Created == 0:
		d.err = errLongForm
	}
	return c, d.finish()
}

// Flags of a column's statistics: which of the bounds are known.
const (
	statHasMin  = 1 << 0
	statHasMax  = 1 << 1
	statAllBits = statHasMin | statHasMax
)

// minStatBytes is the shortest encoding of one column's statistics; it bounds how
// many columns the rest of a value can hold.
const minStatBytes = 3

// appendFile leaves out the id, which is in the key.
func appendFile(b []byte, f *schema.File) []byte {
	version := byte(recordVersion)
	if f.FooterBytes > 0 {
		version = fileVersion
	}
	if f.Swept > 0 {
		version = sweptVersion
	}
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(f.Database))
	b = binary.AppendUvarint(b, uint64(f.Table))
	b = binary.AppendVarint(b, int64(f.DayMin))
	b = binary.AppendVarint(b, int64(f.DayMax))
	b = binary.AppendUvarint(b, f.Rows)
	b = binary.AppendUvarint(b, f.Bytes)
	b = binary.AppendVarint(b, f.Time.Min)
	b = binary.AppendVarint(b, f.Time.Max)
	b = binary.AppendUvarint(b, uint64(f.Seq.Min))
	b = binary.AppendUvarint(b, uint64(f.Seq.Max))
	b = binary.AppendUvarint(b, f.Order)
	b = binary.LittleEndian.AppendUint32(b, f.CRC32C)
	if version >= fileVersion {
		b = binary.AppendUvarint(b, f.FooterBytes)
		b = binary.LittleEndian.AppendUint32(b, f.FooterCRC32C)
	}
	if version >= sweptVersion {
		b = binary.AppendUvarint(b, f.Swept)
	}
	b = binary.AppendUvarint(b, uint64(len(f.Columns)))
	for i := range f.Columns {
		b = appendStats(b, &f.Columns[i])
	}
	return b
}

func appendStats(b []byte, s *schema.ColumnStats) []byte {
	var flags byte
	if s.Min != nil {
		flags |= statHasMin
	}
	if s.Max != nil {
		flags |= statHasMax
	}
	b = binary.AppendUvarint(b, uint64(s.Column))
	b = binary.AppendUvarint(b, s.Nulls)
	b = append(b, flags)
	if s.Min != nil {
		b = appendString(b, s.Min)
	}
	if s.Max != nil {
		b = appendString(b, s.Max)
	}
	return b
}

// decodeFile copies the value, which belongs to Pebble, once for all bounds in it.
func decodeFile(id schema.FileID, value []byte) (*schema.File, error) {
	d := decoder{rest: bytes.Clone(value)}
	version := d.version(sweptVersion)
	f := &schema.File{
		ID:       id,
		Database: schema.DatabaseID(d.uvarint(math.MaxUint32)),
		Table:    schema.TableID(d.uvarint(math.MaxUint32)),
		DayMin:   d.day(),
		DayMax:   d.day(),
		Rows:     d.uvarint(math.MaxUint64),
		Bytes:    d.uvarint(math.MaxUint64),
		Time:     schema.TimeRange{Min: d.varint(), Max: d.varint()},
		Seq:      schema.SeqRange{Min: d.seq(), Max: d.seq()},
		Order:    d.uvarint(math.MaxUint64),
		CRC32C:   d.uint32(),
	}
	if version >= fileVersion {
		f.FooterBytes, f.FooterCRC32C = d.uvarint(f.Bytes), d.uint32()
		if d.err == nil && f.FooterBytes == 0 && version == fileVersion {
			d.err = errLongForm
		}
	}
	if version >= sweptVersion {
		f.Swept = d.uvarint(math.MaxUint64)
		if d.err == nil && f.Swept == 0 {
			d.err = errLongForm
		}
	}
	n := d.uvarint(uint64(len(d.rest) / minStatBytes))
	if d.err == nil && n > 0 {
		f.Columns = make([]schema.ColumnStats, n)
	}
	for i := range f.Columns {
		f.Columns[i] = d.stats()
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	return f, nil
}

func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// seal appends the checksum of key and value to the value.
func seal(key, value []byte) []byte {
	return binary.LittleEndian.AppendUint32(value, checksum(key, value))
}

// unseal checks a stored value and returns it without the checksum.
func unseal(key, stored []byte) ([]byte, error) {
	n := len(stored) - crc32.Size
	if n < 0 {
		return nil, errShort
	}
	if binary.LittleEndian.Uint32(stored[n:]) != checksum(key, stored[:n]) {
		return nil, errChecksum
	}
	return stored[:n], nil
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}
