//go:build duckdb_arrow

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// patience is how long a test waits for what must happen; it is only reached when
	// something is broken.
	patience = time.Minute
	// pollEvery is how often a test looks again.
	pollEvery = 2 * time.Millisecond
)

// site is a data directory and the files around it. Its servers come one after another.
type site struct {
	t    *testing.T
	root string
	env  []string // of the servers, besides plainEnvironment
	// data is where the data directory is; "" is in root.
	data string
	// wrapper is the command that runs the servers, if any.
	wrapper []string
}

// newSite makes an empty one. It is kept when the test fails.
func newSite(t *testing.T) *site {
	t.Helper()
	root, err := os.MkdirTemp("", "siltstone-e2e-site-")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, root: root}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the data directory is kept at %s\nthe server's log ends with\n%s", s.dataDir(), s.logTail())
			return
		}
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) dataDir() string     { return cmp.Or(s.data, filepath.Join(s.root, "data")) }
func (s *site) logFile() string     { return filepath.Join(s.root, "log") }
func (s *site) addressFile() string { return filepath.Join(s.root, "address") }

// logTail is the end of what all servers of the site wrote to standard error.
func (s *site) logTail() string {
	const most = 8 << 10
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// wholeLog is what logTail is the end of.
func (s *site) wholeLog() string {
	s.t.Helper()
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// server is one run of siltstone serve.
type server struct {
	site   *site
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
	url    string
	http   *http.Client
}

// start runs a server and waits until it is ready.
func (s *site) start(args ...string) *server {
	s.t.Helper()
	srv := s.launch(args...)
	srv.awaitReady()
	return srv
}

// launch runs a server and does not wait. More args come behind the usual ones.
func (s *site) launch(args ...string) *server {
	s.t.Helper()
	if err := os.Remove(s.addressFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	command := append(slices.Clone(s.wrapper), append([]string{
		binary(s.t), "serve", "--data-dir", s.dataDir(), "--http-bind", "127.0.0.1:0", "--without-auth",
		"--tcp-listener-file-path", s.addressFile(), "--exec-mem-pool-bytes", "512MiB",
	}, args...)...)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(plainEnvironment(), s.env...)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	srv := &server{
		site: s, cmd: cmd, exited: make(chan struct{}),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: patience},
	}
	go func() {
		_ = cmd.Wait() // the process state says it all
		close(srv.exited)
	}()
	s.t.Cleanup(srv.kill)
	return srv
}

// plainEnvironment is ours without the variables that configure a server.
func plainEnvironment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SILTSTONE_") && !strings.HasPrefix(v, "INFLUXDB3_") {
			env = append(env, v)
		}
	}
	return env
}

// in returns the server for a subtest, which must fail itself and not its parent.
func (s *server) in(t *testing.T) *server {
	site, srv := *s.site, *s
	site.t, srv.site = t, &site
	return &srv
}

// awaitReady waits for the address file, which is written when requests are let in.
func (s *server) awaitReady() {
	s.site.t.Helper()
	s.await("the address file", func() bool {
		address, err := os.ReadFile(s.site.addressFile())
		s.url = "http://" + string(address)
		return err == nil
	})
}

// await polls until done, and fails when the process ends or patience does.
func (s *server) await(what string, done func() bool) {
	s.site.t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		select {
		case <-s.exited:
			s.site.t.Fatalf("waiting for %s: the server ended: %s", what, s.cmd.ProcessState)
		case <-time.After(pollEvery):
		}
		if time.Now().After(deadline) {
			s.site.t.Fatalf("waiting for %s: too long", what)
		}
	}
}

// kill ends the process group with SIGKILL, if it has not ended, and waits for that.
// It may be called from any goroutine.
func (s *server) kill() {
	// The group's id is the process's; an error means that it has ended.
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.exited
	s.http.CloseIdleConnections()
}

// stopWithin is how long an orderly stop may take.
const stopWithin = 10 * time.Second

// stop asks for an orderly stop and checks how it goes.
func (s *server) stop() {
	s.site.t.Helper()
	begin := time.Now()
	if err := syscall.Kill(s.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		s.site.t.Fatal(err)
	}
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.site.t.Fatal("SIGTERM does not end the server")
	}
	if took := time.Since(begin); took > stopWithin {
		s.site.t.Errorf("the stop took %s", took)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.site.t.Errorf("exit status %d after SIGTERM: %s", code, s.cmd.ProcessState)
	}
	s.http.CloseIdleConnections()
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends one request. Its errors are the connection's.
func (s *server) do(method, path string, params url.Values, body []byte, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path+"?"+params.Encode(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, strings.TrimSuffix(string(text), "\n")}, err
}

// post writes line protocol with time stamps in nanoseconds.
func (s *server) post(db string, body []byte) (answer, error) {
	return s.do(http.MethodPost, "/api/v3/write_lp", url.Values{"db": {db}, "precision": {"nanosecond"}}, body)
}

// write is post for lines that must all be accepted.
func (s *server) write(db, lines string) {
	s.site.t.Helper()
	a, err := s.post(db, []byte(lines))
	if err != nil || a.status != http.StatusNoContent {
		s.site.t.Fatalf("writing to %s: %v %d %.500s", db, err, a.status, a.body)
	}
}

// flush has everything persisted.
func (s *server) flush() {
	s.site.t.Helper()
	a, err := s.do(http.MethodPost, "/api/v3/flush", nil, nil)
	if err != nil || a.status != http.StatusNoContent {
		s.site.t.Fatalf("flush: %v %d %.500s", err, a.status, a.body)
	}
}

// row is a row of a result; values are json.Number, string or bool, and null is absent.
type row map[string]any

// ask runs a query, whose result may be an error of the server.
func (s *server) ask(db, sql string) ([]row, error) {
	request, err := json.Marshal(map[string]string{"db": db, "q": sql})
	if err != nil {
		return nil, err
	}
	a, err := s.do(http.MethodPost, "/api/v3/query_sql", nil, request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, err)
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d %.500s", sql, a.status, a.body)
	}
	var rows []row
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.UseNumber()
	if err := dec.Decode(&rows); err != nil {
		return nil, fmt.Errorf("%s: %w in %.500s", sql, err, a.body)
	}
	return rows, nil
}

// query is ask for a query that must succeed.
func (s *server) query(db, sql string) []row {
	s.site.t.Helper()
	rows, err := s.ask(db, sql)
	if err != nil {
		s.site.t.Fatal(err)
	}
	return rows
}

// columns returns the columns of every table of a database and their types.
func (s *server) columns(db string) map[string]map[string]string {
	s.site.t.Helper()
	tables := make(map[string]map[string]string)
	for _, r := range s.query(db, "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'iox'") {
		table := r["table_name"].(string)
		if tables[table] == nil {
			tables[table] = make(map[string]string)
		}
		tables[table][r["column_name"].(string)] = r["data_type"].(string)
	}
	return tables
}

// parquetFiles returns the paths of the site's Parquet files.
func (s *site) parquetFiles() []string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dataDir(), "files", "*", "*", "*.parquet"))
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// quoteName writes a name as an SQL identifier.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
