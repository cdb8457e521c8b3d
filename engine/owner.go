package engine

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lockDir takes the lock of a data directory. ErrInUse says that somebody else has it, and
// whatToDo then; any other error that the directory cannot be locked.
func lockDir(fs vfs.FS, dir, whatToDo string) (io.Closer, error) {
	lock, err := fs.Lock(path.Join(dir, lockName))
	if err == nil {
		return lock, nil
	}
	if isLockHeld(err) {
		return nil, fmt.Errorf("%w: %s is locked by another siltstone process (%w); %s", ErrInUse, dir, err, whatToDo)
	}
	return nil, unusable(dir, fmt.Errorf("locking it: %w", err))
}

// isLockHeld tells a lock that somebody has from one that cannot be made. The file that is
// locked could be created where there is no PathError.
func isLockHeld(err error) bool {
	var create *iofs.PathError
	var errno syscall.Errno
	if errors.As(err, &create) {
		return false
	}
	if errors.As(err, &errno) { // POSIX allows either for a lock that is held
		return errno == syscall.EAGAIN || errno == syscall.EACCES
	}
	return true // this process has it
}

// unusable says why a directory cannot hold data, and what helps.
func unusable(dir string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EROFS):
		hint = "; its file system is mounted read-only: mount it with write access, or choose another directory with --data-dir"
	case errors.Is(err, iofs.ErrPermission):
		hint = "; the user that runs siltstone must own it, or choose another directory with --data-dir"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EEXIST):
		hint = "; it, or a directory above it, is a file: choose another directory with --data-dir"
	case errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS):
		hint = "; its file system cannot lock files, as NFS without a lock service: keep the data on a local disk"
	}
	return fmt.Errorf("the data directory %s cannot be used: %w%s", dir, err, hint)
}
