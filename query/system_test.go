package query

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// rejectedStore has rejected points of two databases, in a file and in a buffer. Those of
// mine have a number as their raw line, those of other a word.
func rejectedStore(t testing.TB) *store {
	s := newStore(t)
	s.table("mine", "cpu", "host:tag n:int")
	s.table("other", "cpu", "host:tag n:int")
	v := s.table(engine.InternalDatabase, engine.RejectedTable, `database:tag id:tag line:int raw:string quoted:bool
		truncated:bool reason:string hint:string token:string precision:string status:string`)
	var rows []row
	for i := range 5000 {
		r := row{
			at: epoch + int64(i), tags: map[string]string{"database": "mine", "id": fmt.Sprint("r-", i)},
			fields: map[string]any{"line": int64(i), "raw": fmt.Sprint(i), "reason": "bad", "status": "rejected", "quoted": false},
		}
		if i%2 == 1 {
			r.tags["database"], r.fields["raw"], r.fields["reason"] = "other", fmt.Sprint("secret ", i), "secret"
		}
		rows = append(rows, r)
	}
	s.addFile(v, rows[:3000])
	s.addBuffer(v, rows[3000:], 700)
	return s
}

func TestRejectedPointsAreThoseOfTheDatabase(t *testing.T) {
	q := rejectedStore(t).querier()
	const sql = "SELECT count(*), min(database), max(database) FROM system.rejected_points"
	for database, want := range map[string]string{
		"mine": "2500|mine|mine", "other": "2500|other|other", engine.InternalDatabase: "5000|mine|other",
	} {
		if got := answer(t, q, database, sql); got[0] != want {
			t.Errorf("%s: %s, want %s", database, got[0], want)
		}
	}
	want := []string{
		"2023-11-14T22:13:20.000002998|r-2998|mine|2998|(null)|(null)|2998|false|(null)|bad|(null)|(null)|(null)|rejected",
		"2023-11-14T22:13:20.000003|r-3000|mine|3000|(null)|(null)|3000|false|(null)|bad|(null)|(null)|(null)|rejected",
	}
	got := answer(t, q, "mine", "SELECT * FROM system.rejected_points WHERE line IN (2998, 2999, 3000, 3001) ORDER BY time")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := answer(t, q, engine.InternalDatabase, "SELECT count(*) FROM rejected_points"); got[0] != "5000" {
		t.Errorf("the table itself has %s rows", got[0])
	}
}

// Whatever a user asks in mine, neither answer nor error tells of the points of other.
func TestRejectedPointsOfOthersStayHidden(t *testing.T) {
	q := rejectedStore(t).querier()
	for _, sql := range []string{
		"SELECT * FROM system.rejected_points WHERE database = 'other'",
		"SELECT * FROM system.rejected_points WHERE database = 'other' OR true",
		"SELECT * FROM system.rejected_points AS x(a, b, database) WHERE database = 'other'",
		"SELECT * FROM public.system.rejected_points -- WHERE",
		"SELECT * FROM SYSTEM.Rejected_Points ORDER BY database DESC LIMIT 3",
		"SELECT * FROM cpu RIGHT JOIN system.rejected_points r ON r.database = 'other' AND cpu.host = r.raw",
		"SELECT * FROM system.rejected_points a FULL JOIN system.rejected_points b ON a.database <> b.database",
		"SELECT (SELECT max(raw) FROM system.rejected_points WHERE database = 'other')",
		"WITH x AS (FROM system.rejected_points) SELECT * FROM x UNION ALL FROM system.rejected_points WHERE database <> 'mine'",
		"SELECT * FROM range(1), LATERAL (SELECT * FROM system.rejected_points WHERE reason = 'secret')",
		"SELECT * FROM system.rejected_points WHERE raw::INT >= 0",
		"SELECT * FROM system.rejected_points WHERE raw::INT >= 0 AND database IN ('mine', 'other')",
		"SELECT raw::INT FROM system.rejected_points WHERE time > '2023-11-14' AND raw::INT % 2 >= 0 AND reason LIKE '%'",
		"SELECT sum(raw::INT) OVER () FROM system.rejected_points QUALIFY raw::INT > 1",
		"SELECT count(*) FROM system.rejected_points GROUP BY raw::INT HAVING max(raw::INT) > 0",
		"SELECT a.raw FROM system.rejected_points a JOIN range(5000) r(n) ON a.raw::INT = r.n",
		"DESCRIBE system.rejected_points",
	} {
		rows, err := tryAnswer(t, q, Request{Database: "mine", SQL: sql})
		if err != nil {
			t.Errorf("%s: %v", sql, err)
		}
		for _, r := range rows {
			if strings.Contains(r, "secret") || strings.Contains(r, "other") {
				t.Errorf("%s: %s", sql, r)
				break
			}
		}
	}
}

