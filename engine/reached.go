package engine

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// A log whose newest file is gone, cut short or an older copy looks like one that was never
// longer: nothing in it says what came behind. So the engine notes beside it, every
// second or so, up to which record the log is durable. A log that ends before is damaged.
//
// The note is written after the sync of what it claims, and not synced itself: whatever
// of it a power failure keeps, it never claims too much. What does not read proves nothing. It
// is no part of what is promised, so that a failure to write it is tried again, and no more.

// The file has two slots, written in turn, so that one that is torn leaves the other. A slot
// is a record's number and a checksum over the directory's instance id and that number: a
// note that belongs to other data is none.
const (
	reachedName        = "REACHED"
	reachedSlotBytes   = 8 + crc32.Size
	reachedSlotSpacing = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// reachedNote is the open file. It is used by one goroutine.
type reachedNote struct {
	file vfs.File
	last schema.Seq
	turn int64
}

// note writes the number of the last durable record, if it has changed.
func (r *reachedNote) note(e *Engine) {
	durable := e.log.Stats().DurableSeq
	if durable <= r.last {
		return
	}
	if r.file == nil {
		file, err := e.opts.FS.OpenReadWrite(e.path(reachedName), vfs.WriteCategoryUnspecified)
		if err != nil {
			return
		}
		r.file = file
	}
	slot := appendReached(nil, e.catalog.InstanceID(), durable)
	if _, err := r.file.WriteAt(slot, r.turn*reachedSlotSpacing); err != nil {
		r.close()
		return
	}
	r.last, r.turn = durable, 1-r.turn
}

func (r *reachedNote) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

func appendReached(b []byte, instance string, seq schema.Seq) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(seq))
	sum := crc32.Update(crc32.Checksum([]byte(instance), castagnoli), castagnoli, b[start:])
	return binary.LittleEndian.AppendUint32(b, sum)
}

// readReached returns the last record of which the file says that it was durable; 0 if
// nothing in it can be relied on.
func readReached(fs vfs.FS, path, instance string) (last schema.Seq) {
	file, err := fs.Open(path)
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }()
	for slot := range int64(2) {
		var b [reachedSlotBytes]byte
		if _, err := file.ReadAt(b[:], slot*reachedSlotSpacing); err != nil {
			continue
		}
		seq := schema.Seq(binary.LittleEndian.Uint64(b[:]))
		if string(b[:]) == string(appendReached(nil, instance, seq)) {
			last = max(last, seq)
		}
	}
	return last
}
