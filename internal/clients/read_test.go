package clients

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// readingDatabase holds what the tests read.
const readingDatabase = "reading"

// readingPoints are: every type, with and without a value; the largest and the least values
// and times; a table of one point
// a minute in two rooms, of which one misses a minute; and a name with a space.
const readingPoints = `kinds,host=a,region=eu f=1.5,i=-7i,u=18446744073709551615u,s="x \"y\" ü",b=true 1700000000123456789
kinds,host=b f=2,b=false 1700000060000000000
kinds,host=a,region=eu i=9007199254740991i,s="" 1700000120000000001
limits i=9223372036854775807i,f=1.7976931348623157e+308 -9000000000000000001
limits i=-9223372036854775808i,f=5e-324 9000000000000000001
home,room=kitchen temp=21,hum=35.9,co=0i 1735689600000000000
home,room=kitchen temp=21.5,hum=36,co=0i 1735689660000000000
home,room=kitchen temp=22,hum=36.1,co=4i 1735689720000000000
home,room=kitchen temp=22.25,hum=35.5,co=9i 1735689780000000000
home,room=garage temp=8,hum=60,co=0i 1735689600000000000
home,room=garage temp=8.5,hum=60.5,co=1i 1735689660000000000
home,room=garage temp=9.5,hum=61,co=2i 1735689780000000000
we\ ather,station=north wind=3i 1735689600000000000
`

// startReadingServer runs a server with a token that may read readingDatabase, and nothing
// else.
func startReadingServer(t *testing.T) (srv *server, token string) {
	t.Helper()
	srv = startServer(t)
	srv.createOperator()
	srv.write(readingDatabase, readingPoints)
	return srv, srv.createToken("reader", readingDatabase, "read")
}

// question is one query, as the programs of testdata read it from a line of standard input.
type question struct {
	URL      string         `json:"url"`
	Token    string         `json:"token"`
	Database string         `json:"database"`
	Language string         `json:"language"` // sql or influxql
	Query    string         `json:"query"`
	Params   map[string]any `json:"params"` // nil for none
	Mode     string         `json:"mode"`   // which of the library's calls
}

// reading is what the user of a client sees of an answer, as the programs print it.
type reading struct {
	OK      bool       `json:"ok"`
	Columns []string   `json:"columns"` // the name, and the type where there is one
	Rows    [][]string `json:"rows"`
	Type    string     `json:"type"` // of the exception or error
	Code    string     `json:"code"` // where the client has one
	Text    string     `json:"text"` // the message
}

// picture is the text of testdata/seen.
func (r reading) picture() string {
	var b strings.Builder
	if !r.OK {
		fmt.Fprintf(&b, "%s", r.Type)
		if r.Code != "" {
			fmt.Fprintf(&b, ", code %s", r.Code)
		}
		fmt.Fprintf(&b, "\n%s\n", r.Text)
		return b.String()
	}
	fmt.Fprintf(&b, "%s\n", strings.Join(r.Columns, " | "))
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "%s\n", strings.Join(row, " | "))
	}
	fmt.Fprintf(&b, "(%d rows)\n", len(r.Rows))
	return b.String()
}

// reader is a client library in one of the ways in which it reads.
type reader struct {
	name string // as testdata/seen has it
	kind string // as need knows it
	mode string
	do   func(*testing.T, question) reading
}

// readers are all of them.
var readers = []reader{
	{"influxdb3-python, pyarrow", "python", "all", askPython},
	{"influxdb3-python, pandas", "python", "pandas", askPython},
	{"influxdb3-go, Query", "go", "query", askGo},
	{"influxdb3-go, QueryPointValue", "go", "points", askGo},
	{"influxdb3-js, query", "node", "query", askJS},
	{"influxdb3-js, queryPoints", "node", "points", askJS},
}

var (
	influxdb3PythonRead = &driver{command: func() (*exec.Cmd, error) { return python("influxdb3_python_read.py") }}
	influxdb3JSRead     = &driver{command: func() (*exec.Cmd, error) { return node("influxdb3_js_read.mjs") }}
)

func askPython(t *testing.T, q question) (r reading) {
	t.Helper()
	influxdb3PythonRead.exchange(t, q, &r)
	return r
}

func askJS(t *testing.T, q question) (r reading) {
	t.Helper()
	influxdb3JSRead.exchange(t, q, &r)
	return r
}

