package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/internal/datasets"
)

type demoCmd struct {
	Dir      string `help:"Directory of the demo: data, log and the address of its server. Default: ${default}." default:"./.siltstone/demo" env:"SILTSTONE_DEMO_DIR" placeholder:"DIR"`
	HTTPBind string `name:"http-bind" help:"Address of the demo's server; when it is taken a free port is used. Default: ${default}." default:"127.0.0.1:8181" env:"SILTSTONE_DEMO_HTTP_BIND" placeholder:"ADDR"`
	tokenFlag
	Quiet bool `short:"q" help:"No progress bars."`
}

// Help is the long text of --help.
func (*demoCmd) Help() string {
	return `The server goes on running when the demo has ended. Run the demo again, and it uses the
same server and writes the same points once more, which changes nothing: a point has one
value, the one written last. If that server has tokens by now, give an admin's.`
}

const demoDatabase = "demo"

// Run starts or finds the server, loads the data, asks and explains.
func (c *demoCmd) Run(ctx context.Context, env environment) error {
	d, err := c.prepare(env)
	if err != nil {
		return err
	}
	if err := d.server(ctx, c.HTTPBind); err != nil {
		return err
	}
	if err := d.load(ctx); err != nil {
		return err
	}
	if err := d.ask(ctx); err != nil {
		return err
	}
	return d.explain()
}

// demo is one run of the demo.
type demo struct {
	env   environment
	dir   string
	quiet bool
	host  hostFlag // without a URL until there is a server
	child childServer
}

func (c *demoCmd) prepare(env environment) (*demo, error) {
	dir, err := expandHome(c.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("demo directory: %w", err)
	}
	return &demo{env: env, dir: dir, quiet: c.Quiet || !env.stderrTTY, host: hostFlag{tokenFlag: c.tokenFlag}}, nil
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.env.stdout, format+"\n", args...)
}

// server finds the server of an earlier run, or starts one.
func (d *demo) server(ctx context.Context, bind string) error {
	var err error
	d.child, err = findServer(ctx, d.dir, d.host.tokenFlag)
	if err == nil {
		d.host.Host = d.child.Host
		d.say("The demo's server is already running at %s.", d.child.Host)
		return nil
	}
	if !errors.Is(err, errNoServer) {
		return err
	}
	start := time.Now()
	bind, note := freeBind(bind)
	if note != "" {
		d.say("%s", note)
	}
	d.child, err = startServer(ctx, d.dir, bind, d.host.tokenFlag)
	if err != nil {
		return err
	}
	d.host.Host = d.child.Host
	d.say("Server started at %s in %s.", d.child.Host, time.Since(start).Round(time.Millisecond))
	return nil
}

// load writes the measured data sets and has them persisted.
func (d *demo) load(ctx context.Context) error {
	d.say("\nLoading data that people measured (each answered write is on disk):")
	start, total := time.Now(), 0
	for _, set := range []datasets.Set{datasets.Wind, datasets.Weather, datasets.Bitcoin} {
		n, err := d.loadSet(ctx, set)
		if err != nil {
			return fmt.Errorf("loading %s: %w", set.Name, err)
		}
		total += n
		d.say("  %-10s %6s points   %s", strings.Join(set.Tables, ", "), formatCount(n), set.About)
	}
	took := time.Since(start)
	d.say("  %s points in %s, %s points/s", formatCount(total), took.Round(time.Millisecond),
		formatCount(int(float64(total)/took.Seconds())))
	resp, err := d.host.post(ctx, "/api/v3/flush", nil, nil, nil)
	if err != nil {
		return fmt.Errorf("persisting: %w", err)
	}
	return resp.Body.Close()
}

func (d *demo) loadSet(ctx context.Context, set datasets.Set) (points int, err error) {
	body, err := set.Bytes()
	if err != nil {
		return 0, err
	}
	src := &countingReader{Reader: bytes.NewReader(body)}
	l := loader{
		host:     d.host,
		query:    url.Values{"db": {demoDatabase}, "precision": {set.Precision}},
		retryFor: time.Minute,
		offset:   func() int64 { return src.n },
	}
	l.progress = d.env.progress(d.quiet, "  "+set.Name, int64(len(body)), byBytes)
	defer l.progress.clear()
	if err := l.load(ctx, src); err != nil {
		return 0, err
	}
	if l.sum.rejected > 0 {
		return 0, fmt.Errorf("%d points were rejected", l.sum.rejected)
	}
	return l.sum.accepted, nil
}

