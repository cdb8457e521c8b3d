package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// everything is a row with a value of every type, made from a number.
func everything(i int) row {
	return row{
		at:   epoch + int64(i)*1_000_000_007,
		tags: map[string]string{"short": fmt.Sprint("t", i%3), "long": strings.Repeat("ü", 20) + fmt.Sprint(i%5)},
		fields: map[string]any{
			"f": float64(i) / 4, "n": int64(-i), "u": uint64(i) << 33, "ok": i%2 == 0,
			"s": strings.Repeat("世界 ", i%9) + fmt.Sprint(i),
		},
	}
}

func TestTypesAreTheSameFromFilesAndBuffers(t *testing.T) {
	s := newStore(t)
	columns := "short:tag long:tag f:float n:int u:uint ok:bool s:string"
	var rows []row
	for i := range 5000 {
		r := everything(i)
		if i%7 == 0 {
			delete(r.tags, "long")
			delete(r.fields, "s")
			delete(r.fields, "f")
			delete(r.fields, "ok")
		}
		rows = append(rows, r)
	}
	s.addFile(s.table("db", "files", columns), rows)
	s.addBuffer(s.table("db", "buffers", columns), rows, 3000)
	q := s.querier()
	const sql = `SELECT short, long, f, n, u, ok, s, time FROM %s WHERE %s`
	for _, where := range []string{"true", "short = 't1'", "n % 3 = 0", "long IS NULL", "time > '2023-11-14T23:00:00.000000001Z'"} {
		fromFiles := sorted(answer(t, q, "db", fmt.Sprintf(sql, "files", where)))
		fromBuffers := sorted(answer(t, q, "db", fmt.Sprintf(sql, "buffers", where)))
		if len(fromFiles) == 0 {
			t.Errorf("%s: no rows", where)
		}
		if diff := cmp.Diff(fromFiles, fromBuffers); diff != "" {
			t.Errorf("%s (-files +buffers)\n%.2000s", where, diff)
		}
	}
}

func TestColumnsAreSortedAndThoseOfOneNameKeptApart(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "odd", `host:tag Host:tag file_index:int filename:string o:float t:int Time:int x"y:int`)
	s.addFile(v, []row{{at: epoch, tags: map[string]string{"host": "a", "Host": "B"}, fields: map[string]any{
		"file_index": int64(1), "filename": "f", "o": 1.5, "t": int64(2), "Time": int64(3), `x"y`: int64(4),
	}}})
	s.addBuffer(v, []row{{at: epoch, tags: map[string]string{"host": "a", "Host": "B"}, fields: map[string]any{"o": 2.5}}}, 1)
	q := s.querier()
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: "SELECT * FROM odd"})
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := WriteCSV(&got, r); err != nil {
		t.Fatal(err)
	}
	r.Close()
	want := "Host,Time_1,file_index,filename,host_1,o,t,time,\"x\"\"y\"\nB,3,1,f,a,2.5,2,2023-11-14T22:13:20,4\n"
	if got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
	if got := answer(t, q, "db", `SELECT host, HOST, "Time", time FROM odd WHERE host = 'a' AND Host = 'B' ORDER BY host, Time`); len(got) != 1 ||
		got[0] != "a|B|3|2023-11-14T22:13:20" {
		t.Errorf("columns that differ in case: %q", got)
	}
}

func TestConcurrentQueriesDoNotMeet(t *testing.T) {
	s := newStore(t)
	const databases = 16
	for d := range databases {
		v := s.table(fmt.Sprint("db", d), "cpu", "host:tag n:int")
		s.addFile(v, []row{{at: epoch, tags: map[string]string{"host": "a"}, fields: map[string]any{"n": int64(d * 1000)}}})
		for b := range 3 {
			s.addBuffer(v, []row{{at: epoch + int64(b), tags: map[string]string{"host": "a"}, fields: map[string]any{"n": int64(d*1000 + b)}}}, 1)
		}
	}
	q := s.querier()
	var group sync.WaitGroup
	for d := range databases {
		group.Go(func() {
			want := fmt.Sprintf("3|%d", d*1000+2)
			for range 15 {
				got, err := tryAnswer(t, q, Request{Database: fmt.Sprint("db", d), SQL: "SELECT count(*), max(n) FROM cpu"})
				if err != nil || len(got) != 1 || got[0] != want {
					t.Errorf("database %d: %q (%v), want %q", d, got, err, want)
					return
				}
			}
		})
	}
	group.Wait()
	if n := len(q.buffers.mu.sources); n != 0 {
		t.Errorf("%d buffers are still registered", n)
	}
}

