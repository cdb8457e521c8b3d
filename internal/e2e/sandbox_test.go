//go:build duckdb_arrow

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// What no answer, no error and no header may hold.
const (
	canary = "canary-3f1c"       // in a text file of the data directory
	prey   = "prey-9b77"         // in another database, and in an environment variable
	passwd = "root:"             // in /etc/passwd
	buffer = "siltstone_buffer(" // in a text that DuckDB runs
)

// sandbox is a server with a database mine, which a token may read, and prey around it.
type sandbox struct {
	*server
	admin, token string
	sql          *flightsql.Client
	fill         *strings.Replacer // of the words that attacks use for places
	secrets      []string
}

// newSandbox starts one. Queries have little time and memory.
func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	site := newSite(t)
	site.env = []string{"SILTSTONE_PREY=" + prey}
	b := &sandbox{server: site.start("--without-auth=false", "--query-timeout", "300ms",
		"--exec-mem-pool-bytes", "300MiB", "--query-spill-max-bytes", "16MiB")}
	b.admin = b.makeToken("/api/v3/configure/token/admin", "")
	b.token = b.makeToken("/api/v3/configure/token", `{"token_name":"reader","permissions":[{"resource_type":"db","resource_identifier":["mine"],"actions":["read"]}]}`)
	b.mustWrite("mine", "cpu,host=a usage=1 1\n")
	b.mustWrite("other", "secret,host="+prey+" "+prey+"=1 1\n"+prey+" v=1 1\n")
	if a := b.as(b.admin, http.MethodPost, "/api/v3/flush", nil, nil); a.status != http.StatusNoContent {
		t.Fatalf("flush: %d %s", a.status, a.body)
	}
	b.mustWrite("mine", "cpu,host=b usage=2 2\n")
	for _, sql := range []string{"SELECT * FROM secret", "SELECT '" + prey + "' AS x FROM secret"} {
		if a := b.as(b.admin, http.MethodGet, "/api/v3/query_sql", url.Values{"db": {"other"}, "q": {sql}}, nil); !strings.Contains(a.body, prey) {
			t.Fatalf("the owner of the prey is answered %d %s", a.status, a.body)
		}
	}
	file := filepath.Join(site.dataDir(), "canary.txt")
	if err := os.WriteFile(file, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.fill = strings.NewReplacer("FILE", b.fileOf("other"), "DIR", site.dataDir(), "CANARY", file)
	b.secrets = []string{canary, prey, passwd, buffer, site.dataDir(), b.admin}
	var err error
	b.sql, err = flightsql.NewClient(strings.TrimPrefix(b.url, "http://"), nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.sql.Close() })
	return b
}

// as sends a request with a token. It may be called from any goroutine.
func (b *sandbox) as(token, method, path string, params url.Values, body []byte) answer {
	header := []string{"Authorization", "Bearer " + token}
	if bytes.HasPrefix(body, []byte("{")) {
		header = append(header, "Content-Type", "application/json")
	}
	a, err := b.do(method, path, params, body, header...)
	if err != nil {
		b.site.t.Errorf("%s %s: %v", method, path, err)
	}
	return a
}

func (b *sandbox) makeToken(path, body string) string {
	b.site.t.Helper()
	a := b.as(b.admin, http.MethodPost, path, nil, []byte(body))
	var made struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.Token == "" {
		b.site.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return made.Token
}

func (b *sandbox) mustWrite(db, lines string) {
	b.site.t.Helper()
	if a := b.as(b.admin, http.MethodPost, "/api/v3/write_lp", url.Values{"db": {db}}, []byte(lines)); a.status != http.StatusNoContent {
		b.site.t.Fatalf("writing to %s: %d %s", db, a.status, a.body)
	}
}

// fileOf returns the path of a Parquet file of a database.
func (b *sandbox) fileOf(db string) string {
	b.site.t.Helper()
	a := b.as(b.admin, http.MethodGet, "/api/v3/query_sql", url.Values{"db": {db}, "format": {"csv"}, "q": {"SELECT path FROM system.parquet_files LIMIT 1"}}, nil)
	_, path, _ := strings.Cut(a.body, "\n")
	path = filepath.Join(b.site.dataDir(), path)
	if _, err := os.Stat(path); err != nil {
		b.site.t.Fatal(err)
	}
	return path
}

// attacks reads the attempts that package query is tested with: those that must be refused,
// and those that may be answered.
func (b *sandbox) attacks() (refused, harmless []string) {
	b.site.t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "query", "testdata", "attacks.txt"))
	if err != nil {
		b.site.t.Fatal(err)
	}
	to := &refused
	for line := range strings.Lines(string(text)) {
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "# harmless":
			to = &harmless
		case line != "" && !strings.HasPrefix(line, "# "):
			*to = append(*to, b.fill.Replace(line))
		}
	}
	if len(refused) < 200 || len(harmless) < 20 {
		b.site.t.Fatalf("%d attempts are to be refused and %d may be answered", len(refused), len(harmless))
	}
	return refused, harmless
}