// readingCases are queries of each language, each with the file of testdata/seen.
var readingCases = []struct {
	file     string
	language string
	query    string
	params   map[string]any
}{
	{"sql-every-type", "sql", "SELECT * FROM kinds ORDER BY time", nil},
	// JavaScript's numbers are floats; the library's queryPoints says so.
	{"sql-limits", "sql", "SELECT * FROM limits ORDER BY time", nil},
	{"sql-buckets", "sql", `SELECT date_bin(INTERVAL '2 minutes', time) AS bin, room, avg(temp) AS temp, count(*) AS n
		FROM home WHERE time >= '2025-01-01T00:00:00Z' GROUP BY bin, room ORDER BY bin, room`, nil},
	{"sql-gaps-filled", "sql", `SELECT date_bin_gapfill(INTERVAL '1 minute', time) AS time, room, interpolate(avg(temp)) AS temp
		FROM home WHERE time >= '2025-01-01T00:00:00Z' AND time < '2025-01-01T00:04:00Z' GROUP BY 1, room ORDER BY room, 1`, nil},
	{"sql-last-values", "sql", `SELECT room, selector_last(temp, time)['value'] AS temp, selector_last(temp, time)['time'] AS time
		FROM home GROUP BY room ORDER BY room`, nil},
	{
		"sql-parameters", "sql", "SELECT time, room, temp FROM home WHERE room = $room AND temp >= $least ORDER BY time",
		map[string]any{"room": "kitchen", "least": 21.5},
	},
	{"sql-no-rows", "sql", "SELECT time, temp FROM home WHERE temp > 100", nil},
	{"sql-tables", "sql", "SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = 'iox' ORDER BY table_name", nil},
	{"sql-quoted-name", "sql", `SELECT * FROM "we ather"`, nil},
	{"sql-error-unknown-table", "sql", "SELECT * FROM attic", nil},
	{"sql-error-syntax", "sql", "SELECT temp FROM home WHERE", nil},
	{"sql-error-missing-parameter", "sql", "SELECT temp FROM home WHERE room = $room", map[string]any{"least": 1}},
	{"sql-error-write", "sql", "DROP TABLE home", nil},
	{"influxql-every-type", "influxql", "SELECT * FROM kinds", nil},
	{"influxql-buckets", "influxql", `SELECT mean(temp) FROM home
		WHERE time >= '2025-01-01T00:00:00Z' AND time < '2025-01-01T00:04:00Z' GROUP BY time(1m), room fill(null)`, nil},
	{
		"influxql-parameters", "influxql", "SELECT temp FROM home WHERE room = $room AND temp >= $least",
		map[string]any{"room": "kitchen", "least": 21.5},
	},
	{"influxql-last-values", "influxql", "SELECT last(temp), hum FROM home GROUP BY room", nil},
	{"influxql-show-measurements", "influxql", "SHOW MEASUREMENTS", nil},
	{"influxql-show-tag-values", "influxql", "SHOW TAG VALUES FROM home WITH KEY = room", nil},
	{"influxql-show-field-keys", "influxql", "SHOW FIELD KEYS", nil},
	{"influxql-error-syntax", "influxql", "SELECT FROM home", nil},
}

// TestLibrariesRead shows K5 and K6 for the libraries of InfluxDB 3.
func TestLibrariesRead(t *testing.T) {
	srv, token := startReadingServer(t)
	for _, c := range readingCases {
		t.Run(c.file, func(t *testing.T) {
			a := openAlbum(t, "read-"+c.file)
			for _, r := range readers {
				t.Run(r.name, func(t *testing.T) {
					r.needs(t)
					got := r.do(t, question{
						URL: srv.url, Token: token, Database: readingDatabase,
						Language: c.language, Query: c.query, Params: c.params, Mode: r.mode,
					})
					a.checkExactly(t, r.name, got.picture())
					wantError := strings.Contains(c.file, "error") || c.file == "sql-limits" && r.name == "influxdb3-js, queryPoints"
					if got.OK == wantError {
						t.Errorf("%s was answered %+v", c.query, got)
					}
				})
			}
		})
	}
}

// TestLibrariesShowWhatMayNotBeRead shows K6 for tokens and databases.
func TestLibrariesShowWhatMayNotBeRead(t *testing.T) {
	srv, token := startReadingServer(t)
	srv.write("other", oneLine)
	for _, c := range []struct{ file, token, database string }{
		{"error-unknown-token", "wrong", readingDatabase},
		{"error-forbidden-database", token, "other"},
		{"error-unknown-database", srv.token, "nowhere"},
	} {
		t.Run(c.file, func(t *testing.T) {
			a := openAlbum(t, "read-"+c.file)
			for _, r := range readers {
				for _, language := range []string{"sql", "influxql"} {
					t.Run(r.name+", "+language, func(t *testing.T) {
						r.needs(t)
						got := r.do(t, question{
							URL: srv.url, Token: c.token, Database: c.database,
							Language: language, Query: "SELECT * FROM cpu", Mode: r.mode,
						})
						a.checkExactly(t, r.name+", "+language, got.picture())
						if got.OK {
							t.Errorf("the answer is %+v", got)
						}
					})
				}
			}
		})
	}
}

// needs skips the test when the library was not asked for or cannot run here.
func (r reader) needs(t *testing.T) {
	t.Helper()
	library{kind: r.kind}.needs(t)
}
