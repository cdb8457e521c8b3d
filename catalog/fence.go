package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/internal/durable"
)

// What happens when the storage fails.
//
// Pebble takes a failed write or sync of its log or manifest as the end of the
// process. It calls Logger.Fatalf, and the code behind that call relies on never being
// reached: after a failed sync of the log the commit goes on to report success, and
// after a failed write of the manifest Pebble may later record an edit twice, or delete
// tables that the manifest on disk still names. In other places it panics where nobody
// can recover: when it cannot create its next log file, or sync its directory. A flush
// that fails is tried again for ever, and Open waits for it.
//
// Ending the process would be sound, but it takes queries down too, which need no more
// than what is in memory. So Pebble is put behind a fence, a file system that is closed
// by the first failure of an operation that matters:
//
//   - As long as the fence is open, every operation goes to the disk.
//   - The operation that fails closes it. It, and every later operation that would
//     change something, does nothing and reports success. New files are made in memory.
//   - Pebble goes on in the belief that all is well, and thereby meets none of the
//     paths above. The directory stays as a crash at that moment would have left it
//     (C6), and recovering from a crash is what Pebble is good at.
//   - After each commit, each lookup, and Open, the fence is looked at, because Pebble's
//     own result says nothing then. Open means that every write and sync up to here has
//     really happened, so the commit is durable; closed means ErrFailed. A closed
//     fence is never opened again: after the disk was full, Reopen gives Pebble up with
//     its fence, and opens another one over the directory, as a new process would.
//
// The change that met the failure is in doubt: it may have been written before. It is
// one batch, so that it shows after reopening whole or not at all.
//
// What Pebble can do without does not close the fence: removing an obsolete file,
// preallocating, reading. What it finds damaged does, as does Fatalf.
//
// Refused: a Fatalf that panics (half of the calls come from Pebble's own goroutines,
// where that ends the process), one that blocks (Pebble's lock is held, so that Close
// would never return), and one that returns while later operations fail (Pebble panics
// in the places above, and Open hangs).

// fence is Pebble's logger and, through fencedFS, the gate in front of its file system.
type fence struct {
	logger *slog.Logger
	cause  atomic.Pointer[error] // the first failure; nil as long as the fence is open
	memory vfs.FS                // takes the files made behind a closed fence
}

func newFence(logger *slog.Logger) *fence { return &fence{logger: logger, memory: vfs.NewMem()} }

func (f *fence) closed() bool { return f.cause.Load() != nil }

// err returns ErrFailed or ErrNoSpace, and the cause, when the fence is closed, else nil.
func (f *fence) err() error {
	cause := f.cause.Load()
	switch {
	case cause == nil:
		return nil
	case durable.IsNoSpace(*cause):
		return &noSpaceError{*cause}
	default:
		return fmt.Errorf("%w: %w", ErrFailed, *cause)
	}
}

// fail closes the fence; the first failure is kept.
func (f *fence) fail(err error) {
	if f.cause.CompareAndSwap(nil, &err) {
		f.logger.Error("catalog storage failed, nothing more is written", "error", err)
	}
}

// do runs an operation that matters, unless the fence is closed, and closes it if the
// operation fails. Either way Pebble may go on.
func (f *fence) do(name, path string, op func() error) {
	if f.closed() {
		return
	}
	if err := op(); err != nil {
		f.fail(fmt.Errorf("%s %s: %w", name, path, err))
	}
}

// create makes a file with op, or in memory when that fails or the fence is closed.
func (f *fence) create(path string, op func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	f.do("create", path, func() (err error) {
		file, err = op()
		return err
	})
	if file == nil {
		var err error
		if file, err = f.memory.Create("discarded", vfs.WriteCategoryUnspecified); err != nil {
			return nil, err
		}
	}
	return &fencedFile{File: file, fence: f, path: path}, nil
}

// pebbleEvents returns Pebble's listener.
func (f *fence) pebbleEvents() *pebble.EventListener {
	events := pebble.MakeLoggingEventListener(f)
	events.BackgroundError = func(err error) {
		f.Errorf("background error: %v", err)
		time.Sleep(backgroundPause)
	}
	events.DataCorruption = func(info pebble.DataCorruptionInfo) {
		f.fail(fmt.Errorf("pebble found damage in %s: %w", info.Path, info.Details))
	}
	return &events
}

// backgroundPause slows down a flush or compaction that fails without a write being
// at fault: Pebble repeats it at once and without end. Pebble's lock is held meanwhile,
// so it must be short.
const backgroundPause = 20 * time.Millisecond

// Infof implements pebble.Logger; these are reports on flushes, compactions and files.
func (f *fence) Infof(format string, args ...any) {
	if f.logger.Enabled(context.Background(), slog.LevelDebug) {
		f.logger.Debug(fmt.Sprintf(format, args...))
	}
}

