//go:build duckdb_arrow

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"github.com/siltstone-db/siltstone/internal/datasets"
)

// edgeFile holds what the bundled data sets lack: nulls, all types, odd names, old times.
const edgeFile = "../influx1/testdata/edge.lp"

// judge is plain DuckDB over tables that were exported as Parquet.
type judge struct {
	t    *testing.T
	conn mapping.Connection
	dir  string
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	var db mapping.Database
	if mapping.Open(":memory:", &db) == mapping.StateError {
		t.Fatal("no DuckDB")
	}
	j := &judge{t: t, dir: t.TempDir()}
	if mapping.Connect(db, &j.conn) == mapping.StateError {
		t.Fatal("no connection of DuckDB")
	}
	t.Cleanup(func() {
		mapping.Disconnect(&j.conn)
		mapping.Close(&db)
	})
	return j
}

func (j *judge) exec(query string) error {
	var res mapping.Result
	defer mapping.DestroyResult(&res)
	if mapping.Query(j.conn, query, &res) == mapping.StateError {
		return errors.New(mapping.ResultError(&res))
	}
	return nil
}

// put stores a Parquet file that Siltstone sent, and returns what reads it in SQL.
func (j *judge) put(name string, file []byte) string {
	j.t.Helper()
	path := filepath.Join(j.dir, fmt.Sprintf("%x.parquet", name))
	if err := os.WriteFile(path, file, 0o600); err != nil {
		j.t.Fatal(err)
	}
	return fmt.Sprintf("read_parquet('%s')", path)
}

