package query

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// job is one query from its arrival to its end, in whatever language: what it may be
// stopped by, its turn among the others, and its entry in the log. An SQL query runs one
// text in it, an InfluxQL statement one text after another.
type job struct {
	querier *Querier
	ctx     context.Context // done when the client hangs up, at the timeout, by Kill, and at Close
	cancel  context.CancelCauseFunc
	release func() // what ctx holds
	id      uint64
	token   string

	admitted bool // it holds a slot

	mu struct {
		sync.Mutex
		info  QueryInfo
		stage stage
		since time.Time // when the stage began
	}
}

// stage says where the time of a job goes.
type stage uint8

const (
	planning stage = iota
	waiting
	executing
)

// begin puts a query into the log. The caller must end it.
func (q *Querier) begin(ctx context.Context, about QueryInfo, params map[string]any, origin Origin) *job {
	now := q.opts.Now()
	j := &job{querier: q, token: origin.Token}
	j.ctx, j.cancel, j.release = q.bound(ctx)
	about.Protocol, about.Token = origin.Protocol, origin.Token
	about.Text = firstBytes(about.Text, maxLoggedText)
	about.Params = paramNames(params)
	about.Issued = now
	j.mu.info, j.mu.since = about, now
	q.log.add(j)
	return j
}

// bound makes the context of a job.
func (q *Querier) bound(ctx context.Context) (context.Context, context.CancelCauseFunc, func()) {
	drop := func() {}
	if limit := q.opts.Timeout; limit > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, limit, &TimeoutError{After: limit})
		drop = stop
	}
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(q.closing, func() { cancel(ErrClosed) })
	return ctx, cancel, func() {
		unlink()
		cancel(nil)
		drop()
	}
}

func paramNames(params map[string]any) []string {
	names, length := slices.Sorted(maps.Keys(params)), 0
	for i, name := range names {
		if length += len(name); length > maxLoggedParams {
			return append(names[:i:i], "…")
		}
		names[i] = strings.Clone(name)
	}
	return names
}

// spendLocked adds the time of the current stage to what it counts as. j.mu must be held.
func (j *job) spendLocked(info *QueryInfo, now time.Time) {
	spent := now.Sub(j.mu.since)
	switch j.mu.stage {
	case planning:
		info.Plan += spent
	case waiting:
		info.Wait += spent
	case executing:
		info.Execute += spent
	}
	info.EndToEnd = now.Sub(info.Issued)
}

// enter begins a stage.
func (j *job) enter(next stage) {
	now := j.querier.opts.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.spendLocked(&j.mu.info, now)
	j.mu.stage, j.mu.since = next, now
}

// info is what is known at the moment.
func (j *job) info() QueryInfo {
	now := j.querier.opts.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.infoLocked(now)
}

func (j *job) infoLocked(now time.Time) QueryInfo {
	info := j.mu.info
	info.ID = j.id
	if info.State == "" {
		info.State = QueryRunning
		if j.mu.stage == waiting {
			info.State = QueryQueued
		}
		j.spendLocked(&info, now)
	}
	return info
}

// admit waits for the job's turn, once. It must not be called concurrently.
func (j *job) admit() error {
	if j.admitted {
		return nil
	}
	j.enter(waiting)
	err := j.querier.acquire(j.ctx)
	j.admitted = err == nil
	j.enter(planning)
	return err
}

// retried notes that the last attempt counts for nothing; before it the counts were these.
func (j *job) retried(before *QueryInfo) {
	j.enter(planning)
	j.mu.Lock()
	defer j.mu.Unlock()
	info := &j.mu.info
	info.Retries++
	info.FilesRead, info.FilesPruned = before.FilesRead, before.FilesPruned
	info.FileRows, info.BufferedRows = before.FileRows, before.BufferedRows
}

// concerns moves the job's entry in the log to the database that it turned out to read.
func (j *job) concerns(database string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.info.Database = database
}

