//go:build duckdb_arrow

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// lineFault is a rejected line as an answer describes it.
type lineFault struct {
	Message  string `json:"error_message"`
	Line     int    `json:"line_number"`
	Original string `json:"original_line"`
}

// partialBody is the exact answer to a write of which lines were rejected.
func partialBody(t *testing.T, faults ...lineFault) string {
	t.Helper()
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(faults); err != nil {
		t.Fatal(err)
	}
	return `{"error":"partial write of line protocol occurred","data":` + strings.TrimSpace(text.String()) + `}`
}

// cut is what an answer repeats of a line in ASCII.
func cut(line string) string { return line[:min(len(line), 20)] }

// partialSeed defines the columns that the bad lines contradict.
const partialSeed = "cpu,host=a usage=1.5,n=1i,u=1u,s=\"x\",b=true 1\n"

// badLines are lines that must be rejected, with InfluxDB 3 Core's reasons.
var badLines = []struct{ name, line, message string }{
	{"string for float", `cpu,host=a usage="high" 2`, "invalid column type for column 'usage', expected iox::column_type::field::float, got iox::column_type::field::string"},
	{"float for integer", `cpu,host=a n=1.5 2`, "invalid column type for column 'n', expected iox::column_type::field::integer, got iox::column_type::field::float"},
	{"integer for unsigned", `cpu,host=a u=1i 2`, "invalid column type for column 'u', expected iox::column_type::field::uinteger, got iox::column_type::field::integer"},
	{"boolean for string", `cpu,host=a s=t 2`, "invalid column type for column 's', expected iox::column_type::field::string, got iox::column_type::field::boolean"},
	{"float for boolean", `cpu,host=a b=1 2`, "invalid column type for column 'b', expected iox::column_type::field::boolean, got iox::column_type::field::float"},
	{"field named as a tag", `cpu,rack=r host=1 2`, "invalid column type for column 'host', expected iox::column_type::tag, got iox::column_type::field::float"},
	{"tag named as a field", `cpu,usage=high fresh=1 2`, "invalid column type for column 'usage', expected iox::column_type::field::float, got iox::column_type::tag"},
	{"good field before a bad one", `cpu,rack=r fresh=1,usage="high" 2`, "invalid column type for column 'usage', expected iox::column_type::field::float, got iox::column_type::field::string"},
	{"field named time in a new table", `ghost,rack=r time=1 2`, "'time' is a reserved column"},
	{"field twice", `cpu,rack=r fresh=1,fresh=2 2`, "invalid line protocol - multiple instances of 'fresh' field found"},
	{"field twice in a new table", `ghost v=1,v=2 2`, "invalid line protocol - multiple instances of 'v' field found"},
	{"no fields", `ghost,rack=r`, "No fields were provided"},
	{"no value", `ghost,rack=r val= 123`, "No fields were provided"},
	{"no measurement", `,rack=r fresh=1 2`, "Invalid measurement was provided"},
	{"integer too large", `ghost v=9223372036854775808i 2`, "Unable to parse integer value `9223372036854775808`"},
	{"time is a word", `ghost v=1 abc`, "Could not parse entire line. Found trailing content: ` abc`"},
	{"time ends in letters", `ghost v=1 123abc`, "Could not parse entire line. Found trailing content: `abc`"},
	{"time too large", `ghost v=1 123461000000000000000000000000`, "Unable to parse timestamp value `123461000000000000000000000000`"},
	{"string too long", `ghost v="` + strings.Repeat("x", 64<<10+1) + `" 2`, "String is greater than 64KB"},
}

// TestBadLinesCostNoGoodOnes shows X4, one bad line between two good ones at a time:
// each answer is Core's to the byte, and afterwards there is what the good lines said.
func TestBadLinesCostNoGoodOnes(t *testing.T) {
	srv := newSite(t).start()
	for i, bad := range badLines {
		t.Run(bad.name, func(t *testing.T) {
			srv := srv.in(t)
			db := fmt.Sprintf("bad%d", i)
			srv.write(db, partialSeed)
			a, err := srv.post(db, []byte("cpu,host=good usage=1 1\n"+bad.line+"\ncpu,host=good usage=2 2\n"))
			want := partialBody(t, lineFault{bad.message, 2, cut(bad.line)})
			if err != nil || a.status != http.StatusBadRequest || a.body != want {
				t.Errorf("answered %v %d\n%s, not\n%s", err, a.status, a.body, want)
			}
			if typ := a.header.Get("Content-Type"); typ != "application/json" {
				t.Errorf("the content type is %q", typ)
			}
			checkOnlyGoodLines(srv, db, 3)
		})
	}
	// What left no trace in memory must leave none on disk either.
	srv.kill()
	srv = srv.site.start()
	for i, bad := range badLines {
		t.Run(bad.name+" after a kill", func(t *testing.T) { checkOnlyGoodLines(srv.in(t), fmt.Sprintf("bad%d", i), 3) })
	}
}

// checkOnlyGoodLines compares tables, columns and the number of rows with those of
// partialSeed, which no bad line may change.
func checkOnlyGoodLines(srv *server, db string, rows int) {
	t := srv.site.t
	t.Helper()
	columns := srv.columns(db)
	want := []string{"b", "host", "n", "s", "time", "u", "usage"}
	if got := slices.Sorted(maps.Keys(columns["cpu"])); len(columns) != 1 || !slices.Equal(got, want) {
		t.Errorf("the columns are %v", columns)
	}
	var tables []string
	for _, r := range srv.query(db, "SHOW TABLES") {
		tables = append(tables, r.text("table_schema")+"."+r.text("table_name"))
	}
	if len(tables) < 2 || tables[0] != "iox.cpu" || !strings.HasPrefix(tables[1], "system.") {
		t.Errorf("the tables are %q", tables)
	}
	if got := srv.query(db, "SELECT count(*) AS n FROM cpu")[0].number("n"); got != rows {
		t.Errorf("%d rows, not %d", got, rows)
	}
	if good := srv.query(db, "SELECT usage FROM cpu WHERE host = 'good' ORDER BY time"); rows > 1 &&
		(len(good) != 2 || good[0].text("usage") != "1.0" || good[1].text("usage") != "2.0") {
		t.Errorf("the good lines are %v", good)
	}
}

