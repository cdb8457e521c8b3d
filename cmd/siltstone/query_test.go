package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// TestQueriesGoIntoFiles: the name says the format, and half an answer has no name.
func TestQueriesGoIntoFiles(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	if r := finish(t, siltstone(t, "write", "--host", p.host, "-d", "db", "-q"), "cpu,host=a v=1 1\ncpu,host=b v=2 2\n"); r.code != 0 {
		t.Fatalf("write: %+v", r)
	}
	dir := t.TempDir()
	ask := func(args ...string) result {
		return finish(t, siltstone(t, append([]string{"query", "--host", p.host, "-d", "db"}, args...)...), "")
	}
	named := func(name string) string { return filepath.Join(dir, name) }

	for name, want := range map[string]string{
		"a.csv": "v\n1.0\n2.0\n", "a.jsonl": "{\"v\":1.0}\n{\"v\":2.0}\n", "a.JSON": `[{"v":1.0},{"v":2.0}]`, "a": "v\n1.0\n2.0\n",
	} {
		if r := ask("-o", named(name), "SELECT v FROM cpu ORDER BY time"); r.code != 0 || r.out != "" {
			t.Fatalf("%s: %+v", name, r)
		}
		if got, err := os.ReadFile(named(name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if r := ask("-o", named("a.parquet"), "SELECT * FROM cpu"); r.code != 0 {
		t.Fatalf("parquet: %+v", r)
	}
	pf, err := file.OpenParquetFile(named("a.parquet"), false)
	if err != nil {
		t.Fatal(err)
	}
	if pf.NumRows() != 2 {
		t.Errorf("parquet: %d rows", pf.NumRows())
	}
	_ = pf.Close()
	r := ask("--format", "arrow", "SELECT * FROM cpu") // into a pipe
	if stream, err := ipc.NewReader(strings.NewReader(r.out)); err != nil || !stream.Next() || stream.RecordBatch().NumRows() != 2 {
		t.Errorf("arrow: %v, %+v", err, r)
	}

	if r := ask("-o", named("b.csv"), "SELECT error('late') FROM nothing"); r.code != 1 {
		t.Errorf("a query that fails: %+v", r)
	}
	const late = "SELECT range, CASE WHEN range = 2999999 THEN CAST('x' || range AS BIGINT) END AS y FROM range(3000000)"
	if r := ask("-o", named("c.csv"), late); r.code != 1 || !strings.Contains(r.errors, "incomplete") {
		t.Errorf("an answer that is cut off: %+v", r)
	}
	for _, name := range []string{"b.csv", "c.csv", "c.csv.part"} {
		if _, err := os.Stat(named(name)); err == nil {
			t.Errorf("%s exists", name)
		}
	}
	if r := ask("-o", filepath.Join(dir, "none", "x.csv"), "SELECT 1"); r.code != 1 || !strings.Contains(r.errors, "--output") {
		t.Errorf("a directory that is missing: %+v", r)
	}
}

func TestQueriesTakeParametersAndInfluxQL(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	if r := finish(t, siltstone(t, "write", "--host", p.host, "-d", "db", "-q"), "cpu,host=a v=1 1\ncpu,host=b v=2 2\n"); r.code != 0 {
		t.Fatalf("write: %+v", r)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--params", `{"host":"b","low":1.5}`, "SELECT v FROM cpu WHERE host = $host AND v > $low"}, "v\n2.0\n"},
		{[]string{"-l", "influxql", "SELECT v FROM cpu WHERE host = 'a'"}, "iox::measurement,time,v\ncpu,1970-01-01T00:00:01,1.0\n"},
	} {
		r := finish(t, siltstone(t, append([]string{"query", "--host", p.host, "-d", "db", "--format", "csv"}, c.args...)...), "")
		if r.code != 0 || r.out != c.want {
			t.Errorf("%q: %+v", c.args, r)
		}
	}
	r := finish(t, siltstone(t, "query", "--host", p.host, "-d", "db", "--params", "host=b", "SELECT 1"), "")
	if r.code != 1 || !strings.Contains(r.errors, `such as {"name":"hall"`) {
		t.Errorf("params that are no JSON: %+v", r)
	}
}

func TestBinaryFormatsAreKeptFromTerminals(t *testing.T) {
	tty := environment{stdoutTTY: true}
	for _, c := range []struct {
		name string
		cmd  queryCmd
		env  environment
		want string // the format, or a part of the error
	}{
		{"terminal", queryCmd{}, tty, "pretty"},
		{"pipe", queryCmd{}, environment{}, "csv"},
		{"parquet on a terminal", queryCmd{Format: "parquet"}, tty, "parquet is not for a terminal: give a file with --output, for example -o result.parquet"},
		{"parquet in a pipe", queryCmd{Format: "parquet"}, environment{}, "parquet"},
		{"parquet in a file", queryCmd{Output: "x.parquet"}, tty, "parquet"},
		{"the flag beats the name", queryCmd{Output: "x.parquet", Format: "csv"}, tty, "csv"},
	} {
		got, err := c.cmd.choose(c.env)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