// told is what an entry told its caller.
type told struct {
	isAnswer bool // and no error
	isFault  bool // of the server
	text     string
}

// entry is a way to have a text run.
type entry struct {
	name  string
	isSQL bool
	try   func(text string) told
}

func (b *sandbox) entries() []entry {
	formats := []string{"json", "csv", "jsonl", "pretty", "arrow"}
	return []entry{
		{"GET", true, func(text string) told {
			return b.http(http.MethodGet, "/api/v3/query_sql", url.Values{"db": {"mine"}, "q": {text}, "format": {formats[len(text)%len(formats)]}}, nil)
		}},
		{"POST", true, func(text string) told { return b.http(http.MethodPost, "/api/v3/query_sql", nil, b.body(text, nil)) }},
		{"ticket", true, func(text string) told { return b.ticket("mine", "sql", text, nil) }},
		{"statement", true, b.statement},
		{"prepared", true, b.prepared},
		{"v1", false, func(text string) told {
			return b.http(http.MethodGet, "/query", url.Values{"db": {"mine"}, "q": {text}}, nil)
		}},
		{"InfluxQL", false, func(text string) told {
			return b.http(http.MethodPost, "/api/v3/query_influxql", nil, b.body(text, nil))
		}},
		{"ticket of InfluxQL", false, func(text string) told { return b.ticket("mine", "influxql", text, nil) }},
	}
}

func (b *sandbox) body(text string, params map[string]any) []byte {
	body, err := json.Marshal(map[string]any{"db": "mine", "q": text, "params": params})
	if err != nil {
		b.site.t.Error(err)
	}
	return body
}

func (b *sandbox) http(method, path string, params url.Values, body []byte) told {
	a := b.as(b.token, method, path, params, body)
	return told{
		isAnswer: a.status < 300 && !strings.Contains(a.body, `"error":`),
		isFault:  a.status == 0 || a.status >= 500 && a.status != http.StatusGatewayTimeout,
		text:     fmt.Sprint(a.status, a.header, a.body),
	}
}

// context is that of a call with the token.
func (b *sandbox) context(pairs ...string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	return metadata.AppendToOutgoingContext(ctx, append([]string{"authorization", "Bearer " + b.token}, pairs...)...), cancel
}

func (b *sandbox) ticket(db, language, text string, params map[string]any) told {
	ctx, cancel := b.context()
	defer cancel()
	ticket, err := json.Marshal(map[string]any{"database": db, "sql_query": text, "query_type": language, "params": params})
	if err != nil {
		return tell("", err)
	}
	return b.redeem(ctx, &flight.Ticket{Ticket: ticket})
}

func (b *sandbox) statement(text string) told {
	ctx, cancel := b.context("database", "mine")
	defer cancel()
	info, err := b.sql.Execute(ctx, text)
	if err != nil {
		return tell("", err)
	}
	return b.redeem(ctx, info.Endpoint[0].Ticket)
}

func (b *sandbox) prepared(text string) told {
	ctx, cancel := b.context("database", "mine")
	defer cancel()
	p, err := b.sql.Prepare(ctx, text)
	if err != nil {
		return tell("", err)
	}
	defer p.Close(ctx)
	info, err := p.Execute(ctx)
	if err != nil {
		return tell("", err)
	}
	return b.redeem(ctx, info.Endpoint[0].Ticket)
}

// redeem reads what a ticket is for, and the headers and the trailer.
func (b *sandbox) redeem(ctx context.Context, ticket *flight.Ticket) told {
	var header, trailer metadata.MD
	reader, err := b.sql.DoGet(ctx, ticket, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		return tell("", err)
	}
	defer reader.Release()
	var text strings.Builder
	fmt.Fprintln(&text, reader.Schema())
	for reader.Next() {
		fmt.Fprintln(&text, reader.RecordBatch())
	}
	fmt.Fprintln(&text, header, trailer)
	return tell(text.String(), reader.Err())
}

