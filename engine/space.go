package engine

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/internal/durable"
)

// ErrNoSpace is matched by a *NoSpaceError.
var ErrNoSpace = errors.New("no space left")

// NoSpaceError is returned by Write and by all that changes the catalog when the disk is full
// or nearly so. It passes without a restart when there is space again. It matches ErrNoSpace
// and ErrUnavailable. Of a write that met it nothing was acknowledged; writing it again is
// safe.
type NoSpaceError struct {
	Dir       string // the data directory on the disk
	FreeBytes int64  // what is free; 0 if nothing is, or unknown
	MinBytes  int64  // what has to be free for writes; 0 where the disk itself refused
	Cause     error  // the failure; nil where writes are refused ahead of one
}

func (e *NoSpaceError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%v on the disk of %s: free space, and writes resume by themselves", ErrNoSpace, e.Dir)
	}
	return fmt.Sprintf("%v on the disk of %s: %d bytes are free, and writes leave %d (--min-free-disk) for flushes and deletes; "+
		"free space, and writes resume by themselves", ErrNoSpace, e.Dir, e.FreeBytes, e.MinBytes)
}

func (e *NoSpaceError) Unwrap() error { return e.Cause }

// Is makes the error match what callers look for.
func (e *NoSpaceError) Is(target error) bool { return target == ErrNoSpace || target == ErrUnavailable }

// MinFreeDisk is a part of a disk. Where both fields are set the smaller part counts.
type MinFreeDisk struct {
	Bytes   int64
	Percent float64 // of the disk's size
	Off     bool    // nothing is kept free
}

// of returns the part in bytes.
func (m MinFreeDisk) of(total uint64) int64 {
	part := int64(float64(total) / 100 * m.Percent)
	switch {
	case m.Off:
		return 0
	case m.Percent == 0:
		return m.Bytes
	case m.Bytes == 0:
		return part
	default:
		return min(m.Bytes, part)
	}
}

// space is what is known about the disk. The healer looks at it; writes only read here.
type space struct {
	free    atomic.Int64 // bytes
	reserve atomic.Int64 // bytes that writes leave free; 0 is none
	isLow   atomic.Bool  // writes are refused
}

// resumePercent of the reserve have to be free before writes go on: else a disk at the
// edge would refuse and take them in turn.
const resumePercent = 125

// look reads how much is free, and reports whether writes have just come to be refused.
// A file system that does not know has no reserve.
func (e *Engine) look() (turnedLow bool) {
	usage, err := e.opts.FS.GetDiskUsage(e.opts.DataDir)
	if err != nil {
		return false
	}
	free, reserve := int64(usage.AvailBytes), e.opts.MinFreeDisk.of(usage.TotalBytes)
	e.space.free.Store(free)
	e.space.reserve.Store(reserve)
	was := e.space.isLow.Load()
	enough := reserve
	if was {
		enough = reserve / 100 * resumePercent
	}
	is := free < enough
	e.space.isLow.Store(is)
	switch {
	case is && !was:
		e.opts.Logger.Warn("the disk is nearly full: writes are refused until there is space, queries and deletes go on",
			"dir", e.opts.DataDir, "free_bytes", free, "min_free_bytes", reserve)
	case was && !is:
		e.opts.Logger.Info("there is space again: writes go on", "dir", e.opts.DataDir, "free_bytes", free)
	}
	return is && !was
}

// belowReserve refuses a write that would take the reserve.
func (e *Engine) belowReserve() error {
	if !e.space.isLow.Load() {
		return nil
	}
	return &NoSpaceError{Dir: e.opts.DataDir, FreeBytes: e.space.free.Load(), MinBytes: e.space.reserve.Load()}
}

// unavailable says of a failure of log or catalog that writes are not accepted.
func (e *Engine) unavailable(err error) error {
	if err = e.noSpace(err); errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// noSpace gives a failure for lack of space its message, and has it healed at once.
func (e *Engine) noSpace(err error) error {
	if !durable.IsNoSpace(err) && !errors.Is(err, catalog.ErrNoSpace) {
		return err
	}
	e.healer.kick()
	return &NoSpaceError{Dir: e.opts.DataDir, FreeBytes: e.space.free.Load(), Cause: err}
}