// rows runs a query and returns its rows, each a list of names and values in the order of
// the columns.
func (j *judge) rows(query string) ([][]any, error) {
	path := filepath.Join(j.dir, "rows.json")
	if err := j.exec(fmt.Sprintf("COPY (%s) TO '%s' (FORMAT json)", query, path)); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rows [][]any
	for line := range bytes.Lines(text) {
		row, err := tokens(line)
		if err != nil {
			return nil, fmt.Errorf("%w in %s", err, line)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// tokens returns what a line of JSON consists of. Unlike a map it keeps the order of columns.
func tokens(line []byte) ([]any, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var all []any
	for {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
}

// differenceOf says where two answers first differ; floats may by a relative 1e-12, since
// sums depend on the order of what is added.
func differenceOf(want, got [][]any) string {
	for i := range min(len(want), len(got)) {
		if !slices.EqualFunc(want[i], got[i], sameValue) {
			return fmt.Sprintf("row %d: %v, not %v", i, got[i], want[i])
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%d rows, not %d", len(got), len(want))
	}
	return ""
}

func sameValue(want, got any) bool {
	w, isNumber := want.(json.Number)
	g, both := got.(json.Number)
	if !isNumber || !both || w == g {
		return want == got
	}
	if !strings.ContainsAny(string(w+g), ".e") {
		return false // integers
	}
	const tolerance = 1e-12
	a, errA := w.Float64()
	b, errB := g.Float64()
	return errA == nil && errB == nil && math.Abs(a-b) <= tolerance*max(math.Abs(a), math.Abs(b))
}

// asParquet runs a query whose answer is a Parquet file.
func (s *server) asParquet(query string) ([]byte, error) {
	params := url.Values{"db": {"db"}, "q": {query}, "format": {"parquet"}}
	a, err := s.do(http.MethodGet, "/api/v3/query_sql", params, nil)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("status %d %.500s", a.status, a.body)
	}
	return []byte(a.body), err
}

// everyPoint returns the line protocol of all tables, with times in nanoseconds.
func everyPoint(t *testing.T) (lines []string) {
	t.Helper()
	add := func(text []byte, suffix string) {
		for l := range bytes.Lines(text) {
			if l = bytes.TrimSpace(l); len(l) > 0 && l[0] != '#' {
				lines = append(lines, string(l)+suffix)
			}
		}
	}
	const toNanoseconds = "000000000"
	for _, set := range []datasets.Set{datasets.Weather, datasets.Wind, datasets.Bitcoin, datasets.DevOps} {
		suffix := ""
		if set.Precision == "second" {
			suffix = toNanoseconds
		}
		text, err := set.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		add(text, suffix)
	}
	text, err := os.ReadFile(edgeFile)
	if err != nil {
		t.Fatal(err)
	}
	add(text, "")
	return lines
}

// writeAll writes lines in requests of a size that is accepted.
func (s *server) writeAll(lines []string) {
	s.site.t.Helper()
	for chunk := range slices.Chunk(lines, 10_000) {
		s.write("db", strings.Join(chunk, "\n"))
	}
}

// TestSQLIsDuckDBs: every query has the answer that plain DuckDB gives over the tables'
// export, whether the rows are in buffers, in files, or written twice into both.
func TestSQLIsDuckDBs(t *testing.T) {
	text, err := os.ReadFile("testdata/parquet.sql")
	if err != nil {
		t.Fatal(err)
	}
	var queries []string
	for l := range strings.Lines(string(text)) {
		if !strings.HasPrefix(l, "--") {
			queries = append(queries, strings.TrimSpace(l))
		}
	}
	lines, srv, j := everyPoint(t), newSite(t).start("--gen1-duration", "1h"), newJudge(t)
	srv.writeAll(lines)
	check := func(state string) {
		for _, q := range queries {
			compareWithJudge(t, srv, j, state, q)
		}
	}
	exportTables(t, srv, j, countPoints(lines))
	check("in buffers")
	srv.flush()
	check("in files")
	srv.writeAll(everyNth(lines, 3))
	srv.flush()
	srv.writeAll(everyNth(lines, 7))
	check("in files and buffers that overlap")
}

// countPoints counts what is told apart by series and time.
func countPoints(lines []string) int {
	points := make(map[string]bool)
	for _, l := range lines {
		fields := strings.Index(strings.ReplaceAll(l, `\ `, "__"), " ")
		points[l[:fields]+l[strings.LastIndexByte(l, ' '):]] = true
	}
	return len(points)
}

// everyNth returns some of the lines. Points that were written several times are left out:
// half of their writes would change them.
func everyNth(lines []string, n int) []string {
	var some []string
	for i, l := range lines {
		if i%n == 0 && !strings.HasPrefix(l, "again,") {
			some = append(some, l)
		}
	}
	return some
}

// exportTables gives the judge every table, and checks that no point is missing.
func exportTables(t *testing.T, srv *server, j *judge, points int) {
	t.Helper()
	rows := 0
	for table := range srv.columns("db") {
		file, err := srv.asParquet("SELECT * FROM " + quoteName(table))
		if err != nil {
			t.Fatalf("export of %s: %v", table, err)
		}
		source := j.put(table, file)
		if err := j.exec("CREATE VIEW " + quoteName(table) + " AS SELECT * FROM " + source); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		count, err := j.rows("SELECT count(*) FROM " + source)
		if err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		n, err := count[0][2].(json.Number).Int64() // behind a brace and a name
		if err != nil {
			t.Fatal(err)
		}
		rows += int(n)
	}
	if rows != points {
		t.Errorf("%d rows were exported of %d points", rows, points)
	}
}

// compareWithJudge has Siltstone's answer, a Parquet file, read by DuckDB too.
func compareWithJudge(t *testing.T, srv *server, j *judge, state, query string) {
	t.Helper()
	want, err := j.rows(query)
	if err != nil {
		t.Errorf("%s\n\tDuckDB: %v", query, err)
		return
	}
	file, err := srv.asParquet(query)
	if err != nil {
		t.Errorf("%s: %s\n\t%v", state, query, err)
		return
	}
	got, err := j.rows("SELECT * FROM " + j.put("answer", file))
	if err != nil {
		t.Errorf("%s: %s\n\tthe answer is no Parquet file: %v", state, query, err)
		return
	}
	if d := differenceOf(want, got); d != "" {
		t.Errorf("%s: %s\n\t%s", state, query, d)
	}
}
