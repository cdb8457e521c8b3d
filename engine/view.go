package engine

import (
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// View pins what a query reads: for each of its tables, files and buffered rows in
// which every accepted row occurs exactly once, whatever is flushed meanwhile.
// A view sees every write that was acknowledged before it was made.
type View struct {
	Database *schema.Database
	Tables   []*TableView

	release func()
}

// TableView is one table of a View.
type TableView struct {
	Table *schema.Table
	// Files are ordered by Order: of two that hold the same point, the later one wins.
	Files []FileRef
	// Buffers are in the order in which their rows were accepted, all of them later
	// than every file that holds rows of the same partition.
	Buffers []*partition.Snapshot
}

// FileRef is a Parquet file that stays in place as long as the view is open.
type FileRef struct {
	*schema.File
	Path string // absolute, or relative to the process's directory as --data-dir is
}

// Close unpins the view. It may be called more than once.
func (v *View) Close() {
	if v.release != nil {
		v.release()
		v.release = nil
	}
}
