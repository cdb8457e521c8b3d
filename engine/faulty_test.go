package engine_test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// fault is what goes wrong with one call, or from one call on.
type fault struct {
	name       string
	errno      syscall.Errno
	counts     func(errorfs.Op) bool // the calls to which it can happen
	persistent bool
}

var faults = []fault{
	{"EIO once", syscall.EIO, anyOperation, false},
	{"EIO from then on", syscall.EIO, anyOperation, true},
	{"ENOSPC once", syscall.ENOSPC, needsSpace, false},
	{"ENOSPC until space returns", syscall.ENOSPC, needsSpace, true},
}

// needsSpace reports whether a full disk may refuse a call. With delayed allocation
// that can be a sync.
func needsSpace(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpLink, errorfs.OpMkdirAll, errorfs.OpFileWrite, errorfs.OpFileWriteAt,
		errorfs.OpFilePreallocate, errorfs.OpReuseForWrite:
		return true
	}
	return isSync(op)
}

// faultyDisk fails the nth call to which its fault can happen. It keeps what W2 is about
// in view: which files of the log had a sync that failed.
type faultyDisk struct {
	vfs.FS
	fault fault

	mu       sync.Mutex
	left     int    // calls until the fault; below 0 it has come
	what     string // the first call that failed
	isOver   bool   // the space has returned
	poisoned map[string]bool
	again    []string // files of the log that were synced after a failed sync
	isBroken bool     // no acknowledgement may follow, until the log goes on in another file
}

func newFaultyDisk(mem vfs.FS, f fault, n int) *faultyDisk {
	d := &faultyDisk{fault: f, left: n, poisoned: make(map[string]bool)}
	d.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(d.operate))
	return d
}

func (d *faultyDisk) operate(op errorfs.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if isLogSync(op) && d.poisoned[op.Path] {
		d.again = append(d.again, op.Path)
	}
	if d.fault.errno == syscall.ENOSPC && op.Kind == errorfs.OpCreate && strings.Contains(op.Path, "data/wal/") {
		d.isBroken = false
	}
	if !d.fault.counts(op) || d.isOver {
		return nil
	}
	d.left--
	if d.left >= 0 || d.left < -1 && !d.fault.persistent {
		return nil
	}
	if d.what == "" {
		d.what = fmt.Sprint(op.Kind, " ", op.Path)
	}
	if isLogSync(op) {
		d.poisoned[op.Path], d.isBroken = true, true
	}
	return ioError(op, d.fault.errno)
}

// repair ends the fault, and begins a new process for which old files are new.
func (d *faultyDisk) repair() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isOver = true
}

// wasHit returns the call that failed, or "".
func (d *faultyDisk) wasHit() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.what
}

// isLogBroken reports whether the log's last sync failed, and it has made no file since.
func (d *faultyDisk) isLogBroken() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.isBroken
}

// syncedAgain returns the files of the log that were synced after a failed sync.
func (d *faultyDisk) syncedAgain() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.again
}

// restarted says that the faults of the last process are no concern of the next.
func (d *faultyDisk) restarted() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isBroken = false
	clear(d.poisoned)
}
