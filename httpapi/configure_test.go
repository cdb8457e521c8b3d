package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

func TestDatabasesAreCreatedChangedAndDeleted(t *testing.T) {
	s := newConfigured(t)
	retention := func(name string) time.Duration {
		t.Helper()
		d, ok := s.api.backend.Load().engine.Schema().Database(name)
		if !ok {
			t.Fatalf("there is no database %s", name)
		}
		return d.Retention
	}
	steps := []struct {
		method, path, body string
		status             int
		answer             string
		retention          time.Duration
	}{
		{"POST", databasePath, `{"db":"foo"}`, 200, "", 0},
		{"POST", databasePath, `{"db":"foo"}`, 409, `{"error":"attempted to create a resource that already exists"}`, 0},
		{"PUT", databasePath, `{"db":"foo","retention_period":"1h 30m"}`, 200, "", 90 * time.Minute},
		{"PUT", databasePath, `{"db":"foo","retention_period":null}`, 200, "", 0},
		{"POST", databasePath + "/retention_period?db=foo&duration=2w", "", 204, "", 14 * 24 * time.Hour},
		{"DELETE", databasePath + "/retention_period?db=foo", "", 204, "", 0},
		{"DELETE", databasePath + "?db=foo", "", 200, "", -1},
		{"DELETE", databasePath + "?db=foo", "", 404, `{"error":"the requested resource was not found: foo"}`, -1},
		{"PUT", databasePath, `{"db":"foo","retention_period":"1h"}`, 404, `{"error":"the requested resource was not found: foo"}`, -1},
		{"POST", databasePath + "/retention_period?db=foo&duration=2w", "", 404, `{"error":"the requested resource was not found: foo"}`, -1},
		{"DELETE", databasePath + "/retention_period?db=foo", "", 404, `{"error":"the requested resource was not found: foo"}`, -1},
		{"POST", databasePath, `{"db":"foo","retention_period":"30d"}`, 200, "", 30 * 24 * time.Hour},
		{"DELETE", databasePath + "?db=_internal", "", 404, `{"error":"the requested resource was not found: _internal"}`, -1},
	}
	for _, step := range steps {
		s.configure(step.method, step.path, step.body).is(t, step.status, step.answer)
		if step.retention >= 0 {
			if got := retention("foo"); got != step.retention {
				t.Errorf("%s %s %s: points are kept for %v", step.method, step.path, step.body, got)
			}
		}
	}
}

func TestBadDatabaseRequestsAreRefused(t *testing.T) {
	s := newConfigured(t)
	cases := []struct{ method, path, body, want string }{
		{"POST", databasePath, `{}`, "serde json error: missing field `db`"},
		{"POST", databasePath, `{"db":`, "serde json error: unexpected end of JSON input"},
		{"POST", databasePath, `{"db":7}`, "serde json error: json: cannot unmarshal number into Go struct field databaseBody.db of type string"},
		{"POST", databasePath, `{"db":"_foo"}`, "db name did not start with a number or letter"},
		{"POST", databasePath, `{"db":"foo","retention_period":"soon"}`, `serde json error: duration \"soon\": a whole number is needed at \"soon\"`},
		{"POST", databasePath, `{"db":"foo","retention_period":"0s"}`, "serde json error: a retention period of zero keeps nothing; to keep points for ever set none"},
		{"PUT", databasePath, `{"retention_period":"1h"}`, "serde json error: missing field `db`"},
		{"DELETE", databasePath, ``, "serde error: missing field `db`"},
		{"DELETE", databasePath + "?db=foo&hard_delete_at=later", ``, "invalid hard_delete_at `later`, expected `never`, `now`, `default` or a time such as 2026-11-20T08:00:00Z"},
		{"POST", databasePath + "/retention_period?db=foo", ``, "serde error: missing field `duration`"},
		{"POST", databasePath + "/retention_period?duration=1h", ``, "serde error: missing field `db`"},
		{"POST", databasePath + "/retention_period?db=foo&duration=1x", ``, `invalid duration: duration \"1x\": \"x\" is no unit of time; use one such as s, m, h, d, w, months or y`},
		{"DELETE", databasePath + "/retention_period", ``, "serde error: missing field `db`"},
		{"GET", databasePath, ``, "serde error: missing field `format`"},
		{"GET", databasePath + "?format=xml", ``, "unknown format `xml`, expected one of `json`, `jsonl`, `csv`, `pretty`, `parquet`, `arrow`"},
		{"GET", databasePath + "?format=json&show_deleted=yes", ``, "serde error: provided string was not `true` or `false`: show_deleted=yes"},
		{"GET", databasePath + "?format=%zz", ``, `malformed query string: invalid URL escape \"%zz\"`},
	}
	for _, c := range cases {
		s.configure(c.method, c.path, c.body).is(t, 400, `{"error":"`+c.want+`"}`)
	}
}