// A condition of the user's that was evaluated for other's rows could tell of them in its
// error. Which conditions DuckDB evaluates first is its own affair, so ours is below a
// barrier.
func TestUsersConditionsStayAboveTheBarrier(t *testing.T) {
	q := rejectedStore(t).querier()
	plan := strings.Join(answer(t, q, "mine", "EXPLAIN SELECT reason FROM system.rejected_points WHERE raw::INT > 17 AND line > 18"), "\n")
	above, below, found := strings.Cut(plan, "LIMIT")
	for _, constant := range []string{"17", "18"} {
		if !found || !strings.Contains(above, constant) || strings.Contains(below, constant) {
			t.Errorf("the condition on %s is not above the barrier:\n%s", constant, plan)
		}
	}
}

func TestRejectedPointsBeforeThereAreAny(t *testing.T) {
	missing := newStoreWith(t, "db")
	empty := newStoreWith(t, "db")
	empty.table(engine.InternalDatabase, "something", "a:tag")
	fewer := newStoreWith(t, "db")
	v := fewer.table(engine.InternalDatabase, engine.RejectedTable, "database:tag line:int")
	fewer.addBuffer(v, []row{{at: 0, tags: map[string]string{"database": "db"}, fields: map[string]any{"line": int64(7)}}}, 1)
	columns := []string{"time", "id", "database", "line", "line_column", "points", "raw", "quoted", "truncated", "reason", "hint", "token", "precision", "status"}
	for _, c := range []struct {
		*store
		want []string
	}{{missing, nil}, {empty, nil}, {fewer, []string{"1970-01-01T00:00:00|(null)|db|7|(null)|(null)|(null)|(null)|(null)|(null)|(null)|(null)|(null)|(null)"}}} {
		q := c.querier()
		const sql = "SELECT * FROM system.rejected_points"
		if got := answer(t, q, "db", sql); !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
		r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range r.Schema().Fields() {
			got = append(got, f.Name)
		}
		r.Close()
		if diff := cmp.Diff(columns, got); diff != "" {
			t.Errorf("columns (-want +got)\n%s", diff)
		}
	}
}

func TestSystemTablesAndUsersTablesAreKeptApart(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"databases", "system", "system.databases", "rejected_points"} {
		v := s.table("db", name, "name:tag")
		s.addBuffer(v, []row{{at: 1, tags: map[string]string{"name": "mine: " + name}}}, 1)
	}
	q := s.querier()
	for sql, want := range map[string]string{
		"SELECT name FROM system.databases":                                              "db",
		"SELECT name FROM System.Databases":                                              "db",
		"SELECT databases.name FROM system.databases":                                    "db",
		"SELECT name FROM databases":                                                     "mine: databases",
		"SELECT name FROM iox.databases":                                                 "mine: databases",
		"SELECT name FROM system":                                                        "mine: system",
		`SELECT name FROM "system.databases"`:                                            "mine: system.databases",
		"SELECT name FROM rejected_points":                                               "mine: rejected_points",
		"WITH databases AS (SELECT 'cte' AS name) SELECT name FROM system.databases":     "db",
		"WITH system AS (SELECT 'cte' AS name) SELECT d.name FROM system.databases AS d": "db",
		"SELECT a.name || b.name FROM system.databases a, databases b":                   "dbmine: databases",
	} {
		if got := answer(t, q, "db", sql); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	for sql, want := range map[string]string{
		"SELECT * FROM system.nope":            "Error during planning: table 'public.system.nope' not found",
		"SELECT * FROM system.wal":             "Error during planning: table 'public.system.wal' not found",
		"SELECT * FROM system.tokens":          "Error during planning: table 'public.system.tokens' not found",
		"DESCRIBE system.nope":                 "Error during planning: table 'public.system.nope' not found",
		"SELECT * FROM system.main.databases":  `Error during planning: schema "system.main" not found`,
		"SELECT * FROM information_schema.foo": "Error during planning: table 'public.information_schema.foo' not found",
	} {
		var user *UserError
		if _, err := tryAnswer(t, q, Request{Database: "db", SQL: sql}); !errors.As(err, &user) || user.Message != want {
			t.Errorf("%s: error %v, want %s", sql, err, want)
		}
	}
}

// TestRejectedPointsOfNoDatabaseDoNotBringItsTables joins a system table, which is there,
// to one that is not, and does it more often than queries may run at once.
func TestRejectedPointsOfNoDatabaseDoNotBringItsTables(t *testing.T) {
	q := newStoreWith(t, "db").querier()
	for range 2 * q.opts.MaxConcurrent {
		_, err := tryAnswer(t, q, Request{Database: "nothing", SQL: "SELECT * FROM system.rejected_points r, missing m"})
		if !errors.Is(err, engine.ErrDatabaseNotFound) {
			t.Fatalf("got %v", err)
		}
	}
	answer(t, q, "db", "SELECT 1")
}

