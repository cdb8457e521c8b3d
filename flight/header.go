package flight

import (
	"encoding/binary"
	"errors"
)

// The Arrow library believes what the header of a message says: it makes room for as many
// fields as a vector claims to have before it reads one, and follows references that lead to
// the same field twice, and so doubles it at each level. A header of a hundred bytes could ask
// for all memory there is, which ends the process. So headers are walked here first, within
// their bytes and within these limits. Their layout is a flatbuffer of the types in Arrow's
// format/Message.fbs and Schema.fbs.
const (
	maxHeaderItems = 16 << 10 // fields, and pairs of metadata
	maxHeaderBytes = 1 << 20  // of names and metadata
	maxHeaderDepth = 8        // of fields in fields
)

var (
	errHeader      = errors.New("the header of an Arrow message is malformed")
	errHeaderLarge = errors.New("the header of an Arrow message has too many fields, or they are nested too deeply")
)

// Values of Schema.fbs's and Message.fbs's unions.
const (
	schemaHeader     = 1
	dictionaryHeader = 2
	recordHeader     = 3
	timestampType    = 10
	unionType        = 14
)

// Places of what is looked at in the tables of Message.fbs and Schema.fbs.
const (
	messageHeaderType, messageHeader, messageMetadata = 1, 2, 4
	schemaFields, schemaMetadata                      = 1, 2
	fieldName, fieldTypeKind, fieldType               = 0, 2, 3
	fieldChildren, fieldMetadata                      = 5, 6
	dictionaryRecord                                  = 1
	recordBuffers, recordViewBuffers                  = 2, 4
	unionTypeIDs                                      = 1
	timestampZone                                     = 1
)

// checkHeader refuses the header of an Arrow message that cannot be decoded safely.
func checkHeader(raw []byte) error {
	if len(raw) == 0 {
		return nil
	}
	h := &headerCheck{raw: raw}
	h.message(h.reference(0))
	return h.err
}

// headerCheck walks a header. It keeps the first error, after which nothing is read.
type headerCheck struct {
	raw          []byte
	items, bytes int
	err          error
}

func (h *headerCheck) fail(err error) {
	if h.err == nil {
		h.err = err
	}
}

// within reports whether n bytes at a place are in the header.
func (h *headerCheck) within(place, n int) bool {
	if place < 0 || place > len(h.raw)-n {
		h.fail(errHeader)
	}
	return h.err == nil
}

func (h *headerCheck) byte(place int) byte {
	if !h.within(place, 1) {
		return 0
	}
	return h.raw[place]
}

func (h *headerCheck) uint16(place int) int {
	if !h.within(place, 2) {
		return 0
	}
	return int(binary.LittleEndian.Uint16(h.raw[place:]))
}

func (h *headerCheck) uint32(place int) int {
	if !h.within(place, 4) {
		return 0
	}
	return int(binary.LittleEndian.Uint32(h.raw[place:]))
}

// reference is the place to which the reference at a place leads.
func (h *headerCheck) reference(place int) int { return place + h.uint32(place) }

// field is the place of a field of a table, 0 if it is not there.
func (h *headerCheck) field(table, number int) int {
	layout := table - int(int32(h.uint32(table)))
	if offset := 4 + 2*number; offset+2 <= h.uint16(layout) {
		if n := h.uint16(layout + offset); n != 0 {
			return table + n
		}
	}
	return 0
}

// vector is the place of the first element of a field that is a vector, and how many there
// are, of which all are within the header.
func (h *headerCheck) vector(table, number, elementBytes int) (place, n int) {
	f := h.field(table, number)
	if f == 0 {
		return 0, 0
	}
	place = h.reference(f)
	n = h.uint32(place)
	if !h.within(place+4, n*elementBytes) {
		return 0, 0
	}
	return place + 4, n
}

// text counts the bytes of a string.
func (h *headerCheck) text(table, number int) {
	_, n := h.vector(table, number, 1)
	if h.bytes += n; h.bytes > maxHeaderBytes {
		h.fail(errHeaderLarge)
	}
}

// each calls f with each table of a vector of tables, while there is no error.
func (h *headerCheck) each(table, number int, f func(table int)) {
	place, n := h.vector(table, number, 4)
	if h.items += n; h.items > maxHeaderItems {
		h.fail(errHeaderLarge)
	}
	for i := 0; i < n && h.err == nil; i++ {
		f(h.reference(place + 4*i))
	}
}

func (h *headerCheck) metadata(table, number int) {
	h.each(table, number, func(pair int) {
		h.text(pair, 0)
		h.text(pair, 1)
	})
}

func (h *headerCheck) message(table int) {
	h.metadata(table, messageMetadata)
	kind, header := h.field(table, messageHeaderType), h.field(table, messageHeader)
	if kind == 0 || header == 0 {
		return
	}
	body := h.reference(header)
	switch h.byte(kind) {
	case schemaHeader:
		h.metadata(body, schemaMetadata)
		h.each(body, schemaFields, func(field int) { h.schemaField(field, 1) })
	case dictionaryHeader:
		if record := h.field(body, dictionaryRecord); record != 0 {
			h.record(h.reference(record))
		}
	case recordHeader:
		h.record(body)
	}
}

// record looks at the numbers of buffers that columns of views say to have.
func (h *headerCheck) record(table int) {
	_, buffers := h.vector(table, recordBuffers, 16)
	place, n := h.vector(table, recordViewBuffers, 8)
	for i := 0; i < n && h.err == nil; i++ {
		if binary.LittleEndian.Uint64(h.raw[place+8*i:]) > uint64(buffers) { // vector looked
			h.fail(errHeader)
		}
	}
}

func (h *headerCheck) schemaField(table, depth int) {
	if depth > maxHeaderDepth {
		h.fail(errHeaderLarge)
	}
	h.text(table, fieldName)
	h.metadata(table, fieldMetadata)
	h.fieldType(table)
	h.each(table, fieldChildren, func(child int) { h.schemaField(child, depth+1) })
}

// fieldType looks at the types that are of no fixed size.
func (h *headerCheck) fieldType(table int) {
	kind, typ := h.field(table, fieldTypeKind), h.field(table, fieldType)
	if kind == 0 || typ == 0 {
		return
	}
	switch h.byte(kind) {
	case unionType:
		_, n := h.vector(h.reference(typ), unionTypeIDs, 4)
		if h.items += n; h.items > maxHeaderItems {
			h.fail(errHeaderLarge)
		}
	case timestampType:
		h.text(h.reference(typ), timestampZone)
	}
}
