package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// Options configure a Log. Zero values mean the default.
type Options struct {
	// FS is the file system that holds Dir; nil is the real one.
	FS vfs.FS
	// Dir holds the log and nothing else; it is created where missing. Required.
	Dir string
	// SegmentBytes is the size at which a segment file is full; 0 is 64 MiB. A group
	// of records is never split, so that a file may be larger.
	SegmentBytes int64
	// PreallocBytes is the step in which a new file is filled with zeros ahead of small
	// groups, because a sync that need not change the file's size is cheaper; 0 is
	// 1 MiB (by measurement, see BenchmarkCommit) or a smaller SegmentBytes, negative
	// never fills ahead.
	PreallocBytes int64
	// SpareSegments is how many trimmed files are kept to be overwritten, for the same
	// reason; 0 is 2, negative keeps none.
	SpareSegments int
	// MaxQueuedBytes bounds the records of CommitAsync that are queued and not yet
	// applied: what a crash may lose of them, what memory they hold, and how long a
	// Barrier waits. CommitAsync waits where they would exceed it. 0 is 32 MiB, room for
	// three requests of 10 MiB and a quarter of a second for a disk that writes 128 MiB a
	// second; negative queues nothing, so that CommitAsync always waits.
	MaxQueuedBytes int64
	// DurableThrough is a position that the log is known to have reached, for instance
	// because all records up to it are stored elsewhere. A log that ends before it is
	// corrupt. 0 knows nothing: only then does an empty directory start a new log
	// after the position that Open is told to replay from.
	DurableThrough schema.Seq
	// Logger receives what recovery found; nil discards it.
	Logger *slog.Logger
	// Metrics receives measurements.
	Metrics Metrics

	// nonce makes the number that tells a segment's records from forged ones; nil is
	// a random one. Tests fix it.
	nonce func() uint32
}

// Metrics are called by whoever leads a group, one call at a time; nil fields are
// skipped.
type Metrics struct {
	SyncDuration func(time.Duration) // for each group: how long its sync took
	GroupRecords func(int)           // for each group: how many records it holds
	WrittenBytes func(int64)         // for each group: how many bytes were written
}

func (m *Metrics) record(sync time.Duration, records int, written int64) {
	if m.SyncDuration != nil {
		m.SyncDuration(sync)
	}
	if m.GroupRecords != nil {
		m.GroupRecords(records)
	}
	if m.WrittenBytes != nil {
		m.WrittenBytes(written)
	}
}

const (
	defaultSegmentBytes   = 64 << 20
	defaultPreallocBytes  = 1 << 20
	defaultSpareSegments  = 2
	defaultMaxQueuedBytes = 32 << 20
	minSegmentBytes       = 4 << 10
)

// EnsureDefaults replaces zero values by the defaults.
func (o *Options) EnsureDefaults() {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.PreallocBytes == 0 {
		o.PreallocBytes = min(defaultPreallocBytes, o.SegmentBytes)
	}
	if o.SpareSegments == 0 {
		o.SpareSegments = defaultSpareSegments
	}
	if o.MaxQueuedBytes == 0 {
		o.MaxQueuedBytes = defaultMaxQueuedBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.nonce == nil {
		o.nonce = randomNonce
	}
}

// Validate reports every fault at once. It expects EnsureDefaults to have run.
func (o *Options) Validate() error {
	var faults []error
	if o.Dir == "" {
		faults = append(faults, errors.New("option Dir is empty"))
	}
	if o.SegmentBytes < minSegmentBytes {
		faults = append(faults, fmt.Errorf("option SegmentBytes is %d, below %d", o.SegmentBytes, minSegmentBytes))
	}
	if len(faults) > 0 {
		return fmt.Errorf("log options: %w", errors.Join(faults...))
	}
	return nil
}
