//go:build duckdb_arrow

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/internal/datasets"
)

// TestSecondServerOnADirectoryIsRefused shows the first part of X6: it ends by itself,
// says whose directory it is, and does the first one no harm.
func TestSecondServerOnADirectoryIsRefused(t *testing.T) {
	s := newSite(t)
	first := s.start()
	first.write("db", "m v=1i 1\n")
	second := exec.Command(binary(t), "serve", "--data-dir", s.dataDir(), "--http-bind", "127.0.0.1:0")
	second.Env = plainEnvironment()
	var said bytes.Buffer
	second.Stderr = &said
	var exit *exec.ExitError
	if err := second.Run(); !errors.As(err, &exit) || exit.ExitCode() <= 0 {
		t.Errorf("the second server ended with %v", err)
	}
	for _, part := range []string{"in use", s.dataDir(), fmt.Sprintf("process %d", first.cmd.Process.Pid)} {
		if !strings.Contains(said.String(), part) {
			t.Errorf("the message lacks %q\n%s", part, said.String())
		}
	}
	first.write("db", "m v=2i 2\n")
	first.kill()
	if n := s.start().query("db", "SELECT sum(v) AS n FROM m")[0].number("n"); n != 3 {
		t.Errorf("the sum of both points is %d", n)
	}
}

// TestStopUnderLoadLosesNothing shows the second part of X6: clients write and ask until
// the server is gone.
func TestStopUnderLoadLosesNothing(t *testing.T) {
	drawn, rerun := drawnSeed(t, "")
	s, all := newSite(t), newLedgers(writersAtOnce)
	srv := s.start()
	var points int
	for round := range 3 {
		for _, l := range all {
			l.rng = rand.New(rand.NewPCG(drawn+uint64(round), uint64(l.writer)))
		}
		var answers atomic.Int64
		var clients sync.WaitGroup
		enough := make(chan struct{})
		clients.Go(func() {
			err := all.writeUntilRefused(srv, novelties{"new", "n"}, 0, func() {
				if answers.Add(1) == 200 {
					close(enough)
				}
			})
			// A server that stops answers 503 as long as it can.
			if err != nil && !strings.Contains(err.Error(), "refused with 503") {
				t.Error(err)
			}
		})
		clients.Go(func() {
			for err := error(nil); err == nil; {
				_, err = srv.ask(ledgerDB, "SELECT count(*), sum(i) FROM cpu")
				if err != nil && strings.Contains(err.Error(), "status 4") {
					err = nil // the table does not exist yet
				}
			}
		})
		<-enough
		srv.stop()
		clients.Wait()
		srv = s.start()
		points = all.mustAgree(srv, "after the stop", rerun)
	}
	t.Logf("%d points", points)
}

// TestRecoveringServerAnswers shows the third part of X6: from the first connection on
// every one is accepted, and a request is answered 503 with Retry-After or served.
func TestRecoveringServerAnswers(t *testing.T) {
	s := newSite(t)
	srv := s.start()
	body, err := datasets.DevOps.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	const maxBody = 9 << 20
	body = body[:bytes.LastIndexByte(body[:min(len(body), maxBody)], '\n')+1]
	for _, db := range []string{"a", "b", "c"} {
		srv.write(db, string(body))
	}
	srv.kill()
	address := freeAddress(t)
	srv = s.launch("--http-bind", address)
	srv.url = "http://" + address
	srv.await("the port", func() bool {
		conn, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		return conn.Close() == nil
	})
	turnedAway := 0
	srv.await("an answer that is not 503", func() bool {
		served := true
		for _, ask := range []func() (answer, error){
			func() (answer, error) { return srv.do(http.MethodGet, "/health", nil, nil) },
			func() (answer, error) { return srv.post("d", []byte("m v=1 1")) },
			func() (answer, error) {
				return srv.do(http.MethodPost, "/api/v3/query_sql", nil, []byte(`{"db":"a","q":"SELECT count(*) FROM cpu"}`))
			},
		} {
			a, err := ask()
			if err != nil {
				t.Fatal(err)
			}
			if a.status == http.StatusServiceUnavailable {
				turnedAway++
				served = false
				if a.header.Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
			} else if a.status >= 400 {
				t.Fatalf("answered %d %s", a.status, a.body)
			}
		}
		return served
	})
	t.Logf("%d requests were answered 503", turnedAway)
}

// freeAddress finds a port that nobody uses at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// readFor is how long TestReadersNeverSeeTooFewOrTooMany goes on: for several timed
// flushes, beside those that it asks for.
const readFor = 4 * timedFlush

