//go:build duckdb_arrow

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	idleConnections = flag.Int("idle", 500, "connections that say nothing in the tests of hostile clients")
	slowConnections = flag.Int("slow", 100, "connections that send a byte at a time there")
)

const (
	h2Preface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	h2Settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	// h2Headers begins a request whose headers never end: HEADERS of 4 KiB without END_HEADERS.
	h2Headers = "\x00\x10\x00\x01\x00\x00\x00\x00\x01"
)

// slowly lists what clients send a byte at a time. The server must give up on each within the time.
var slowly = []struct {
	name, at, slow string
	within         time.Duration
}{
	{"silent", "", "", 20 * time.Second},
	{"request line", "", "GET /ping?" + strings.Repeat("x", 10_000), 20 * time.Second},
	{"header", "GET /ping HTTP/1.1\r\nHost: localhost\r\nX-Long: ", strings.Repeat("x", 10_000), 20 * time.Second},
	{"many headers", "GET /ping HTTP/1.1\r\nHost: localhost\r\n", strings.Repeat("A: b\r\n", 10_000), 20 * time.Second},
	{"body", "POST /api/v3/write_lp?db=slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n", strings.Repeat("x", 10_000), 50 * time.Second},
	{"chunks", "POST /api/v3/write_lp?db=slow HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\nx\r\n", 10_000), 50 * time.Second},
	{"zstd", "POST /api/v3/write_lp?db=slow HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: zstd\r\nContent-Length: 10000000\r\n\r\n\x28\xb5\x2f\xfd", strings.Repeat("x", 10_000), 50 * time.Second},
	{"InfluxQL body", "POST /query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\nq=", strings.Repeat("x", 10_000), 50 * time.Second},
	{"SQL body", "POST /api/v3/query_sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{", strings.Repeat(" ", 10_000), 50 * time.Second},
	{"preface of HTTP/2", "PRI", h2Preface[3:], 20 * time.Second},
	{"HTTP/2 without settings", h2Preface, "", 20 * time.Second},
	// An HTTP/2 connection that begins no request looks like one that rests.
	{"headers of HTTP/2", h2Preface + h2Settings + h2Headers, strings.Repeat("x", 10_000), 125 * time.Second},
}

// dialer connects to the server; its connections are closed with the test.
type dialer struct {
	srv *server
	mu  sync.Mutex
	all []net.Conn
}

func (d *dialer) dial() (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "tcp", strings.TrimPrefix(d.srv.url, "http://"))
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, c)
	return c, nil
}

func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.all {
		_ = c.Close()
	}
	d.all = nil
}

// between is the time between two bytes.
const between = 300 * time.Millisecond

// trickle sends a byte at a time until the server gives up, and returns how long that took. It ends
// after most, or when stop is closed.
func trickle(c net.Conn, at, slow string, most time.Duration, stop <-chan struct{}) (time.Duration, error) {
	begin := time.Now()
	if _, err := io.WriteString(c, at); err != nil {
		return 0, err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = c.SetReadDeadline(begin.Add(most))
		_, _ = io.Copy(io.Discard, c) // an answer may come before the end
	}()
	for {
		select {
		case <-gone:
			return time.Since(begin), nil
		case <-stop:
			return 0, nil
		case <-time.After(between):
		}
		if slow != "" {
			_, _ = io.WriteString(c, slow[:1]) // the reader notices that the server has hung up
			slow = slow[1:]
		}
	}
}