// Errorf implements pebble.Logger. Pebble goes on after these, so they are warnings.
func (f *fence) Errorf(format string, args ...any) {
	f.logger.Warn(fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger. It returns: see above.
func (f *fence) Fatalf(format string, args ...any) {
	fatal := &fatalError{message: fmt.Sprintf(format, args...)}
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			fatal.cause = err
			break
		}
	}
	f.fail(fatal)
}

// fatalError is what Pebble gave to Fatalf.
type fatalError struct {
	message string
	cause   error // the first error among the arguments, for errors.Is; may be nil
}

func (e *fatalError) Error() string { return e.message }
func (e *fatalError) Unwrap() error { return e.cause }

// fencedFS is the file system behind the fence. Reading files and locking are left to
// the embedded one.
type fencedFS struct {
	vfs.FS
	fence *fence
}

// markerPrefix starts the names of the files by which Pebble says which manifest is
// current. It creates the manifest, then the marker, and syncs the directory once for
// both: on a file system that keeps no order between names, a crash could leave the
// marker without its manifest, and the store would not open (Pebble issue 5825, not
// mended in v2.1.7). So the directory is synced before a marker is created.
const markerPrefix = "marker."

func (fs *fencedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(fs.PathBase(name), markerPrefix) {
		dir := fs.PathDir(name)
		fs.fence.do("sync", dir, func() error { return durable.SyncDir(fs.FS, dir) })
	}
	return fs.fence.create(name, func() (vfs.File, error) { return fs.FS.Create(name, c) })
}

func (fs *fencedFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.fence.create(newname, func() (vfs.File, error) { return fs.FS.ReuseForWrite(oldname, newname, c) })
}

func (fs *fencedFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return fs.fence.create(name, func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, c, o...) })
}

// OpenDir wraps the directory, because its Sync matters.
func (fs *fencedFS) OpenDir(name string) (vfs.File, error) {
	dir, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: dir, fence: fs.fence, path: name}, nil
}

// List closes the fence when it fails, though it only reads: Pebble lists its directory
// again late in Open, and an Open that fails then leaves goroutines behind which panic
// over what it has closed (v2.1.7).
func (fs *fencedFS) List(dir string) ([]string, error) {
	names, err := fs.FS.List(dir)
	if err != nil {
		fs.fence.fail(fmt.Errorf("list %s: %w", dir, err))
		return nil, nil
	}
	return names, nil
}

func (fs *fencedFS) MkdirAll(dir string, perm os.FileMode) error {
	fs.fence.do("create", dir, func() error { return fs.FS.MkdirAll(dir, perm) })
	return nil
}

func (fs *fencedFS) Rename(oldname, newname string) error {
	fs.fence.do("rename", newname, func() error { return fs.FS.Rename(oldname, newname) })
	return nil
}

func (fs *fencedFS) Link(oldname, newname string) error {
	fs.fence.do("link", newname, func() error { return fs.FS.Link(oldname, newname) })
	return nil
}

func (fs *fencedFS) Remove(name string) error {
	if fs.fence.closed() {
		return nil
	}
	return fs.FS.Remove(name)
}

func (fs *fencedFS) RemoveAll(name string) error {
	if fs.fence.closed() {
		return nil
	}
	return fs.FS.RemoveAll(name)
}

func (fs *fencedFS) Unwrap() vfs.FS { return fs.FS }

// fencedFile is a file that was opened for writing, or a directory.
type fencedFile struct {
	vfs.File
	fence *fence
	path  string
}

func (f *fencedFile) Write(p []byte) (int, error) {
	f.fence.do("write", f.path, func() error {
		_, err := f.File.Write(p)
		return err
	})
	return len(p), nil
}

func (f *fencedFile) WriteAt(p []byte, offset int64) (int, error) {
	f.fence.do("write", f.path, func() error {
		_, err := f.File.WriteAt(p, offset)
		return err
	})
	return len(p), nil
}

func (f *fencedFile) Sync() error {
	f.fence.do("sync", f.path, f.File.Sync)
	return nil
}

func (f *fencedFile) SyncData() error {
	f.fence.do("sync", f.path, f.File.SyncData)
	return nil
}

func (f *fencedFile) SyncTo(length int64) (fullSync bool, err error) {
	f.fence.do("sync", f.path, func() (err error) {
		fullSync, err = f.File.SyncTo(length)
		return err
	})
	return fullSync, nil
}

func (f *fencedFile) Preallocate(offset, length int64) error {
	if f.fence.closed() {
		return nil
	}
	return f.File.Preallocate(offset, length)
}

// Close always closes; what a closed fence leaves of a file is not written by it.
func (f *fencedFile) Close() error {
	if err := f.File.Close(); err != nil {
		f.fence.fail(fmt.Errorf("close %s: %w", f.path, err))
	}
	return nil
}
