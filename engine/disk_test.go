package engine_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// disk is a file system whose power can be cut in front of any operation. From then on
// every operation fails, and what a machine would find after the crash is in its image.
type disk struct {
	vfs.FS // the way to it that can fail
	mem    *vfs.MemFS

	mu        sync.Mutex
	isDue     func(errorfs.Op) bool // nil when no cut is planned
	beforeCut func()
	afterCut  func()
	cut       vfs.CrashCloneCfg
	image     *vfs.MemFS // nil while there is power
}

func newDisk(mem *vfs.MemFS) *disk {
	d := &disk{mem: mem}
	d.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(d.operate))
	return d
}

// powerCut says what is left after a cut, and what is noted right before and after it.
type powerCut struct {
	unsyncedPercent int // of what was not synced, what is there all the same
	rng             *rand.Rand
	before, after   func()
}

// plan cuts the power in front of the first operation that is due.
func (d *disk) plan(c powerCut, isDue func(errorfs.Op) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isDue, d.beforeCut, d.afterCut = isDue, c.before, c.after
	d.cut = vfs.CrashCloneCfg{UnsyncedDataPercent: c.unsyncedPercent, RNG: c.rng}
}

// cutNow cuts the power if that was planned and has not come yet, and returns the image.
func (d *disk) cutNow() *vfs.MemFS {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.image == nil {
		d.cutLocked()
	}
	return d.image
}

func (d *disk) hasPower() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.image == nil
}

func (d *disk) operate(op errorfs.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.image == nil && d.isDue != nil && d.isDue(op) {
		d.cutLocked()
	}
	if d.image != nil {
		return ioError(op, syscall.EIO)
	}
	return nil
}

func (d *disk) cutLocked() {
	if d.beforeCut != nil {
		d.beforeCut()
	}
	d.image = d.mem.CrashClone(d.cut)
	if d.afterCut != nil {
		d.afterCut()
	}
}

// ioError is what package os returns when the kernel does.
func ioError(op errorfs.Op, errno syscall.Errno) error {
	return &fs.PathError{Op: fmt.Sprint(op.Kind), Path: op.Path, Err: errno}
}

// nthOperation is due at the nth operation from now, counting those that count.
func nthOperation(n int, counts func(errorfs.Op) bool) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		if counts(op) {
			n--
		}
		return n < 0
	}
}

// operationBehind is due at the operation that follows the nth one that counts. Behind
// a sync is where file systems and databases go wrong most.
func operationBehind(n int, counts func(errorfs.Op) bool) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		isDue := n < 0
		if counts(op) {
			n--
		}
		return isDue
	}
}

func anyOperation(errorfs.Op) bool { return true }

func changesDisk(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsWrite }
