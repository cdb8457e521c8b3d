package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// influxqlRequests are the requests of testdata/influxql_answers.txt.
func influxqlRequests() []influxqlRequest {
	var all []influxqlRequest
	v1 := func(statements ...string) {
		for _, q := range statements {
			all = append(all, influxqlRequest{"GET", "/query", "db=d&q=" + q, "", ""})
		}
	}
	as := func(accept, params string) {
		all = append(all, influxqlRequest{"GET", "/query", "db=d&" + params, "Accept: " + accept, ""})
	}
	post := func(params, header, body string) {
		all = append(all, influxqlRequest{"POST", "/query", params, header, body})
	}
	v1("SHOW DATABASES", "SHOW MEASUREMENTS", "SHOW MEASUREMENTS WITH MEASUREMENT =~ /c.*/ WHERE host = 'a'",
		"SHOW MEASUREMENTS WITH MEASUREMENT = mem", "SHOW MEASUREMENTS LIMIT 1 OFFSET 1", "SHOW MEASUREMENTS LIMIT 1 OFFSET 10",
		"SHOW MEASUREMENTS WHERE host = 'a' OR region != '' LIMIT 5", "SHOW MEASUREMENTS ON nope", "SHOW MEASUREMENTS ON d.week",
		"SHOW SERIES", "SHOW SERIES FROM cpu WHERE host =~ /a|b/", "SHOW SERIES LIMIT 2 OFFSET 1", "SHOW SERIES FROM cpu WHERE time > 2s",
		"SHOW SERIES FROM cpu WHERE region = ''", "SHOW SERIES WHERE nope = '' AND host != 'a'", "SHOW SERIES FROM cpu WHERE usage > 1", "SHOW SERIES FROM nope",
		"SHOW TAG KEYS", "SHOW TAG KEYS FROM /c.*/ WHERE host='b'", "SHOW TAG KEYS LIMIT 1", "SHOW TAG KEYS LIMIT 1 OFFSET 1",
		"SHOW TAG KEYS SLIMIT 1 SOFFSET 1", "SHOW TAG KEYS WHERE host = 'nope'", "SHOW TAG KEYS FROM d.week.cpu",
		"SHOW TAG VALUES WITH KEY = host", "SHOW TAG VALUES WITH KEY IN (host, region)", "SHOW TAG VALUES FROM cpu WITH KEY =~ /.*/",
		"SHOW TAG VALUES FROM cpu WITH KEY !~ /h.*/", "SHOW TAG VALUES FROM cpu WITH KEY != host", "SHOW TAG VALUES FROM cpu WITH KEY = host LIMIT 1 OFFSET 1",
		"SHOW TAG VALUES FROM cpu WITH KEY = host WHERE region='eu'", "SHOW TAG VALUES FROM cpu WITH KEY = host WHERE time > 2s",
		"SHOW TAG VALUES FROM cpu WITH KEY = nope", "SHOW TAG VALUES FROM cpu WITH KEY = host WHERE usage > 1", "SHOW TAG VALUES FROM cpu",
		"SHOW FIELD KEYS", "SHOW FIELD KEYS FROM cpu LIMIT 2 OFFSET 1", "SHOW FIELD KEYS ON other",
		"SHOW RETENTION POLICIES", "SHOW RETENTION POLICIES ON other", "SHOW RETENTION POLICIES ON nope",
		"SHOW SERIES CARDINALITY", "SHOW SERIES EXACT CARDINALITY", "SHOW SERIES EXACT CARDINALITY FROM cpu WHERE host='a'", "SHOW SERIES EXACT CARDINALITY FROM cpu,mem GROUP BY region",
		"SHOW MEASUREMENT CARDINALITY", "SHOW MEASUREMENT EXACT CARDINALITY", "SHOW MEASUREMENT EXACT CARDINALITY WHERE host = 'a'",
		"SHOW TAG KEY CARDINALITY", "SHOW TAG KEY EXACT CARDINALITY WHERE host = 'b'", "SHOW FIELD KEY EXACT CARDINALITY", "SHOW FIELD KEY CARDINALITY WHERE host = 'z'",
		"SHOW TAG VALUES EXACT CARDINALITY FROM cpu WITH KEY IN (host,region)", "SHOW TAG VALUES CARDINALITY WITH KEY = host",
		"SHOW USERS", "SHOW CONTINUOUS QUERIES", "SHOW SUBSCRIPTIONS", "SHOW SHARDS", "SHOW SHARD GROUPS", "SHOW STATS", "SHOW DIAGNOSTICS", "SHOW GRANTS FOR x",
		"SHOW DATABASES; SHOW TAG KEYS ON nope; SHOW DATABASES; SHOW USERS", "SHOW DATABASES; SHOW", ";",
		"CREATE DATABASE x", "SELECT usage INTO x FROM cpu")
	all = append(all,
		influxqlRequest{"GET", "/query", "q=SHOW MEASUREMENTS", "", ""},
		influxqlRequest{"GET", "/query", "db=d&rp=week&q=SHOW SERIES", "", ""},
		influxqlRequest{"GET", "/query", "db=d", "", ""},
		influxqlRequest{"GET", "/query", "db=d&q=SHOW USERS&epoch=years", "", ""},
		influxqlRequest{"GET", "/query", "db=d&q=SHOW TAG KEYS FROM cpu;SHOW USERS;SHOW SERIES FROM nope&pretty=true", "", ""},
		influxqlRequest{"GET", "/query", "db=d&q=SHOW TAG VALUES FROM cpu,mem WITH KEY = host;SHOW USERS;SHOW TAG KEYS ON nope;SHOW USERS&chunked=true&chunk_size=2", "", ""},
		influxqlRequest{"GET", "/query", "db=d&q=SHOW TAG VALUES FROM cpu WITH KEY = host WHERE region = $r&params={\"r\":\"us\"}", "", ""},
		influxqlRequest{"GET", "/query", "db=d&q=SHOW TAG VALUES FROM cpu WITH KEY = host WHERE region = $r", "", ""},
		influxqlRequest{"GET", "/query", "db=d&q=SHOW USERS&params={\"r", "", ""},
	)
	for _, q := range []string{ // columns that our SQL uses names of
		"SHOW SERIES", "SHOW TAG KEYS", "SHOW TAG KEYS WHERE \"key\" = 'a' AND \"Key\" = 'g'", "SHOW TAG VALUES FROM m WITH KEY =~ /.*/", "SHOW TAG VALUES WITH KEY = \"name\" WHERE value = 'b'",
		"SHOW MEASUREMENTS WHERE \"name\" = 'd'", "SHOW SERIES CARDINALITY", "SHOW SERIES EXACT CARDINALITY GROUP BY count, g0, \"Key\"", "SHOW MEASUREMENT EXACT CARDINALITY WHERE count = 'e'",
	} {
		all = append(all, influxqlRequest{"GET", "/query", "db=names&q=" + q, "", ""})
	}
	const several = "q=SHOW TAG VALUES FROM cpu WITH KEY = host; SHOW USERS; SHOW SERIES FROM nope; SHOW TAG KEYS ON nope; SHOW USERS"
	for _, accept := range []string{"application/csv", "text/csv", "application/x-msgpack"} {
		as(accept, several)
		as(accept, several+"&chunked=true&chunk_size=2")
		as(accept, "q=SHOW")
	}
	as("text/html", "q=SHOW DATABASES")
	v1("SELECT * FROM cpu", "SELECT usage FROM cpu GROUP BY *", "SELECT usage FROM cpu,mem GROUP BY host", "SELECT v FROM fl; SELECT s FROM ev; SELECT f FROM nope; SELECT * FROM \"q u\" GROUP BY *",
		"SELECT mean(free) FROM mem", "SELECT usage FROM cpu WHERE host = 'a' tz('Europe/Berlin')", "SELECT usage FROM d..cpu LIMIT 1", "SELECT usage FROM week.cpu", "SELECT usage FROM nope..cpu; SHOW USERS",
		"SELECT mean(usage, 1) FROM cpu")
	const reads = "q=SELECT usage, s FROM cpu GROUP BY host; SELECT usage FROM cpu"
	for _, accept := range []string{"application/json", "text/csv", "application/x-msgpack"} {
		for _, more := range []string{"", "&epoch=ms", "&epoch=h", "&chunked=true&chunk_size=2", "&chunked=true"} {
			as(accept, reads+more)
		}
	}
	form := "Content-Type: application/x-www-form-urlencoded"
	post("", form, "q=SHOW+DATABASES")
	post("db=other&q=SHOW USERS", form, "q=SHOW+MEASUREMENTS&db=d")
	post("db=d", "Content-Type: application/vnd.influxql", "SHOW MEASUREMENTS")
	post("db=d", "Content-Type: ", "SHOW MEASUREMENTS")
	post("db=d", "Content-Type: application/json", `{"q":"SHOW MEASUREMENTS"}`)
	post("db=d", "Content-Type: multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nSHOW MEASUREMENTS\r\n--x--\r\n")
	post("db=d", "Content-Type: multipart/form-data; boundary=x", "--x\r\nContent-Disp")
	post("chunked=true&db=d&epoch=ns&q=SHOW MEASUREMENTS", "Content-Type: ", "")
	for _, q := range []string{
		`CREATE DATABASE "tg1"`, `CREATE DATABASE "tg1"`, "CREATE DATABASE d WITH DURATION 3d", "CREATE DATABASE d2 WITH DURATION 3d REPLICATION 1 SHARD DURATION 1h NAME autogen",
		"CREATE DATABASE d3 WITH NAME foo", `CREATE DATABASE ""`, `CREATE DATABASE "a b"`, "CREATE RETENTION POLICY r1 ON d2 DURATION 48h REPLICATION 1",
		"CREATE RETENTION POLICY r1 ON d2 DURATION 48h REPLICATION 1", "CREATE RETENTION POLICY r1 ON d2 DURATION 1h REPLICATION 1",
		"CREATE RETENTION POLICY r1 ON nope DURATION 1h REPLICATION 1", "CREATE RETENTION POLICY r1 ON d2 DURATION 1h REPLICATION 1 DEFAULT",
		"ALTER RETENTION POLICY r1 ON d2 DURATION 3d", "ALTER RETENTION POLICY r9 ON d2 DURATION 3d", "ALTER RETENTION POLICY autogen ON d2 DURATION INF",
		"SHOW RETENTION POLICIES ON d2", "DROP RETENTION POLICY r1 ON d2", "DROP RETENTION POLICY r1 ON d2", "DROP RETENTION POLICY autogen ON d2", "SHOW RETENTION POLICIES ON d2",
		"DROP DATABASE d2", "DROP DATABASE d2", "SHOW DATABASES", "KILL QUERY 999", "CREATE USER u WITH PASSWORD 'secret'", "GRANT ALL TO u", "DELETE FROM cpu", "DROP SERIES FROM cpu",
		"DROP MEASUREMENT cpu",
	} {
		post("q="+q, "", "")
	}
	post("db=other&q=DROP MEASUREMENT m; DROP MEASUREMENT m; SHOW MEASUREMENTS", "", "")
	v3 := func(params string) {
		all = append(all, influxqlRequest{"GET", "/api/v3/query_influxql", params, "", ""})
	}
	v3("q=SHOW DATABASES")
	v3("q=SHOW RETENTION POLICIES&format=csv")
	v3("db=d&q=SHOW RETENTION POLICIES&format=pretty")
	v3("db=d&q=SHOW MEASUREMENTS")
	v3("db=d&q=SHOW TAG VALUES FROM cpu WITH KEY = host&format=pretty")
	v3("db=d&q=SHOW FIELD KEYS FROM cpu&format=jsonl")
	v3("db=d&q=SHOW TAG VALUES WITH KEY = host WHERE host = $h&params={\"h\":\"z\"}")
	v3("db=d&q=SELECT usage FROM cpu GROUP BY host&format=pretty")
	v3("q=SELECT usage FROM d..cpu&format=csv")
	v3("db=d&q=SELECT usage FROM cpu WHERE host = $h&params={\"h\":\"a\"}")
	v3("db=nope&q=SHOW MEASUREMENTS")
	v3("db=d&q=SHOW")
	v3("db=d&q=SHOW DATABASES; SHOW DATABASES")
	v3("q=CREATE DATABASE x")
	v3("db=d")
	v3("q=SHOW MEASUREMENTS")
	return append(all, influxqlRequest{"POST", "/api/v3/query_influxql", "", "", `{"db":"d","q":"SHOW TAG KEYS FROM cpu","format":"csv"}`})
}

// unpacked shows MessagePack documents as JSON, one a line.
func unpacked(t *testing.T, text string) string {
	t.Helper()
	var lines []string
	r := msgp.NewReader(strings.NewReader(text))
	for {
		v, err := r.ReadIntf()
		if err != nil {
			if !strings.Contains(err.Error(), "EOF") {
				t.Errorf("MessagePack: %v", err)
			}
			return strings.Join(lines, "\n")
		}
		var line bytes.Buffer
		if err := json.NewEncoder(&line).Encode(plain(v)); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSpace(line.String()))
	}
}

// plain marks times, which JSON lacks.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plain(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plain(e)
		}
	case time.Time:
		return fmt.Sprintf("time %d", v.UnixNano())
	}
	return v
}
