package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// answer is what a server of the tests says to every request.
type answer struct {
	status int
	body   string
}

// runAgainst runs a command against a server that answers all requests alike, and
// returns what the command said and the requests as the server saw them.
func runAgainst(t *testing.T, a answer, env environment, args ...string) (result, []string) {
	t.Helper()
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen = append(seen, strings.TrimSpace(r.Method+" "+r.URL.String()+" "+string(body)))
		if got, want := r.Header.Get("Content-Type") == "application/json", len(body) > 0; got != want {
			t.Errorf("%s: content type %q", r.URL, r.Header.Get("Content-Type"))
		}
		w.WriteHeader(a.status)
		fmt.Fprint(w, a.body)
	}))
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	t.Setenv("SILTSTONE_HOST_URL", srv.URL)
	var out, errs bytes.Buffer
	env.stdout, env.stderr = &out, &errs
	if env.stdin == nil {
		env.stdin = strings.NewReader("")
	}
	code := run(context.Background(), env, args)
	return result{code, out.String(), errs.String()}, seen
}

func TestCommandsSendWhatTheySay(t *testing.T) {
	const made = `{"id":1,"name":"n","token":"apiv3_new","hash":"00","created_at":"2026-11-20T08:00:00Z","expiry":null,"database":"p/d"}`
	for args, want := range map[string]string{
		"create database home":                                          `POST /api/v3/configure/database {"db":"home","retention_period":null}`,
		"create database home --retention-period 30d":                   `POST /api/v3/configure/database {"db":"home","retention_period":"30d"}`,
		"update database home --retention-period 30d":                   `PUT /api/v3/configure/database {"db":"home","retention_period":"30d"}`,
		"update database home --retention-period none":                  `PUT /api/v3/configure/database {"db":"home","retention_period":null}`,
		"delete database home -y":                                       `DELETE /api/v3/configure/database?db=home&hard_delete_at=default`,
		"delete database home --yes --hard-delete-at now":               `DELETE /api/v3/configure/database?db=home&hard_delete_at=now`,
		"create table room -d home --tags a,b --fields x:y:utf8,z:bool": `POST /api/v3/configure/table {"db":"home","table":"room","tags":["a","b"],"fields":[{"name":"x:y","type":"utf8"},{"name":"z","type":"bool"}]}`,
		"create last_cache -d home -t room":                             `POST /api/v3/configure/last_cache {"db":"home","table":"room"}`,
		"create last_cache -d home -t room --key-columns a,b --value-columns c --count 5 --ttl 30m newest": `POST /api/v3/configure/last_cache {"db":"home","table":"room","name":"newest","key_columns":["a","b"],"value_columns":["c"],"count":5,"ttl":1800}`,
		"create distinct_cache -d home -t room --columns a,b --max-cardinality 9 --max-age 30d rooms":      `POST /api/v3/configure/distinct_cache {"db":"home","table":"room","name":"rooms","columns":["a","b"],"max_cardinality":9,"max_age":2592000}`,
		"delete last_cache -d home -t room newest":                                                         `DELETE /api/v3/configure/last_cache?db=home&name=newest&table=room`,
		"delete distinct_cache -d home -t room rooms":                                                      `DELETE /api/v3/configure/distinct_cache?db=home&name=rooms&table=room`,
		"create table room -d home":                                                                        `POST /api/v3/configure/table {"db":"home","table":"room","tags":[],"fields":[]}`,
		"delete table room -d home -y":                                                                     `DELETE /api/v3/configure/table?db=home&hard_delete_at=default&table=room`,
		"create token --admin":                                                                             `POST /api/v3/configure/token/admin`,
		"create token --admin --regenerate -y":                                                             `POST /api/v3/configure/token/admin/regenerate`,
		"create token --admin --name n --expiry 1h":                                                        `POST /api/v3/configure/token/named_admin {"token_name":"n","expiry_secs":3600}`,
		"create token --name n --permission db:a,b:read,write --permission db:*:read --expiry 30d": `POST /api/v3/configure/token {"token_name":"n","permissions":[` +
			`{"resource_type":"db","resource_identifier":["a","b"],"actions":["read","write"]},{"resource_type":"db","resource_identifier":["*"],"actions":["read"]}],"expiry_secs":2592000}`,
		"delete token n -y":                            `DELETE /api/v3/configure/token?token_name=n`,
		"create datasource --project p --datasource d": `POST /api/v3/configure/datasource {"project":"p","datasource":"d"}`,
		"show databases --format json":                 `GET /api/v3/configure/database?format=json`,
		"show databases --show-deleted":                `GET /api/v3/configure/database?format=csv&show_deleted=true`,
		"show tokens --format pretty":                  `GET /api/v3/configure/token?format=pretty`,
		"show datasources --format jsonl":              `GET /api/v3/configure/datasource?format=jsonl`,
		"kill 17":                                      `POST /query?q=KILL+QUERY+17`,
	} {
		t.Run(args, func(t *testing.T) {
			r, seen := runAgainst(t, answer{200, made}, environment{}, strings.Fields(args)...)
			if r.code != 0 || len(seen) != 1 || seen[0] != want {
				t.Errorf("%+v\nsent %q\nwant %q", r, seen, want)
			}
		})
	}
}

// TestNewTokenIsAllOfStandardOutput, so that a shell can keep it in a variable.
func TestNewTokenIsAllOfStandardOutput(t *testing.T) {
	a := answer{201, `{"name":"n","token":"apiv3_new","expiry":"2027-01-01T00:00:00Z"}`}
	r, _ := runAgainst(t, a, environment{}, "create", "token", "--name", "n", "--permission", "db:x:read")
	if r.out != "apiv3_new\n" || !strings.Contains(r.errors, `"n". It expires at 2027-01-01T00:00:00Z`) || strings.Contains(r.errors, "apiv3_new") {
		t.Errorf("%+v", r)
	}
}

