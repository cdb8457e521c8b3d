package durable

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Note is a small file with a number that only grows: how far something beside it is
// durable. It is written after the sync of what it claims, and not synced itself, so that
// whatever of it a power failure keeps, it never claims too much. What does not read of it
// proves nothing.
//
// The file has two slots, written in turn, so that one that is torn leaves the other. A slot
// is the number, 8 bytes little-endian, and a CRC-32C over the owner and the number.
//
// A Note is used by one goroutine. Its methods report errors of the file system; after one
// the next Set begins anew.
type Note struct {
	FS   vfs.FS
	Path string
	// Owner tells the data that the number is about from other data, of which the file may be
	// a copy. It may be empty.
	Owner string

	file vfs.File
	turn int
}

const (
	noteSlots       = 2
	noteSlotBytes   = 8 + crc32.Size
	noteSlotSpacing = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Set writes a number that is larger than the last.
func (n *Note) Set(number uint64) error {
	if n.file == nil {
		slots := n.read()
		file, err := n.FS.OpenReadWrite(n.Path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return fmt.Errorf("opening %s: %w", n.Path, err)
		}
		n.file, n.turn = file, 0
		if slots[0] > slots[1] { // the older one is written first
			n.turn = 1
		}
	}
	if _, err := n.file.WriteAt(n.slot(number), int64(n.turn)*noteSlotSpacing); err != nil {
		n.Close()
		return fmt.Errorf("writing %s: %w", n.Path, err)
	}
	n.turn = 1 - n.turn
	return nil
}

// Close closes the file. What it says was never promised to be there.
func (n *Note) Close() {
	if n.file != nil {
		_ = n.file.Close()
		n.file = nil
	}
}

// Last reads the file: 0 if nothing in it can be relied on.
func (n *Note) Last() uint64 {
	slots := n.read()
	return max(slots[0], slots[1])
}

// read returns the numbers of the slots, 0 for one that cannot be relied on.
func (n *Note) read() (slots [noteSlots]uint64) {
	file, err := n.FS.Open(n.Path)
	if err != nil {
		return slots
	}
	defer func() { _ = file.Close() }()
	for i := range slots {
		var b [noteSlotBytes]byte
		if _, err := file.ReadAt(b[:], int64(i)*noteSlotSpacing); err != nil {
			continue
		}
		if number := binary.LittleEndian.Uint64(b[:]); string(b[:]) == string(n.slot(number)) {
			slots[i] = number
		}
	}
	return slots
}

func (n *Note) slot(number uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, number)
	sum := crc32.Update(crc32.Checksum([]byte(n.Owner), castagnoli), castagnoli, b)
	return binary.LittleEndian.AppendUint32(b, sum)
}
