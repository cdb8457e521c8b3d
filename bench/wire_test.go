package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/siltstone-db/siltstone/bench/tsbs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pretend returns a server whose answers the test gives.
func pretend(t *testing.T, handler http.HandlerFunc) *server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return &server{endpoint: endpoint{strings.TrimPrefix(s.URL, "http://")}, dir: t.TempDir()}
}

// TestAcknowledgementsAreRead: one after the other, and whatever is none is described.
func TestAcknowledgementsAreRead(t *testing.T) {
	answers := 0
	s := pretend(t, func(w http.ResponseWriter, _ *http.Request) {
		if answers++; answers > 2 {
			http.Error(w, "no room", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	c, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	r := newRequest("POST", "/write", "", []byte("m f=1"))
	for i := range 2 {
		if err := c.acknowledge(append(r.head, r.body...)); err != nil {
			t.Errorf("answer %d: %v", i, err)
		}
	}
	err = c.acknowledge(append(r.head, r.body...))
	if err == nil || !strings.Contains(err.Error(), "POST /write HTTP/1.1: status 503: no room") {
		t.Errorf("a refusal is %v", err)
	}
}

func TestAConnectionIsKeptAlive(t *testing.T) {
	s := pretend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s %s %s %s %s", r.RemoteAddr, r.Method, r.URL.Path, r.Header.Get("Content-Encoding"), body)
	})
	c, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	address := c.net.LocalAddr().String()
	for i, r := range []request{
		newRequest("POST", "/a", "", []byte("one")),
		newRequest("GET", "/b", "", nil),
		newRequest("POST", "/c", "gzip", []byte("two")),
	} {
		want := address + []string{" POST /a  one", " GET /b  ", " POST /c gzip two"}[i]
		answer, err := c.expect(r, http.StatusOK)
		if err != nil {
			t.Fatal(err)
		}
		if string(answer) != want {
			t.Errorf("request %d arrived as %q, want %q", i, answer, want)
		}
	}
}

func TestAnUnexpectedStatusIsAnErrorWithTheAnswer(t *testing.T) {
	s := pretend(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such thing", http.StatusTeapot) })
	_, err := s.get("/x")
	if err == nil || !strings.Contains(err.Error(), "418") || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("error is %v", err)
	}
}

// TestLoadSendsEachBodyUntilItIsAcknowledged refuses every body once.
func TestLoadSendsEachBodyUntilItIsAcknowledged(t *testing.T) {
	var mu sync.Mutex
	arrived := make(map[string]int)
	s := pretend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		arrived[string(body)]++
		if arrived[string(body)] == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	data := dataset{bodies: []tsbs.Body{{Text: []byte("a")}, {Text: []byte("b")}, {Text: []byte("c")}}}
	result, err := s.load(t.Context(), data.requests(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if result.refused != 3 || len(result.latencies) != 3 {
		t.Errorf("%d refused and %d acknowledged, want 3 and 3", result.refused, len(result.latencies))
	}
	for body, n := range arrived {
		if n != 2 {
			t.Errorf("%s arrived %d times, want 2", body, n)
		}
	}
}

func TestLoadEndsAtTheFirstError(t *testing.T) {
	var requests atomic.Int64
	s := pretend(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusBadRequest)
	})
	data := dataset{bodies: make([]tsbs.Body, 100)}
	if _, err := s.load(t.Context(), data.requests(), 2); err == nil {
		t.Error("rejected bodies are no error")
	}
	if n := requests.Load(); n > 2 {
		t.Errorf("two workers sent %d bodies", n)
	}
}

func TestGzipRequestsCarryTheSameBodies(t *testing.T) {
	data := dataset{bodies: []tsbs.Body{{Text: []byte("first")}, {Text: []byte("second")}}}
	requests, err := data.gzipRequests()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range requests {
		if got := gunzip(t, r.body); got != string(data.bodies[i].Text) {
			t.Errorf("body %d is %q", i, got)
		}
		if !strings.Contains(string(r.head), "Content-Encoding: gzip\r\n") {
			t.Errorf("body %d does not say that it is gzipped: %q", i, r.head)
		}
	}
}

// TestWritersNeverWriteAPointTwice has writers go round their few lines many times.
func TestWritersNeverWriteAPointTwice(t *testing.T) {
	var mu sync.Mutex
	points := make(map[string]int)
	s := pretend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		words := strings.Split(string(body), " ")
		if len(words) != 3 {
			t.Errorf("a line is %q", body)
			return
		}
		mu.Lock()
		points[words[0]+" "+words[2]]++
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
	ws, err := s.writers(3, writeTarget, time.Unix(0, firstDay))
	if err != nil {
		t.Fatal(err)
	}
	defer ws.close()
	for _, w := range ws {
		w.lines = w.lines[:2]
	}
	if err := ws.run(t.Context(), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if len(points) != ws.acks() || ws.acks() < len(ws) {
		t.Errorf("%d acknowledged lines are %d points", ws.acks(), len(points))
	}
}

func TestSetTimeReplacesTheTimeStampOnly(t *testing.T) {
	l := line("cpu v=1i 1451606400000000000")
	l.setTime(1451606410000000007)
	if string(l) != "cpu v=1i 1451606410000000007" {
		t.Errorf("the line is %q", l)
	}
}

func TestMissingRowsAreAnError(t *testing.T) {
	s := pretend(t, func(w http.ResponseWriter, r *http.Request) {
		const want = "SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b) AS n"
		if got := r.URL.Query().Get("q"); got != want {
			t.Errorf("the query is %q, want %q", got, want)
		}
		io.WriteString(w, `[{"n":41}]`)
	})
	if err := s.expectRows(41, "a", "b"); err != nil {
		t.Error(err)
	}
	if err := s.expectRows(42, "a", "b"); err == nil || !strings.Contains(err.Error(), "41") {
		t.Errorf("error is %v", err)
	}
}

func TestAnAnswerWithTheWrongNumberOfRowsIsAnError(t *testing.T) {
	s := pretend(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `[{"a":1},{"a":2}]`) })
	c, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if a, err := c.query(tsbs.Query{SQL: "SELECT 1", MinRows: 1, MaxRows: 2}); err != nil || a.rows != 2 || a.bytes != 17 {
		t.Errorf("answer is %+v, %v", a, err)
	}
	if _, err := c.query(tsbs.Query{SQL: "SELECT 1", MinRows: 3, MaxRows: 3}); err == nil {
		t.Error("two rows are as good as three")
	}
}

func TestMetricsAreReadByTheirName(t *testing.T) {
	s := pretend(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "# HELP wal_bytes x\nwal_bytes_total 7\nwal_bytes 1.5e+06\n")
	})
	if got, err := s.metric("wal_bytes"); err != nil || got != 1.5e6 {
		t.Errorf("wal_bytes is %g, %v", got, err)
	}
	if _, err := s.metric("wal"); err == nil {
		t.Error("a metric that is not there has a value")
	}
}

