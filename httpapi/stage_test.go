package httpapi

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// stageNow is what all clocks of a stage say.
var stageNow = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// setup is a state of the server that writes may meet.
type setup struct {
	opts    Options
	limits  catalog.Limits
	without bool                                                 // no engine: it is starting
	prepare func(t *testing.T, s *site) (vars map[string]string) // variables of requests
}

// setups by the names that docs/write-api.md uses.
var setups = map[string]setup{
	"":         {prepare: prepareDatabases},
	"strict":   {opts: Options{DisableAutoCreate: true}},
	"small":    {opts: Options{MaxRequestBytes: 100}},
	"tables":   {limits: catalog.Limits{Columns: 2}},
	"full":     {limits: catalog.Limits{Databases: 1}, prepare: fillDatabases},
	"quota":    {opts: Options{WriteQuotaRequests: 1, WriteQuotaWindow: time.Minute}, prepare: useQuota},
	"tokens":   {prepare: prepareTokens},
	"starting": {without: true},
	"broken":   {prepare: breakQuota},
}

// newStage starts a server under a contract in the state that a setup describes.
func newStage(t *testing.T, c Contract, name string) (*site, map[string]string) {
	t.Helper()
	set, ok := setups[name]
	if !ok {
		t.Fatalf("there is no setup %q", name)
	}
	opts := set.opts
	opts.WriteContract = c
	opts.Now = func() time.Time { return stageNow }
	s := newSite(t, opts, false)
	if !set.without {
		e, err := engine.Open(engine.Options{DataDir: t.TempDir(), PoolBytes: 256 << 20, Limits: set.limits, Now: opts.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		s.api.SetReady(e, nil)
	}
	if set.prepare == nil {
		return s, nil
	}
	return s, set.prepare(t, s)
}

// stages are servers that are shared by requests under the same contract and setup.
type stages map[string]*stage

type stage struct {
	site *site
	vars map[string]string
}

func (st stages) get(t *testing.T, c Contract, setup string) *stage {
	t.Helper()
	key := string(c) + " " + setup
	if st[key] == nil {
		s, vars := newStage(t, c, setup)
		st[key] = &stage{s, vars}
	}
	return st[key]
}

// prepareDatabases makes a database that keeps points for 30 days.
func prepareDatabases(t *testing.T, s *site) map[string]string {
	t.Helper()
	if err := s.api.backend.Load().engine.CreateDatabase("recent", 30*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	return nil
}

func fillDatabases(t *testing.T, s *site) map[string]string {
	t.Helper()
	if a := s.post("/api/v3/write_lp?db=other", "cpu v=1 1"); a.StatusCode != 204 {
		t.Fatal(a.text)
	}
	return nil
}

func useQuota(t *testing.T, s *site) map[string]string {
	t.Helper()
	return fillDatabases(t, s)
}

// prepareTokens makes a token for one database.
func prepareTokens(t *testing.T, s *site) map[string]string {
	t.Helper()
	return map[string]string{
		"TOKEN": issueToken(t, s, schema.Token{Name: "sensors", Permissions: []schema.Permission{{Database: "garden", Read: true, Write: true}}}),
	}
}

// issueToken stores a token and returns its secret.
func issueToken(t *testing.T, s *site, token schema.Token) string {
	t.Helper()
	secret, hash := auth.NewToken()
	token.Hash = hash
	if _, err := s.api.backend.Load().engine.CreateToken(token); err != nil {
		t.Fatal(err)
	}
	return secret
}

// breakQuota makes a fault of the server's own of every write.
func breakQuota(_ *testing.T, s *site) map[string]string {
	s.api.quota.requests = 1
	s.api.quota.now = func() time.Time { panic("the clock has stopped") }
	return nil
}

// wire sends bytes as they are and returns what comes back until the server closes.
func (s *site) wire(text string) string {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	back, err := io.ReadAll(conn)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(back)
}

// expectContinue announces a large body, waits to be asked for it, and returns the status
// line that comes instead.
func (s *site) expectContinue(path string) string {
	s.t.Helper()
	back := s.wire("POST " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n")
	status, _, _ := strings.Cut(back, "\r\n")
	return status
}
