package httpapi

import (
	"cmp"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/schema"
)

// routeExample is a request for a route, on the database db, or the datasource db of the
// project p, where it names one. It does no harm that a later request would feel.
type routeExample struct {
	path  string // without the route's wildcards; empty where it has none
	query string
	body  string
	needs need // of a route for projects
}

// need is the permission that a route for projects asks for.
type need uint8

const (
	either need = iota
	reading
	writing
)

// The paths of the Ingest API, as the router has them and filled in.
const (
	streamPath = "/v1/project/{project}/datasource/{datasource}/stream"
	dsPath     = "/v1/project/p/datasource/db/stream"
)

// examples has a request for each route.
var examples = map[string]routeExample{
	"POST /write":                                          {query: "?db=db", body: "m f=1"},
	"POST /api/v2/write":                                   {query: "?bucket=db", body: "m f=1"},
	"POST /api/v2/delete":                                  {query: "?bucket=db", body: `{"start":"1970-01-01T00:00:00Z","stop":"1970-01-02T00:00:00Z"}`},
	"POST /api/v3/write_lp":                                {query: "?db=db", body: "m f=1"},
	"GET /api/v3/query_sql":                                {query: "?db=db&q=SELECT+1"},
	"POST /api/v3/query_sql":                               {body: `{"db":"db","q":"SELECT 1"}`},
	"GET /api/v3/query_influxql":                           {query: "?db=db&q=SHOW+MEASUREMENTS"},
	"POST /api/v3/query_influxql":                          {body: `{"db":"db","q":"SHOW MEASUREMENTS"}`},
	"GET /query":                                           {query: "?q=SHOW+DATABASES"},
	"POST /query":                                          {query: "?q=SHOW+DATABASES"},
	"POST /api/v2/query":                                   {body: `from(bucket: "db")`},
	"POST /api/v3/flush":                                   {},
	"POST " + checkPath:                                    {query: "?rate=0"},
	"POST " + compactPath:                                  {query: "?db=db&wait=true"},
	"POST " + restorePath:                                  {query: "?db=db&as=other"},
	"POST " + backupPath:                                   {},
	"GET /ping":                                            {},
	"POST /ping":                                           {},
	"GET /health":                                          {},
	"GET /metrics":                                         {},
	"GET /debug/pprof":                                     {},
	"GET " + profilePath + "{$}":                           {path: profilePath},
	"GET " + profilePath + "{name}":                        {path: profilePath + "goroutine"},
	"GET " + profilePath + "profile":                       {query: "?seconds=0.01"},
	"GET " + profilePath + "trace":                         {query: "?seconds=0.01"},
	"GET " + profilePath + "cmdline":                       {},
	"GET " + profilePath + "symbol":                        {},
	"POST " + profilePath + "symbol":                       {},
	"POST " + tokenPath + "/admin":                         {},
	"POST " + tokenPath + "/admin/regenerate":              {},
	"POST " + tokenPath + "/named_admin":                   {body: `{"token_name":"second"}`},
	"GET " + tokenPath:                                     {},
	"POST " + tokenPath:                                    {body: `{"token_name":"third","permissions":[{"resource_type":"db","resource_identifier":["db"],"actions":["read"]}]}`},
	"DELETE " + tokenPath:                                  {query: "?token_name=nobody"},
	"GET " + enterpriseTokenPath:                           {},
	"POST " + enterpriseTokenPath:                          {body: `{"token_name":"fourth","permissions":[{"resource_type":"db","resource_names":["db"],"actions":["read"]}]}`},
	"DELETE " + enterpriseTokenPath:                        {query: "?token_name=nobody"},
	"GET " + databasePath:                                  {query: "?format=json"},
	"POST " + databasePath:                                 {body: `{"db":"fresh"}`},
	"PUT " + databasePath:                                  {body: `{"db":"fresh","retention_period":"1d"}`},
	"DELETE " + databasePath:                               {query: "?db=nothing"},
	"POST " + databasePath + "/retention_period":           {query: "?db=nothing&duration=1d"},
	"DELETE " + databasePath + "/retention_period":         {query: "?db=nothing"},
	"POST /api/v3/configure/table":                         {body: `{"db":"fresh","table":"t","tags":["a"],"fields":[{"name":"f","type":"bool"}]}`},
	"PUT /api/v3/configure/table":                          {body: `{"db":"nothing","table":"t","retention_period":"1d"}`},
	"GET /api/v3/retention/expired":                        {},
	"DELETE /api/v3/configure/table":                       {query: "?db=nothing&table=t"},
	"DELETE " + rowsPath:                                   {query: "?db=db&table=m&start=1970-01-01T00:00:00Z&stop=1970-01-02T00:00:00Z"},
	"GET " + rollupPath:                                    {},
	"POST " + rollupPath:                                   {body: `{"db":"nothing","name":"r","source":"m","interval":"5m","aggregates":["mean(f)"]}`},
	"DELETE " + rollupPath:                                 {query: "?db=nothing&name=r"},
	"POST " + rollupPath + "/refresh":                      {query: "?db=nothing&name=r"},
	"POST " + lastCachePath:                                {body: `{"db":"nothing","table":"t"}`},
	"DELETE " + lastCachePath:                              {query: "?db=nothing&table=t&name=c"},
	"POST " + distinctCachePath:                            {body: `{"db":"nothing","table":"t","columns":["a"]}`},
	"DELETE " + distinctCachePath:                          {query: "?db=nothing&table=t&name=c"},
	"GET /api/v3/configure/datasource":                     {},
	"POST /api/v3/configure/datasource":                    {body: `{"project":"p","datasource":"d"}`},
	"POST /api/v3/rejected/retry":                          {body: `{"db":"db"}`},
	"GET " + streamPath + "":                               {path: dsPath + "", needs: either},
	"POST " + streamPath + "/contacts":                     {path: dsPath + "/contacts", needs: writing, body: `[{"_user_id":"u"}]`},
	"POST " + streamPath + "/events":                       {path: dsPath + "/events", needs: writing, body: `[{"_user_id":"u","_event_id":"e","_event_type":"t"}]`},
	"GET " + streamPath + "/contacts/{id}":                 {path: dsPath + "/contacts/u", needs: reading},
	"DELETE " + streamPath + "/contacts/{id}":              {path: dsPath + "/contacts/u", needs: writing},
	"GET " + streamPath + "/specs/attributes":              {path: dsPath + "/specs/attributes", needs: either},
	"GET " + streamPath + "/specs/events":                  {path: dsPath + "/specs/events", needs: either},
	"GET " + streamPath + "/specs/event-parameters/{type}": {path: dsPath + "/specs/event-parameters/t", needs: either},
}