// TestFieldNamedTimeContradictsTheTimeColumn: in a table that exists, time has a type.
func TestFieldNamedTimeContradictsTheTimeColumn(t *testing.T) {
	srv := newSite(t).start()
	srv.write("db", partialSeed)
	a, err := srv.post("db", []byte("cpu,host=a time=1 2"))
	want := partialBody(t, lineFault{
		"invalid column type for column 'time', expected iox::column_type::timestamp, got iox::column_type::field::float", 1, "cpu,host=a time=1 2",
	})
	if err != nil || a.status != http.StatusBadRequest || a.body != want {
		t.Errorf("answered %v %d\n%s, not\n%s", err, a.status, a.body, want)
	}
	checkOnlyGoodLines(srv, "db", 1)
}

// TestEveryBadLineIsListed: in order, with the line's number in the body as sent;
// comments and blank lines count, which they do not in Core.
func TestEveryBadLineIsListed(t *testing.T) {
	srv := newSite(t).start()
	srv.write("db", partialSeed)
	a, err := srv.post("db", []byte(`# a comment

cpu,host=good usage=1 1
cpu,host=a usage="a string that is long" 2

cpu,host=good usage=2 2
# another
ghost,host=a val= 123
cpu,host=a n=1.5 2`))
	want := partialBody(t,
		lineFault{"invalid column type for column 'usage', expected iox::column_type::field::float, got iox::column_type::field::string", 4, `cpu,host=a usage="a `},
		lineFault{"No fields were provided", 8, `ghost,host=a val= 12`},
		lineFault{"invalid column type for column 'n', expected iox::column_type::field::integer, got iox::column_type::field::float", 9, `cpu,host=a n=1.5 2`},
	)
	if err != nil || a.status != http.StatusBadRequest || a.body != want {
		t.Errorf("answered %v %d\n%s, not\n%s", err, a.status, a.body, want)
	}
	checkOnlyGoodLines(srv, "db", 3)
}

// TestFirstLineDecidesTheTypeOfANewColumn: the contradiction is within one body.
func TestFirstLineDecidesTheTypeOfANewColumn(t *testing.T) {
	srv := newSite(t).start()
	a, err := srv.post("db", []byte("m v=1i 1\nm v=\"one\" 2\nm v=3i 3"))
	want := partialBody(t, lineFault{
		"invalid column type for column 'v', expected iox::column_type::field::integer, got iox::column_type::field::string", 2, `m v="one" 2`,
	})
	if err != nil || a.status != http.StatusBadRequest || a.body != want {
		t.Errorf("answered %v %d\n%s, not\n%s", err, a.status, a.body, want)
	}
	if r := srv.query("db", "SELECT count(*) AS n, sum(v) AS v FROM m")[0]; r.number("n") != 2 || r.number("v") != 4 {
		t.Errorf("stored were %v", r)
	}
}

// TestTimeBeyondItsPrecisionIsRejected: the number is fine, the instant cannot be stored.
func TestTimeBeyondItsPrecisionIsRejected(t *testing.T) {
	srv := newSite(t).start()
	const line = "m v=1 9223372036854775807"
	a, err := srv.do(http.MethodPost, "/api/v3/write_lp", url.Values{"db": {"db"}, "precision": {"second"}}, []byte(line+"\nm v=2 1"))
	want := partialBody(t, lineFault{"timestamp, 9223372036854775807, out of range for precision: Second", 1, cut(line)})
	if err != nil || a.status != http.StatusBadRequest || a.body != want {
		t.Errorf("answered %v %d\n%s, not\n%s", err, a.status, a.body, want)
	}
	if r := srv.query("db", "SELECT epoch_ns(time) AS ns, v FROM m"); len(r) != 1 || r[0].text("ns") != "1000000000" {
		t.Errorf("stored were %v", r)
	}
}

// TestRefusedBodyLeavesNothing: without partial writes one bad line rejects them all,
// and a body of nothing but bad lines does not even make its database.
func TestRefusedBodyLeavesNothing(t *testing.T) {
	srv := newSite(t).start()
	srv.write("db", partialSeed)
	params := url.Values{"db": {"db"}, "precision": {"nanosecond"}, "accept_partial": {"false"}}
	a, err := srv.do(http.MethodPost, "/api/v3/write_lp", params, []byte("cpu,host=b,rack=r usage=1,fresh=1 1\nghost v=1 1\ncpu,host=a val= 123\ncpu n=1.5 1"))
	const want = `{"error":"parsing failed for write_lp endpoint","data":{"error_message":"No fields were provided","line_number":3,"original_line":"cpu,host=a val= 123"}}`
	if err != nil || a.status != http.StatusBadRequest || a.body != want {
		t.Errorf("answered %v %d\n%s, not\n%s", err, a.status, a.body, want)
	}
	checkOnlyGoodLines(srv, "db", 1)
	if a, err := srv.post("never", []byte("ghost v= 1")); err != nil || a.status != http.StatusBadRequest {
		t.Errorf("answered %v %d %s", err, a.status, a.body)
	}
	if rows, err := srv.ask("never", "SHOW TABLES"); err == nil || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("the database has %v, %v", rows, err)
	}
}
