package httpapi

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/schema"
)

// noon is the time of the tests of configuration.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 250_000_000, time.UTC)

const (
	asAdmin  = "Bearer admin-secret"
	jsonKind = "application/json"
)

// newConfigured starts a server with one admin token, at noon.
func newConfigured(t *testing.T) *site {
	t.Helper()
	s := newSite(t, Options{Now: func() time.Time { return noon }}, true)
	s.addToken(schema.Token{Name: "boss", Admin: true, Created: noon.Add(-time.Hour).UnixNano()}, "admin-secret")
	return s
}

// configure sends a configuration request as an admin.
func (s *site) configure(method, path, body string) answer {
	s.t.Helper()
	return s.do(method, path, strings.NewReader(body), "Authorization", asAdmin, "Content-Type", jsonKind)
}

// issued checks the answer to who created a token, and returns the token. The body is
// compared byte by byte, apart from the secret and its hash.
func (a answer) issued(t *testing.T, wantID int, name, expiry string) string {
	t.Helper()
	var got tokenAnswer
	if err := json.Unmarshal([]byte(a.text), &got); err != nil {
		t.Fatalf("%s: %v in %s", a.Status, err, a.text)
	}
	hash := auth.Hash(got.Token)
	want := fmt.Sprintf(`{"id":%d,"name":%q,"token":%q,"hash":%q,"created_at":"2026-11-20T12:00:00.250Z","expiry":%s}`,
		wantID, name, got.Token, hex.EncodeToString(hash[:]), expiry)
	a.is(t, 201, want)
	if !strings.HasPrefix(got.Token, "apiv3_") || len(got.Token) != len("apiv3_")+86 {
		t.Errorf("the token has another form than InfluxDB 3's: %d bytes", len(got.Token))
	}
	if kind, cache := a.Header.Get("Content-Type"), a.Header.Get("Cache-Control"); kind != jsonKind || cache != "no-store" {
		t.Errorf("Content-Type %q, Cache-Control %q", kind, cache)
	}
	return got.Token
}

func TestOperatorTokenIsMadeOnceAndReplaced(t *testing.T) {
	s := newSite(t, Options{Now: func() time.Time { return noon }}, true)
	s.do("POST", tokenPath+"/admin/regenerate", nil).is(t, 404, `{"error":"missing admin token, cannot update"}`)
	first := s.do("POST", tokenPath+"/admin", nil).issued(t, 1, "_admin", "null")
	s.do("POST", tokenPath+"/admin", nil).is(t, 401, unauthenticatedBody)
	s.do("POST", tokenPath+"/admin", nil, "Authorization", "Bearer "+first).is(t, 409, `{"error":"token name already exists, _admin"}`)
	s.do("DELETE", tokenPath+"?token_name=_admin", nil, "Authorization", "Bearer "+first).is(t, 405, `{"error":"cannot delete operator token"}`)

	s.do("POST", tokenPath+"/admin/regenerate", nil).is(t, 401, unauthenticatedBody)
	second := s.do("POST", tokenPath+"/admin/regenerate", nil, "Authorization", "Bearer "+first).issued(t, 1, "_admin", "null")
	s.get(databases, "Authorization", "Bearer "+first).is(t, 401, unauthenticatedBody)
	s.get(databases, "Authorization", "Bearer "+second).is(t, 200, `[]`)
}

func TestNamedAdminTokens(t *testing.T) {
	s := newConfigured(t)
	path := tokenPath + "/named_admin"
	token := s.configure("POST", path, `{"token_name":"ops","expiry_secs":60}`).issued(t, 2, "ops", `"2026-11-20T12:01:00.250Z"`)
	s.get(tokenPath, "Authorization", "Bearer "+token)
	s.do("POST", path, strings.NewReader(`{"token_name":"more","expiry_secs":null}`), "Authorization", "Bearer "+token, "Content-Type", jsonKind).
		issued(t, 3, "more", "null")
	s.configure("POST", path, `{"token_name":"ops"}`).is(t, 409, `{"error":"token name already exists, ops"}`)
	s.configure("POST", path, `{"token_name":"_admin"}`).is(t, 409, `{"error":"token name already exists, _admin"}`)
	s.configure("DELETE", tokenPath+"?token_name=more", "").is(t, 200, "")
	s.configure("DELETE", tokenPath+"?token_name=more", "").is(t, 404, `{"error":"the requested resource was not found: more"}`)
	s.configure("DELETE", tokenPath, "").is(t, 400, "{\"error\":\"serde error: missing field `token_name`\"}")
}

// TestScopedTokensMayDoWhatTheirPermissionsSay creates them at both paths and in both
// spellings, and uses them.
func TestScopedTokensMayDoWhatTheirPermissionsSay(t *testing.T) {
	s := newConfigured(t)
	reader := s.configure("POST", tokenPath, `{"token_name":"reader","permissions":[{"resource_type":"db","resource_identifier":["db","db2"],"actions":["read"]}]}`).
		issued(t, 2, "reader", "null")
	writer := s.configure("POST", enterpriseTokenPath, `{"token_name":"writer","permissions":[{"resource_type":"db","resource_names":["*"],"actions":["write"]}],"expiry_secs":3600}`).
		issued(t, 3, "writer", `"2026-11-20T13:00:00.250Z"`)
	for _, db := range []string{"db", "db2", "db3"} {
		s.post("/api/v3/write_lp?db="+db, "m f=1 1", "Authorization", "Bearer "+writer).is(t, 204, "")
		want := 200
		if db == "db3" {
			want = 403
		}
		if a := s.get("/api/v3/query_sql?q=SELECT+1&db="+db, "Authorization", "Bearer "+reader); a.StatusCode != want {
			t.Errorf("reading %s: %s", db, a.Status)
		}
	}
	s.get(databases, "Authorization", "Bearer "+reader).is(t, 200, `[{"iox::database":"db"},{"iox::database":"db2"}]`)
	s.get(databases, "Authorization", "Bearer "+writer).is(t, 200, `[]`)
}