// endless is a query that would run for minutes.
const endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"

func TestCancelledQueryEndsSoon(t *testing.T) {
	q := newStore(t).querier(func(o *Options) { o.View = newStoreWith(t, "db").view })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := q.Query(ctx, Request{Database: "db", SQL: endless})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want DeadlineExceeded", err)
	}
	if late := time.Since(begin) - 50*time.Millisecond; late > 10*time.Second { // a few milliseconds, where nothing else runs
		t.Errorf("the query ended %v late", late)
	}
	if got := answer(t, q, "db", "SELECT 1"); got[0] != "1" {
		t.Errorf("a query after the cancelled one: %q", got)
	}
}

func newStoreWith(t testing.TB, database string) *store {
	s := newStore(t)
	s.table(database, "cpu", "host:tag n:int")
	return s
}

func TestCancellationStopsAStream(t *testing.T) {
	q := newStoreWith(t, "db").querier()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := q.Query(ctx, Request{Database: "db", SQL: "SELECT * FROM range(100000000)"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !r.Next() {
		t.Fatal(r.Err())
	}
	cancel()
	for r.Next() {
	}
	if !errors.Is(r.Err(), context.Canceled) {
		t.Errorf("error %v, want Canceled", r.Err())
	}
}

func TestResultMayBeClosedEarly(t *testing.T) {
	q := newStoreWith(t, "db").querier(func(o *Options) { o.MaxConcurrent = 1 })
	for range 20 {
		r, err := q.Query(t.Context(), Request{Database: "db", SQL: "SELECT * FROM range(100000000)"})
		if err != nil {
			t.Fatal(err)
		}
		r.Next()
		r.Close()
		r.Close()
	}
}

func TestQueriesWaitForASlot(t *testing.T) {
	q := newStoreWith(t, "db").querier(func(o *Options) { o.MaxConcurrent = 1 })
	first, err := q.Query(t.Context(), Request{Database: "db", SQL: "SELECT 1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := q.Query(ctx, Request{Database: "db", SQL: "SELECT 1"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v while the slot is taken, want DeadlineExceeded", err)
	}
	first.Close()
	if got := answer(t, q, "db", "SELECT 2"); got[0] != "2" {
		t.Errorf("after the slot is free: %q", got)
	}
}

func TestCloseEndsRunningQueries(t *testing.T) {
	q := newStoreWith(t, "db").querier()
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: "SELECT * FROM range(100000000)"})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- q.Close() }()
	for r.Next() {
	}
	if !errors.Is(r.Err(), ErrClosed) {
		t.Errorf("error %v, want ErrClosed", r.Err())
	}
	r.Close()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := q.Query(t.Context(), Request{Database: "db", SQL: "SELECT 1"}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v after Close, want ErrClosed", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	q := newStoreWith(t, "db").querier(func(o *Options) { o.TempDir, o.MemoryBytes = "", 32<<20 })
	_, err := tryAnswer(t, q, Request{Database: "db", SQL: "SELECT count(DISTINCT range * 7919) FROM range(20000000)"})
	var exceeded *ResourceError
	if !errors.As(err, &exceeded) {
		t.Errorf("error %v, want a ResourceError", err)
	}
}

func TestSpillDirectoryIsEmptiedAtOpen(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "query-spill", "duckdb_temp_storage-0.tmp")
	if err := os.MkdirAll(filepath.Dir(stale), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	q := newStoreWith(t, "db").querier(func(o *Options) { o.TempDir, o.MemoryBytes = dir, 64<<20 })
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stale file is still there (%v)", err)
	}
	got := answer(t, q, "db", "SELECT count(*) FROM (SELECT range FROM range(10000000) ORDER BY hash(range) LIMIT 9000000)")
	if got[0] != "9000000" {
		t.Errorf("a sort that spills: %q", got)
	}
}

