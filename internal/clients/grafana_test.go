package clients

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// grafanaInfluxQL are the queries that Grafana's InfluxDB data source sends when its language
// is InfluxQL: the health check, those that fill its query builder and variables, and panels
// with $timeFilter and $__interval replaced.
var grafanaInfluxQL = []struct{ name, query string }{
	{"health check", `SHOW measurements`},
	{"builder: measurements", `SHOW MEASUREMENTS LIMIT 100`},
	{"builder: measurements like", `SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?i)HO/ LIMIT 100`},
	{"builder: measurements with a tag", `SHOW MEASUREMENTS WHERE "room" = 'garage' LIMIT 100`},
	{"builder: retention policies", `SHOW RETENTION POLICIES on "reading"`},
	{"builder: tag keys", `SHOW TAG KEYS FROM "home"`},
	{"builder: tag keys of all", `SHOW TAG KEYS`},
	{"builder: tag values", `SHOW TAG VALUES FROM "home" WITH KEY = "room"`},
	{"builder: tag values, narrowed", `SHOW TAG VALUES FROM "kinds" WITH KEY = "host" WHERE "region" = 'eu'`},
	{"builder: field keys", `SHOW FIELD KEYS FROM "home"`},
	{"variable: databases", `SHOW DATABASES`},
	{"variable: series", `SHOW SERIES FROM "home"`},
	{"variable: values of a tag in all measurements", `SHOW TAG VALUES WITH KEY IN ("room", "host")`},
	{
		"panel: mean by time and tag",
		`SELECT mean("temp") FROM "home" WHERE time >= 1735689600000ms and time <= 1735689840000ms GROUP BY time(1m), "room"::tag fill(null) ORDER BY time ASC`,
	},
	{
		"panel: tags that match a list",
		`SELECT mean("temp") AS "t", max("hum") FROM "home" WHERE ("room"::tag =~ /^(kitchen|attic)$/) AND time >= 1735689600000ms and time <= 1735689840000ms GROUP BY time(2m) fill(none)`,
	},
	{
		"panel: the last value",
		`SELECT last("temp") FROM "home" WHERE time >= 1735689600000ms and time <= 1735689840000ms GROUP BY "room"`,
	},
	{
		"panel: a rate",
		`SELECT non_negative_derivative(mean("co"), 1m) FROM "home" WHERE time >= 1735689600000ms and time <= 1735689840000ms GROUP BY time(1m), "room" fill(previous)`,
	},
	{"panel: a table", `SELECT "temp", "hum", "room" FROM "home" WHERE time >= 1735689600000ms and time <= 1735689840000ms LIMIT 3`},
	{"panel: arithmetic", `SELECT mean("temp") * 1.8 + 32 FROM "home" WHERE time >= 1735689600000ms and time <= 1735689840000ms GROUP BY time(5m) fill(linear) tz('Europe/Berlin')`},
	{"panel: with a policy", `SELECT count("temp") FROM "autogen"."home"`},
	{"panel: two statements", `SELECT count("temp") FROM "home"; SELECT count("f") FROM "kinds"`},
	{"panel: nothing there", `SELECT mean("temp") FROM "attic" WHERE time >= 1735689600000ms GROUP BY time(1m)`},
	{"panel: wrong", `SELECT mean("temp" FROM "home"`},
}

// TestGrafanaReadsInfluxQL shows K7 for Grafana, by replaying its requests.
func TestGrafanaReadsInfluxQL(t *testing.T) {
	need(t, "go")
	srv, token := startReadingServer(t)
	a := openAlbum(t, "grafana-influxql")
	for _, q := range grafanaInfluxQL {
		t.Run(q.name, func(t *testing.T) {
			got := grafanaAsks(t, srv, token, http.MethodGet, q.query)
			a.checkExactly(t, q.name, got)
			if post := grafanaAsks(t, srv, token, http.MethodPost, q.query); post != got {
				t.Errorf("POST is answered\n%s, and GET\n%s", post, got)
			}
		})
	}
	a.checkExactly(t, "a wrong token", grafanaAsks(t, srv, "wrong", http.MethodGet, "SHOW measurements"))
}

