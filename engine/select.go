package engine

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
)

// Selection says which rows TableView.Select selects.
type Selection = persist.Selection

// FileSelection reads the rows of a file that were selected. It may be used concurrently.
type FileSelection struct {
	fs       vfs.FS
	path     string
	selector *persist.Selector
}

// Select prepares to read rows of a file in the view by their values; its tags and what is named must have been
// verified. The errors are those of OpenSeries: the file is to be read in another way then.
func (t *TableView) Select(ctx context.Context, file FileRef, s *Selection) (*FileSelection, error) {
	known, err := t.OpenSeries(ctx, file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = known.Close() }() // it was only read
	selector, err := known.Selector(known.src, s)
	if err != nil {
		return nil, err
	}
	return &FileSelection{fs: t.filesystem(), path: file.Path, selector: selector}, nil
}

// Groups are the row groups that may have rows that are wanted.
func (s *FileSelection) Groups() []int {
	var groups []int
	for g := range s.selector.Groups() {
		if s.selector.Wants(g) {
			groups = append(groups, g)
		}
	}
	return groups
}

// Read calls yield with the wanted rows of a row group, in file order. They are valid until it returns; without
// buffers they are given away.
func (s *FileSelection) Read(group int, buffers *persist.SelectionBuffers, yield func(*partition.Snapshot) error) error {
	src, err := s.fs.Open(s.path, vfs.RandomReadsOption)
	if err != nil {
		return fmt.Errorf("opening %s: %w", s.path, err)
	}
	defer func() { _ = src.Close() }() // it was only read
	err = s.selector.Read(src, group, buffers, func(f *persist.Found) error { return yield(snapshotOf(f)) })
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.path, err)
	}
	return nil
}
