package query

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siltstone-db/siltstone/engine"
)

// The query log holds the queries that wait or run, and of those that have ended the last
// Options.LogSize, in memory only. It knows what was asked, never with which values: of
// parameters it has the names, and of a sender the token's name.

// What the log keeps of a query is bounded, so that its size is.
const (
	maxLoggedText   = 4 << 10 // bytes of a query's text
	maxLoggedError  = 1 << 10 // bytes of an error
	maxLoggedParams = 1 << 10 // bytes of the parameters' names
)

// QueryState says how far a query is, or how it ended.
type QueryState string

// The states of a query. All but the first two are final.
const (
	QueryQueued    QueryState = "queued"    // waits for its turn
	QueryRunning   QueryState = "running"   // is planned, or answers
	QueryCompleted QueryState = "completed" // has given its whole answer
	QueryFailed    QueryState = "failed"    // ended with an error
	QueryCancelled QueryState = "cancelled" // the client hung up, or the server stopped
	QueryTimedOut  QueryState = "timeout"   // outlived Options.Timeout
	QueryKilled    QueryState = "killed"    // ended by Kill
)

// IsFinal reports whether a query in this state has ended.
func (s QueryState) IsFinal() bool { return s != QueryQueued && s != QueryRunning }

// QueryInfo is what the log knows of a query.
type QueryInfo struct {
	ID       uint64 // never 0; counts from 1 when the server starts
	Database string
	Language string // "sql" or "influxql"
	Protocol string // Origin.Protocol
	Token    string // Origin.Token
	Text     string // its first 4 KiB
	Params   []string
	State    QueryState
	Issued   time.Time

	// Plan is the time spent in parsing and planning, Wait in the queue, Execute from
	// then to the end of the answer, the client's reading included. EndToEnd is all of it.
	// Of a query that has not ended they go up to now.
	Plan, Wait, Execute, EndToEnd time.Duration

	Rows  int64 // of the answer so far
	Bytes int64 // of the answer so far, as Arrow in memory

	FilesRead, FilesPruned int   // Parquet files of its scans, read and left out
	FileRows               int64 // rows in the files read
	BufferedRows           int64 // rows read from buffers

	// PeakMemory is the most that DuckDB held for all queries together in a moment in which
	// this one ran; 0 if it ended before the first look.
	PeakMemory int64

	Retries int    // attempts that failed for lack of memory before the last one
	Error   string // its first KiB; empty unless State says that it went wrong
}

// queryLog holds jobs while they live, and what is known of them when they have ended.
type queryLog struct {
	size int // ended queries that are kept

	mu struct {
		sync.Mutex
		lastID uint64
		live   map[uint64]*job
		ended  []QueryInfo // a ring once it is full
		next   int         // where the next one goes
	}
}

// add gives the job its number.
func (l *queryLog) add(j *job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.live == nil {
		l.mu.live = make(map[uint64]*job)
	}
	l.mu.lastID++
	j.id = l.mu.lastID
	l.mu.live[j.id] = j
}

// finish moves a job to those that have ended.
func (l *queryLog) finish(id uint64, info QueryInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.mu.live, id)
	switch {
	case l.size <= 0:
	case len(l.mu.ended) < l.size:
		l.mu.ended = append(l.mu.ended, info)
	default:
		l.mu.ended[l.mu.next] = info
		l.mu.next = (l.mu.next + 1) % l.size
	}
}

// find returns a job that has not ended.
func (l *queryLog) find(id uint64) (*job, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j, ok := l.mu.live[id]
	return j, ok
}

// live returns the jobs that have not ended.
func (l *queryLog) live() []*job {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.mu.live))
}

// all returns every query, in order of their ids.
func (l *queryLog) all() []QueryInfo {
	l.mu.Lock()
	infos := slices.Clone(l.mu.ended)
	live := slices.Collect(maps.Values(l.mu.live))
	l.mu.Unlock()
	for _, j := range live { // outside of the lock: a job takes it when it ends
		infos = append(infos, j.info())
	}
	slices.SortFunc(infos, func(a, b QueryInfo) int { return cmp.Compare(a.ID, b.ID) })
	return infos
}

// Queries returns the queries in a database that wait, run, or ended lately, in the order
// in which they came. For the internal database those are the queries in all of them.
func (q *Querier) Queries(database string) []QueryInfo {
	infos := q.log.all()
	if database == engine.InternalDatabase {
		return infos
	}
	return slices.DeleteFunc(infos, func(i QueryInfo) bool { return i.Database != database })
}

// Kill ends a query that waits or runs: it fails with ErrKilled within milliseconds. The
// error is a *QueryNotFoundError. Who may do it is for the caller to know; KillAs asks.
func (q *Querier) Kill(id uint64) error {
	j, ok := q.log.find(id)
	if !ok {
		return &QueryNotFoundError{ID: id}
	}
	j.cancel(ErrKilled)
	return nil
}

// KillAs is Kill for a sender, who may end the queries of their own token; an admin's
// every one. To anyone else a query that is not theirs does not exist.
func (q *Querier) KillAs(sender Origin, id uint64) error {
	j, ok := q.log.find(id)
	if !ok || !sender.Admin && (sender.Token == "" || sender.Token != j.token) {
		return &QueryNotFoundError{ID: id}
	}
	return q.Kill(id)
}

// firstBytes returns a copy of the beginning of a text, which ends where a character does.
func firstBytes(text string, n int) string {
	if len(text) <= n {
		return strings.Clone(text)
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