// planned notes what the scans of a text read.
func (j *job) planned(scans []*scanReport) {
	j.enter(executing)
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range scans {
		j.mu.info.FilesRead += len(s.files())
		j.mu.info.FilesPruned += s.prunedByTime + s.prunedByTags
		j.mu.info.BufferedRows += int64(s.bufferedRows())
		for _, f := range s.files() {
			j.mu.info.FileRows += int64(f.Rows)
		}
	}
}

// saw notes what memory DuckDB holds while the job executes.
func (j *job) saw(memory int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.stage == executing {
		j.mu.info.PeakMemory = max(j.mu.info.PeakMemory, memory)
	}
}

// answeredRecord counts the rows of a record of the answer.
func (j *job) answeredRecord(batch arrow.RecordBatch) {
	var bytes uint64
	for _, column := range batch.Columns() {
		bytes += column.Data().SizeInBytes()
	}
	j.answered(batch.NumRows(), int64(bytes))
}

// answered counts rows of the answer.
func (j *job) answered(rows, bytes int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.info.Rows += rows
	j.mu.info.Bytes += bytes
}

// explain prefers the reason why the job must stop to the error that it led to, and says
// what can be done when memory was the reason.
func (j *job) explain(err error) error {
	if err == nil {
		return nil
	}
	if j.ctx.Err() != nil {
		return fmt.Errorf("query: %w", context.Cause(j.ctx))
	}
	var needs *ResourceError
	if errors.As(err, &needs) && !needs.limits {
		return j.querier.needsMore(needs)
	}
	return err
}

// needsMore names the limits that a query has met. DuckDB's own words go on about its settings,
// of which only the first sentence is of use.
func (q *Querier) needsMore(e *ResourceError) *ResourceError {
	detail, _, _ := strings.Cut(e.Message, "\n")
	spill := "without room on disk"
	if q.opts.TempDir != "" && q.opts.SpillBytes > 0 {
		spill = fmt.Sprintf("and %d MiB on disk", q.opts.SpillBytes>>20)
	}
	if q.opts.TempDir != "" && q.opts.SpillBytes == 0 {
		spill = "and the disk"
	}
	return &ResourceError{limits: true, Message: fmt.Sprintf(
		"the query needs more than the %d MiB of memory %s that queries have together; ask for less, or raise --exec-mem-pool-bytes or --query-spill-max-bytes (%s)",
		q.opts.MemoryBytes>>20, spill, detail)}
}

// end gives back the slot and files the job, whose last error is err. It must be called
// once, when everything that the job ran is closed.
func (j *job) end(err error) {
	now := j.querier.opts.Now()
	j.mu.Lock()
	j.spendLocked(&j.mu.info, now)
	j.mu.info.State = finalState(err)
	if err != nil {
		j.mu.info.Error = firstBytes(loggedError(err, len(j.mu.info.Params) > 0), maxLoggedError)
	}
	info := j.infoLocked(now)
	j.mu.Unlock()
	j.release()
	if j.admitted {
		j.admitted = false
		j.querier.leave()
	}
	j.querier.log.finish(j.id, info)
	if observe := j.querier.opts.Observe; observe != nil {
		observe(info)
	}
}

// loggedError is what the log says of an error. One of a query with parameters may repeat a
// value of theirs, in quotes or as a number, and is cut before.
func loggedError(err error, hasParams bool) string {
	text := err.Error()
	if i := strings.IndexAny(text, `'"0123456789`); hasParams && i >= 0 {
		return text[:i] + "…"
	}
	return text
}

// errAbandoned ends a query whose answer was not read to its end.
var errAbandoned = errors.New("the answer was not read to its end")

func finalState(err error) QueryState {
	var timeout *TimeoutError
	switch {
	case err == nil:
		return QueryCompleted
	case errors.As(err, &timeout):
		return QueryTimedOut
	case errors.Is(err, ErrKilled):
		return QueryKilled
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, ErrClosed), errors.Is(err, errAbandoned):
		return QueryCancelled
	}
	return QueryFailed
}