// ask runs the demo's queries and prints each with its answer.
func (d *demo) ask(ctx context.Context) error {
	for _, q := range demoQueries {
		d.say("\n%s\n\n%s\n", q.question, indent(q.sql))
		start := time.Now()
		var answer strings.Builder
		if _, err := runQuery(ctx, d.host, &answer, sqlQuery{Database: demoDatabase, SQL: q.sql, Format: prettyFormat}); err != nil {
			return fmt.Errorf("query %q: %w", q.question, err)
		}
		d.say("%s\n(%s)", strings.TrimRight(answer.String(), "\n"), time.Since(start).Round(100*time.Microsecond))
	}
	return nil
}

func indent(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }

// explain says where things are and how to go on.
func (d *demo) explain() error {
	files, size, err := parquetFiles(filepath.Join(d.dir, "data"))
	if err != nil {
		return err
	}
	d.say("\nYour data are %d open Parquet files, %s, below\n  %s", len(files), formatBytes(size), filepath.Join(d.dir, "data", "files"))
	if len(files) > 0 {
		d.say("Any tool reads them, for example DuckDB:\n  duckdb -c \"SELECT * FROM '%s' LIMIT 5\"", files[len(files)-1])
	}
	self := os.Args[0]
	d.say(`
Go on by yourself:
  %[1]s query --host %[2]s -d %[3]s "SELECT * FROM weather LIMIT 5"
  %[1]s write --host %[2]s -d %[3]s -f my.lp
  curl -G %[2]s/api/v3/query_sql --data-urlencode db=%[3]s --data-urlencode 'q=SHOW TABLES'
  curl '%[2]s/api/v3/write_lp?db=%[3]s' --data-binary 'room,name=hall temp=21.5'

The server goes on running.
  address  %[2]s
  process  %[4]d
  log      %[5]s
  stop     kill %[4]d`, self, d.child.Host, demoDatabase, d.child.PID, filepath.Join(d.dir, logName))
	return nil
}

// parquetFiles lists the Parquet files below dir.
func parquetFiles(dir string) (files []string, size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // removed while we look
			return nil
		}
		if err != nil || e.IsDir() || filepath.Ext(path) != ".parquet" {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		files, size = append(files, path), size+info.Size()
		return nil
	})
	return files, size, err
}

// demoQueries show what the data and the SQL can do.
var demoQueries = []struct{ question, sql string }{
	{
		"How much is there?",
		`SELECT 'wind_data' AS table_name, count(*) AS points, min(time) AS first, max(time) AS last FROM wind_data
UNION ALL SELECT 'weather', count(*), min(time), max(time) FROM weather
UNION ALL SELECT 'bitcoin', count(*), min(time), max(time) FROM bitcoin
ORDER BY table_name`,
	},
	{
		"Where in Europe did the wind blow hardest?",
		`SELECT country, city, round(avg(wind_speed), 1) AS average, max(wind_speed) AS gust
FROM wind_data
GROUP BY country, city
ORDER BY average DESC, city
LIMIT 5`,
	},
	{
		"How wet and how warm was each year in the Bay Area?",
		`SELECT location, year(time) AS year, round(sum(precip), 1) AS rain, max(temp_max) AS hottest
FROM weather
WHERE time >= '2020-01-01' AND time < '2023-01-01'
GROUP BY location, year
ORDER BY location, year`,
	},
	{
		"How did the price of bitcoin move, in windows of two days?",
		`SELECT date_bin(INTERVAL '2 days', time) AS days,
  round(arg_min(price, time), 2) AS open, round(min(price), 2) AS low,
  round(max(price), 2) AS high, round(arg_max(price, time), 2) AS close
FROM bitcoin
WHERE code = 'USD'
GROUP BY days
ORDER BY days`,
	},
	{
		"What was the largest move between two quotes, in each currency?",
		`WITH moves AS (
  SELECT code, time, price, 100 * (price / lag(price) OVER (PARTITION BY code ORDER BY time) - 1) AS percent
  FROM bitcoin
)
SELECT code, max(time) AS last_quote, arg_max(price, time) AS price, round(max(abs(percent)), 3) AS largest_move_percent
FROM moves
GROUP BY code
ORDER BY code`,
	},
}

// ping asks a server for its process id, which tells one run of a server from another.
func ping(ctx context.Context, host hostFlag) (processID string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var answer struct {
		ProcessID string `json:"process_id"`
	}
	err = host.call(ctx, http.MethodGet, "/ping", nil, nil, &answer)
	return answer.ProcessID, err
}

// healthy reports whether a server lets requests in.
func healthy(ctx context.Context, host hostFlag) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return host.call(ctx, http.MethodGet, "/health", nil, nil, nil) == nil
}

// probeTimeout is for questions that a server answers at once.
const probeTimeout = 2 * time.Second