// sender is someone who sends requests.
type sender struct {
	name   string
	header string
	token  *schema.Token // nil for who has none that is known
	may    permissions
}

// headers adds the sender's to others.
func (s sender) headers(others ...string) []string {
	if s.header == "" {
		return others
	}
	return append(others, "Authorization", s.header)
}

// permissions are what the access of a route asks about.
type permissions struct{ isKnown, isAdmin, mayRead, mayWrite bool }

// senders are all kinds of senders, with respect to the database db.
func senders(now time.Time) []sender {
	scoped := func(name, database string, read, write bool) sender {
		return sender{
			name: name, header: "Bearer " + name, may: permissions{true, false, read && database == "db", write && database == "db"},
			token: &schema.Token{Name: name, Permissions: []schema.Permission{
				{Database: database, Read: read, Write: write}, {Database: "p/" + database, Read: read, Write: write},
			}},
		}
	}
	return []sender{
		{name: "no token"},
		{name: "malformed header", header: "Bearer"},
		{name: "unknown token", header: "Bearer apiv3_nobody"},
		{name: "expired", header: "Bearer expired", token: &schema.Token{Name: "expired", Admin: true, Expiry: now.UnixNano()}},
		scoped("other database", "other", true, true),
		scoped("reader", "db", true, false),
		scoped("writer", "db", false, true),
		{name: "admin", header: "Bearer admin", token: &schema.Token{Name: "admin", Admin: true}, may: permissions{true, true, true, true}},
	}
}

// refusal is the status that refuses a request to a route of an access; 0 is none.
func refusal(a access, needs need, s sender) int {
	switch {
	case a == forAnyone:
		return 0
	case s.name == "malformed header" && a != forProjects:
		return http.StatusBadRequest
	case !s.may.isKnown:
		return http.StatusUnauthorized
	}
	switch a {
	case forAdmins, forBootstrap:
		return unless(s.may.isAdmin, http.StatusForbidden)
	case forReaders:
		return unless(s.may.mayRead, http.StatusForbidden)
	case forWriters:
		return unless(s.may.mayWrite, http.StatusUnauthorized)
	case forProjects:
		return unless(needs.isMet(s.may), http.StatusNotFound)
	}
	return 0
}

