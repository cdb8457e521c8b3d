package query

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// DuckDB's memory limit does not cover everything that a query allocates: the text and the
// lists in a chunk of rows are not counted. A query that doubles a text in every step would
// take all memory, and the process with it. So the size of the process is watched while queries
// run, and when it passes Options.ProcessBytes, those are ended that had time to do that. The
// memory that DuckDB does count is noted for the query log on the same occasion.

const (
	// watchEvery is how often all that is measured, 0.3 ms each time. Memory grows by some
	// 100 MiB meanwhile.
	watchEvery = 50 * time.Millisecond
	// innocentFor is how long a query has run at most that is not suspected.
	innocentFor = 100 * time.Millisecond
)

// watch notes what memory the running queries hold, and ends them when the process is too
// large, until the querier closes.
func (q *Querier) watch() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-q.closing.Done():
			return
		case <-ticker.C:
		}
		if len(q.slots) == 0 {
			continue
		}
		if memory, err := q.memory(); err == nil {
			for _, j := range q.log.live() {
				j.saw(memory)
			}
		}
		if size := q.opts.ProcessSize(); q.opts.ProcessBytes > 0 && size > q.opts.ProcessBytes {
			q.endSuspects(size)
		}
	}
}

// endSuspects ends the queries that have been executing for a while.
func (q *Querier) endSuspects(size int64) {
	for _, j := range q.log.live() {
		if info := j.info(); info.State == QueryRunning && info.Execute >= innocentFor {
			j.cancel(&ResourceError{limits: true, Message: fmt.Sprintf(
				"the query was ended because the server had grown to %d MiB, more than the %d MiB that it may have; ask for less at a time",
				size>>20, q.opts.ProcessBytes>>20)})
		}
	}
}

// residentSize is the memory that the process holds, or 0 where that cannot be read. Pages of
// files are not counted, its program's some 50 MiB above all: the kernel takes them back
// when it needs them.
func residentSize() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 3 {
		return 0
	}
	resident, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	shared, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return 0
	}
	return (resident - shared) * int64(os.Getpagesize())
}
