package flight_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"github.com/siltstone-db/siltstone/httpapi"
	"github.com/siltstone-db/siltstone/query"
)

// jsonTicket asks for an SQL query in db.
func jsonTicket(sql string) *arrowflight.Ticket {
	return &arrowflight.Ticket{Ticket: []byte(fmt.Sprintf(`{"database":"db","sql_query":%q,"query_type":"sql"}`, sql))}
}

// count reads a stream and drops what it reads.
func count(t testing.TB, ctx context.Context, c arrowflight.Client, sql string, options ...grpc.CallOption) (rows int64) {
	t.Helper()
	stream, err := c.DoGet(ctx, jsonTicket(sql), options...)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := arrowflight.NewRecordReader(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	for reader.Next() {
		rows += reader.RecordBatch().NumRows()
	}
	if err := reader.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// F1: what is sent is not kept. The client takes messages of gRPC's default size.
func TestALargeResultNeedsConstantMemory(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c := s.client()
	const rows = 5_000_000
	sql := fmt.Sprintf("SELECT i AS n, i * 0.5 AS f, 'a string of some length ' || (i %% 1000) AS s FROM range(%d) r(i)", rows)
	done, peak := make(chan struct{}), make(chan uint64)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() {
		highest := uint64(0)
		for {
			select {
			case <-done:
				peak <- highest
				return
			case <-time.After(10 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				highest = max(highest, m.HeapInuse)
			}
		}
	}()
	start := time.Now()
	got := count(t, context.Background(), c, sql)
	took := time.Since(start)
	close(done)
	grown := int64(<-peak) - int64(before.HeapInuse)
	t.Logf("%d rows in %v; the heap grew by %d MB", got, took, grown>>20)
	if got != rows {
		t.Errorf("%d rows arrived, not %d", got, rows)
	}
	if grown > 128<<20 { // the result has 200 MB; a garbage collector doubles what is in use
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func TestRowsOfAnySizeArrive(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c := s.client()
	if got := count(t, context.Background(), c, "SELECT repeat('x', 60000) AS s, [i, i] AS l, {'a': repeat('y', 1000)} AS d FROM range(3000) r(i)"); got != 3000 {
		t.Errorf("%d rows arrived", got)
	}
}

func TestCompressedCallsAreAnswered(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	if got := count(t, context.Background(), s.client(), "SELECT * FROM cpu", grpc.UseCompressor(gzip.Name)); got != 2 {
		t.Errorf("%d rows arrived", got)
	}
}

// F2: the only slot is free again when a client hangs up in the middle of a result.
func TestACancelledCallEndsItsQuery(t *testing.T) {
	s := newSite(t, func(o *query.Options) { o.MaxConcurrent = 1 })
	s.write("db", points...)
	c := s.client()
	for name, stop := range map[string]func(context.CancelFunc, arrowflight.Client){
		"cancel":     func(cancel context.CancelFunc, _ arrowflight.Client) { cancel() },
		"disconnect": func(_ context.CancelFunc, c arrowflight.Client) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			own := s.client()
			stream, err := own.DoGet(ctx, jsonTicket("SELECT i FROM range(1000000000000) r(i)"))
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := stream.Recv(); err != nil {
					t.Fatal(err)
				}
			}
			stop(cancel, own)
			patient, cancelWait := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancelWait()
			if got := count(t, patient, c, "SELECT 1"); got != 1 {
				t.Errorf("%d rows arrived", got)
			}
		})
	}
}

// A client that does not read what it asked for gives its turn to others.
func TestACallWhoseAnswerNobodyReadsEnds(t *testing.T) {
	s := newSiteBehind(t, httpapi.Options{MaxStall: 200 * time.Millisecond}, func(o *query.Options) { o.MaxConcurrent = 1 })
	s.write("db", points...)
	c := s.client()
	stream, err := c.DoGet(context.Background(), jsonTicket("SELECT md5(range::VARCHAR) AS x FROM range(1000000000)"))
	if err == nil {
		_, err = stream.Recv() // it has its turn
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := count(t, context.Background(), c, "SELECT 1 AS a"); got != 1 { // waits for the other one's end
		t.Errorf("the next call got %d rows", got)
	}
	if infos := s.querier.Queries("db"); infos[0].State != query.QueryCancelled {
		t.Errorf("the first query is %s: %s", infos[0].State, infos[0].Error)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		t.Error("the client takes what it got for the whole answer")
	}
}

func TestACallThatTakesTooLongEnds(t *testing.T) {
	s := newSite(t, func(o *query.Options) { o.MaxConcurrent = 1 })
	s.write("db", points...)
	c := s.client()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, _, err := read(ctx, c, jsonTicket("SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)").Ticket)
	refused(t, err, codes.DeadlineExceeded, "")
	if got := count(t, context.Background(), c, "SELECT 1"); got != 1 {
		t.Errorf("%d rows arrived", got)
	}
}

func TestTheServersTimeoutEndsACall(t *testing.T) {
	s := newSite(t, func(o *query.Options) { o.Timeout = 200 * time.Millisecond })
	s.write("db", points...)
	_, _, err := read(context.Background(), s.client(), jsonTicket("SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)").Ticket)
	refused(t, err, codes.DeadlineExceeded, "--query-timeout")
}

func TestFiftyCallsAtOnce(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c := s.client()
	var calls sync.WaitGroup
	for i := range 50 {
		calls.Go(func() {
			want := int64(1000 * (i + 1))
			stream, err := c.DoGet(context.Background(), jsonTicket(fmt.Sprintf("SELECT i FROM range(%d) r(i)", want)))
			if err != nil {
				t.Error(err)
				return
			}
			reader, err := arrowflight.NewRecordReader(stream)
			if err != nil {
				t.Error(err)
				return
			}
			defer reader.Release()
			got := int64(0)
			for reader.Next() {
				got += reader.RecordBatch().NumRows()
			}
			if err := reader.Err(); err != nil || got != want {
				t.Errorf("%d rows of %d, %v", got, want, err)
			}
		})
	}
	calls.Wait()
}

// An error in the middle of a result has its code and its words, though rows were sent.
func TestAnErrorBehindTheFirstRowsArrives(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	stream, err := s.client().DoGet(context.Background(), jsonTicket("SELECT CAST(CASE WHEN i < 900000 THEN '1' ELSE 'x' END AS INTEGER) AS n FROM range(1000000) r(i)"))
	if err != nil {
		t.Fatal(err)
	}
	messages := 0
	for err == nil {
		if _, err = stream.Recv(); err == nil {
			messages++
		}
	}
	if errors.Is(err, io.EOF) || status.Code(err) != codes.InvalidArgument || messages == 0 {
		t.Errorf("after %d messages: %v", messages, err)
	}
}
