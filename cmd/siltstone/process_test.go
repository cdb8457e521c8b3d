package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/siltstone-db/siltstone/internal/datasets"
)

// asSiltstone makes the test binary be siltstone: the tests of processes start it that
// way, and so does the demo that they start.
const asSiltstone = "SILTSTONE_TEST_IS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asSiltstone) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for a process; it is never reached when all is well.
const patience = time.Minute

// siltstone returns a command that is not started.
func siltstone(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asSiltstone+"=1")
	return cmd
}

// result is what a finished command said.
type result struct {
	code        int
	out, errors string
}

func finish(t *testing.T, cmd *exec.Cmd, stdin string) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// process is a running server.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	host string
	log  *syncBuffer
	done chan struct{} // closed when it has exited
}

// syncBuffer is a buffer that a process writes while a test reads.
type syncBuffer struct {
	mu struct {
		sync.Mutex
		buf bytes.Buffer
	}
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.buf.String()
}

// serve starts a server on a free port and waits until it is ready.
func serve(t *testing.T, args ...string) *process {
	t.Helper()
	address := filepath.Join(t.TempDir(), "address")
	p := &process{t: t, log: &syncBuffer{}, done: make(chan struct{})}
	p.cmd = siltstone(t, append([]string{
		"serve", "--http-bind", "127.0.0.1:0", "--exec-mem-pool-bytes", "256MiB", "--tcp-listener-file-path", address,
	}, args...)...)
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the state says it all
		close(p.done)
	}()
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	p.await("the address file", func() bool {
		text, err := os.ReadFile(address)
		p.host = "http://" + string(text)
		return err == nil
	})
	return p
}

// await polls until done, and fails when the process ends or patience does.
func (p *process) await(what string, done func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		select {
		case <-p.done:
			p.t.Fatalf("waiting for %s: the server ended\n%s", what, p.log)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("waiting for %s: too long\n%s", what, p.log)
		}
	}
}

// end sends a signal and waits for the end.
func (p *process) end(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig) // it may have ended already
	<-p.done
}

// query runs a query and returns its CSV.
func (p *process) query(sql string) string {
	p.t.Helper()
	r := finish(p.t, siltstone(p.t, "query", "--host", p.host, "-d", "db", sql), "")
	if r.code != 0 {
		p.t.Fatalf("%s: %s", sql, r.errors)
	}
	return r.out
}

// TestAcknowledgedPointsSurviveEveryEnd stops the server in an orderly way, then kills
// it, and asks for what was written before.
func TestAcknowledgedPointsSurviveEveryEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serve(t, "--data-dir", dir)
	want := ""
	for i, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT} {
		lines := strings.ReplaceAll("cpu,host=a v=N N\ncpu,host=b v=N N\n", "N", string(rune('1'+i)))
		r := finish(t, siltstone(t, "write", "--host", p.host, "-d", "db", "--precision", "ns"), lines)
		if r.code != 0 || !strings.Contains(r.errors, "2 points accepted, 0 rejected") {
			t.Fatalf("write: %+v", r)
		}
		want = strings.ReplaceAll("a,N.0\nb,N.0\n", "N", string(rune('1'+i)))
		p.end(sig)
		if code := p.cmd.ProcessState.ExitCode(); sig != syscall.SIGKILL && code != 0 {
			t.Fatalf("exit status %d after %s\n%s", code, sig, p.log)
		}
		p = serve(t, "--data-dir", dir)
		got := p.query("SELECT host, v FROM cpu WHERE v = (SELECT max(v) FROM cpu) ORDER BY host")
		if got != "host,v\n"+want {
			t.Fatalf("after %s the newest points are\n%s", sig, got)
		}
		if got := p.query("SELECT count(*) AS n FROM cpu"); got != "n\n"+string(rune('0'+2*(i+1)))+"\n" {
			t.Fatalf("after %s there are %s", sig, got)
		}
	}
	p.end(syscall.SIGTERM)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.log)
	}
}

