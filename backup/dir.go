package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/internal/durable"
)

// Dir is a store in a directory. An object gets its name when it is durable; until then it
// has tempSuffix, and one that has it for ever was cut short.
type Dir struct {
	fs   vfs.FS
	root string
}

const (
	tempSuffix = ".tmp"
	lockName   = "LOCK"
	// copyBytes is the unit in which objects are copied.
	copyBytes = 256 << 10
	// drainBytes are written between two calls that have the disk take what is in memory.
	drainBytes = 8 << 20
)

// NewDir returns the store in a directory, which is made when something is written. A nil
// fs is the real one.
func NewDir(fs vfs.FS, root string) *Dir {
	if fs == nil {
		fs = vfs.Default
	}
	return &Dir{fs: fs, root: path.Clean(root)}
}

// String implements Store.
func (d *Dir) String() string { return d.root }

// Path is where an object is.
func (d *Dir) Path(name string) string { return path.Join(d.root, name) }

// Lock implements Store. The lock ends with the process.
func (d *Dir) Lock(context.Context) (io.Closer, error) {
	if err := durable.MkdirAll(d.fs, d.root); err != nil {
		return nil, err
	}
	lock, err := d.fs.Lock(d.Path(lockName))
	if err != nil {
		return nil, fmt.Errorf("locking the repository %s, which another backup may be using: %w", d.root, err)
	}
	return lock, nil
}

// Put implements Store.
func (d *Dir) Put(ctx context.Context, name string, size int64, r io.Reader) error {
	final := d.Path(name)
	if err := durable.MkdirAll(d.fs, path.Dir(final)); err != nil {
		return err
	}
	if err := d.write(ctx, final+tempSuffix, size, r); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", final, err), d.Remove(ctx, name+tempSuffix))
	}
	if err := d.fs.Rename(final+tempSuffix, final); err != nil {
		return err
	}
	return durable.SyncDir(d.fs, path.Dir(final))
}

// write writes and syncs a file.
func (d *Dir) write(ctx context.Context, name string, size int64, r io.Reader) (err error) {
	file, err := d.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	written, drained := int64(0), int64(0)
	for buffer := make([]byte, min(copyBytes, size+1)); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, readErr := r.Read(buffer)
		if _, err := file.Write(buffer[:n]); err != nil {
			return err
		}
		if written += int64(n); written-drained >= drainBytes { // else all were left to the sync in the end
			drained = written
			if _, err := file.SyncTo(written); err != nil {
				return err
			}
		}
		if errors.Is(readErr, io.EOF) {
			break
		} else if readErr != nil {
			return readErr
		}
	}
	if written != size {
		return fmt.Errorf("%w: it has %d bytes, not %d", ErrDamaged, written, size)
	}
	return file.Sync()
}

// Get implements Store.
func (d *Dir) Get(_ context.Context, name string) (io.ReadCloser, error) {
	file, err := d.fs.Open(d.Path(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", d.Path(name), ErrNoObject)
	}
	return file, err
}

// Remove implements Store.
func (d *Dir) Remove(_ context.Context, name string) error {
	if err := d.fs.Remove(d.Path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Sweep implements Store. There is nothing that List does not show.
func (d *Dir) Sweep(context.Context, time.Time) error { return nil }

// List implements Store. Files that were cut short are objects, too.
func (d *Dir) List(ctx context.Context, prefix string, visit func(Object) error) error {
	names, err := d.fs.List(d.Path(prefix))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing %s: %w", d.Path(prefix), err)
	}
	slices.Sort(names)
	for _, name := range names {
		name = strings.TrimPrefix(path.Join(prefix, name), "/")
		info, err := d.fs.Stat(d.Path(name))
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return err
		case info.IsDir():
			err = d.List(ctx, name+"/", visit)
		default:
			err = visit(Object{Name: name, Bytes: info.Size(), Modified: info.ModTime()})
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}