func TestSystemTablesAreDescribed(t *testing.T) {
	q := newStoreWith(t, "db").querier()
	want := []string{
		"name|Utf8|YES", "retention_period|Utf8|YES", "created|Timestamp(Nanosecond, None)|YES", "deleted|Timestamp(Nanosecond, None)|YES",
	}
	if diff := cmp.Diff(want, answer(t, q, "db", "DESCRIBE system.databases")); diff != "" {
		t.Errorf("DESCRIBE (-want +got)\n%s", diff)
	}
	got := answer(t, q, "db", "SHOW COLUMNS FROM system.rejected_points")
	if first := "public|system|rejected_points|time|Timestamp(Nanosecond, None)|NO"; len(got) != 14 || got[0] != first {
		t.Errorf("SHOW COLUMNS: %q", got)
	}
}

func TestRetentionIsWrittenInUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "NULL", time.Hour: "'1h'", 30 * 24 * time.Hour: "'30d'", 36*time.Hour + 90*time.Second + 1: "'1d 12h 1m 30s 1ns'",
	} {
		if got := retentionValue(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}

// systemWorld is an engine with a clock that stands still, and a Querier on it.
func systemWorld(t *testing.T, change ...func(*engine.Options)) (*engine.Engine, *Querier) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	opts := engine.Options{DataDir: dir, Now: func() time.Time { return now }, RejectedRetention: 24 * time.Hour}
	for _, f := range change {
		f(&opts)
	}
	e, err := engine.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Open(Options{View: e.View, Schema: e.Schema, Tokens: e.Tokens, Stats: e.Stats, Compactions: e.Compactions, Rollups: e.Rollups, DataDir: dir, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = q.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, q
}

func writeLines(t *testing.T, e *engine.Engine, database string, lines ...string) {
	t.Helper()
	_, err := e.Write(t.Context(), engine.WriteRequest{
		Database: database, Body: []byte(strings.Join(lines, "\n")), Precision: engine.Nanosecond,
		AcceptPartial: true, RequestID: "req", Token: "t1",
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSystemTablesOverTheRealEngine(t *testing.T) {
	e, q := systemWorld(t)
	if err := e.CreateDatabase("short", 30*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	writeLines(t, e, "home", "temp,room=a v=1.5 1", "temp,room=a v=2i 2", "", "te\xffmp v= 3")
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeLines(t, e, "home", "temp,room=b v=2.5 3", "temp,room=b v=\"x\" 4")
	writeLines(t, e, "gone", "x v=1", "x v=")
	writeLines(t, e, "sums", "cpu,host=a,dc=x use=1,text=\"é\" 1700000000000000000")
	if _, _, err := e.CreateCache(engine.CacheSpec{Database: "sums", Table: "cpu", Kind: schema.LastCache}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.CreateCache(engine.CacheSpec{
		Database: "sums", Table: "cpu", Kind: schema.LastCache, Name: "five", Columns: []string{"text"}, Values: []string{"use", "time"}, Limit: 5, MaxAge: time.Minute,
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.CreateCache(engine.CacheSpec{Database: "sums", Table: "cpu", Kind: schema.DistinctCache, Columns: []string{"text", "host"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.CreateRollup(engine.RollupSpec{
		Database: "sums", Name: "cpu_5m", Source: "cpu", Interval: 5 * time.Minute, Tags: []string{"host"}, Retention: 48 * time.Hour,
		Aggregates: []schema.Aggregate{{Func: schema.Mean, Field: "use", Name: "use_mean"}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteDatabase("gone", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.CreateToken(schema.Token{Name: "dash", Hash: [64]byte{1}, Permissions: []schema.Permission{{Database: "home", Read: true}}}); err != nil {
		t.Fatal(err)
	}
	queries := map[string]Request{
		"rejected":             {Database: "home", SQL: "SELECT * FROM system.rejected_points ORDER BY time, id"},
		"databases":            {Database: "home", SQL: "SELECT * FROM system.databases"},
		"internal-databases":   {Database: engine.InternalDatabase, SQL: "SELECT * FROM system.databases ORDER BY name"},
		"internal-tokens":      {Database: engine.InternalDatabase, SQL: "SELECT * FROM system.tokens ORDER BY id"},
		"tables":               {Database: "home", SQL: "SELECT * EXCLUDE (file_bytes) FROM system.tables"},
		"internal-tables":      {Database: engine.InternalDatabase, SQL: "SELECT database, table_name FROM system.tables ORDER BY ALL"},
		"files":                {Database: "home", SQL: "SELECT * EXCLUDE (size_bytes) FROM system.parquet_files"},
		"partitions":           {Database: "home", SQL: "SELECT * EXCLUDE (file_bytes) FROM system.partitions"},
		"internal-wal":         {Database: engine.InternalDatabase, SQL: "SELECT segments, first_sequence, last_sequence, durable_sequence, buffered_rows, error FROM system.wal"},
		"internal-generations": {Database: engine.InternalDatabase, SQL: "SELECT * FROM system.generation_durations"},
		"caches":               {Database: "home", SQL: "SELECT count(*) FROM system.last_caches, system.distinct_caches, system.processing_engine_triggers"},
		"last-caches":          {Database: "sums", SQL: "SELECT * FROM system.last_caches"},
		"internal-caches":      {Database: engine.InternalDatabase, SQL: "SELECT * FROM system.distinct_caches"},
		"rollups":              {Database: "sums", SQL: "SELECT * FROM system.rollups"},
		"internal-rollups":     {Database: engine.InternalDatabase, SQL: "SELECT database, name FROM system.rollups"},
		"home-rollups":         {Database: "home", SQL: "SELECT database, name FROM system.rollups"},
		"columns":              {Database: "home", SQL: "SELECT * FROM system.columns ORDER BY ALL"},
	}
	var got bytes.Buffer
	for _, name := range []string{
		"rejected", "databases", "internal-databases", "internal-tokens", "tables", "internal-tables", "columns",
		"files", "partitions", "internal-wal", "internal-generations", "caches",
		"last-caches", "internal-caches", "rollups", "internal-rollups", "home-rollups",
	} {
		r, err := q.Query(t.Context(), queries[name])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Fprintf(&got, "%s: %s\n", queries[name].Database, queries[name].SQL)
		if err := WriteJSONL(&got, r); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	path := filepath.Join("testdata", "system.txt")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(mustRead(t, path), got.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A query that shows a system table pins rows of two databases, which must both be given
// back to the memory pool when it ends, even if it fails.
func TestBothViewsAreClosed(t *testing.T) {
	registry := prometheus.NewRegistry()
	e, q := systemWorld(t, func(o *engine.Options) { o.Registerer = registry })
	writeLines(t, e, "home", "temp v=1", "temp v=")
	const sql = "SELECT %s FROM system.rejected_points r JOIN system.rejected_points s ON r.id = s.id, temp"
	r, err := q.Query(t.Context(), Request{Database: "home", SQL: fmt.Sprintf(sql, "*")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryAnswer(t, q, Request{Database: "home", SQL: fmt.Sprintf(sql, "nope")}); err == nil {
		t.Error("a query of a column that does not exist succeeds")
	}
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if used := bufferedBytes(t, registry); used == 0 {
		t.Error("nothing is pinned while the query runs")
	}
	r.Close()
	if used := bufferedBytes(t, registry); used != 0 {
		t.Errorf("%v bytes are still pinned after the query", used)
	}
}

// bufferedBytes is what the buffers hold of the engine's memory pool.
func bufferedBytes(t *testing.T, registry *prometheus.Registry) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "siltstone_pool_used_bytes" && m.GetLabel()[0].GetValue() == "buffers" {
				return m.GetGauge().GetValue()
			}
		}
	}
	t.Fatal("the engine reports no use of its pool")
	return 0
}

func TestDeletedTablesAreNotFoundAndRecreatedOnesNew(t *testing.T) {
	e, q := systemWorld(t)
	writeLines(t, e, "home", "cpu v=1 1", "mem v=1 1")
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeLines(t, e, "home", "cpu v=2 2", "mem v=2 2")
	if err := e.DeleteTable("home", "cpu", time.Time{}); err != nil {
		t.Fatal(err)
	}
	var missing *engine.TableNotFoundError
	if _, err := tryAnswer(t, q, Request{Database: "home", SQL: "SELECT * FROM cpu"}); !errors.As(err, &missing) {
		t.Errorf("a deleted table: %v", err)
	}
	if got := answer(t, q, "home", "SELECT * FROM information_schema.tables WHERE table_schema = 'iox'"); !slices.Equal(got, []string{"public|iox|mem|BASE TABLE"}) {
		t.Errorf("the tables are %q", got)
	}
	writeLines(t, e, "home", `cpu v="text" 3`)
	if got := answer(t, q, "home", "SELECT v, epoch_ns(time) FROM cpu"); !slices.Equal(got, []string{"text|3"}) {
		t.Errorf("the recreated table: %q", got)
	}
	if err := e.DeleteDatabase("home", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := tryAnswer(t, q, Request{Database: "home", SQL: "SELECT * FROM mem"}); !errors.Is(err, engine.ErrDatabaseNotFound) {
		t.Errorf("a deleted database: %v", err)
	}
	writeLines(t, e, "home", "mem v=7 7")
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, q, "home", "SELECT v FROM mem"); !slices.Equal(got, []string{"7"}) {
		t.Errorf("the recreated database: %q", got)
	}
}
