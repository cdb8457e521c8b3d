package httpapi

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/schema"
)

const (
	unauthenticatedBody = `{"error":"the request was not authenticated"}`
	malformedBody       = `{"error":"Authorization header was malformed, the request was not in the form of 'Authorization: <auth-scheme> <token>', supported auth-schemes are Bearer, Token and Basic"}`
)

// databases is a request for any known sender.
const databases = databasePath + "?format=json"

func TestTokensComeInEveryForm(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.addToken(schema.Token{Name: "admin", Admin: true}, "secret")
	for _, header := range []string{
		"Bearer secret", "Token secret", "bearer secret", "TOKEN secret",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("anyone:secret")),
	} {
		s.get(databases, "Authorization", header).is(t, 200, `[]`)
	}
	s.get(databases).is(t, 401, unauthenticatedBody)
	s.get(databases, "Authorization", "Bearer Secret").is(t, 401, unauthenticatedBody)
	for _, header := range []string{"secret", "Bearer", "Digest secret", "Bearer secret secret", "Basic secret"} {
		s.get(databases, "Authorization", header).is(t, 400, malformedBody)
	}
}

func TestSeveralAuthorizationHeadersAreMalformed(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.addToken(schema.Token{Name: "admin", Admin: true}, "secret")
	r := httptest.NewRequestWithContext(context.Background(), "GET", databases, nil)
	r.Header["Authorization"] = []string{"Bearer secret", "Bearer secret"}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	if w.Code != 400 || strings.TrimSpace(w.Body.String()) != malformedBody {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}

// TestPasswordParameterIsTheToken: on the paths of InfluxDB 1, and there before the header.
func TestPasswordParameterIsTheToken(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.addToken(schema.Token{Name: "admin", Admin: true}, "secret")
	s.post("/write?db=db&u=anyone&p=secret", "m f=1").is(t, 204, "")
	s.post("/write?db=db&p=secret", "m f=1", "Authorization", "Bearer wrong").is(t, 204, "")
	s.post("/write?db=db&p=secret", "m f=1", "Authorization", "nonsense").is(t, 204, "")
	s.post("/write?db=db&u=&p=", "m f=1", "Authorization", "Bearer secret").is(t, 204, "")
	for _, path := range []string{"/write?db=db&p=wrong", "/write?db=db&u=secret", "/api/v2/write?bucket=db&p=secret", "/api/v3/write_lp?db=db&p=secret"} {
		if a := s.post(path, "m f=1"); a.StatusCode != 401 {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	if a := s.post("/write?db=db&p=wrong", "m f=1", "Authorization", "Bearer secret"); a.StatusCode != 401 {
		t.Errorf("the header won: %s", a.Status)
	}
}

func TestServerIsOpenUntilThereIsAToken(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.get(databases).is(t, 200, `[]`)
	s.get(databases, "Authorization", "nonsense").is(t, 200, `[]`)
	if a := s.get("/health"); a.StatusCode != 200 {
		t.Errorf("/health: %s", a.Status)
	}
	if a := s.post(tokenPath+"/admin", ""); a.StatusCode != 201 {
		t.Fatalf("%s %s", a.Status, a.text)
	}
	s.get(databases).is(t, 401, unauthenticatedBody)
	for _, path := range []string{"/health", "/ping", "/metrics"} {
		s.get(path).is(t, 401, unauthenticatedBody)
	}
}

// TestServerThatIsNotOpenWithoutTokensNeedsOne: a stranger cannot make the first either.
func TestServerThatIsNotOpenWithoutTokensNeedsOne(t *testing.T) {
	api, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	setReady(t, api)
	ask := func(method, path string) int {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), method, path, nil))
		return w.Code
	}
	for _, path := range []string{databases, "/ping", "/nothing"} {
		if status := ask("GET", path); status != 401 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status := ask("POST", tokenPath+"/admin"); status != 401 {
		t.Errorf("the first admin token: %d", status)
	}
}

// TestScopedTokensAloneLeaveTheWayToAnAdmin: otherwise nobody could manage the server.
func TestScopedTokensAloneLeaveTheWayToAnAdmin(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.addToken(schema.Token{Name: "reader", Permissions: []schema.Permission{{Database: "db", Read: true}}}, "reader")
	s.get(databases).is(t, 401, unauthenticatedBody)
	if a := s.post(tokenPath+"/admin", ""); a.StatusCode != 201 {
		t.Errorf("%s %s", a.Status, a.text)
	}
	s.post(tokenPath+"/admin", "").is(t, 401, unauthenticatedBody)
	s.post(tokenPath+"/admin", "", "Authorization", "Bearer reader").is(t, 403, `{"error":"token \"reader\" is not an admin token, which this request needs"}`)
}

func TestServerWithoutAuthIsOpenAndHasNoTokens(t *testing.T) {
	s := newSite(t, Options{WithoutAuth: true}, true)
	s.addToken(schema.Token{Name: "admin", Admin: true}, "secret")
	s.get(databases).is(t, 200, `[]`)
	s.get(databases, "Authorization", "nonsense").is(t, 200, `[]`)
	for _, r := range []struct{ method, path string }{
		{"POST", tokenPath + "/admin"},
		{"POST", tokenPath + "/admin/regenerate"},
		{"POST", tokenPath + "/named_admin"},
		{"GET", tokenPath},
		{"DELETE", tokenPath + "?token_name=admin"},
		{"POST", enterpriseTokenPath},
		{"GET", tokenPath + "/whatever"},
	} {
		a := s.do(r.method, r.path, nil)
		a.is(t, 405, `{"error":"endpoint disabled, started without auth"}`)
		if _, ok := a.Header["Allow"]; !ok {
			t.Errorf("%s %s: no Allow", r.method, r.path)
		}
	}
}

func TestProbesCanBeExempt(t *testing.T) {
	s := newSite(t, Options{DisableAuthz: []string{"health", "metrics"}}, true)
	s.addToken(schema.Token{Name: "admin", Admin: true}, "secret")
	for path, want := range map[string]int{"/health": 200, "/metrics": 200, "/ping": 401, databases: 401} {
		if a := s.get(path); a.StatusCode != want {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	s.get("/health", "Authorization", "nonsense").is(t, 200, `{"status":"pass","name":"siltstone","message":"ready for queries and writes","version":"dev"}`)
	if _, err := New(Options{DisableAuthz: []string{"health", "write"}}); err == nil || !strings.Contains(err.Error(), `"write"`) {
		t.Errorf("a route that holds data can be exempt: %v", err)
	}
}

func TestTokensExpireWhileTheServerRuns(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := newSite(t, Options{Now: func() time.Time { return now }}, true)
	s.addToken(schema.Token{Name: "temporary", Admin: true, Expiry: now.Add(time.Hour).UnixNano()}, "secret")
	s.get(databases, "Authorization", "Bearer secret").is(t, 200, `[]`)
	now = now.Add(time.Hour)
	s.get(databases, "Authorization", "Bearer secret").is(t, 401, unauthenticatedBody)
	s.get(databases).is(t, 401, unauthenticatedBody)
	s.post(tokenPath+"/admin", "").is(t, 401, unauthenticatedBody)
}

func TestDeletedTokensStopAtOnce(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.addToken(schema.Token{Name: "admin", Admin: true}, "secret")
	s.addToken(schema.Token{Name: "gone", Admin: true}, "gone")
	s.get(databases, "Authorization", "Bearer gone").is(t, 200, `[]`)
	s.do("DELETE", tokenPath+"?token_name=gone", nil, "Authorization", "Bearer secret").is(t, 200, "")
	s.get(databases, "Authorization", "Bearer gone").is(t, 401, unauthenticatedBody)
}

// TestDenialsNameDatabaseAndPermission: the reader of the message can ask for it.
func TestDenialsNameDatabaseAndPermission(t *testing.T) {
	s, _ := newGuarded(t, Options{})
	s.get(sqlPath("SELECT 1"), "Authorization", "Bearer writer").is(t, 403, `{"error":"token \"writer\" has no read permission for database \"db\""}`)
	s.post("/api/v3/write_lp?db=db", "m f=1", "Authorization", "Bearer reader").is(t, 401, `{"error":"token \"reader\" has no write permission for database \"db\""}`)
	// A database that does not exist is no different from one that the token must not see.
	s.get("/api/v3/query_sql?db=nothing&q=SELECT+1", "Authorization", "Bearer reader").is(t, 403, `{"error":"token \"reader\" has no read permission for database \"nothing\""}`)
}

// TestSecretsStayOutOfTheLog makes the server log a fault of its own at every level.
func TestSecretsStayOutOfTheLog(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	api, err := New(Options{Logger: log, OpenWithoutTokens: true})
	if err != nil {
		t.Fatal(err)
	}
	setReady(t, api)
	s := &site{t: t, api: api}
	s.addToken(schema.Token{Name: "admin", Admin: true}, "apiv3_secret")
	api.handle(route{method: "GET", path: "/broken", access: forAdmins, handler: func(*backend, http.ResponseWriter, *http.Request) error {
		return errors.New("the disk went away")
	}})
	for _, token := range []string{"apiv3_secret", "apiv3_secret_of_another_server"} {
		for _, r := range []struct{ path, header string }{
			{"/query?p=" + token, ""},
			{"/broken", "Bearer " + token},
			{"/query", "Unknown " + token},
			{"/nothing?p=" + token, "Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+token))},
		} {
			req := httptest.NewRequestWithContext(context.Background(), "GET", r.path, nil)
			if r.header != "" {
				req.Header.Set("Authorization", r.header)
			}
			w := httptest.NewRecorder()
			api.ServeHTTP(w, req)
			if strings.Contains(w.Body.String(), "apiv3_") {
				t.Errorf("%s: the answer repeats the token: %s", r.path, w.Body)
			}
		}
	}
	if !strings.Contains(out.String(), "the disk went away") || strings.Contains(out.String(), "apiv3_") {
		t.Errorf("logged %s", out.String())
	}
}

// TestBodyOfAnUnknownSenderIsNotRead announces a gigabyte, sends none of it and gets the
// answer.
func TestBodyOfAnUnknownSenderIsNotRead(t *testing.T) {
	s := newSite(t, Options{MaxRequestBytes: 2 << 30}, true)
	s.addToken(schema.Token{Name: "admin", Admin: true}, "secret")
	s.addToken(schema.Token{Name: "reader", Permissions: []schema.Permission{{Database: "db", Read: true}}}, "reader")
	for _, header := range []string{"", "Authorization: Bearer nobody\r\n", "Authorization: Bearer reader\r\n"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /api/v3/write_lp?db=db HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n", header, 1<<30)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 401 {
			t.Errorf("%q: %s", header, resp.Status)
		}
	}
	if held := s.api.bodies.buffered.Load(); held != 0 {
		t.Errorf("%d bytes are held for bodies", held)
	}
}

// TestPreflightsNeedNoToken: browsers send none.
func TestPreflightsNeedNoToken(t *testing.T) {
	for _, ready := range []bool{false, true} {
		s := newSite(t, Options{}, ready)
		if ready {
			s.addToken(schema.Token{Name: "admin", Admin: true}, "secret")
		}
		for _, path := range []string{"/api/v3/write_lp", "/nothing"} {
			a := s.do(http.MethodOptions, path, nil, "Origin", "https://example.com", "Access-Control-Request-Method", "POST")
			a.is(t, 204, "")
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "*",
				"Access-Control-Allow-Headers": "*, Authorization", "Access-Control-Max-Age": "86400",
			} {
				if got := a.Header.Get(name); got != want {
					t.Errorf("%s: %q", name, got)
				}
			}
		}
	}
}

// TestProbesAreAnsweredBeforeTokensAreKnown: there is nothing to protect yet.
func TestProbesAreAnsweredBeforeTokensAreKnown(t *testing.T) {
	s := newSite(t, Options{}, false)
	if a := s.get("/ping", "Authorization", "nonsense"); a.StatusCode != 200 {
		t.Errorf("/ping: %s", a.Status)
	}
	s.get("/nothing").is(t, 503, `{"error":"siltstone is starting; retry soon"}`)
	s.post(tokenPath+"/admin", "").is(t, 503, `{"error":"siltstone is starting; retry soon"}`)
}

func TestEveryAnswerOfAReadyServerNamesTheInstance(t *testing.T) {
	s := newSite(t, Options{}, true)
	want := s.api.backend.Load().engine.InstanceID()
	for _, path := range []string{"/ping", "/nothing", databases, "/api/v3/query_sql"} {
		if got := s.get(path).Header.Get("cluster-uuid"); got == "" || got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestTokensAreIndexedOnceForEachChange: a request does not pay for their number.
func TestTokensAreIndexedOnceForEachChange(t *testing.T) {
	s := newSite(t, Options{}, true)
	index := func() *auth.Index { return s.api.tokens.of(s.api.backend.Load().engine.Tokens()) }
	empty := index()
	s.addToken(schema.Token{Name: "a"}, "a")
	one := index()
	if one == empty || one != index() || one.IsEmpty() {
		t.Error("the index is made too often or not often enough")
	}
	s.addToken(schema.Token{Name: "b"}, "b")
	if two := index(); two == one || two != index() {
		t.Error("the index is made too often or not often enough")
	}
}
