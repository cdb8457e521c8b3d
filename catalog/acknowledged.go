package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Damage to the end of Pebble's log looks like a write that was cut short, and Pebble drops
// it without a word, however long ago it was acknowledged. (Its chunks say how far the log was synced,
// but only those of a later block of 32 KiB are looked at.) So commits are counted:
//
//   - Each synced batch carries its number in a record.
//   - When it is synced, the number is written to a small file beside Pebble's, which is not
//     synced itself.
//   - A catalog whose own number is behind the one in that file has lost commits that were
//     acknowledged, and is refused before anything is changed.
//
// The number gets into the file after its commit is durable, so that whatever of the file a
// power failure keeps, it never claims too much. What does not read of it proves nothing.

// acknowledgedName is the name of the file. Pebble leaves names alone that are not its own.
const acknowledgedName = "ACKNOWLEDGED"

// The file has two slots, written in turn, so that one that is torn leaves the other.
const (
	slotBytes   = 8 + crc32.Size
	slotSpacing = 64
)

// errLostCommits says that the store ends before what was acknowledged.
var errLostCommits = errors.New("its last commits are missing")

// acknowledged is the open file. Without one it does nothing: then there is less proof.
type acknowledged struct {
	file   vfs.File
	logger *slog.Logger
}

func openAcknowledged(fs vfs.FS, dir string, logger *slog.Logger) *acknowledged {
	a := &acknowledged{logger: logger}
	path := fs.PathJoin(dir, acknowledgedName)
	file, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		a.giveUp(err)
		return a
	}
	a.file = file
	return a
}

// set notes a commit that is durable. Calls are made one at a time.
func (a *acknowledged) set(number uint64) {
	if a.file == nil {
		return
	}
	if _, err := a.file.WriteAt(appendSlot(nil, number), int64(number%2)*slotSpacing); err != nil {
		a.giveUp(err)
	}
}

// giveUp goes on without the file: it is no part of what was promised.
func (a *acknowledged) giveUp(err error) {
	a.logger.Warn("the number of the last catalog commit cannot be noted; damage to the end of the catalog's log may go unnoticed", "error", err)
	a.close()
}

func (a *acknowledged) close() {
	if a.file != nil {
		_ = a.file.Close()
		a.file = nil
	}
}

func appendSlot(b []byte, number uint64) []byte {
	b = binary.LittleEndian.AppendUint64(b, number)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[len(b)-8:], castagnoli))
}

// lastAcknowledged reads the file: 0 if nothing in it can be relied on.
func lastAcknowledged(fs vfs.FS, dir string) (last uint64) {
	file, err := fs.Open(fs.PathJoin(dir, acknowledgedName))
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }()
	for slot := range int64(2) {
		var b [slotBytes]byte
		if _, err := file.ReadAt(b[:], slot*slotSpacing); err != nil {
			continue
		}
		number := binary.LittleEndian.Uint64(b[:])
		if binary.LittleEndian.Uint32(b[8:]) == crc32.Checksum(b[:8], castagnoli) {
			last = max(last, number)
		}
	}
	return last
}

// checkAcknowledged refuses a directory that has lost commits, before Pebble opens it to
// write and tidies up what is left of them. Other damage is for Open to find.
func checkAcknowledged(o *Options) error {
	last := lastAcknowledged(o.FS, o.Dir)
	if last == 0 {
		return nil
	}
	s, err := openReadOnly(o)
	if err != nil {
		return nil
	}
	number, err := s.readCommits()
	if err = errors.Join(err, s.close()); err != nil {
		return nil
	}
	return compareAcknowledged(o.Dir, number, last)
}

func compareAcknowledged(dir string, number, last uint64) error {
	if number >= last {
		return nil
	}
	return &CorruptError{Dir: dir, Key: commitsKey, Err: fmt.Errorf(
		"%w: it ends with commit %d, and %d was acknowledged, as the file %s says; the newest *.log file is damaged, or older files were put in its place",
		errLostCommits, number, last, acknowledgedName)}
}

// readCommits returns the number of the last commit in the store.
func (s *store) readCommits() (uint64, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: commitsKey, UpperBound: prefixEnd(commitsKey)})
	if err != nil {
		return 0, err
	}
	var number uint64
	if it.First() {
		value, fault := unseal(it.Key(), it.Value())
		if fault == nil {
			number, fault = decodeNumber(value)
		}
		err = fault
	}
	return number, errors.Join(err, it.Close())
}
