package catalog

import (
	"encoding/binary"

	"github.com/siltstone-db/siltstone/schema"
)

const tokenAdmin = 1 << 0

// Flags of a permission.
const (
	permissionRead    = 1 << 0
	permissionWrite   = 1 << 1
	permissionAllBits = permissionRead | permissionWrite
)

// minPermissionBytes is the shortest encoding of a permission; it bounds how many of
// them the rest of a value can hold.
const minPermissionBytes = 2

// appendToken leaves out the id, which is in the key.
func appendToken(b []byte, t *schema.Token) []byte {
	b = appendString(append(b, recordVersion), t.Name)
	b = append(b, t.Hash[:]...)
	b = append(b, bitIf(t.Admin, tokenAdmin))
	b = binary.AppendVarint(b, t.Created)
	b = binary.AppendVarint(b, t.Expiry)
	b = binary.AppendUvarint(b, uint64(len(t.Permissions)))
	for _, p := range t.Permissions {
		b = appendString(b, p.Database)
		b = append(b, bitIf(p.Read, permissionRead)|bitIf(p.Write, permissionWrite))
	}
	return b
}

func decodeToken(id uint64, value []byte) (*schema.Token, error) {
	d := newDecoder(value)
	t := &schema.Token{ID: id, Name: string(d.bytes(maxTokenNameBytes))}
	copy(t.Hash[:], d.take(len(t.Hash)))
	t.Admin = d.flags(tokenAdmin) != 0
	t.Created, t.Expiry = d.varint(), d.varint()
	n := d.uvarint(uint64(len(d.rest) / minPermissionBytes))
	if d.err == nil && n > 0 {
		t.Permissions = make([]schema.Permission, n)
	}
	for i := range t.Permissions {
		p := &t.Permissions[i]
		p.Database = string(d.bytes(MaxNameBytes))
		flags := d.flags(permissionAllBits)
		p.Read, p.Write = flags&permissionRead != 0, flags&permissionWrite != 0
	}
	return t, d.finish()
}

func bitIf(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

func appendDatasource(b []byte, s *schema.Datasource) []byte {
	b = appendString(append(b, recordVersion), s.Project)
	b = appendString(b, s.Name)
	b = appendString(b, s.Database)
	return binary.AppendVarint(b, s.Created)
}

func decodeDatasource(value []byte) (*schema.Datasource, error) {
	d := newDecoder(value)
	s := &schema.Datasource{
		Project:  string(d.bytes(MaxNameBytes)),
		Name:     string(d.bytes(MaxNameBytes)),
		Database: string(d.bytes(MaxNameBytes)),
		Created:  d.varint(),
	}
	return s, d.finish()
}

// eventValue is the value of an event id, before it is sealed.
var eventValue = []byte{recordVersion}

// checkEvent checks the stored value of an event id.
func checkEvent(key, stored []byte) error {
	value, err := unseal(key, stored)
	if err != nil {
		return err
	}
	d := newDecoder(value)
	return d.finish()
}
