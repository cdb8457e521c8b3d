package engine

import (
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
)

// A log whose newest file is gone, cut short or an older copy looks like one that was never
// longer: nothing in it says what came behind. So the engine notes beside it, every
// second or so, up to which record the log is durable. A log that ends before is damaged.
// The note is no part of what is promised: a failure to write it is tried again, and no more.

// reachedName is the name of the note's file.
const reachedName = "REACHED"

// reachedNote is the note at a path. It belongs to the directory's instance: that of other
// data says nothing.
func reachedNote(fs vfs.FS, path, instance string) *durable.Note {
	return &durable.Note{FS: fs, Path: path, Owner: instance}
}

// readReached returns the last record of which the note says that it was durable, or 0.
func readReached(fs vfs.FS, path, instance string) schema.Seq {
	return schema.Seq(reachedNote(fs, path, instance).Last())
}