// counters are what is known of the number of points at any moment.
type counters struct{ submitted, acknowledged atomic.Int64 }

// TestReadersNeverSeeTooFewOrTooMany shows X7, with flushes going on and with points
// that are written again and again.
func TestReadersNeverSeeTooFewOrTooMany(t *testing.T) {
	s := newSite(t)
	srv := s.start("--gen1-duration", timedFlush.String())
	srv.write("db", "m,writer=0 one=1i 0\n")
	var c counters
	c.submitted.Store(1)
	c.acknowledged.Store(1)
	end := time.Now().Add(readFor)
	var clients sync.WaitGroup
	for writer := range 4 {
		clients.Go(func() { c.write(t, srv, writer+1, end) })
	}
	queries := []string{
		"SELECT count(*) AS n FROM m",
		"SELECT sum(one) AS n FROM m",
		"SELECT sum(n) AS n FROM (SELECT writer, count(one) AS n FROM m GROUP BY writer)",
	}
	clients.Go(func() {
		for time.Now().Before(end) {
			if a, err := srv.do(http.MethodPost, "/api/v3/flush", nil, nil); err != nil || a.status != http.StatusNoContent {
				t.Errorf("a flush was answered %v %d %s", err, a.status, a.body)
				return
			}
		}
	})
	var asked atomic.Int64
	for _, sql := range queries {
		clients.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				c.read(t, srv, sql)
				asked.Add(1)
			}
		})
	}
	for name, ask := range map[string]func(*server) (int64, error){
		"Flight": func(srv *server) (int64, error) { return srv.askFlightNumber("sql", "SELECT sum(one) AS n FROM m") },
		"InfluxQL over Flight": func(srv *server) (int64, error) {
			return srv.askFlightNumber("influxql", "SELECT count(one) FROM m")
		},
		"InfluxQL": func(srv *server) (int64, error) {
			a, err := srv.do(http.MethodGet, "/query", url.Values{"db": {"db"}, "q": {"SELECT sum(one) FROM m"}, "epoch": {"ns"}, "format": {"csv"}}, nil, "Accept", "application/csv")
			if err != nil {
				return 0, err
			}
			return strconv.ParseInt(a.body[strings.LastIndexByte(a.body, ',')+1:], 10, 64)
		},
	} {
		clients.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				c.compare(t, name, func() (int64, error) { return ask(srv) })
				asked.Add(1)
			}
		})
	}
	clients.Wait()
	for _, sql := range queries {
		c.read(t, srv, sql)
	}
	files := len(s.parquetFiles())
	t.Logf("%d points, %d questions, %d files", c.acknowledged.Load(), asked.Load(), files)
	if files < 1 { // files of several flushes may have been merged
		t.Error("that is no flush beside the reads")
	}
}

// write sends a hundred new points at a time, over two days, and each body twice.
func (c *counters) write(t *testing.T, srv *server, writer int, end time.Time) {
	const points = 100
	for i := 0; time.Now().Before(end); i++ {
		var body strings.Builder
		for k := range points {
			day := int64(k%2) * int64(24*time.Hour)
			fmt.Fprintf(&body, "m,writer=%d one=1i %d\n", writer, day+int64(i*points+k))
		}
		for _, fresh := range []int64{points, 0} {
			c.submitted.Add(fresh)
			a, err := srv.post("db", []byte(body.String()))
			if err != nil || a.status != http.StatusNoContent {
				t.Errorf("a write was answered %v %d %s", err, a.status, a.body)
				return
			}
			c.acknowledged.Add(fresh)
		}
	}
}

// read compares one count with what it may be at the least and at the most.
func (c *counters) read(t *testing.T, srv *server, sql string) {
	c.compare(t, sql, func() (int64, error) {
		rows, err := srv.ask("db", sql)
		if err != nil {
			return 0, err
		}
		return int64(rows[0].number("n")), nil
	})
}

func (c *counters) compare(t *testing.T, what string, ask func() (int64, error)) {
	least := c.acknowledged.Load()
	n, err := ask()
	most := c.submitted.Load()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	} else if n < least || n > most {
		t.Errorf("%s is %d, not from %d to %d", what, n, least, most)
	}
}

// askFlightNumber asks for one number, in the last column of the first row.
func (s *server) askFlightNumber(language, text string) (int64, error) {
	rows, err := s.askFlight("db", language, text)
	if err != nil || len(rows) == 0 {
		return 0, fmt.Errorf("%d rows, %w", len(rows), err)
	}
	return strconv.ParseInt(rows[0][len(rows[0])-1], 10, 64)
}
