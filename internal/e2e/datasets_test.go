//go:build duckdb_arrow

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/internal/datasets"
)

// input is line protocol and what it means.
type input struct {
	db, precision string
	body          string
	gzip          bool
	want          map[string]figures // by table
}

// corners has what the real sets lack: every type at its ends, escapes, text of other
// scripts, fields and tags that are missing, and a year before 1970.
const corners = `corners,host=a i=-9223372036854775808i,u=18446744073709551615u,f=1.7976931348623157e308,b=true,s="" 1
corners,host=a i=9223372036854775807i,u=0u,f=-0.1,b=false,s="plain" 2
corners,host=b\ c i=0i,f=0.1,s="quote \" backslash \\ comma, equals= space" -86400000000000
corners,host=日本\=語 f=5e-324,s="ünïcödé 🪨" 3
corners,host=a,rack=r\,1 u=9223372036854775808u,b=t 3
corners f=-0.25 4
corners\ two,x\ y=1 field\ with\ \,=1i 1
corners,host=a s="the later value wins" 1
`

// inputs returns every bundled set, and the corners.
func inputs(t *testing.T) []input {
	t.Helper()
	units := map[string]int64{"nanosecond": 1, "second": 1e9}
	all := []input{newInput(t, "corners", "nanosecond", corners, 1)}
	for _, set := range datasets.All() {
		body, err := set.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, newInput(t, set.Name, set.Precision, string(body), units[set.Precision]))
	}
	for i := range all {
		all[i].gzip = i%2 == 1
	}
	return all
}

func newInput(t *testing.T, db, precision, body string, unit int64) input {
	t.Helper()
	points, err := readPoints(body, unit)
	if err != nil {
		t.Fatalf("%s: %v", db, err)
	}
	in := input{db: db, precision: precision, body: body, want: make(map[string]figures)}
	for table, rows := range merge(points) {
		in.want[table] = figuresOf(rows)
	}
	return in
}

// linesPerBody is how many lines one request carries.
const linesPerBody = 10_000

// write sends the whole input.
func (in *input) write(srv *server) {
	srv.site.t.Helper()
	for lines := range slices.Chunk(slices.Collect(strings.Lines(in.body)), linesPerBody) {
		body, header := []byte(strings.Join(lines, "")), []string(nil)
		if in.gzip {
			body, header = compress(body), []string{"Content-Encoding", "gzip"}
		}
		params := url.Values{"db": {in.db}, "precision": {in.precision}, "accept_partial": {"false"}}
		a, err := srv.do(http.MethodPost, "/api/v3/write_lp", params, body, header...)
		if err != nil || a.status != http.StatusNoContent {
			srv.site.t.Fatalf("%s: %v %d %.500s", in.db, err, a.status, a.body)
		}
	}
}

func compress(body []byte) []byte {
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	if _, err := zw.Write(body); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	if err := zw.Close(); err != nil {
		panic(err)
	}
	return packed.Bytes()
}

// check compares what the server answers about the input's database.
func (in *input) check(srv *server, stage string) {
	t := srv.site.t
	t.Helper()
	defined := srv.columns(in.db)
	if got, want := slices.Sorted(maps.Keys(defined)), slices.Sorted(maps.Keys(in.want)); !slices.Equal(got, want) {
		t.Errorf("%s: %s has the tables %q, not %q", stage, in.db, got, want)
	}
	for table, want := range in.want {
		if d := diffFigures(want, srv.figures(in.db, table, defined[table])); d != "" {
			t.Errorf("%s: %s.%s (-want +got)\n%s", stage, in.db, table, d)
		}
	}
}

// tagType is how information_schema shows a tag.
const tagType = "Dictionary(Int32, Utf8)"

// figures asks for the figures of a table with the given columns.
func (s *server) figures(db, table string, columns map[string]string) figures {
	s.site.t.Helper()
	f := figures{Tags: map[string][]string{}, Fields: map[string]fieldFigures{}}
	selects := []string{`count(*) AS "rows"`, `min(epoch_ns(time)) AS "start"`, `max(epoch_ns(time)) AS "end"`}
	for name, typ := range columns {
		q := quoteName(name)
		switch typ {
		case tagType:
			f.Tags[name] = s.distinct(db, table, q)
			continue
		case "Timestamp(Nanosecond, None)":
			continue
		case "Boolean":
			q = "CAST(" + q + " AS BIGINT)"
		}
		sum := "CAST(sum(" + q + ") AS VARCHAR)" // as a JSON number it would lose digits
		if typ == "Utf8" {
			sum = "''"
		}
		selects = append(selects, fmt.Sprintf("count(%s) AS %s, %s AS %s, min(%s) AS %s, max(%s) AS %s",
			q, quoteName("count "+name), sum, quoteName("sum "+name), q, quoteName("min "+name), q, quoteName("max "+name)))
	}
	r := s.query(db, "SELECT "+strings.Join(selects, ", ")+" FROM "+quoteName(table))[0]
	f.Rows, f.Start, f.End = r.number("rows"), r.text("start"), r.text("end")
	for name, typ := range columns {
		if _, ok := r["count "+name]; ok {
			f.Fields[name] = fieldFigures{typ, r.number("count " + name), r.text("sum " + name), r.text("min " + name), r.text("max " + name)}
		}
	}
	return f
}

// distinct returns the values of a column, in order.
func (s *server) distinct(db, table, column string) []string {
	s.site.t.Helper()
	var values []string
	sql := fmt.Sprintf("SELECT DISTINCT %s AS v FROM %s WHERE %s IS NOT NULL", column, quoteName(table), column)
	for _, r := range s.query(db, sql) {
		values = append(values, r.text("v"))
	}
	slices.Sort(values)
	return values
}

// text is a value as text; null is empty.
func (r row) text(column string) string {
	if v, ok := r[column]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// number is a count; what is none counts as -1.
func (r row) number(column string) int {
	v, ok := r[column].(json.Number)
	if !ok {
		return -1
	}
	n, err := v.Int64()
	if err != nil {
		return -1
	}
	return int(n)
}

// TestRealDataComeBack shows X1: whatever happens between writing and asking, the
// figures are the input's.
func TestRealDataComeBack(t *testing.T) {
	all, s := inputs(t), newSite(t)
	srv := s.start()
	stage := func(name string, change func()) {
		change()
		for i := range all {
			all[i].check(srv, name)
		}
	}
	write := func() {
		for i := range all {
			all[i].write(srv)
		}
	}
	stage("before the flush", write)
	stage("killed before any flush", func() { srv.kill(); srv = s.start() })
	if files := s.parquetFiles(); len(files) > 0 {
		t.Errorf("before any flush there are %q", files)
	}
	stage("flushed", func() { srv.flush() })
	stage("killed after a flush", func() { srv.kill(); srv = s.start() })
	stage("written again", write)
	stage("stopped with full buffers", func() { srv.stop(); srv = s.start() })
	stage("stopped", func() { srv.stop(); srv = s.start() })
}
