// Package durable makes names in a file system survive a crash: a file that was
// created or renamed is only there for good once its directory has been synced too.
//
// Functions may be called concurrently. They own no bytes.
package durable

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// SyncDir makes the names in a directory durable.
func SyncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("opening directory %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	return nil
}

// makeDirMu lets one goroutine at a time create directories. Without it one could
// find a directory that another has made but not yet made durable, and rely on it.
var makeDirMu sync.Mutex

// MkdirAll creates dir and its missing parents so that they survive a crash. That a
// directory exists is taken to mean that it is durable.
func MkdirAll(fs vfs.FS, dir string) error {
	makeDirMu.Lock()
	defer makeDirMu.Unlock()
	return mkdirLocked(fs, dir)
}

// mkdirLocked requires makeDirMu. A directory whose parent could not be synced is
// removed again, so that its existence keeps its meaning.
func mkdirLocked(fs vfs.FS, dir string) error {
	switch _, err := fs.Stat(dir); {
	case err == nil:
		return nil
	case !errors.Is(err, iofs.ErrNotExist):
		return fmt.Errorf("looking for directory %s: %w", dir, err)
	}
	parent := fs.PathDir(dir)
	if parent == dir {
		return fmt.Errorf("directory %s: %w", dir, iofs.ErrNotExist)
	}
	if err := mkdirLocked(fs, parent); err != nil {
		return err
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("creating directory %s: %w", dir, err)
	}
	if err := SyncDir(fs, parent); err != nil {
		return errors.Join(err, fs.Remove(dir))
	}
	return nil
}
