//go:build duckdb_arrow

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// stopConnections is how many clients that do nothing are connected when a server stops.
const stopConnections = 1000

// TestStopWithEverythingUnderWay: long queries over HTTP and Flight, idle connections, a
// flush of many tables, and writers that do not wait for the disk. The server ends in time,
// and what was acknowledged without a sync is durable, because it ended in order.
func TestStopWithEverythingUnderWay(t *testing.T) {
	s := newSite(t)
	srv := s.start("--max-concurrent-queries", "16", "--max-connections", fmt.Sprint(2*stopConnections))
	srv.writeManyRows()
	var tables strings.Builder
	for i := range 500 {
		fmt.Fprintf(&tables, "t%d v=1i 1\n", i)
	}
	srv.write("db", tables.String())
	for range stopConnections {
		conn, err := net.Dial("tcp", strings.TrimPrefix(srv.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	for range 3 {
		srv.begin(endless)
		srv.begin(large)
	}
	var clients sync.WaitGroup
	for _, language := range []string{"sql", "influxql"} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		text := map[string]string{"sql": large, "influxql": "SELECT s FROM wide"}[language]
		if err := srv.beginFlight(ctx, language, text); err != nil {
			t.Fatal(err)
		}
	}
	srv.await("queries to run", func() bool { return srv.gauge("siltstone_queries_running") >= 6 })
	var acknowledged atomic.Int64
	for writer := range 4 {
		clients.Go(func() {
			for i := 0; ; i++ {
				line := fmt.Appendf(nil, "fast,w=w%d v=1i %d", writer, i+1)
				a, err := srv.do(http.MethodPost, "/api/v3/write_lp", url.Values{"db": {"db"}, "no_sync": {"true"}, "precision": {"nanosecond"}}, line)
				if err != nil || a.status != http.StatusNoContent {
					return
				}
				acknowledged.Add(1)
			}
		})
	}
	clients.Go(func() { _, _ = srv.do(http.MethodPost, "/api/v3/flush", nil, nil) }) // it may be cut off
	srv.await("writes", func() bool { return acknowledged.Load() > 500 })
	srv.stop()
	clients.Wait()
	srv = s.start()
	if n := int64(srv.query("db", "SELECT count(*) AS n FROM fast")[0].number("n")); n < acknowledged.Load() {
		t.Errorf("%d points are there, %d were acknowledged without a sync before an orderly stop", n, acknowledged.Load())
	}
	srv.stop()
}

// TestSecondSignalEndsTheServerAtOnce: also when requests are under way for which an
// orderly stop would wait.
func TestSecondSignalEndsTheServerAtOnce(t *testing.T) {
	s := newSite(t)
	srv := s.start()
	srv.write("db", "m v=1i 1\n")
	srv.begin(large)
	srv.begin(endless)
	srv.awaitRunning(2)
	srv.signal(syscall.SIGTERM)
	srv.await("the stop to begin", func() bool {
		a, err := srv.do(http.MethodGet, "/health", nil, nil)
		return err != nil || a.status == http.StatusServiceUnavailable
	})
	begin := time.Now()
	srv.signal(syscall.SIGTERM)
	<-srv.exited
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("the second signal took %s", took)
	}
	if n := s.start().query("db", "SELECT sum(v) AS n FROM m")[0].number("n"); n != 1 {
		t.Errorf("the sum of one point is %d", n)
	}
}

// TestSignalsThatStop: Ctrl-C and a terminal that closes stop the server in order.
func TestSignalsThatStop(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			if signal.Ignored(sig) {
				t.Skipf("whoever runs this test ignores %s, and so do servers that it starts", sig)
			}
			srv := newSite(t).start()
			srv.write("db", "m v=1i 1\n")
			srv.signal(sig)
			<-srv.exited
			if code := srv.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit status %d: %s", code, srv.cmd.ProcessState)
			}
			if n := len(srv.site.parquetFiles()); n != 1 {
				t.Errorf("%d files after an orderly stop, want 1", n)
			}
		})
	}
}

// TestNohupOutlivesItsTerminal: who ignores SIGHUP for the server means it.
func TestNohupOutlivesItsTerminal(t *testing.T) {
	nohup, err := exec.LookPath("nohup")
	if err != nil {
		t.Skip("there is no nohup")
	}
	s := newSite(t)
	s.wrapper = []string{nohup}
	srv := s.start()
	srv.signal(syscall.SIGHUP)
	srv.write("db", "m v=1i 1\n")
	srv.stop()
}

// TestServerOutlivesTheReaderOfItsLog: lines that nobody takes are lost, and nothing else.
func TestServerOutlivesTheReaderOfItsLog(t *testing.T) {
	s := newSite(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary(t), "serve", "--data-dir", s.dataDir(), "--http-bind", "127.0.0.1:0", "--without-auth",
		"--tcp-listener-file-path", s.addressFile(), "--exec-mem-pool-bytes", "512MiB", "--log-level", "debug")
	cmd.Env, cmd.Stderr = plainEnvironment(), writer
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	srv := &server{site: s, cmd: cmd, exited: make(chan struct{}), http: &http.Client{Timeout: patience}}
	go func() {
		_ = cmd.Wait()
		close(srv.exited)
	}()
	t.Cleanup(srv.kill)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	buffer := make([]byte, 4096)
	for !strings.Contains(log.String(), "msg=ready") {
		n, err := reader.Read(buffer)
		if err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		log.Write(buffer[:n])
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	srv.awaitReady()
	srv.write("db", "m v=1i 1\n")
	srv.flush() // is logged
	srv.stop()  // and this
}

// signal sends one to the server, not to what it runs under.
func (s *server) signal(signal syscall.Signal) {
	s.site.t.Helper()
	if err := syscall.Kill(s.cmd.Process.Pid, signal); err != nil {
		s.site.t.Fatal(err)
	}
}