func tell(text string, err error) told {
	code := status.Code(err)
	return told{isAnswer: err == nil, isFault: code == codes.Internal || code == codes.Unknown || code == codes.Unavailable, text: fmt.Sprint(text, err)}
}

// check looks for secrets in what was told. What was sent may be repeated.
func (b *sandbox) check(entry, sent string, got told) {
	for _, secret := range b.secrets {
		if strings.Contains(got.text, secret) && !strings.Contains(sent, secret) {
			b.site.t.Errorf("%s: %s tells %q: %.500s", entry, sent, secret, got.text)
		}
	}
	if got.isFault {
		b.site.t.Errorf("%s: %s is a fault of the server: %.500s", entry, sent, got.text)
	}
}

// each tries texts, some at once.
func (b *sandbox) each(texts []string, try func(text string)) {
	work := make(chan string)
	var clients sync.WaitGroup
	for range 6 {
		clients.Go(func() {
			for text := range work {
				try(text)
			}
		})
	}
	for _, text := range texts {
		work <- text
	}
	close(work)
	clients.Wait()
}

// TestSandboxHoldsAtEveryEntry shows X9: whichever way an attempt comes, and whatever it is
// taken for, a token for one database reads nothing else, and the server goes on.
func TestSandboxHoldsAtEveryEntry(t *testing.T) {
	b := newSandbox(t)
	before := b.dataFiles()
	refused, harmless := b.attacks()
	entries := b.entries()
	for _, e := range entries {
		if got := e.try("SELECT usage FROM cpu WHERE host = 'a'"); !got.isAnswer {
			t.Fatalf("%s: what is allowed is refused: %s", e.name, got.text)
		}
	}
	b.each(slices.Concat(refused, harmless), func(text string) {
		for _, e := range entries {
			got := e.try(text)
			b.check(e.name, text, got)
			if e.isSQL && got.isAnswer && slices.Contains(refused, text) {
				t.Errorf("%s: %s is answered: %.300s", e.name, text, got.text)
			}
		}
	})
	b.each(refused, b.tryAsData)
	b.each(influxQLAttacks, func(text string) {
		for _, e := range entries[len(entries)-3:] {
			b.check(e.name, text, e.try(text))
		}
	})
	b.each(b.names(), b.tryAsDatabase)
	if after := b.dataFiles(); !slices.Equal(before, after) {
		t.Errorf("the data directory held %q and now %q", before, after)
	}
	b.await("a normal query's answer", func() bool { // behind what is still being ended
		a := b.as(b.token, http.MethodGet, "/api/v3/query_sql", url.Values{"db": {"mine"}, "q": {"SELECT host FROM cpu ORDER BY host"}}, nil)
		return a.body == `[{"host":"a"},{"host":"b"}]`
	})
	if n := strings.Count(b.site.wholeLog(), "level=ERROR"); n > 0 {
		t.Errorf("%d errors are in the log", n)
	}
}

// tryAsData sends an attempt as a value, which must stay one.
func (b *sandbox) tryAsData(text string) {
	params := map[string]any{"a": text}
	const asked = "SELECT $a AS x, host FROM cpu WHERE host = 'a' OR host = $a"
	for name, got := range map[string]told{
		"parameter":             b.http(http.MethodPost, "/api/v3/query_sql", nil, b.body(asked, params)),
		"parameter of a ticket": b.ticket("mine", "sql", asked, params),
		"parameter of InfluxQL": b.http(http.MethodPost, "/api/v3/query_influxql", nil, b.body("SELECT usage FROM cpu WHERE host = 'a' OR host = $a", params)),
	} {
		b.check(name, text, got)
		if !got.isAnswer && !strings.Contains(got.text, "300ms") {
			b.site.t.Errorf("%s: %s is not data: %.300s", name, text, got.text)
		}
	}
}