// TestBodiesMustBeJSON: a request that a browser's form can send must not configure.
func TestBodiesMustBeJSON(t *testing.T) {
	s := newConfigured(t)
	for kind, want := range map[string]int{
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "json": 415, "application/json2": 415,
		"application/json": 409, "application/json; charset=utf-8": 409, "Application/JSON": 409, "application/vnd.x+json": 409,
	} {
		s.configure("POST", databasePath, `{"db":"foo"}`)
		a := s.post(databasePath, `{"db":"foo"}`, "Authorization", asAdmin, "Content-Type", kind)
		if a.StatusCode != want {
			t.Errorf("%q: %s", kind, a.Status)
		}
		if want == 415 && strings.TrimSpace(a.text) != `{"error":"unacceptable content-type, expected: application/json"}` {
			t.Errorf("%q: %s", kind, a.text)
		}
	}
}

func TestLargeConfigurationBodiesAreRefused(t *testing.T) {
	s := newSite(t, Options{MaxRequestBytes: 100}, true)
	a := s.post(databasePath, `{"db":"`+strings.Repeat("x", 100)+`"}`, "Content-Type", jsonKind)
	a.is(t, 413, `{"error":"max request size (100 bytes) exceeded"}`)
}

func TestDatabasesAreListedInEveryFormat(t *testing.T) {
	s := newConfigured(t)
	s.configure("GET", databases, "").is(t, 200, `[]`)
	s.configure("GET", databasePath+"?format=csv", "").is(t, 200, "iox::database")
	s.configure("POST", databasePath, `{"db":"foo"}`)
	s.configure("POST", databasePath, `{"db":"bar-1"}`)
	for format, want := range map[string]struct{ kind, body string }{
		"json":  {"application/json", `[{"iox::database":"bar-1"},{"iox::database":"foo"}]`},
		"jsonl": {"application/jsonl", "{\"iox::database\":\"bar-1\"}\n{\"iox::database\":\"foo\"}"},
		"csv":   {"text/csv", "iox::database\nbar-1\nfoo"},
		"pretty": {"text/plain; charset=utf-8", `+---------------+
| iox::database |
+---------------+
| bar-1         |
| foo           |
+---------------+`},
	} {
		a := s.configure("GET", databasePath+"?format="+format, "")
		a.is(t, 200, want.body)
		if got := a.Header.Get("Content-Type"); got != want.kind {
			t.Errorf("%s: Content-Type %q", format, got)
		}
	}
	s.configure("GET", databases+"&show_deleted=true", "").is(t, 200, `[{"iox::database":"bar-1","deleted":false},{"iox::database":"foo","deleted":false}]`)
}

// TestDeletedDatabasesAreListedForAdminsOnly, under the names that InfluxDB 3 gives them.
func TestDeletedDatabasesAreListedForAdminsOnly(t *testing.T) {
	s := newConfigured(t)
	s.addToken(schema.Token{Name: "reader", Permissions: []schema.Permission{{Database: "*", Read: true}}}, "reader")
	s.configure("POST", databasePath, `{"db":"foo"}`)
	s.configure("DELETE", databasePath+"?db=foo", "").is(t, 200, "")
	s.get(databases+"&show_deleted=true", "Authorization", "Bearer reader").is(t, 200, `[]`)
	deleted := s.api.backend.Load().engine.Schema().DeletedDatabases()
	if len(deleted) != 1 {
		t.Fatalf("%d databases are deleted", len(deleted))
	}
	name := "foo-" + time.Unix(0, deleted[0].Deleted.At).UTC().Format("20060102T150405")
	s.configure("GET", databases+"&show_deleted=true", "").is(t, 200, `[{"iox::database":"`+name+`","deleted":true}]`)
	s.configure("GET", databases, "").is(t, 200, `[]`)
}