func TestWriteNamesRejectedLinesAndFails(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	file := filepath.Join(t.TempDir(), "some.lp")
	text := "# comment\ncpu v=1 1\n\ncpu v=oops 2\ncpu v=\"text\" 3\ncpu v=4 4\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := finish(t, siltstone(t, "write", "--host", p.host, "-d", "db", "-f", file), "")
	if r.code != 1 || !strings.Contains(r.errors, file+":4: ") || !strings.Contains(r.errors, file+":5: invalid column type for column 'v'") ||
		!strings.Contains(r.errors, "2 points accepted, 2 rejected") {
		t.Errorf("partial: %+v", r)
	}
	r = finish(t, siltstone(t, "write", "--host", p.host, "-d", "other", "-f", file, "--no-accept-partial"), "")
	if r.code != 1 || !strings.Contains(r.errors, file+":4: ") || !strings.Contains(r.errors, "0 points accepted") {
		t.Errorf("all or nothing: %+v", r)
	}
}

func TestWriteReadsGzipAndQueryEveryFormat(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	l := loader{}
	packed, err := l.pack([]byte("cpu v=1 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r := finish(t, siltstone(t, "write", "--host", p.host, "-d", "db", "--gzip", "-q"), string(packed)); r.code != 0 || r.errors != "" {
		t.Fatalf("write: %+v", r)
	}
	for format, want := range map[string]string{
		"csv": "v\n1.0\n", "json": "[{\"v\":1.0}]", "jsonl": "{\"v\":1.0}\n",
		"pretty": "+-----+\n| v   |\n+-----+\n| 1.0 |\n+-----+",
	} {
		r := finish(t, siltstone(t, "query", "--host", p.host, "-d", "db", "--format", format), "SELECT v FROM cpu")
		if r.code != 0 || strings.TrimSuffix(r.out, "\n") != strings.TrimSuffix(want, "\n") {
			t.Errorf("%s: %+v", format, r)
		}
	}
	r := finish(t, siltstone(t, "query", "--host", p.host, "-d", "db", "SELECT * FROM nothing"), "")
	if r.code != 1 || r.out != "" || !strings.Contains(r.errors, "table 'public.iox.nothing' not found") {
		t.Errorf("unknown table: %+v", r)
	}
	if r := finish(t, siltstone(t, "flush", "--host", p.host), ""); r.code != 0 {
		t.Errorf("flush: %+v", r)
	}
}

func TestSecondServerOnADirectoryNamesTheFirst(t *testing.T) {
	dir := t.TempDir()
	p := serve(t, "--data-dir", dir)
	r := finish(t, siltstone(t, "serve", "--data-dir", dir, "--http-bind", "127.0.0.1:0"), "")
	if r.code != 1 || !strings.Contains(r.errors, dir) || !strings.Contains(r.errors, "locked by another siltstone process") {
		t.Errorf("%+v", r)
	}
	if owner := lockOwner(dir); !strings.Contains(r.errors, owner) || !strings.Contains(owner, "serve") {
		t.Errorf("owner is %q, process %d\n%s", owner, p.cmd.Process.Pid, r.errors)
	}
}

func TestTakenPortIsExplained(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := finish(t, siltstone(t, "serve", "--object-store", "memory", "--http-bind", l.Addr().String()), "")
	if r.code != 1 || !strings.Contains(r.errors, "Take another address with --http-bind") {
		t.Errorf("%+v", r)
	}
}

func TestMemoryStoreLeavesNothingBehind(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	dir := regexp.MustCompile(`data_dir=(\S+)`).FindStringSubmatch(p.log.String())
	if dir == nil {
		t.Fatalf("no directory in the log\n%s", p.log)
	}
	if _, err := os.Stat(dir[1]); err != nil {
		t.Fatal(err)
	}
	p.end(syscall.SIGTERM)
	if _, err := os.Stat(dir[1]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s after the end: %v", dir[1], err)
	}
}

// TestSilentConnectionDoesNotHoldUpTheStop: http.Server would wait five seconds for it.
func TestSilentConnectionDoesNotHoldUpTheStop(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.host, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if resp, err := http.Get(p.host + "/health"); err != nil || resp.Body.Close() != nil { // it was accepted before this
		t.Fatal(err)
	}
	p.end(syscall.SIGTERM)
	if strings.Contains(p.log.String(), "cut off") {
		t.Errorf("the stop waited for a connection that never spoke:\n%s", p.log)
	}
}

// TestSecondSignalEndsAtOnce: a query under way holds the orderly stop up.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	if r := finish(t, siltstone(t, "write", "--host", p.host, "-d", "db"), "cpu v=1 1\n"); r.code != 0 {
		t.Fatalf("write: %+v", r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7919 = 1"
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.host+"/api/v3/query_sql?"+url.Values{"db": {"db"}, "q": {endless}}.Encode(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			t.Errorf("the query was answered: %s", resp.Status)
		}
	}()
	p.await("the query to run", func() bool {
		resp, err := http.Get(p.host + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		_, err = text.ReadFrom(resp.Body)
		return err == nil && strings.Contains(text.String(), "siltstone_http_requests_in_flight 2\n")
	})
	start := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.await("the stop to begin", func() bool { return strings.Contains(p.log.String(), "stopping; a second signal") })
	for ended := false; !ended; {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // may meet the handler of the first
		select {
		case <-p.done:
			ended = true
		case <-time.After(5 * time.Millisecond):
		}
	}
	if took := time.Since(start); took >= stopTimeout/2 {
		t.Errorf("it took %s", took)
	}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended as %s\n%s", p.cmd.ProcessState, p.log)
	}
	<-asked
	http.DefaultClient.CloseIdleConnections()
}

