package query

import (
	"errors"
	"testing"
)

func TestStatsCountRunningQueriesUntilClose(t *testing.T) {
	q := newStoreWith(t, "db").querier()
	expect := func(running int) {
		t.Helper()
		if got, err := q.Stats(); err != nil || got.Running != running || got.MemoryBytes < 0 {
			t.Fatalf("Stats = %+v, %v, want %d running", got, err, running)
		}
	}
	expect(0)
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: "SELECT * FROM range(10)"})
	if err != nil {
		t.Fatal(err)
	}
	expect(1)
	r.Close()
	expect(0)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Stats(); !errors.Is(err, ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
}