func TestTablesAreCreatedAndDeleted(t *testing.T) {
	s := newConfigured(t)
	const path = "/api/v3/configure/table"
	const all = `{"db":"db","table":"t","tags":["host","region"],"fields":[{"name":"s","type":"utf8"},{"name":"i","type":"int64"},` +
		`{"name":"u","type":"uint64"},{"name":"f","type":"float64"},{"name":"b","type":"bool"}]}`
	s.configure("POST", path, all).is(t, 200, "")
	db, ok := s.api.backend.Load().engine.Schema().Database("db")
	if !ok {
		t.Fatal("the database was not created with the table")
	}
	table, ok := db.Table("t")
	if !ok {
		t.Fatal("there is no table")
	}
	for i, want := range []schema.Column{
		{ID: 1, Name: "host", Type: schema.Tag},
		{ID: 2, Name: "region", Type: schema.Tag},
		{ID: 3, Name: "s", Type: schema.String},
		{ID: 4, Name: "i", Type: schema.Int64},
		{ID: 5, Name: "u", Type: schema.Uint64},
		{ID: 6, Name: "f", Type: schema.Float64},
		{ID: 7, Name: "b", Type: schema.Bool},
	} {
		if got := table.Columns[i]; got.ID != want.ID || got.Name != want.Name || got.Type != want.Type {
			t.Errorf("column %d is %+v", i+1, got)
		}
	}
	s.post("/api/v3/write_lp?db=db", "t,host=a i=1i", "Authorization", asAdmin).is(t, 204, "")
	steps := []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"POST", path, all, 409, `{"error":"attempted to create a resource that already exists"}`},
		{"POST", path, `{"db":"db","table":"x","tags":[],"fields":[{"name":"f","type":"float"}]}`, 400, "{\"error\":\"serde json error: unknown variant `float`, expected one of `utf8`, `int64`, `uint64`, `float64`, `bool`\"}"},
		{"POST", path, `{"db":"db","table":"x","tags":["a","a"]}`, 400, `{"error":"column \"a\" occurs twice"}`},
		{"POST", path, `{"db":"db","table":"x","tags":["a"],"fields":[{"name":"a","type":"bool"}]}`, 400, `{"error":"column \"a\" occurs twice"}`},
		{"POST", path, `{"db":"db","table":"x","tags":["time"]}`, 400, `…\"time\" is reserved"}`},
		{"POST", path, `{"db":"db","table":"x","tags":[""]}`, 400, `…the name of a column is empty"}`},
		{"POST", path, `{"db":"db","tags":[]}`, 400, "{\"error\":\"serde json error: missing field `table`\"}"},
		{"POST", path, `{"table":"x","tags":[]}`, 400, "{\"error\":\"serde json error: missing field `db`\"}"},
		{"POST", path, `{"db":"-","table":"x"}`, 400, `{"error":"db name did not start with a number or letter"}`},
		{"DELETE", path + "?db=db", "", 400, "{\"error\":\"serde error: missing field `table`\"}"},
		{"DELETE", path + "?db=db&table=x", "", 404, `{"error":"the requested resource was not found: db.x"}`},
		{"DELETE", path + "?db=x&table=t", "", 404, `{"error":"the requested resource was not found: x.t"}`},
		{"DELETE", path + "?db=db&table=t&hard_delete_at=1", "", 400, "{\"error\":\"invalid hard_delete_at `1`, expected `never`, `now`, `default` or a time such as 2026-11-20T08:00:00Z\"}"},
		{"DELETE", path + "?db=db&table=t", "", 200, ""},
		{"DELETE", path + "?db=db&table=t", "", 404, `{"error":"the requested resource was not found: db.t"}`},
		{"POST", path, all, 200, ""},
	}
	for _, step := range steps {
		a := s.configure(step.method, step.path, step.body)
		if end, ok := strings.CutPrefix(step.answer, "…"); ok && strings.HasSuffix(a.text, end+"\n") {
			step.answer = strings.TrimSuffix(a.text, "\n")
		}
		a.is(t, step.status, step.answer)
	}
}

func TestDeletionsArePurgedWhenAsked(t *testing.T) {
	s := newConfigured(t)
	for when, want := range map[string]int64{
		"":                                     0,
		"&hard_delete_at=never":                0,
		"&hard_delete_at=default":              noon.Add(72 * time.Hour).UnixNano(),
		"&hard_delete_at=2100-01-01T00:00:00Z": time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(),
		"&hard_delete_at=2100-01-01T00:00:00%2B02:00": time.Date(2099, 12, 31, 22, 0, 0, 0, time.UTC).UnixNano(),
	} {
		s.configure("POST", "/api/v3/configure/table", `{"db":"db","table":"t","fields":[{"name":"f","type":"bool"}]}`).is(t, 200, "")
		s.configure("DELETE", "/api/v3/configure/table?db=db&table=t"+when, "").is(t, 200, "")
		db, _ := s.api.backend.Load().engine.Schema().Database("db")
		deleted := db.DeletedTables()
		if got := deleted[len(deleted)-1].Deleted.PurgeAt; got != want {
			t.Errorf("%s: purged at %v, want %v", when, time.Unix(0, got).UTC(), time.Unix(0, want).UTC())
		}
	}
}