func (n need) isMet(may permissions) bool {
	switch n {
	case reading:
		return may.mayRead
	case writing:
		return may.mayWrite
	}
	return may.mayRead || may.mayWrite
}

func unless(allowed bool, status int) int {
	if allowed {
		return 0
	}
	return status
}

// newGuarded starts a server that knows the tokens of the senders.
func newGuarded(t *testing.T, opts Options) (*site, []sender) {
	t.Helper()
	now := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	opts.Now = func() time.Time { return now }
	s := newSite(t, opts, true)
	s.write("m f=1")
	if _, err := s.api.backend.Load().engine.CreateDatasource("p", "db"); err != nil {
		t.Fatal(err)
	}
	all := senders(now)
	for i := range all {
		if all[i].token == nil {
			continue
		}
		// Tokens of the usual form have no blanks in them.
		secret := strings.ReplaceAll(strings.TrimPrefix(all[i].header, "Bearer "), " ", "_")
		all[i].header = "Bearer " + secret
		s.addToken(*all[i].token, secret)
	}
	return s, all
}

// addToken makes a secret of the test's choice known.
func (s *site) addToken(token schema.Token, secret string) {
	s.t.Helper()
	token.Hash = auth.Hash(secret)
	if _, err := s.api.backend.Load().engine.CreateToken(token); err != nil {
		s.t.Fatal(err)
	}
}

// TestEveryRouteAnswersThoseItIsFor walks the router's own table: a route without an
// example fails the test.
func TestEveryRouteAnswersThoseItIsFor(t *testing.T) {
	s, all := newGuarded(t, Options{})
	s.addToken(schema.Token{Name: auth.OperatorName, Admin: true}, "operator") // for regenerate
	walked := make(map[string]bool)
	for _, rt := range s.api.routes() {
		name := rt.method + " " + rt.path
		walked[name] = true
		example, ok := examples[name]
		if !ok {
			t.Errorf("%s has no example", name)
			continue
		}
		path := cmp.Or(example.path, rt.path) + example.query
		for _, from := range all {
			a := s.do(rt.method, path, strings.NewReader(example.body),
				from.headers("Content-Type", "application/json")...)
			checkAdmission(t, name+" from "+from.name, a, refusal(rt.access, example.needs, from))
		}
	}
	for name := range examples {
		if !walked[name] {
			t.Errorf("there is an example for %s, which is no route", name)
		}
	}
}

// checkAdmission checks that a request was refused with a status, or served if it is 0.
func checkAdmission(t *testing.T, what string, a answer, refused int) {
	t.Helper()
	got := a.StatusCode
	switch {
	case refused != 0 && got != refused:
		t.Errorf("%s: %d, want %d: %s", what, got, refused, a.text)
	case refused == 0 && (got >= 500 || got == 400 || got == 401 || got == 403 || got == 405):
		t.Errorf("%s: %d, want it served: %s", what, got, a.text)
	}
	if refused == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s: 401 without WWW-Authenticate", what)
	}
	if cors := a.Header.Get("Access-Control-Allow-Origin"); (cors == "*") != (got < 400) {
		t.Errorf("%s: %d with Access-Control-Allow-Origin %q", what, got, cors)
	}
	if a.Header.Get("Cluster-Uuid") == "" {
		t.Errorf("%s: no cluster-uuid", what)
	}
}

// TestUnknownSendersDoNotLearnWhichPathsExist: authentication comes before routing.
func TestUnknownSendersDoNotLearnWhichPathsExist(t *testing.T) {
	s, all := newGuarded(t, Options{})
	for _, from := range all {
		for _, r := range []struct {
			method, path string
			status       int // for who is known
		}{
			{"GET", "/nothing", 404},
			{"GET", "/write", 405},
			{"DELETE", "/api/v3/query_sql", 405},
		} {
			want := r.status
			if refused := refusal(forKnown, either, from); refused != 0 {
				want = refused
			}
			if a := s.do(r.method, r.path, nil, from.headers()...); a.StatusCode != want {
				t.Errorf("%s %s from %s: %d, want %d", r.method, r.path, from.name, a.StatusCode, want)
			}
		}
	}
}
