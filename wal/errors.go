package wal

import (
	"errors"
	"fmt"

	"github.com/siltstone-db/siltstone/schema"
)

var (
	// ErrPoisoned is wrapped by the error of every commit after a write or sync of the
	// log failed otherwise than for lack of space. Whether the records that waited then
	// are durable is unknown; the next Open tells.
	ErrPoisoned = errors.New("log failed and must be reopened")
	// ErrNoSpace is wrapped by the error of every commit after a write or sync failed
	// because the disk or the quota is full, until Rearm succeeds. The records that
	// waited then may be found by an Open, and by none after that Rearm.
	ErrNoSpace = errors.New("no space left for the log")
	// ErrClosed is returned by calls that come after Close.
	ErrClosed = errors.New("log is closed")
	// ErrPayloadTooLarge is returned by Commit and CommitAsync for a payload above MaxPayloadBytes.
	ErrPayloadTooLarge = errors.New("record exceeds the log's limit")
	// ErrUnsupported is wrapped by Open's error when a segment is intact but has a
	// version or a flag that this program does not know: a newer one wrote it.
	ErrUnsupported = errors.New("log segment has an unsupported format")
)

// CorruptionError is returned by Open when records that may have been acknowledged
// cannot be read. No file was changed.
type CorruptionError struct {
	// File is the path of the damaged or missing file, or the directory where
	// segments are missing altogether.
	File string
	// Offset is the byte in File at which reading stopped.
	Offset int64
	// Seq is the last record that can be read before the damage.
	Seq schema.Seq
	// Reason says what is wrong there.
	Reason string
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("log corrupt: %s, offset %d, after record %d: %s; nothing was changed; "+
		"restore the file from a backup, or keep the records that verify", e.File, e.Offset, e.Seq, e.Reason)
}
