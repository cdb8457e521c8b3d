package query

import (
	"errors"
	"strconv"
)

// Stats say what queries use at the moment.
type Stats struct {
	Running     int   // queries that hold a slot
	MemoryBytes int64 // DuckDB's buffers, of at most Options.MemoryBytes
}

// memoryUsed is a text function that ignores its argument.
const memoryUsed = "SELECT concat($1, coalesce(sum(memory_usage_bytes), 0)::BIGINT) FROM duckdb_memory()"

// Stats asks DuckDB. The error is ErrClosed or DuckDB's.
func (q *Querier) Stats() (Stats, error) {
	q.rootMu.Lock()
	defer q.rootMu.Unlock()
	if q.root.Ptr == nil {
		return Stats{}, ErrClosed
	}
	f, err := prepareTextFunction(q.root, memoryUsed)
	if err != nil {
		return Stats{}, err
	}
	defer f.close()
	text, err := f.call("")
	if err != nil {
		return Stats{}, err
	}
	bytes, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return Stats{}, errors.New("query: duckdb says that it uses " + strconv.Quote(text) + " bytes")
	}
	return Stats{Running: len(q.slots), MemoryBytes: bytes}, nil
}