func TestBadTokensAreRefused(t *testing.T) {
	s := newConfigured(t)
	permission := func(text string) string { return `{"token_name":"x","permissions":[` + text + `]}` }
	cases := map[string]struct{ body, want string }{
		"no JSON":        {`token_name=x`, "serde json error: invalid character 'o' in literal true (expecting 'r')"},
		"no name":        {`{"permissions":[]}`, "serde json error: missing field `token_name`"},
		"no permissions": {`{"token_name":"x"}`, "serde json error: missing field `permissions`"},
		"control character": {
			`{"token_name":"a\nb","permissions":[]}`, "the name of a token is printable text of at most 255 bytes",
		},
		"long name": {
			`{"token_name":"` + strings.Repeat("x", 256) + `"}`, "the name of a token is printable text of at most 255 bytes",
		},
		"other resource": {permission(`{"resource_type":"system","resource_names":["*"],"actions":["read"]}`), "unknown resource_type `system`, expected `db`"},
		"other action":   {permission(`{"resource_type":"db","resource_names":["*"],"actions":["own"]}`), "unknown action `own`, expected `read` or `write`"},
		"no action": {
			permission(`{"resource_type":"db","resource_names":["*"]}`),
			`a permission needs a resource_identifier such as [\"mydb\"] or [\"*\"], and actions such as [\"read\"]`,
		},
		"no database": {
			permission(`{"resource_type":"db","actions":["read"]}`),
			`a permission needs a resource_identifier such as [\"mydb\"] or [\"*\"], and actions such as [\"read\"]`,
		},
		"impossible database": {
			permission(`{"resource_type":"db","resource_names":["my db"],"actions":["read"]}`),
			"invalid character in database or rp name: must be ASCII, containing only letters, numbers, underscores, or hyphens",
		},
		"no time at all": {
			`{"token_name":"x","expiry_secs":0}`, "expiry_secs is 0: the token would never be of use; leave it out for one that does not expire",
		},
		"no end in sight": {
			`{"token_name":"x","expiry_secs":18446744073709551615}`,
			"expiry_secs 18446744073709551615 goes beyond the year 2262; leave it out for a token that does not expire",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s.configure("POST", tokenPath, c.body).is(t, 400, `{"error":"`+c.want+`"}`)
		})
	}
	s.configure("POST", tokenPath, permission(`{"resource_type":"db","resource_names":["_internal"],"actions":["read"]}`)).issued(t, 2, "x", "null")
	a := s.post(tokenPath, `{}`, "Authorization", asAdmin, "Content-Type", "text/plain")
	a.is(t, 415, `{"error":"unacceptable content-type, expected: application/json"}`)
}

func TestTokensAreListedWithoutTheirSecrets(t *testing.T) {
	s := newConfigured(t)
	s.configure("POST", tokenPath, `{"token_name":"a \"b\"","expiry_secs":1,"permissions":[`+
		`{"resource_type":"db","resource_identifier":["db"],"actions":["read","write"]},{"resource_type":"db","resource_identifier":["*"],"actions":["write"]}]}`)
	for format, want := range map[string]string{
		"": `[{"id":1,"name":"boss","created_at":"2026-11-20T11:00:00.250Z","permissions":"*:*:*"},` +
			`{"id":2,"name":"a \"b\"","created_at":"2026-11-20T12:00:00.250Z","expiry":"2026-11-20T12:00:01.250Z","permissions":"db:db:read,write;db:*:write"}]`,
		"jsonl": `{"id":1,"name":"boss","created_at":"2026-11-20T11:00:00.250Z","permissions":"*:*:*"}
{"id":2,"name":"a \"b\"","created_at":"2026-11-20T12:00:00.250Z","expiry":"2026-11-20T12:00:01.250Z","permissions":"db:db:read,write;db:*:write"}`,
		"csv": `id,name,created_at,expiry,permissions
1,boss,2026-11-20T11:00:00.250Z,,*:*:*
2,"a ""b""",2026-11-20T12:00:00.250Z,2026-11-20T12:00:01.250Z,"db:db:read,write;db:*:write"`,
		"pretty": `+----+-------+--------------------------+--------------------------+-----------------------------+
| id | name  | created_at               | expiry                   | permissions                 |
+----+-------+--------------------------+--------------------------+-----------------------------+
| 1  | boss  | 2026-11-20T11:00:00.250Z |                          | *:*:*                       |
| 2  | a "b" | 2026-11-20T12:00:00.250Z | 2026-11-20T12:00:01.250Z | db:db:read,write;db:*:write |
+----+-------+--------------------------+--------------------------+-----------------------------+`,
	} {
		s.configure("GET", tokenPath+"?format="+format, "").is(t, 200, want)
		s.configure("GET", enterpriseTokenPath+"?format="+format, "").is(t, 200, want)
	}
}
