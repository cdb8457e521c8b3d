package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/auth"
)

// as gives a command a token.
func as(token string, cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(cmd.Env, "SILTSTONE_AUTH_TOKEN="+token)
	return cmd
}

// client returns a client command for the server.
func (p *process) client(args ...string) *exec.Cmd {
	p.t.Helper()
	cmd := siltstone(p.t, args...)
	cmd.Env = append(cmd.Env, "SILTSTONE_HOST_URL="+p.host)
	return as("", cmd)
}

// must runs a client command that succeeds and returns what it printed.
func (p *process) must(token string, args ...string) string {
	p.t.Helper()
	r := finish(p.t, as(token, p.client(args...)), "")
	if r.code != 0 {
		p.t.Fatalf("%q: %+v\n%s", args, r, p.log)
	}
	return r.out
}

// status returns the status of the answer to a stranger.
func (p *process) status(method, path, body string) int {
	p.t.Helper()
	req, err := http.NewRequest(method, p.host+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	return resp.StatusCode
}

const openNote = "there is no token yet"

// TestFirstTokenClosesAnOpenServer at once, and it is closed after a restart.
func TestFirstTokenClosesAnOpenServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serve(t, "--data-dir", dir)
	if strings.Count(p.log.String(), openNote) != 1 || !strings.Contains(p.log.String(), "siltstone create token --admin --host "+p.host) {
		t.Errorf("the server does not say once that it is open:\n%s", p.log)
	}
	if got := p.status(http.MethodPost, "/api/v3/write_lp?db=db", "cpu v=1 1"); got != http.StatusNoContent {
		t.Fatalf("an open server answers %d", got)
	}
	admin := strings.TrimSpace(p.must("", "create", "token", "--admin"))
	check := func() {
		t.Helper()
		for path, method := range map[string]string{
			"/api/v3/write_lp?db=db": http.MethodPost, "/api/v3/query_sql?db=db&q=SELECT+1": http.MethodGet, "/health": http.MethodGet,
			"/ping": http.MethodGet, "/metrics": http.MethodGet, "/api/v3/configure/token/admin": http.MethodPost, "/nowhere": http.MethodGet,
		} {
			if got := p.status(method, path, ""); got != http.StatusUnauthorized {
				t.Errorf("%s: a stranger is answered %d", path, got)
			}
		}
		if got := p.must(admin, "query", "-d", "db", "SELECT v FROM cpu"); got != "v\n1.0\n" {
			t.Errorf("the admin's query: %q", got)
		}
	}
	check()
	if r := finish(t, p.client("create", "token", "--admin"), ""); r.code != 1 || r.out != "" {
		t.Errorf("a second operator token: %+v", r)
	}
	p.end(syscall.SIGKILL)
	p = serve(t, "--data-dir", dir)
	if strings.Contains(p.log.String(), openNote) {
		t.Errorf("the restarted server calls itself open:\n%s", p.log)
	}
	check()
	if strings.Contains(p.log.String(), admin[len(auth.TokenPrefix):]) {
		t.Errorf("the token is in the log:\n%s", p.log)
	}
}

func TestScopedTokensDoWhatTheySay(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	admin := strings.TrimSpace(p.must("", "create", "token", "--admin"))
	token := strings.TrimSpace(p.must(admin, "create", "token", "--name", "sensors", "--permission", "db:home,garden:write", "--permission", "db:report:read", "--expiry", "30d"))
	if list := p.must(admin, "show", "tokens"); !strings.Contains(list, "sensors") || !strings.Contains(list, "db:garden:write") || strings.Contains(list, token[len(auth.TokenPrefix):]) {
		t.Errorf("tokens are listed as\n%s", list)
	}
	write := func(database string) result {
		return finish(t, as(token, p.client("write", "-d", database)), "m v=1\n")
	}
	if r := write("home"); r.code != 0 {
		t.Errorf("permitted: %+v", r)
	}
	if r := write("other"); r.code != 1 || !strings.Contains(r.errors, `"other"`) {
		t.Errorf("not permitted: %+v", r)
	}
	if r := finish(t, as(token, p.client("query", "-d", "home", "SELECT 1")), ""); r.code != 1 || !strings.Contains(r.errors, "--permission") {
		t.Errorf("a query without permission: %+v", r)
	}
	p.must(admin, "delete", "token", "sensors", "--yes")
	if r := write("home"); r.code != 1 || !strings.Contains(r.errors, "401") {
		t.Errorf("after its end: %+v", r)
	}
}