// TestDemoRunsTwice: the second run finds the server of the first, writes the same
// points again, and the answers stay the same. Its wished port is taken.
func TestDemoRunsTwice(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := filepath.Join(t.TempDir(), "demo")
	demo := func() result {
		r := finish(t, siltstone(t, "demo", "--dir", dir, "--http-bind", taken.Addr().String()), "")
		if r.code != 0 || r.errors != "" {
			t.Fatalf("%+v", r)
		}
		return r
	}
	first := demo()
	s := readChild(t, dir)
	t.Cleanup(func() { stopChild(t, dir, s) })
	if !strings.Contains(first.out, "is taken, so the demo uses a free port") {
		t.Errorf("the taken port is not mentioned:\n%s", first.out)
	}
	for _, set := range []datasets.Set{datasets.Wind, datasets.Weather, datasets.Bitcoin} {
		if row := regexp.MustCompile(`\| ` + set.Tables[0] + ` +\| ` + regexp.QuoteMeta(strconv.Itoa(set.Points)) + ` +\|`); !row.MatchString(first.out) {
			t.Errorf("no row %s\n%s", row, first.out)
		}
	}
	second := demo()
	if !strings.Contains(second.out, "already running at "+s.Host) {
		t.Errorf("the second run has its own server:\n%s", second.out)
	}
	tables := regexp.MustCompile(`(?m)^[|+].*$`)
	if a, b := tables.FindAllString(first.out, -1), tables.FindAllString(second.out, -1); strings.Join(a, "\n") != strings.Join(b, "\n") {
		t.Errorf("the answers differ:\n%s\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

// readChild returns what a demo remembers of its server.
func readChild(t *testing.T, dir string) (s childServer) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, serverName))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// stopChild ends a demo's server and waits until its lock is free.
func stopChild(t *testing.T, dir string, s childServer) {
	if err := syscall.Kill(s.PID, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(patience); lockOwner(filepath.Join(dir, "data")) != ""; {
		if time.Now().After(deadline) {
			t.Fatalf("process %d does not end", s.PID)
		}
		<-time.After(5 * time.Millisecond)
	}
}