// TestSlowAndIdleConnections: they cost little memory, are given up in time, and nobody else notices.
func TestSlowAndIdleConnections(t *testing.T) {
	needsProc(t)
	raiseOpenFiles(t, *idleConnections+*slowConnections+200)
	drawn, _ := drawnSeed(t, "")
	srv := newSite(t).start()
	before, rss := srv.openFiles(), srv.residentBytes()
	good := srv.stand(drawn, strict)
	d := &dialer{srv: srv}
	defer d.close()
	for i := range *idleConnections {
		c, err := d.dial()
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			fmt.Fprint(c, "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
	}
	var slow sync.WaitGroup
	stop := make(chan struct{})
	var mu sync.Mutex
	longest := make(map[string]time.Duration)
	for i := range *slowConnections {
		kind := slowly[i%len(slowly)]
		c, err := d.dial()
		if err != nil {
			t.Fatal(err)
		}
		if kind.within > 20*time.Second && !*longTrickle {
			go func() { _, _ = trickle(c, kind.at, kind.slow, kind.within, stop) }()
			continue
		}
		slow.Go(func() {
			took, err := trickle(c, kind.at, kind.slow, kind.within, stop)
			if err != nil || took >= kind.within {
				t.Errorf("%s: after %s, %v", kind.name, took, err)
			}
			mu.Lock()
			defer mu.Unlock()
			longest[kind.name] = max(longest[kind.name], took.Round(100*time.Millisecond))
		})
	}
	slow.Wait()
	close(stop)
	t.Logf("the server gave up after %v", longest)
	n := int64(*idleConnections + *slowConnections)
	t.Logf("%d connections took %d bytes each", n, (srv.residentBytes()-rss)/n)
	good.leave(t, rss+200<<20+n*64<<10)
	d.close()
	srv.http.CloseIdleConnections()
	srv.await("the descriptors to be closed", func() bool { return srv.openFiles() <= before+16 })
}

var longTrickle = flag.Bool("long-trickle", false, "also wait for what the server gives up after half a minute, and after two")

// TestConnectionsAtTheBoundKeepNobodyOut, nor the log from its files: with few descriptors, many more
// clients come than there is room for, and stay.
func TestConnectionsAtTheBoundKeepNobodyOut(t *testing.T) {
	needsProc(t)
	drawn, _ := drawnSeed(t, "")
	const bound, files = 100, 300
	srv := newSite(t).start("--max-connections", fmt.Sprint(bound))
	limit := unix.Rlimit{Cur: files, Max: files}
	if err := unix.Prlimit(srv.cmd.Process.Pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Skipf("the limit of open files of another process cannot be set: %v", err)
	}
	good := srv.stand(drawn, func(b *bystanders) { b.mayBeCut = true })
	d := &dialer{srv: srv}
	defer d.close()
	flushing := make(chan struct{})
	var flusher sync.WaitGroup
	flusher.Go(func() { // is a client, too
		for range flushing {
			for tries := 0; ; tries++ {
				a, err := srv.do(http.MethodPost, "/api/v3/flush", nil, nil)
				if err == nil && a.status == http.StatusNoContent {
					break
				}
				if err == nil || tries == 3 {
					t.Errorf("flush: %v %d %s", err, a.status, a.body)
					break
				}
			}
		}
	})
	defer flusher.Wait()
	defer close(flushing)
	for i := range 20 * bound {
		c, err := d.dial()
		if err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 1:
			fmt.Fprint(c, "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
		case 2:
			fmt.Fprint(c, "GET /ping HTTP/1.1\r\nHost: ")
		case 3:
			fmt.Fprint(c, "POST /api/v3/write_lp?db=slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
		}
		if i%bound == 0 {
			flushing <- struct{}{}
		}
		<-time.After(time.Millisecond) // a thousand a second at the most
		if open := srv.openFiles(); open > files {
			t.Fatalf("%d files are open", open)
		}
	}
	good.leave(t, 1<<30)
	if n := srv.gauge("siltstone_http_connections_evicted_total"); n < bound {
		t.Errorf("%d connections made room for others", n)
	}
	if log := srv.site.wholeLog(); strings.Contains(log, "too many open files") {
		t.Error("the server ran out of descriptors")
	}
}

// TestContentLengthAndOtherLies are errors, or nothing happens; the next request of the
// connection is not confused by what was left of the one before.
func TestContentLengthAndOtherLies(t *testing.T) {
	srv := newSite(t).start()
	srv.write("db", "m v=1i 1\n")
	write := "POST /api/v3/write_lp?db=lies HTTP/1.1\r\nHost: localhost\r\n"
	for name, c := range map[string]struct {
		sent   string
		status []int // one of them; 0 is a closed connection
	}{
		"negative length":         {write + "Content-Length: -1\r\n\r\nm v=1", []int{400}},
		"no number":               {write + "Content-Length: 5x\r\n\r\nm v=1", []int{400}},
		"two lengths":             {write + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nm v=1", []int{400}},
		"length and chunks":       {write + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}},
		"huge length":             {write + "Content-Length: 99999999999999999999\r\n\r\n", []int{400}},
		"too long":                {write + "Content-Length: 99999999999\r\n\r\n", []int{413}},
		"expect beyond the limit": {write + "Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n", []int{413}},
		"unknown expectation":     {write + "Expect: miracles\r\nContent-Length: 5\r\n\r\nm v=1", []int{417}},
		"bad chunk size":          {write + "Transfer-Encoding: chunked\r\n\r\nzz\r\nm v=1\r\n0\r\n\r\n", []int{400}},
		"endless chunk size":      {write + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0", 100_000), []int{400}},
		"unknown coding":          {write + "Transfer-Encoding: gzip\r\n\r\nm v=1", []int{400, 501}},
		"two hosts":               {"GET /ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", []int{400}},
		"no host":                 {"GET /ping HTTP/1.1\r\n\r\n", []int{400}},
		"NUL in a header":         {"GET /ping HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", []int{400}},
		"header of 1 MB":          {"GET /ping HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", []int{431}},
		"query of 1 MB":           {"GET /ping?q=" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: a\r\n\r\n", []int{431}},
		"method of 1 MB":          {strings.Repeat("X", 1<<20) + " /ping HTTP/1.1\r\nHost: a\r\n\r\n", []int{400, 431}},
		"control characters":      {"GET /\x01\x02 HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
		"no HTTP":                 {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 600) + "\r\n\r\n", []int{400, 0}},
		"trailers":                {write + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nm v=1\r\n0\r\nContent-Length: 3\r\nX: y\r\n\r\n", []int{204}},
	} {
		t.Run(name, func(t *testing.T) {
			status, took := srv.in(t).raw(c.sent)
			found := false
			for _, s := range c.status {
				found = found || s == status
			}
			if !found || took > 20*time.Second {
				t.Errorf("answered %d after %s, not one of %v", status, took, c.status)
			}
		})
	}
	if n := srv.query("db", "SELECT sum(v) AS n FROM m")[0].number("n"); n != 1 {
		t.Errorf("the sum is %d", n)
	}
}

// raw sends bytes on a connection of their own and returns the status of the answer, 0 for none.
func (s *server) raw(text string) (status int, took time.Duration) {
	s.site.t.Helper()
	d := &dialer{srv: s}
	defer d.close()
	begin := time.Now()
	c, err := d.dial()
	if err != nil {
		s.site.t.Fatal(err)
	}
	_ = c.SetDeadline(begin.Add(patience))
	go func() { _, _ = io.WriteString(c, text) }() // the server may hang up before it has read all
	var version string
	_, err = fmt.Fscanf(c, "%s %d", &version, &status)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.site.t.Errorf("no answer to %.80q", text)
	}
	return status, time.Since(begin)
}

// endlessChunks is a body without an end.
type endlessChunks struct{ piece []byte }

func (e *endlessChunks) Read(p []byte) (int, error) { return copy(p, e.piece), nil }

// TestBodiesWithoutEnd are answered 413 when they pass the limit, with lines or without.
func TestBodiesWithoutEnd(t *testing.T) {
	srv := newSite(t).start()
	for name, piece := range map[string]string{"lines": "m v=1\n", "no newline": "m,a=b", "zeros": "\x00", "comments": "#", "quote": `m v="x`} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.url+"/api/v3/write_lp?db=endless", &endlessChunks{[]byte(strings.Repeat(piece, 1000))})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		resp, err := srv.http.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		resp.Body.Close()
		if took := time.Since(begin); resp.StatusCode != http.StatusRequestEntityTooLarge || took > 30*time.Second {
			t.Errorf("%s: %d after %s", name, resp.StatusCode, took)
		}
	}
}
