package catalog

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrNoCatalog is returned by Check, and by Open with MustExist, where the directory holds
// no catalog: it is missing or empty, or the process that made it was cut short.
var ErrNoCatalog = errors.New("there is no catalog")

var errReadOnly = errors.New("the catalog is open to be read only")

// openReadOnly opens a store that can be read only. No file is changed.
func openReadOnly(o *Options) (s *store, err error) {
	defer func() {
		if v := recover(); v != nil { // Pebble, over files that are damaged
			s, err = nil, fmt.Errorf("open catalog %s: %v", o.Dir, v)
		}
	}()
	if err := mustExist(o); err != nil {
		return nil, err
	}
	f := newFence(o.Logger)
	opts := pebbleOptions(o, f)
	opts.FS = &fencedFS{FS: readOnlyFS{o.FS}, fence: f}
	opts.ReadOnly = true
	return openStoreWith(o, f, opts)
}

// mustExist makes sure that Pebble has something in the directory.
func mustExist(o *Options) error {
	switch found, err := pebble.Peek(o.Dir, o.FS); {
	case errors.Is(err, os.ErrNotExist), err == nil && !found.Exists:
		return fmt.Errorf("%w in %s", ErrNoCatalog, o.Dir)
	case err != nil:
		return fmt.Errorf("open catalog %s: %w", o.Dir, err)
	}
	return nil
}

// readOnlyFS refuses what changes something. Locks are left to the caller: Pebble's would
// make a file.
type readOnlyFS struct{ vfs.FS }

func (readOnlyFS) Create(string, vfs.DiskWriteCategory) (vfs.File, error) { return nil, errReadOnly }

func (readOnlyFS) ReuseForWrite(string, string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, errReadOnly
}

func (readOnlyFS) OpenReadWrite(string, vfs.DiskWriteCategory, ...vfs.OpenOption) (vfs.File, error) {
	return nil, errReadOnly
}

func (readOnlyFS) MkdirAll(string, os.FileMode) error { return nil } // Pebble asks for what is there
func (readOnlyFS) Rename(string, string) error        { return errReadOnly }
func (readOnlyFS) Link(string, string) error          { return errReadOnly }
func (readOnlyFS) Remove(string) error                { return errReadOnly }
func (readOnlyFS) RemoveAll(string) error             { return errReadOnly }
func (readOnlyFS) Lock(string) (io.Closer, error)     { return io.NopCloser(nil), nil }
func (fs readOnlyFS) Unwrap() vfs.FS                  { return fs.FS }