// grafanaAsks sends a query as Grafana does: with POST, the query is a form, and all else in
// the URL. It returns status and body.
func grafanaAsks(t *testing.T, srv *server, token, method, query string) string {
	t.Helper()
	params, form := url.Values{"db": {readingDatabase}, "epoch": {"ms"}}, url.Values{}
	if method == http.MethodPost {
		form.Set("q", query)
	} else {
		params.Set("q", query)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, srv.url+"/query?"+params.Encode(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+token)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	// A series a line is easier to read.
	text := strings.ReplaceAll(string(body), `{"name"`, "\n"+`{"name"`)
	return fmt.Sprintf("%d %s\n%s", res.StatusCode, res.Header.Get("Content-Type"), text)
}

// grafanaSQL are the queries that it sends over Flight SQL when its language is SQL: the
// health check, those of the query builder, and a panel with the macros expanded.
var grafanaSQL = []struct{ name, query string }{
	{"health check", `select 1`},
	{"builder: schemas", `SELECT DISTINCT TABLE_SCHEMA from information_schema.TABLES where TABLE_TYPE != 'SYSTEM VIEW'`},
	{"builder: tables of a schema", `SELECT table_name FROM information_schema.tables WHERE table_schema = 'iox' ORDER BY table_name`},
	{"builder: tables of the database", `SELECT table_name FROM information_schema.tables WHERE table_schema = database() ORDER BY table_name`},
	{"builder: columns", `SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'iox' AND table_name = 'home' ORDER BY column_name`},
	{
		"panel: $__dateBin, $__timeFilter",
		`SELECT date_bin(interval '60 second', time, timestamp '1970-01-01T00:00:00Z') AS time, avg(temp) AS temp FROM home
WHERE time >= cast('2025-01-01T00:00:00Z' as timestamp) AND time <= cast('2025-01-01T00:04:00Z' as timestamp) AND room = 'kitchen' GROUP BY 1 ORDER BY 1`,
	},
	{
		"panel: $__dateBinAlias, by tag",
		`SELECT date_bin(interval '120 second', time, timestamp '1970-01-01T00:00:00Z') as time_binned, room, max(temp) AS temp FROM iox.home
WHERE time >= cast('2025-01-01T00:00:00Z' as timestamp) GROUP BY time_binned, room ORDER BY time_binned, room`,
	},
	{
		"panel: $__timeGroup",
		`SELECT datepart('minute', time),datepart('hour', time),datepart('day', time),datepart('month', time),datepart('year', time), count(*) AS n FROM home
GROUP BY datepart('minute', time),datepart('hour', time),datepart('day', time),datepart('month', time),datepart('year', time) ORDER BY 1`,
	},
	{"panel: $__interval", `SELECT interval '60 second' AS i`},
	{"panel: a table", `SELECT "temp", "hum", "time" FROM "home" WHERE "time" >= cast('2025-01-01T00:02:00Z' as timestamp) LIMIT 50`},
	{"panel: every type", `SELECT * FROM kinds ORDER BY time`},
	{"panel: nothing there", `SELECT temp FROM attic`},
}

// TestGrafanaReadsSQL shows K5 for Grafana, with the library that it uses, in the same way.
func TestGrafanaReadsSQL(t *testing.T) {
	need(t, "go")
	srv, token := startReadingServer(t)
	client, err := flightsql.NewClient(strings.TrimPrefix(srv.url, "http://"), nil, nil,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	a := openAlbum(t, "grafana-sql")
	for _, q := range grafanaSQL {
		t.Run(q.name, func(t *testing.T) {
			a.checkExactly(t, q.name, grafanaExecutes(t, client, token, q.query))
		})
	}
	a.checkExactly(t, "a wrong token", grafanaExecutes(t, client, "wrong", "select 1"))
}

// grafanaExecutes runs a query and shows its answer: CommandStatementQuery, of which exactly
// one endpoint has to come back, and then DoGet.
func grafanaExecutes(t *testing.T, client *flightsql.Client, token, query string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token, "database", readingDatabase)
	info, err := client.Execute(ctx, query)
	if err != nil {
		return err.Error()
	}
	if len(info.Endpoint) != 1 {
		return fmt.Sprintf("%d endpoints", len(info.Endpoint))
	}
	rows, err := client.DoGet(ctx, info.Endpoint[0].Ticket)
	if err != nil {
		return err.Error()
	}
	defer rows.Release()
	return arrowText(rows)
}

// arrowText shows columns, with their types, and rows.
func arrowText(rows *flight.Reader) string {
	r := reading{OK: true}
	for _, f := range rows.Schema().Fields() {
		r.Columns = append(r.Columns, fmt.Sprintf("%s: %s", f.Name, f.Type))
	}
	for rows.Next() {
		record := rows.RecordBatch()
		for i := range int(record.NumRows()) {
			var row []string
			for _, column := range record.Columns() {
				row = append(row, column.ValueStr(i))
			}
			r.Rows = append(r.Rows, row)
		}
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	return r.picture()
}