func TestPurgeTimes(t *testing.T) {
	for text, want := range map[string]time.Time{
		"now": noon, "2020-01-01T00:00:00Z": noon, "never": {}, "": {}, "default": noon.Add(72 * time.Hour),
	} {
		r, err := http.NewRequest("DELETE", "/x?hard_delete_at="+text, nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parseParams(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := purgeTime(p, noon); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestDatasourcesAreCreatedAndListed(t *testing.T) {
	s := newConfigured(t)
	const path = "/api/v3/configure/datasource"
	s.configure("GET", path, "").is(t, 200, `[]`)
	s.configure("POST", path, `{"project":"p","datasource":"d"}`).is(t, 201, `{"project":"p","datasource":"d","database":"p/d"}`)
	s.configure("POST", path, `{"project":"p","datasource":"d"}`).is(t, 409, `{"error":"attempted to create a resource that already exists"}`)
	s.configure("POST", path, `{"project":"p"}`).is(t, 400, "{\"error\":\"serde json error: missing field `datasource`\"}")
	s.configure("POST", path, `{"datasource":"d"}`).is(t, 400, "{\"error\":\"serde json error: missing field `project`\"}")
	s.configure("POST", path, `{"project":"_p","datasource":"d"}`).is(t, 400, `{"error":"db name did not start with a number or letter"}`)
	s.configure("GET", databases, "").is(t, 200, `[{"iox::database":"p/d"}]`)
	all := s.api.backend.Load().engine.Datasources()
	if len(all) != 1 {
		t.Fatalf("there are %d datasources", len(all))
	}
	s.configure("GET", path+"?format=csv", "").is(t, 200, "project,datasource,database,created_at\np,d,p/d,"+formatTime(all[0].Created))
}

func TestTimesAreWrittenToTheMillisecond(t *testing.T) {
	for at, want := range map[time.Time]string{
		noon:                       "2026-11-20T12:00:00.250Z",
		noon.Truncate(time.Second): "2026-11-20T12:00:00Z",
		noon.Add(999_999):          "2026-11-20T12:00:00.250Z",
	} {
		if got := formatTime(at.UnixNano()); got != want {
			t.Errorf("%v: %s", at, got)
		}
	}
}

func TestTablesHaveRetentionPeriodsOfTheirOwn(t *testing.T) {
	s := newConfigured(t)
	for _, step := range []struct {
		method, path, body string
		status             int
		answer             string
		retention          time.Duration
	}{
		{"POST", tablePath, `{"db":"foo","table":"m","tags":["k"],"fields":[],"retention_period":"7d"}`, 200, "", 7 * 24 * time.Hour},
		{"PUT", tablePath, `{"db":"foo","table":"m","retention_period":"1h"}`, 200, "", time.Hour},
		{"PUT", tablePath, `{"db":"foo","table":"m","retention_period":null}`, 200, "", 0},
		{
			"PUT", tablePath, `{"db":"foo","table":"m","retention_period":"0s"}`, 400,
			`{"error":"serde json error: a retention period of zero keeps nothing; to keep points for ever set none"}`, 0,
		},
		{"PUT", tablePath, `{"db":"foo","table":"n","retention_period":"1h"}`, 404, `{"error":"the requested resource was not found: foo.n"}`, 0},
		{"PUT", tablePath, `{"db":"bar","table":"m","retention_period":"1h"}`, 404, `{"error":"the requested resource was not found: bar.m"}`, 0},
		{"PUT", tablePath, `{"table":"m"}`, 400, "{\"error\":\"serde json error: missing field `db`\"}", 0},
		{
			"GET", expiredPath + "?format=csv", "", 200,
			"database,table_name,retention_period,hidden_before,files,rows,bytes,oldest,partly_expired_files,trimmed_files,next_file_expires", 0,
		},
		{"GET", expiredPath + "?table=m", "", 400, "{\"error\":\"the table `m` needs the parameter db\"}", 0},
		{"GET", expiredPath + "?db=foo&table=n", "", 404, `{"error":"the requested resource was not found: foo.n"}`, 0},
		{
			"GET", expiredPath + "?duration=1x", "", 400,
			`{"error":"invalid duration: duration \"1x\": \"x\" is no unit of time; use one such as s, m, h, d, w, months or y"}`, 0,
		},
	} {
		s.configure(step.method, step.path, step.body).is(t, step.status, step.answer)
		db, _ := s.api.backend.Load().engine.Schema().Database("foo")
		if m, ok := db.Table("m"); !ok || m.Retention != step.retention {
			t.Errorf("%s %s %s: the table is %+v", step.method, step.path, step.body, m)
		}
	}
}
