package catalog

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/internal/durable"
)

// Damage to the end of Pebble's log looks like a write that was cut short, and Pebble drops
// it without a word, however long ago it was acknowledged. (Its chunks say how far the log was synced,
// but only those of a later block of 32 KiB are looked at.) So commits are counted:
//
//   - Each synced batch carries its number in a record.
//   - When it is synced, the number is noted in a small file beside Pebble's (durable.Note).
//   - A catalog whose own number is behind the one in that file has lost commits that were
//     acknowledged, and is refused before anything is changed.

// acknowledgedName is the name of the file. Pebble leaves names alone that are not its own.
const acknowledgedName = "ACKNOWLEDGED"

// errLostCommits says that the store ends before what was acknowledged.
var errLostCommits = errors.New("its last commits are missing")

func acknowledgedNote(fs vfs.FS, dir string) *durable.Note {
	return &durable.Note{FS: fs, Path: fs.PathJoin(dir, acknowledgedName)}
}

// noteAcknowledged notes the last commit, which is durable. If it cannot, the catalog goes on
// without: the note is no part of what was promised.
func (s *store) noteAcknowledged() {
	if s.acknowledged == nil {
		return
	}
	if err := s.acknowledged.Set(s.commits); err != nil {
		s.fence.logger.Warn("the number of the last catalog commit cannot be noted; damage to the end of the catalog's log may go unnoticed", "error", err)
		s.acknowledged = nil
	}
}

// lastAcknowledged returns 0 if nothing is known.
func lastAcknowledged(fs vfs.FS, dir string) uint64 { return acknowledgedNote(fs, dir).Last() }

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
