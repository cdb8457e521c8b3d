package engine

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/siltstone-db/siltstone/wal"
)

// metrics are what the engine reports to Prometheus.
type metrics struct {
	registerer prometheus.Registerer
	collectors []prometheus.Collector

	accepted, rejected, overloaded prometheus.Counter
	noSpace                        prometheus.Counter
	flushErrors, walBytes          prometheus.Counter
	syncSeconds, flushSeconds      prometheus.Histogram
	groupRecords                   prometheus.Histogram
	fileFaults                     prometheus.Counter
	verifySeconds                  prometheus.Histogram

	compactions, compactErrors      prometheus.Counter
	compactedFiles                  prometheus.Counter
	compactedRead, compactedWritten prometheus.Counter
	compactSeconds                  prometheus.Histogram

	expiredFiles, expiredRows, expiredBytes prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{registerer: r}
	m.accepted = m.counter("siltstone_points_acknowledged_total", "Points that were acknowledged: durable and queryable.")
	m.rejected = m.counter("siltstone_points_rejected_total", "Points that were rejected with a reason.")
	m.overloaded = m.counter("siltstone_writes_overloaded_total", "Write requests refused because the memory pool was full.")
	m.noSpace = m.counter("siltstone_writes_no_space_total", "Write requests refused because the disk was full or nearly so.")
	m.flushErrors = m.counter("siltstone_flush_errors_total", "Flushes that failed; their rows stay buffered and logged.")
	m.walBytes = m.counter("siltstone_wal_written_bytes_total", "Bytes written to the write-ahead log.")
	m.syncSeconds = m.histogram("siltstone_wal_sync_seconds", "Duration of the log's syncs.", prometheus.ExponentialBuckets(50e-6, 2, 16))
	m.flushSeconds = m.histogram("siltstone_flush_seconds", "Duration of flushes of the buffers to Parquet.", prometheus.ExponentialBuckets(1e-3, 2, 18))
	m.groupRecords = m.histogram("siltstone_wal_group_records", "Write requests that shared one sync.", prometheus.ExponentialBuckets(1, 2, 11))
	m.fileFaults = m.counter("siltstone_file_faults_total", "Parquet files found damaged, missing or unreadable before a query read them.")
	m.verifySeconds = m.histogram("siltstone_file_verify_seconds", "Duration of comparing a Parquet file, or columns of it, with its checksums.", prometheus.ExponentialBuckets(100e-6, 2, 16))
	m.compactions = m.counter("siltstone_compactions_total", "Merges of Parquet files into fewer.")
	m.compactErrors = m.counter("siltstone_compaction_errors_total", "Merges that failed; their files stay as they are.")
	m.compactedFiles = m.counter("siltstone_compaction_input_files_total", "Files that merges took the place of.")
	m.compactedRead = m.counter("siltstone_compaction_read_bytes_total", "Bytes of the files that were merged.")
	m.compactedWritten = m.counter("siltstone_compaction_written_bytes_total", "Bytes of the files that merges made.")
	m.compactSeconds = m.histogram("siltstone_compaction_seconds", "Duration of merges.", prometheus.ExponentialBuckets(1e-3, 2, 20))
	m.expiredFiles = m.counter("siltstone_expired_files_total", "Parquet files removed because all of their rows were older than the retention period.")
	m.expiredRows = m.counter("siltstone_expired_rows_total", "Rows of these files, and rows that compactions left out of others.")
	m.expiredBytes = m.counter("siltstone_expired_bytes_total", "Bytes of these files.")
	return m
}

func (m *metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.register(c)
	return c
}

func (m *metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.register(h)
	return h
}

func (m *metrics) gauge(name, help string, labels prometheus.Labels, value func() float64) {
	m.register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
}

func (m *metrics) register(c prometheus.Collector) {
	m.registerer.MustRegister(c)
	m.collectors = append(m.collectors, c)
}

func (m *metrics) unregister() {
	for _, c := range m.collectors {
		m.registerer.Unregister(c)
	}
}

// observe adds the gauges that read the running engine.
func (m *metrics) observe(e *Engine) {
	pool := func(share string) prometheus.Labels { return prometheus.Labels{"share": share} }
	m.gauge("siltstone_pool_used_bytes", "Memory pool in use, by share.", pool("buffers"), func() float64 { return float64(e.buffers.used.Load()) })
	m.gauge("siltstone_pool_used_bytes", "Memory pool in use, by share.", pool("persist"), func() float64 { return float64(e.persisting.used.Load()) })
	for name, percent := range map[string]int64{"buffers": buffersPercent, "persist": persistPercent, "queries": queriesPercent} {
		limit := float64(newShare(e.opts.PoolBytes, percent).limit)
		m.gauge("siltstone_pool_limit_bytes", "Memory pool, by share.", pool(name), func() float64 { return limit })
	}
	m.gauge("siltstone_wal_bytes", "Bytes of the write-ahead log on disk.", nil, func() float64 { return float64(e.log.Stats().Bytes) })
	m.observeSpace(e)
	m.gauge("siltstone_files", "Parquet files.", nil, func() float64 { return float64(e.Stats().Files) })
	m.gauge("siltstone_buffered_rows", "Rows that are in memory and in the log, not yet in files.", nil, func() float64 { return float64(e.Stats().BufferedRows) })
}

// observeSpace adds the gauges of the disk.
func (m *metrics) observeSpace(e *Engine) {
	m.gauge("siltstone_disk_free_bytes", "Free bytes of the data directory's disk; 0 where that is unknown.", nil, func() float64 { return float64(e.space.free.Load()) })
	m.gauge("siltstone_disk_min_free_bytes", "Free bytes below which writes are refused; 0 is off.", nil, func() float64 { return float64(e.space.reserve.Load()) })
	m.gauge("siltstone_out_of_space", "1 while writes are refused because the disk is full or nearly so; they resume by themselves.", nil, func() float64 {
		return indicator(errors.Is(e.Err(), ErrNoSpace))
	})
	m.gauge("siltstone_storage_failed", "1 once log or catalog has failed: a restart is needed.", nil, func() float64 {
		err := e.Err()
		return indicator(err != nil && !errors.Is(err, ErrNoSpace))
	})
}

func indicator(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// log returns the log's view of the metrics.
func (m *metrics) log() wal.Metrics {
	return wal.Metrics{
		SyncDuration: func(d time.Duration) { m.syncSeconds.Observe(d.Seconds()) },
		GroupRecords: func(n int) { m.groupRecords.Observe(float64(n)) },
		WrittenBytes: func(n int64) { m.walBytes.Add(float64(n)) },
	}
}

// Stats are sums over the whole engine.
type Stats struct {
	Files        int
	BufferedRows int
	BufferBytes  int64
	WAL          wal.Stats
	LogError     error         // why the log takes no more writes; nil if it does
	Gen1Duration time.Duration // how long rows stay buffered
}

// Stats returns what the engine holds at the moment.
func (e *Engine) Stats() Stats {
	s := Stats{BufferBytes: e.buffers.used.Load(), WAL: e.log.Stats(), LogError: e.log.Err(), Gen1Duration: e.opts.Gen1Duration}
	for _, t := range e.tables.all() {
		files, rows := t.counts()
		s.Files += files
		s.BufferedRows += rows
	}
	return s
}
