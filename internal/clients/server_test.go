package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// patience is how long a test waits for what must happen; it is only reached when
	// something is broken.
	patience = time.Minute
	// pollEvery is how often a test looks again.
	pollEvery = 5 * time.Millisecond
)

// server is one run of siltstone serve on an empty directory.
type server struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	url   string
	token string // of the operator, once there is one
	ended chan struct{}
}

// startServer runs a server until the test ends. The args come behind the usual ones.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), ended: make(chan struct{})}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	addressFile := filepath.Join(s.dir, "address")
	s.cmd = exec.Command(binary(t), append([]string{
		"serve", "--data-dir", filepath.Join(s.dir, "data"), "--http-bind", "127.0.0.1:0",
		"--tcp-listener-file-path", addressFile, "--exec-mem-pool-bytes", "512MiB",
	}, args...)...)
	s.cmd.Env = plainEnvironment()
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // the process state says it all
		close(s.ended)
	}()
	t.Cleanup(s.kill)
	s.await("the address file", func() bool {
		address, err := os.ReadFile(addressFile)
		s.url = "http://" + string(address)
		return err == nil
	})
	return s
}

// kill ends the server and shows its log when the test has failed.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended already
	<-s.ended
	if !s.t.Failed() {
		return
	}
	const most = 4 << 10
	if text, err := os.ReadFile(filepath.Join(s.dir, "log")); err == nil {
		s.t.Logf("the server's log ends with\n%s", text[max(0, len(text)-most):])
	}
}

// await polls until done, and fails when the process ends or patience does.
func (s *server) await(what string, done func() bool) {
	s.t.Helper()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	deadline := time.After(patience)
	for !done() {
		select {
		case <-poll.C:
		case <-s.ended:
			s.t.Fatalf("the server ended while the test waited for %s: %v", what, s.cmd.ProcessState)
		case <-deadline:
			s.t.Fatalf("%s did not come within %s", what, patience)
		}
	}
}

// plainEnvironment is ours without the variables that configure a server or a client.
func plainEnvironment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SILTSTONE_") && !strings.HasPrefix(v, "INFLUX") {
			env = append(env, v)
		}
	}
	return env
}

// send makes a request with the operator's token and returns status and body.
func (s *server) send(method, path string, body []byte) (int, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, answer
}

// configure sends what must succeed, and decodes the answer into out unless that is nil.
func (s *server) configure(path string, in, out any) {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	status, answer := s.send(http.MethodPost, path, body)
	if status/100 != 2 {
		s.t.Fatalf("POST %s was answered %d %s", path, status, answer)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer, out); err != nil {
		s.t.Fatalf("POST %s was answered %s: %v", path, answer, err)
	}
}

// createDatabase makes a database that keeps its points for a while.
func (s *server) createDatabase(name, retention string) {
	s.t.Helper()
	s.configure("/api/v3/configure/database", map[string]string{"db": name, "retention_period": retention}, nil)
}

// createOperator makes the first token, from which on the server asks for one.
func (s *server) createOperator() {
	s.t.Helper()
	var made struct{ Token string }
	s.configure("/api/v3/configure/token/admin", struct{}{}, &made)
	s.token = made.Token
}

// createToken makes a token for one database.
func (s *server) createToken(name, database string, actions ...string) string {
	s.t.Helper()
	type permission struct {
		Type    string   `json:"resource_type"`
		Names   []string `json:"resource_identifier"`
		Actions []string `json:"actions"`
	}
	var made struct{ Token string }
	s.configure("/api/v3/configure/token", struct {
		Name        string       `json:"token_name"`
		Permissions []permission `json:"permissions"`
	}{name, []permission{{"db", []string{database}, actions}}}, &made)
	return made.Token
}

// row is one row of an answer; numbers are json.Number.
type row map[string]any

// text returns a column as it is written in the answer.
func (r row) text(column string) string { return fmt.Sprint(r[column]) }

// ask runs a query. A database or table that does not exist is an error.
func (s *server) ask(database, sql string) ([]row, error) {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"db": database, "q": sql, "format": "json"})
	if err != nil {
		s.t.Fatal(err)
	}
	status, answer := s.send(http.MethodPost, "/api/v3/query_sql", body)
	if status != http.StatusOK {
		return nil, fmt.Errorf("%s was answered %d %s", sql, status, answer)
	}
	dec := json.NewDecoder(bytes.NewReader(answer))
	dec.UseNumber()
	var rows []row
	if err := dec.Decode(&rows); err != nil {
		return nil, fmt.Errorf("%s was answered %s: %w", sql, answer, err)
	}
	return rows, nil
}

// leaveUnread runs a query and reads nothing of its answer, so that it holds what it reads
// until the test ends.
func (s *server) leaveUnread(database, sql string) {
	s.t.Helper()
	path := "/api/v3/query_sql?" + url.Values{"db": {database}, "q": {sql}}.Encode()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity") // compressed, it might fit what the kernel holds
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s was answered %s", sql, res.Status)
	}
}

// query is ask for what must succeed.
func (s *server) query(database, sql string) []row {
	s.t.Helper()
	rows, err := s.ask(database, sql)
	if err != nil {
		s.t.Fatal(err)
	}
	return rows
}

// count returns the number of rows of a table; a table that does not exist has none.
func (s *server) count(database, table string) int {
	s.t.Helper()
	rows, err := s.ask(database, `SELECT count(*) AS n FROM "`+table+`"`)
	if err != nil {
		return 0
	}
	var n int
	if _, err := fmt.Sscan(rows[0].text("n"), &n); err != nil {
		s.t.Fatal(err)
	}
	return n
}