// influxQLAttacks are those that SQL does not have.
var influxQLAttacks = []string{
	`SELECT * FROM other..secret`,
	`SELECT * FROM "other".."secret"`,
	`SELECT * FROM "other"."autogen"."secret"`,
	`SELECT * FROM "other"."".secret`,
	`SELECT * FROM other../.*/`,
	`SELECT * FROM "../other"..secret`,
	`SELECT * FROM "mine/../other"..secret`,
	`SELECT * FROM "..".."secret"`,
	`SELECT * FROM /.*/`,
	`SELECT * FROM secret`,
	`SELECT * FROM cpu, other..secret`,
	`SELECT * FROM (SELECT * FROM other..secret)`,
	`SELECT * FROM (SELECT * FROM (SELECT host FROM other..secret))`,
	`SELECT mean(x) FROM (SELECT last(*) AS x FROM other..secret GROUP BY host)`,
	`SELECT * INTO cpu FROM other..secret`,
	`SELECT * INTO other..secret FROM cpu`,
	`SELECT usage FROM cpu WHERE host =~ /.*/; SELECT * FROM other..secret`,
	`SELECT "host" FROM "cpu" WHERE "host" = 'x' OR read_text('CANARY') = ''`,
	`SELECT read_text('/etc/passwd') FROM cpu`,
	`SELECT getenv('SILTSTONE_PREY') FROM cpu`,
	`SELECT usage FROM "cpu' UNION SELECT * FROM other.secret --"`,
	`SELECT usage AS "x"", (SELECT 1) AS ""y" FROM cpu`,
	`SELECT usage FROM cpu WHERE host = 'x'' OR 1=1 --'`,
	`SELECT usage FROM cpu WHERE host = 'x\' UNION SELECT path FROM system.parquet_files --'`,
	`SELECT usage FROM cpu tz('America/New_York'' || getenv(''SILTSTONE_PREY''))`,
	`SELECT usage FROM cpu tz('../../../etc/passwd')`,
	`SELECT * FROM "system"."queries"`,
	`SELECT * FROM system..queries`,
	`SELECT * FROM _internal..queries`,
	`SELECT * FROM "_internal".."rejected_points"`,
	`SELECT * FROM information_schema..tables`,
	`SHOW MEASUREMENTS ON other`,
	`SHOW MEASUREMENTS ON "other" WITH MEASUREMENT =~ /.*/`,
	`SHOW MEASUREMENTS ON *.*`,
	`SHOW SERIES ON other`,
	`SHOW SERIES CARDINALITY ON other`,
	`SHOW TAG KEYS ON other`,
	`SHOW TAG KEYS FROM other..secret`,
	`SHOW TAG VALUES ON other WITH KEY = host`,
	`SHOW TAG VALUES ON other WITH KEY =~ /.*/`,
	`SHOW TAG VALUES FROM other..secret WITH KEY = host`,
	`SHOW FIELD KEYS ON other`,
	`SHOW FIELD KEYS FROM other..secret`,
	`SHOW RETENTION POLICIES ON other`,
	`SHOW DATABASES`,
	`SHOW USERS`,
	`SHOW GRANTS FOR admin`,
	`SHOW QUERIES`,
	`SHOW STATS`,
	`SHOW DIAGNOSTICS`,
	`SHOW SHARDS`,
	`SHOW SUBSCRIPTIONS`,
	`SHOW CONTINUOUS QUERIES`,
	`CREATE DATABASE evil`,
	`CREATE RETENTION POLICY evil ON mine DURATION 1h REPLICATION 1`,
	`CREATE USER evil WITH PASSWORD 'x' WITH ALL PRIVILEGES`,
	`GRANT ALL PRIVILEGES TO reader`,
	`DROP DATABASE other`,
	`DROP DATABASE mine`,
	`DROP MEASUREMENT cpu`,
	`DROP SERIES FROM cpu`,
	`DELETE FROM cpu`,
	`KILL QUERY 1`,
	`EXPLAIN SELECT * FROM other..secret`,
	`EXPLAIN ANALYZE SELECT * FROM other..secret`,
}

// names are what a caller may send for a database's.
func (b *sandbox) names() []string {
	return []string{
		"other", "OTHER", " other", "other ", "other/", "/other", "../other", "mine/../other", "mine/../../other", "./other",
		"other\x00", "mine\x00other", "mine,other", "mine;other", "mine other", `mine"."other`, `other"; --`, "other'--", "*", "%", ".*", "mine*",
		"", ".", "..", "/", "_internal", "_INTERNAL", "system", "information_schema", "iox", "public", "main", "memory", "temp", "duckdb",
		"other.secret", "public.iox", b.site.dataDir(), b.fill.Replace("FILE"), b.fill.Replace("CANARY"), "/etc/passwd", "file:///etc/passwd",
		strings.Repeat("x", 600), "ｏther", "other\u200b",
	}
}