func TestReplayedRowsAreReadFromTheLog(t *testing.T) {
	s := &server{child: &child{logFile: filepath.Join(t.TempDir(), "log")}}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(s.logFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("level=INFO msg=listening\n" +
		`time=x level=INFO msg="data directory is open" dir=/d instance=i files=0 replayed_rows=288000 took=93.5ms` + "\n")
	rows, took, err := s.replayed()
	if err != nil || rows != 288000 || took != 93500*time.Microsecond {
		t.Errorf("%d rows in %s, %v", rows, took, err)
	}
	write("level=INFO msg=listening\n")
	if _, _, err := s.replayed(); err == nil {
		t.Error("a log without recovery says how many rows were replayed")
	}
}

func TestTheDiskIsMeasuredInBothWays(t *testing.T) {
	dir := t.TempDir()
	r, err := measureDisk(dir, 300, 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.append) == 0 || len(r.overwrite) == 0 {
		t.Errorf("%d appends and %d overwrites were measured", len(r.append), len(r.overwrite))
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

func TestShareDoesEveryJobOnce(t *testing.T) {
	const jobs = 1000
	var done [jobs]atomic.Int32
	err := share(8, jobs, func(int) (job, error) {
		return func(i int) error {
			done[i].Add(1)
			return nil
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range done {
		if n := done[i].Load(); n != 1 {
			t.Errorf("job %d was done %d times", i, n)
		}
	}
}

func TestAnInterruptedLoadEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := pretend(t, func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	data := dataset{bodies: make([]tsbs.Body, 3)}
	if _, err := s.load(ctx, data.requests(), 1); err == nil {
		t.Error("an interrupted load is complete")
	}
}
