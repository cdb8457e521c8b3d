package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/query"
)

// medianSuffix ends the names of measures of queries.
const medianSuffix = ", median ms"

// simulation is an engine with its queries in this process, whose clock only goes on when it is told to: a server
// takes its clock from the machine.
type simulation struct {
	dir    string
	start  time.Time
	passed atomic.Int64 // nanoseconds since then

	e       *engine.Engine
	q       *query.Querier
	metrics *prometheus.Registry // of the engine that is open

	rows    int // acknowledged
	written int // files that flushes wrote
	most    int // files that there were at once
}

const (
	// simulationPool is small, so that growth would show.
	simulationPool = 256 << 20
	// simulationQuestions is how often each query is asked.
	simulationQuestions = 20
	day                 = 24 * time.Hour
)

func (s *simulation) now() time.Time { return s.start.Add(s.age()) }

// age is the time that has passed.
func (s *simulation) age() time.Duration { return time.Duration(s.passed.Load()) }

func (s *simulation) advance(d time.Duration) { s.passed.Add(int64(d)) }

// open starts engine and queries as a server does, without what works in the background.
func (s *simulation) open() (err error) {
	s.metrics = prometheus.NewRegistry()
	s.e, err = engine.Open(engine.Options{
		Registerer: s.metrics, DataDir: s.dir, PoolBytes: simulationPool, Gen1Duration: -1, CompactionBandwidth: -1, Now: s.now, Elapsed: s.age,
	})
	if err != nil {
		return err
	}
	s.q, err = query.Open(query.Options{
		View: s.e.View, Schema: s.e.Schema, DataDir: s.dir, TempDir: s.dir, MemoryBytes: s.e.QueryMemoryBytes(), Now: s.now,
	})
	return err
}

func (s *simulation) close() error {
	var err error
	if s.q != nil {
		err = s.q.Close()
	}
	if s.e != nil {
		err = errors.Join(err, s.e.Close())
	}
	return err
}

// write writes a body of some lines.
func (s *simulation) write(ctx context.Context, body []byte, lines int) error {
	written, err := s.e.Write(ctx, engine.WriteRequest{Database: database, Body: body, Precision: engine.Nanosecond})
	if err != nil {
		return err
	}
	if written.Accepted != lines {
		return fmt.Errorf("%d of %d rows were accepted", written.Accepted, lines)
	}
	s.rows += lines
	return nil
}

// flush writes the buffers to files, and merges what is due.
func (s *simulation) flush(ctx context.Context) error {
	before := s.e.Stats().Files
	if err := s.e.Flush(ctx); err != nil {
		return err
	}
	after := s.e.Stats().Files
	s.written += after - before
	s.most = max(s.most, after)
	s.e.CompactDue()
	return nil
}

// reportFiles adds what there is of files.
func (s *simulation) reportFiles(result *caseResult, rows int) error {
	result.add("files written by flushes", float64(s.written))
	result.add("most files at once", float64(s.most))
	result.add("files at the end", float64(s.e.Stats().Files))
	bytes, err := parquetBytes(s.dir)
	result.add("Parquet bytes/row", float64(bytes)/float64(rows))
	return err
}

// counter returns a counter of the engine.
func (s *simulation) counter(name string) (float64, error) {
	families, err := s.metrics.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) == 1 {
			return f.GetMetric()[0].GetCounter().GetValue(), nil
		}
	}
	return 0, fmt.Errorf("the engine has no metric %s", name)
}

// reportMerged adds how many bytes merges wrote for each byte that a flush wrote, since the start. Files change in these two
// ways only.
func (s *simulation) reportMerged(result *caseResult) error {
	left, err := parquetBytes(s.dir)
	read, readErr := s.counter("siltstone_compaction_read_bytes_total")
	written, writtenErr := s.counter("siltstone_compaction_written_bytes_total")
	result.add("bytes merged / bytes flushed", written/(float64(left)+read-written))
	return errors.Join(err, readErr, writtenErr)
}

// timeSpan is a part of time.
type timeSpan struct {
	from time.Time
	long time.Duration
}

// anywhere is a span of some length in a longer one.
func (t timeSpan) anywhere(long time.Duration) timeSpan {
	return timeSpan{t.from.Add(rand.N(t.long - long)), long}
}

// question words a query of a table cpu in a span of time; where ends with AND, or is empty.
func (t timeSpan) question(columns, bin, where, group string) string {
	return fmt.Sprintf("SELECT date_trunc('%s', time) AS bin, %s FROM cpu WHERE %s time >= '%s' AND time < '%s' GROUP BY bin%s",
		bin, columns, where, t.from.Format(time.RFC3339Nano), t.from.Add(t.long).Format(time.RFC3339Nano), group)
}

// ask adds the median of a query's latencies. Each answer must have rows.
func (s *simulation) ask(ctx context.Context, result *caseResult, name string, question func() string) error {
	var all []time.Duration
	for range simulationQuestions {
		sql := question()
		begin := time.Now()
		rows, err := s.count(ctx, sql)
		all = append(all, time.Since(begin))
		if err == nil && rows == 0 {
			err = errors.New("the answer is empty")
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", name, sql, err)
		}
	}
	slices.Sort(all)
	result.add(name+medianSuffix, percentile(all, 0.5))
	return nil
}

// count runs a query and counts the rows of its answer.
func (s *simulation) count(ctx context.Context, sql string) (rows int64, err error) {
	result, err := s.q.Query(ctx, query.Request{Database: database, SQL: sql})
	if err != nil {
		return 0, err
	}
	defer result.Close()
	for result.Next() {
		rows += result.Record().NumRows()
	}
	return rows, result.Err()
}
