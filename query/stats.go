package query

import (
	"errors"
	"strconv"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// Stats say what queries use at the moment.
type Stats struct {
	Running     int   // queries that hold a slot
	Queued      int   // queries that wait for one
	MemoryBytes int64 // DuckDB's buffers, of at most Options.MemoryBytes
	SpillBytes  int64 // files in the spill directory
}

// Text functions that ignore their argument.
const (
	memoryUsed = "SELECT concat($1, coalesce(sum(memory_usage_bytes), 0)::BIGINT) FROM duckdb_memory()"
	spillUsed  = "SELECT concat($1, coalesce(sum(size), 0)::BIGINT) FROM duckdb_temporary_files()"
)

// Stats asks DuckDB. The error is ErrClosed or DuckDB's.
func (q *Querier) Stats() (Stats, error) {
	q.rootMu.Lock()
	defer q.rootMu.Unlock()
	if q.root.Ptr == nil {
		return Stats{}, ErrClosed
	}
	s := Stats{Running: len(q.slots), Queued: int(q.queued.Load())}
	var err error
	if s.MemoryBytes, err = askBytes(q.root, memoryUsed); err != nil {
		return Stats{}, err
	}
	s.SpillBytes, err = askBytes(q.root, spillUsed)
	return s, err
}

// memory is Stats.MemoryBytes alone, for those who ask all the time.
func (q *Querier) memory() (int64, error) {
	q.rootMu.Lock()
	defer q.rootMu.Unlock()
	if q.root.Ptr == nil {
		return 0, ErrClosed
	}
	return askBytes(q.root, memoryUsed)
}

func askBytes(conn mapping.Connection, sql string) (int64, error) {
	f, err := prepareTextFunction(conn, sql)
	if err != nil {
		return 0, err
	}
	defer f.close()
	text, err := f.call("")
	if err != nil {
		return 0, err
	}
	bytes, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errors.New("query: duckdb says that it uses " + strconv.Quote(text) + " bytes")
	}
	return bytes, nil
}