// tryAsDatabase sends a name wherever a database has one.
func (b *sandbox) tryAsDatabase(name string) {
	const sql, influxQL = "SELECT * FROM secret", "SELECT * FROM secret"
	in := func(more ...string) url.Values {
		v := url.Values{"db": {name}, "q": {sql}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	body, err := json.Marshal(map[string]string{"db": name, "q": sql, "database": name, "table": "secret"})
	if err != nil {
		b.site.t.Error(err)
	}
	config := "/api/v3/configure"
	for entry, got := range map[string]told{
		"GET":                       b.http(http.MethodGet, "/api/v3/query_sql", in(), nil),
		"GET of system tables":      b.http(http.MethodGet, "/api/v3/query_sql", in("q", "SELECT * FROM system.parquet_files"), nil),
		"GET of queries":            b.http(http.MethodGet, "/api/v3/query_sql", in("q", "SELECT * FROM system.queries"), nil),
		"GET without tables":        b.http(http.MethodGet, "/api/v3/query_sql", in("q", "SHOW TABLES"), nil),
		"POST":                      b.http(http.MethodPost, "/api/v3/query_sql", nil, body),
		"GET of InfluxQL":           b.http(http.MethodGet, "/api/v3/query_influxql", in(), nil),
		"POST of InfluxQL":          b.http(http.MethodPost, "/api/v3/query_influxql", nil, body),
		"two names":                 b.http(http.MethodGet, "/api/v3/query_sql", url.Values{"db": {"mine", name}, "q": {sql}}, nil),
		"v1":                        b.http(http.MethodGet, "/query", in("q", influxQL), nil),
		"v1 by POST":                b.http(http.MethodPost, "/query", in("q", "SHOW TAG VALUES WITH KEY =~ /.*/"), nil),
		"v1's retention policy":     b.http(http.MethodGet, "/query", in("db", "mine", "rp", name), nil),
		"v1's database of a policy": b.http(http.MethodGet, "/query", in("rp", "autogen"), nil),
		"v1's ON":                   b.http(http.MethodGet, "/query", in("db", "mine", "q", "SHOW SERIES ON "+quoteName(name)), nil),
		"write":                     b.http(http.MethodPost, "/api/v3/write_lp", in(), []byte("secret,host=evil v=1 1")),
		"v1's write":                b.http(http.MethodPost, "/write", in(), []byte("secret,host=evil v=1 1")),
		"v2's write":                b.http(http.MethodPost, "/api/v2/write", in("bucket", name), []byte("secret,host=evil v=1 1")),
		"making it":                 b.http(http.MethodPost, config+"/database", nil, body),
		"deleting it":               b.http(http.MethodDelete, config+"/database", in(), nil),
		"making a table":            b.http(http.MethodPost, config+"/table", nil, body),
		"deleting a table":          b.http(http.MethodDelete, config+"/table", in("table", "secret"), nil),
		"ticket":                    b.ticket(name, "sql", sql, nil),
		"ticket of InfluxQL":        b.ticket(name, "influxql", influxQL, nil),
		"metadata":                  b.metadata("database", name),
		"metadata with two names":   b.metadata("database", "mine", "bucket-name", name),
	} {
		b.check(entry, name, got)
		if got.isAnswer && !strings.HasPrefix(entry, "v1") && entry != "two names" {
			b.site.t.Errorf("%s: database %q is answered: %.300s", entry, name, got.text)
		}
	}
}

func (b *sandbox) metadata(pairs ...string) told {
	for _, text := range pairs {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			return told{} // clients of gRPC do not send it
		}
	}
	ctx, cancel := b.context(pairs...)
	defer cancel()
	info, err := b.sql.Execute(ctx, "SELECT * FROM secret")
	if err != nil {
		return tell("", err)
	}
	return b.redeem(ctx, info.Endpoint[0].Ticket)
}

// dataFiles are the files of the data directory but those of the catalog and the log.
func (b *sandbox) dataFiles() []string {
	b.site.t.Helper()
	var names []string
	err := filepath.WalkDir(b.site.dataDir(), func(path string, d os.DirEntry, err error) error {
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil // a file of the spill directory
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"catalog", "wal", "query-spill"}, d.Name()):
			return filepath.SkipDir
		case d.Name() == "REACHED": // is made a second after the first write
			return nil
		}
		names = append(names, path)
		return nil
	})
	if err != nil {
		b.site.t.Fatal(err)
	}
	return names
}