// TestUnprotectedServerNeverServes: it ends with status 1, and until then answers
// nothing but 503 to anything.
func TestUnprotectedServerNeverServes(t *testing.T) {
	address := filepath.Join(t.TempDir(), "address")
	p := &process{t: t, log: &syncBuffer{}, done: make(chan struct{})}
	p.cmd = siltstone(t, "serve", "--http-bind", "0.0.0.0:0", "--data-dir", t.TempDir(), "--tcp-listener-file-path", address)
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	p.await("the port", func() bool {
		port := regexp.MustCompile(`address=\[?[0-9.:]+\]?:(\d+)`).FindStringSubmatch(p.log.String())
		if port != nil {
			p.host = "http://127.0.0.1:" + port[1]
		}
		return port != nil
	})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	paths := []string{"/ping", "/metrics", "/health", "/api/v3/query_sql?db=db&q=SELECT+1", "/nowhere"}
	for i, running := 0, true; running; i++ {
		select {
		case <-p.done:
			running = false
		default:
		}
		resp, err := client.Get(p.host + paths[i%len(paths)])
		if err != nil {
			continue // it is over, or nearly
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s is answered %d", resp.Request.URL, resp.StatusCode)
		}
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit status %d", code)
	}
	for _, want := range []string{"other machines can reach", "--http-bind 127.0.0.1", "--admin-token-file", "--without-auth"} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("%q is not in\n%s", want, p.log)
		}
	}
	if _, err := os.Stat(address); !os.IsNotExist(err) || strings.Contains(p.log.String(), "msg=ready") {
		t.Errorf("it said that it was ready: %v\n%s", err, p.log)
	}
}

func TestServerWithoutAuthWarnsOnce(t *testing.T) {
	p := serve(t, "--object-store", "memory", "--without-auth")
	if strings.Count(p.log.String(), "started without authentication") != 1 || strings.Contains(p.log.String(), openNote) {
		t.Error(p.log)
	}
	if got := p.status(http.MethodPost, "/api/v3/configure/token/admin", ""); got != http.StatusMethodNotAllowed {
		t.Errorf("tokens can be made: %d", got)
	}
}

func TestAdminTokenFileClosesTheServerFromTheStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "admin.token")
	if r := finish(t, siltstone(t, "create", "token", "--admin", "--output-file", file), ""); r.code != 0 || r.out != "" {
		t.Fatalf("%+v", r)
	}
	made, err := readAdminToken(file)
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t, "--data-dir", filepath.Join(dir, "data"), "--admin-token-file", file, "--disable-authz", "health")
	if strings.Contains(p.log.String(), openNote) {
		t.Error(p.log)
	}
	for path, want := range map[string]int{"/ping": 401, "/metrics": 401, "/health": 200, "/api/v3/configure/token": 401} {
		if got := p.status(http.MethodGet, path, ""); got != want {
			t.Errorf("%s: a stranger is answered %d, want %d", path, got, want)
		}
	}
	if got := p.status(http.MethodPost, "/api/v3/configure/token/admin", ""); got == http.StatusCreated {
		t.Error("a stranger gets an operator token")
	}
	if list := p.must(made.Token, "show", "tokens"); !strings.Contains(list, ",_admin,") {
		t.Errorf("tokens: %s", list)
	}
	p.end(syscall.SIGTERM)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	r := finish(t, siltstone(t, "serve", "--data-dir", filepath.Join(dir, "data"), "--http-bind", "127.0.0.1:0", "--admin-token-file", file), "")
	if r.code != 1 || !strings.Contains(r.errors, "chmod 600 "+file) {
		t.Errorf("a file that others can read: %+v", r)
	}
}

// TestRejectedPointsAreMendedAndRetried is the way of a point from its rejection to a
// query.
func TestRejectedPointsAreMendedAndRetried(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	const lines = "room,name=hall temp=21.5 1\nroom,name=hall temp=\"warm\" 2\nroom\n"
	if r := finish(t, p.client("write", "-d", "db", "--precision", "ns"), lines); r.code != 1 || !strings.Contains(r.errors, "1 points accepted, 2 rejected") {
		t.Fatalf("write: %+v", r)
	}
	list := strings.Split(strings.TrimSpace(p.must("", "rejected", "list", "-d", "db")), "\n")
	if len(list) != 3 || !strings.Contains(list[1], `"room,name=hall temp=""warm"" 2"`) || !strings.Contains(list[2], "No fields were provided") {
		t.Fatalf("listed as %q", list)
	}
	if table := p.must("", "rejected", "list", "--format", "pretty"); strings.Count(table, "\n| ") != 3 {
		t.Errorf("all databases:\n%s", table)
	}
	if table := p.must("", "rejected", "list", "--format", "pretty", "--status", "retried"); strings.Contains(table, "room") {
		t.Errorf("retried:\n%s", table)
	}
	warm := strings.Split(list[1], ",")[1]
	shown := p.must("", "rejected", "show", "-d", "db", warm)
	for _, want := range []string{"id         " + warm + "\n", "line       2 of its request", "expected iox::column_type::field::float", "hint  ", "\n\nroom,name=hall temp=\"warm\" 2\n"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in\n%s", want, shown)
		}
	}
	if r := finish(t, p.client("rejected", "retry", "-d", "db", warm), ""); r.code != 1 || !strings.HasPrefix(r.out, warm+"  rejected  ") {
		t.Errorf("retried before the cause was gone: %+v", r)
	}
	p.must("", "delete", "table", "room", "-d", "db", "--yes")
	p.must("", "create", "table", "room", "-d", "db", "--tags", "name", "--fields", "temp:utf8")
	r := finish(t, p.client("rejected", "retry", "-d", "db", "--all"), "")
	if r.code != 1 || !strings.Contains(r.out, warm+"  retried\n") || r.errors != "1 stored now, 1 not.\n" {
		t.Errorf("retried after: %+v", r)
	}
	if got := p.query("SELECT name, temp, epoch_ns(time) AS ns FROM room"); got != "name,temp,ns\nhall,warm,2\n" {
		t.Errorf("stored: %q", got)
	}
	if left := p.must("", "rejected", "list", "-d", "db"); strings.Contains(left, warm) || !strings.Contains(left, "No fields") {
		t.Errorf("still rejected: %s", left)
	}
	if left := p.must("", "rejected", "list", "-d", "db", "--status", "retried"); !strings.Contains(left, warm) {
		t.Errorf("retried: %s", left)
	}
}

