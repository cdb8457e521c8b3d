package query

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// DuckDB's memory limit is one for all queries. Sorts, joins, groupings and medians spill
// when they come near it, and leave room for others. Some states cannot spill, list()
// above all: a query that builds one of a few hundred MiB takes everything, and whoever asks
// for 4 KiB meanwhile fails (measured: 42 of 58 small groupings beside one such
// query of 64 MiB, until that failed itself).
//
// DuckDB does not say whose memory it is, so the victims cannot be told from the culprit when
// they fail. Instead, an attempt that fails while it was not alone is made again, up to
// memoryRetries times, by one query at a time, when those that ran beside it have ended. In
// that lane a victim finds what it needs, as the culprit is not running: it waits in
// the same lane, has its attempts when its turn comes, and fails. Whoever never failed waits
// for nobody.
//
// That works until the first rows are handed out, which is most of the time: what needs
// memory is mostly done before.

const (
	// memoryRetries is how often a query is tried again that failed for lack of memory.
	memoryRetries = 2
	// memoryPatience is how long such a query waits for those that ran beside it. Some may
	// wait for a slow client, and need no memory.
	memoryPatience = 10 * time.Second
)

// attempts are the texts that DuckDB is working on.
type attempts struct {
	lane chan struct{} // taken by the one query that tries again

	mu struct {
		sync.Mutex
		active map[*running]chan struct{} // closed when the attempt is over
	}
}

func newAttempts() *attempts {
	a := &attempts{lane: make(chan struct{}, 1)}
	a.mu.active = make(map[*running]chan struct{})
	return a
}

// add begins an attempt.
func (a *attempts) add(r *running) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for other := range a.mu.active {
		other.hadCompany.Store(true)
		r.hadCompany.Store(true)
	}
	a.mu.active[r] = make(chan struct{})
}

// remove ends an attempt, if it is one, whose memory is free by now.
func (a *attempts) remove(r *running) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if end, ok := a.mu.active[r]; ok {
		close(end)
		delete(a.mu.active, r)
	}
}

// wait returns when all attempts of this moment are over, after memoryPatience, or with an error
// when ctx is done.
func (a *attempts) wait(ctx context.Context) error {
	a.mu.Lock()
	ends := make([]chan struct{}, 0, len(a.mu.active))
	for _, end := range a.mu.active {
		ends = append(ends, end)
	}
	a.mu.Unlock()
	patience := time.NewTimer(memoryPatience)
	defer patience.Stop()
	for _, end := range ends {
		select {
		case <-end:
		case <-patience.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("query: wait for memory: %w", context.Cause(ctx))
		}
	}
	return nil
}

// sql starts an SQL text within a job and returns when its first rows are there.
func (j *job) sql(req Request) (*Result, error) {
	before := j.info()
	result, hadCompany, err := j.try(req)
	if lacksMemory(err) && hadCompany {
		result, err = j.tryAgain(req, &before, err)
	}
	return result, j.explain(err)
}

// tryAgain waits for the lane and makes further attempts in it.
func (j *job) tryAgain(req Request, before *QueryInfo, err error) (*Result, error) {
	again := j.querier.attempts
	j.enter(waiting)
	select {
	case again.lane <- struct{}{}:
	case <-j.ctx.Done():
		return nil, j.ctx.Err()
	}
	defer func() { <-again.lane }()
	for range memoryRetries {
		j.enter(waiting)
		if err := again.wait(j.ctx); err != nil {
			return nil, err
		}
		j.retried(before)
		var result *Result
		var hadCompany bool
		if result, hadCompany, err = j.try(req); !lacksMemory(err) || !hadCompany {
			return result, err
		}
	}
	return nil, err
}

func lacksMemory(err error) bool {
	var needs *ResourceError
	return errors.As(err, &needs)
}
