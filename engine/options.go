package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/siltstone-db/siltstone/catalog"
)

// Options configure an Engine. Zero values mean the default.
type Options struct {
	// DataDir holds everything: the lock, catalog/, wal/ and files/. Required.
	DataDir string
	// FS is the file system under log, catalog and Parquet; nil is the real one.
	FS vfs.FS
	// Logger receives operational messages; nil discards them.
	Logger *slog.Logger
	// Registerer receives the engine's metrics; nil keeps them to the engine.
	Registerer prometheus.Registerer
	// Now is the machine's clock, for points without a time stamp and for what has a time
	// to be deleted; nil is time.Now.
	Now func() time.Time
	// Elapsed is a clock that nobody sets: how long something has been running, sleep
	// included. What is deleted is deleted by Now only as far as this agrees. nil is the
	// system's.
	Elapsed func() time.Duration
	// Gen1Duration is the time between flushes of the buffers to Parquet; 0 is
	// DefaultGen1Duration, negative flushes only when asked or under memory pressure.
	Gen1Duration time.Duration
	// PoolBytes is the memory pool for buffers, persisting and queries; 0 is
	// DefaultPoolBytes.
	PoolBytes int64
	// Limits bound what may be defined; zero fields are the catalog's defaults.
	Limits catalog.Limits
	// RejectedRetention is how long rejected points are kept in InternalDatabase; 0
	// keeps none.
	RejectedRetention time.Duration
	// RejectedMaxBytes bounds the files of the rejected points; the oldest go first. 0
	// is DefaultRejectedMaxBytes.
	RejectedMaxBytes int64
	// MarkInterval is how often the log is marked if something was written since, so that
	// damage to what was acknowledged longer ago is always told from a torn write (W5); 0
	// is DefaultMarkInterval, negative marks it on Close only.
	MarkInterval time.Duration
	// MinFreeDisk is how much of the disk stays free of writes, so that flushes, deletes
	// and the log have room to make more; the zero value is DefaultMinFreeDisk. It is kept
	// where the file system tells how much is free.
	MinFreeDisk MinFreeDisk
	// Compaction merges files in the background; Compact works without it.
	Compaction bool
	// CompactionBandwidth is how many bytes of files a second are read for merging; 0 is
	// DefaultCompactionBandwidth, negative no bound.
	CompactionBandwidth int64
	// WALSegmentBytes is the size of a log segment; 0 is the log's default.
	WALSegmentBytes int64
}

const (
	// DefaultGen1Duration is InfluxDB 3's.
	DefaultGen1Duration = 10 * time.Minute
	// DefaultMarkInterval bounds what a flipped bit could take away unnoticed after a kill.
	// A mark is one write of 48 bytes, without a sync.
	DefaultMarkInterval = time.Second
	// DefaultPoolBytes is for callers that do not look at the machine's memory.
	DefaultPoolBytes = 1 << 30
	// DefaultRejectedMaxBytes has room for a million typical lines: Parquet keeps
	// similar lines at some 60 bytes each.
	DefaultRejectedMaxBytes = 64 << 20
	// DefaultMinFreePercent and DefaultMinFreeBytes, whichever is less, stay free of writes:
	// room for the files of a flush, and for the log while it is made.
	DefaultMinFreePercent = 5
	DefaultMinFreeBytes   = 256 << 20
	// DefaultCompactionBandwidth is some five million rows of ten fields, more than a processor
	// merges in a second; it bounds what rows with long strings take of a disk.
	DefaultCompactionBandwidth = 32 << 20
	// MinPoolBytes leaves each share enough for one row group and a few chunks.
	MinPoolBytes = 16 << 20
)

// EnsureDefaults replaces zero values by the defaults.
func (o *Options) EnsureDefaults() {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Elapsed == nil {
		o.Elapsed = sinceBoot
	}
	if o.Gen1Duration == 0 {
		o.Gen1Duration = DefaultGen1Duration
	}
	if o.MarkInterval == 0 {
		o.MarkInterval = DefaultMarkInterval
	}
	if o.PoolBytes == 0 {
		o.PoolBytes = DefaultPoolBytes
	}
	if o.MinFreeDisk == (MinFreeDisk{}) {
		o.MinFreeDisk = MinFreeDisk{Bytes: DefaultMinFreeBytes, Percent: DefaultMinFreePercent}
	}
	if o.RejectedMaxBytes == 0 {
		o.RejectedMaxBytes = DefaultRejectedMaxBytes
	}
	if o.CompactionBandwidth == 0 {
		o.CompactionBandwidth = DefaultCompactionBandwidth
	}
	limits := catalog.Options{Limits: o.Limits}
	limits.EnsureDefaults()
	o.Limits = limits.Limits
}

// Validate reports every fault at once. It expects EnsureDefaults to have run.
func (o *Options) Validate() error {
	var faults []error
	if o.DataDir == "" {
		faults = append(faults, errors.New("option DataDir is empty"))
	}
	if o.PoolBytes < MinPoolBytes {
		faults = append(faults, fmt.Errorf("the memory pool of %d bytes is below the minimum of %d", o.PoolBytes, MinPoolBytes))
	}
	if o.RejectedRetention < 0 || o.RejectedMaxBytes < 0 {
		faults = append(faults, errors.New("the retention and size of the rejected-points log must not be negative"))
	}
	if o.MinFreeDisk.Bytes < 0 || o.MinFreeDisk.Percent < 0 || o.MinFreeDisk.Percent >= 100 {
		faults = append(faults, errors.New("the minimum of free disk must be a size, or between 0 and 100 per cent"))
	}
	if len(faults) > 0 {
		return fmt.Errorf("engine options: %w", errors.Join(faults...))
	}
	return nil
}