func TestRejectedPointsCanBeTurnedOff(t *testing.T) {
	p := serve(t, "--object-store", "memory", "--rejected-points-retention", "0")
	if r := finish(t, p.client("write", "-d", "db"), "room v=1\nroom\n"); r.code != 1 {
		t.Fatalf("write: %+v", r)
	}
	if list := p.must("", "rejected", "list", "-d", "db", "--format", "json"); list != "[]\n" {
		t.Errorf("kept: %s", list)
	}
}

func TestDatabasesAreManaged(t *testing.T) {
	p := serve(t, "--object-store", "memory", "--no-auto-create", "--max-databases", "2")
	p.must("", "create", "database", "home", "--retention-period", "30d")
	if r := finish(t, p.client("write", "-d", "other"), "m v=1\n"); r.code != 1 || !strings.Contains(r.errors, "404") {
		t.Errorf("a write creates a database: %+v", r)
	}
	if r := finish(t, p.client("create", "database", "home"), ""); r.code != 1 || !strings.Contains(r.errors, "already exists") {
		t.Errorf("twice: %+v", r)
	}
	p.must("", "create", "datasource", "--project", "shop", "--datasource", "web")
	if list := p.must("", "show", "datasources"); !strings.Contains(list, "shop,web,shop/web,") {
		t.Errorf("datasources: %s", list)
	}
	if r := finish(t, p.client("create", "database", "third"), ""); r.code != 1 || !strings.Contains(r.errors, "422") {
		t.Errorf("beyond the limit: %+v", r)
	}
	if list := p.must("", "show", "databases"); !strings.Contains(list, "\nhome\n") || !strings.Contains(list, "\nshop/web\n") {
		t.Errorf("databases: %s", list)
	}
	if r := finish(t, p.client("write", "-d", "home"), "m\n"); r.code != 1 {
		t.Errorf("a line without fields: %+v", r)
	}
	p.must("", "update", "database", "home", "--retention-period", "7d")
	if list := p.must("", "show", "retention"); !strings.Contains(list, "\nhome,,7d\n") || !strings.Contains(list, "\nshop/web,,none\n") {
		t.Errorf("retention periods: %s", list)
	}
	p.must("", "delete", "database", "home", "--yes", "--hard-delete-at", "never")
	if list := p.must("", "show", "databases"); strings.Contains(list, "home") {
		t.Errorf("databases after the deletion: %s", list)
	}
	if list := p.must("", "show", "databases", "--show-deleted"); !strings.Contains(list, "\nhome-") {
		t.Errorf("deleted databases: %s", list)
	}
}

// TestWriteContractChangesTheAnswer, and the quota ends the writes of a window.
func TestWriteContractChangesTheAnswer(t *testing.T) {
	p := serve(t, "--object-store", "memory", "--write-contract", "dedicated", "--write-quota-requests", "1", "--write-quota-window", "100d")
	resp, err := http.Post(p.host+"/api/v2/write?bucket=db", "text/plain", strings.NewReader("m v=1\nm\n"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Errorf("%s, %s, %v", resp.Status, body, err)
	}
	if got := p.status(http.MethodPost, "/api/v2/write?bucket=db", "m v=1"); got != http.StatusServiceUnavailable {
		t.Errorf("beyond the quota: %d", got)
	}
}

// TestDemoShowsItsServerAToken once somebody has made one.
func TestDemoShowsItsServerAToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	demo := func(token string) result {
		return finish(t, as(token, siltstone(t, "demo", "--dir", dir, "--http-bind", "127.0.0.1:0")), "")
	}
	if r := demo(""); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	s := readChild(t, dir)
	t.Cleanup(func() { stopChild(t, dir, s) })
	p := &process{t: t, host: s.Host, log: &syncBuffer{}}
	admin := strings.TrimSpace(p.must("", "create", "token", "--admin"))
	if r := demo(""); r.code != 1 || !strings.Contains(r.errors, "the demo's server is running at "+s.Host) || !strings.Contains(r.errors, "--token") {
		t.Errorf("without the token: %+v", r)
	}
	if r := demo(admin); r.code != 0 || !strings.Contains(r.out, "already running") {
		t.Errorf("with the token: %+v", r)
	}
}