func TestKillSaysWhatTheServerSays(t *testing.T) {
	if r, _ := runAgainst(t, answer{200, `{"results":[{"statement_id":0}]}`}, environment{}, "kill", "17"); r.code != 0 || r.errors != "Query 17 is ended.\n" {
		t.Errorf("%+v", r)
	}
	r, _ := runAgainst(t, answer{200, `{"results":[{"statement_id":0,"error":"no query 17 of yours is running"}]}`}, environment{}, "kill", "17")
	if r.code != 1 || r.errors != "siltstone: no query 17 of yours is running\n" {
		t.Errorf("%+v", r)
	}
}

func TestDatasourceNamesItsDatabase(t *testing.T) {
	r, _ := runAgainst(t, answer{201, `{"database":"p/d"}`}, environment{}, "create", "datasource", "--project", "p", "--datasource", "d")
	if r.code != 0 || !strings.Contains(r.errors, "query database p/d") {
		t.Errorf("%+v", r)
	}
}

func TestDeletionIsConfirmedByTypingTheName(t *testing.T) {
	for _, c := range []struct {
		typed string
		isTTY bool
		sent  int
		says  string
	}{
		{"home\n", true, 1, "is deleted"},
		{" home \r\n", true, 1, "is deleted"},
		{"y\n", true, 0, "nothing was done"},
		{"\n", true, 0, "nothing was done"},
		{"home", true, 0, "nothing was done"}, // the terminal was closed
		{"home\n", false, 0, "add --yes"},
	} {
		r, seen := runAgainst(t, answer{status: 200}, environment{stdin: strings.NewReader(c.typed), stdinTTY: c.isTTY}, "delete", "database", "home")
		if len(seen) != c.sent || r.code != 1-c.sent || !strings.Contains(r.errors, c.says) {
			t.Errorf("%+v: %+v, sent %q", c, r, seen)
		}
	}
	for _, args := range []string{"delete table t -d home", "delete token t", "create token --admin --regenerate"} {
		if r, seen := runAgainst(t, answer{status: 200}, environment{}, strings.Fields(args)...); r.code != 1 || len(seen) != 0 {
			t.Errorf("%s: %+v, sent %q", args, r, seen)
		}
	}
}

func TestEveryClientShowsItsToken(t *testing.T) {
	var shown []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = append(shown, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusTeapot)
	}))
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	t.Setenv("INFLUXDB3_AUTH_TOKEN", "apiv3_influx")
	commands := []string{
		"write -d db", "query -d db x", "flush", "rejected list", "rejected show -d db x", "rejected retry -d db --all",
		"create database x", "create table x -d db", "create token --admin", "create datasource --project p --datasource d",
		"show databases", "show tokens", "show datasources", "show retention", "update database x --retention-period 1d",
		"delete database x -y", "delete table x -d db -y", "delete token x -y", "show queries", "kill 1",
	}
	try := func(want string, more ...string) {
		t.Helper()
		for _, command := range commands {
			shown = nil
			env := environment{stdin: strings.NewReader("m v=1\n"), stdout: io.Discard, stderr: io.Discard}
			args := append(append(strings.Fields(command), "--host", srv.URL), more...)
			if code := run(context.Background(), env, args); code != 1 || len(shown) != 1 || shown[0] != want {
				t.Errorf("%s: exit status %d, showed %q, want %q", command, code, shown, want)
			}
		}
	}
	try("Bearer apiv3_influx")
	t.Setenv("SILTSTONE_AUTH_TOKEN", "apiv3_ours\n")
	try("Bearer apiv3_ours")
	try("Bearer apiv3_flag", "--token", "apiv3_flag")
}

func TestTokensAreNeverPrinted(t *testing.T) {
	c, err := parse(t, "query", "-d", "x", "--token", "apiv3_seen", "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(format, c.Query); strings.Contains(got, "seen") || strings.Contains(got, fmt.Sprintf("%x", "seen")) {
			t.Errorf("%s: %s", format, got)
		}
	}
	t.Setenv("SILTSTONE_AUTH_TOKEN", "apiv3_seen")
	for _, args := range [][]string{{"query", "--help"}, {"query", "--nonsense"}, {"query", "-d", "x", "SELECT 1", "--host", "http://127.0.0.1:1"}} {
		var out bytes.Buffer
		run(context.Background(), environment{stdout: &out, stderr: &out}, args)
		if strings.Contains(out.String(), "seen") {
			t.Errorf("%q: %s", args, &out)
		}
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		status int
		token  string
		want   string
	}{
		{401, "", "While a server has none, this makes the first:\n  siltstone create token --admin"},
		{401, "apiv3_x", "is not known there, has expired, or may not do this"},
		{403, "apiv3_x", "siltstone create token --name NAME --permission"},
		{409, "apiv3_x", "refused\n"},
	} {
		t.Setenv("SILTSTONE_AUTH_TOKEN", c.token)
		for _, args := range []string{"show tokens", "query -d x SELECT", "flush"} {
			r, _ := runAgainst(t, answer{c.status, `{"error":"refused"}`}, environment{}, strings.Fields(args)...)
			if r.code != 1 || !strings.Contains(r.errors, "refused\n") || !strings.Contains(r.errors, c.want) {
				t.Errorf("%d, %s: %+v, want %q", c.status, args, r, c.want)
			}
		}
	}
}