func TestIntegerSumsStayIntegers(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "n:int u:uint")
	s.addBuffer(v, []row{
		{at: 1, fields: map[string]any{"n": int64(1) << 62, "u": uint64(1) << 63}},
		{at: 2, fields: map[string]any{"n": int64(1) << 61, "u": uint64(1)}},
	}, 10)
	q := s.querier()
	for sql, want := range map[string]string{
		"SELECT sum(n) FROM cpu":                                 "6917529027641081856 int64",
		"SELECT sum(u) FROM cpu":                                 "9223372036854775809 uint64",
		"SELECT sum(u) + 9223372036854775808 FROM cpu":           "1.8446744073709552e+19 float64",
		"SELECT -sum(n) FROM cpu":                                "-6917529027641081856 int64",
		"SELECT sum(n) FROM cpu WHERE n < 0":                     "(null) int64",
		"SELECT sum(n) FROM cpu WHERE n < 0 HAVING count(*) > 0": " int64",
		"SELECT 7::UHUGEINT":                                     "7 int64",
		"SELECT 0.1::DECIMAL(18, 1), 0.10000000000000000001":     "0.1 float64",
		"SELECT 123456789012345678901234.5::DECIMAL(38, 1)":      "1.2345678901234569e+23 float64",
		"SELECT 99999999.999999999999999999::DECIMAL(38, 18)":    "1e+08 float64",
	} {
		r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql})
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		got := ""
		if r.Next() {
			got = strings.Clone(r.Record().Column(0).ValueStr(0))
		}
		if got += " " + r.Schema().Field(0).Type.String(); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
		r.Close()
	}
	// The first rows decide; a later one that does not fit is an error, not a wrong number.
	_, err := tryAnswer(t, q, Request{Database: "db", SQL: "SELECT range::HUGEINT * range * range * range FROM range(100000)"})
	var user *UserError
	if !errors.As(err, &user) {
		t.Errorf("error %v, want a UserError", err)
	}
}

func TestPanicInACallbackFailsTheQueryOnly(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "host:tag n:int")
	s.addBuffer(v, []row{everythingCPU(1), everythingCPU(2)}, 2)
	broken := *v.Buffers[0]
	broken.Chunks = []partition.Chunk{broken.Chunks[0]}
	broken.Chunks[0].Fields = []partition.Field{{ID: 2, Type: schema.Int64}} // no values
	v.Buffers = []*partition.Snapshot{&broken}
	q := s.querier()
	for sql, want := range map[string]string{
		"SELECT n + 1 FROM cpu WHERE host = 'h2'": "fault in the buffer scan",
		"SELECT n FROM cpu WHERE host = 'h2'":     "fault in a selection",
	} {
		_, err := tryAnswer(t, q, Request{Database: "db", SQL: sql})
		var user *UserError
		if err == nil || errors.As(err, &user) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want a fault of ours", sql, err)
		}
	}
	if got := answer(t, q, "db", "SELECT count(host) FROM cpu"); got[0] != "2" {
		t.Errorf("the column that is whole: %q", got)
	}
}

func everythingCPU(i int) row {
	return row{at: int64(i), tags: map[string]string{"host": fmt.Sprint("h", i)}, fields: map[string]any{"n": int64(i)}}
}

func TestMissingFileIsOurFault(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "host:tag n:int")
	s.addFile(v, []row{everythingCPU(1)})
	if err := os.Remove(v.Files[0].Path); err != nil {
		t.Fatal(err)
	}
	_, err := tryAnswer(t, s.querier(), Request{Database: "db", SQL: "SELECT * FROM cpu"})
	var user *UserError
	if err == nil || errors.As(err, &user) {
		t.Errorf("error %v, want one that is not the user's", err)
	}
}

func TestOptionsReportEveryFault(t *testing.T) {
	_, err := Open(Options{DataDir: "/", MemoryBytes: 1, Threads: -1})
	for _, want := range []string{"View", "DataDir", "MemoryBytes", "Threads"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not mention %s", err, want)
		}
	}
}
