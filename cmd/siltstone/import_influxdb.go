package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/transfer"
)

type importInfluxDBCmd struct {
	hostFlag
	URL       string     `name:"url" required:"" help:"URL of the InfluxDB to copy from." placeholder:"URL"`
	Databases []string   `name:"v1-database" help:"Databases to copy by InfluxQL, from InfluxDB 1 or 2, with commas between them. Default: all." placeholder:"NAME"`
	SQL       []string   `name:"v3-database" help:"Databases to copy by SQL, from InfluxDB 3, with commas between them." placeholder:"NAME"`
	Database  string     `short:"d" aliases:"db" help:"Database to copy into. Default: that of the same name." placeholder:"NAME"`
	Username  string     `help:"User of the InfluxDB." env:"SILTSTONE_INFLUXDB_USERNAME" placeholder:"NAME"`
	Password  secret     `help:"The user's password. Others on this machine can see a command line, so the variable is the better place." env:"SILTSTONE_INFLUXDB_PASSWORD" placeholder:"PASSWORD"`
	From      secret     `name:"influxdb-token" help:"Token of the InfluxDB, of 2 and 3." env:"SILTSTONE_INFLUXDB_TOKEN" placeholder:"TOKEN"`
	Start     exportTime `help:"Copy rows from this time on." placeholder:"TIME"`
	Stop      exportTime `help:"Copy rows before this time." placeholder:"TIME"`
	Resume    string     `help:"File in which the copy notes how far it is; when it is there the copy goes on from where it was." placeholder:"FILE"`
	RetryFor  duration   `help:"How long to go on offering lines to a server that is busy. Default: ${default}." default:"10m" env:"SILTSTONE_RETRY_FOR" placeholder:"DURATION"`
	Quiet     bool       `short:"q" help:"No progress bar and no summary; errors only." env:"SILTSTONE_QUIET"`
}

// Help is the long text of --help.
func (*importInfluxDBCmd) Help() string {
	return `From InfluxDB 1 every retention policy is copied: autogen into the database itself, another one, such
as week, into DATABASE/week, which /query?db=DATABASE&rp=week reads. InfluxDB 2 answers in the same way
for buckets that its DBRP mappings name (influx v1 dbrp list). InfluxDB 3 is asked in SQL, table by table.

Rows are read in slices of time, whose length follows their number. A copy can be repeated: a point that is
written again is one point. A field that has several types in InfluxDB 1 or 2, which shards may have, is named:
integers become floats with the floats, text and booleans beside numbers are left out.

InfluxDB 3 Core refuses queries over many files: take --start and --stop for a few days at a time, or
raise its --query-file-limit.

Examples:

  siltstone import influxdb --url http://old:8086 --v1-database telegraf --resume copy.json
  SILTSTONE_INFLUXDB_TOKEN=… siltstone import influxdb --url http://two:8086 --v1-database telegraf
  SILTSTONE_INFLUXDB_TOKEN=… siltstone import influxdb --url http://three:8181 --v3-database home --start 2026-11-20`
}

// Validate makes sure that there is one way to ask; kong calls it after parsing.
func (c *importInfluxDBCmd) Validate() error {
	switch {
	case len(c.Databases) > 0 && len(c.SQL) > 0:
		return errors.New("--v1-database is for InfluxDB 1 and 2, --v3-database for 3: leave out one of them")
	case c.Username != "" && c.From != "":
		return errors.New("--username is for InfluxDB 1, --influxdb-token for 2 and 3: leave out one of them")
	}
	return nil
}

// Run copies each measurement, or table, of each database.
func (c *importInfluxDBCmd) Run(ctx context.Context, env environment) error {
	databases := append(slices.Clone(c.Databases), c.SQL...)
	if len(databases) == 0 {
		var err error
		if databases, err = c.influxQL("").Databases(ctx); err != nil {
			return err
		}
	}
	if c.Database != "" && len(databases) != 1 {
		return fmt.Errorf("-d names one database, and there are %d to copy: name one with --v1-database or --v3-database", len(databases))
	}
	done, err := readCopied(c.Resume)
	if err != nil {
		return err
	}
	copyOne := c.copyByInfluxQL
	if len(c.SQL) > 0 {
		copyOne = c.copyBySQL
	}
	bad := false
	for _, database := range databases {
		rejected, err := copyOne(ctx, env, database, done)
		if err != nil {
			return err
		}
		bad = bad || rejected
	}
	if bad {
		return errReported
	}
	return nil
}

// copyByInfluxQL copies each measurement of each retention policy of a database.
func (c *importInfluxDBCmd) copyByInfluxQL(ctx context.Context, env environment, database string, done *copied) (rejected bool, err error) {
	from := c.influxQL(database)
	sources, err := from.Sources(ctx, database)
	if err != nil {
		return false, fmt.Errorf("database %q of InfluxDB: %w", database, err)
	}
	for _, s := range sources {
		for _, note := range s.Notes {
			fmt.Fprintf(env.stderr, "%s: %s\n", s, note)
		}
		rows, err := from.Copy(ctx, s, c.times(s.String(), done), importLimits)
		if err != nil {
			return false, fmt.Errorf("%s: %w", s, err)
		}
		bad, err := c.copyRows(ctx, env, s.String(), rows, transfer.TargetDatabase(cmp.Or(c.Database, database), s.Policy), done)
		if err != nil {
			return false, fmt.Errorf("%s: %w", s, err)
		}
		rejected = rejected || bad
	}
	return rejected, nil
}

// copyBySQL copies each table of a database.
func (c *importInfluxDBCmd) copyBySQL(ctx context.Context, env environment, database string, done *copied) (rejected bool, err error) {
	from := transfer.Influx3{Ask: c.askSQL}
	tables, err := from.Tables(ctx, database)
	if err != nil {
		return false, fmt.Errorf("database %q of InfluxDB: %w", database, err)
	}
	for _, t := range tables {
		rows, err := from.Copy(ctx, t, c.times(t.String(), done), importLimits, "")
		if err != nil {
			return false, fmt.Errorf("%s: %w", t, err)
		}
		bad, err := c.copyRows(ctx, env, t.String(), rows, cmp.Or(c.Database, database), done)
		if err != nil {
			return false, fmt.Errorf("%s: %w", t, err)
		}
		rejected = rejected || bad
	}
	return rejected, nil
}

// influxQL asks InfluxDB in InfluxQL. Version 2 wants a database with every request.
func (c *importInfluxDBCmd) influxQL(database string) transfer.Influx {
	return transfer.Influx{Ask: func(ctx context.Context, statement string, rows int) (io.ReadCloser, error) {
		form := url.Values{"q": {statement}}
		if database != "" {
			form.Set("db", database)
		}
		q := url.Values{"epoch": {"ns"}, "chunked": {"true"}, "chunk_size": {strconv.Itoa(rows)}}
		return c.ask(ctx, "query", q, "application/x-www-form-urlencoded", form.Encode())
	}}
}

// askSQL asks InfluxDB 3.
func (c *importInfluxDBCmd) askSQL(ctx context.Context, database, sql, format string) (io.ReadCloser, error) {
	body, err := json.Marshal(map[string]string{"db": database, "q": sql, "format": format})
	if err != nil {
		return nil, err
	}
	return c.ask(ctx, "api/v3/query_sql", nil, "application/json", string(body))
}

// ask sends a request to InfluxDB and returns the body of the answer.
func (c *importInfluxDBCmd) ask(ctx context.Context, path string, q url.Values, contentType, body string) (io.ReadCloser, error) {
	target, err := hostFlag{Host: c.URL}.url(path, q)
	if err != nil {
		return nil, fmt.Errorf("--url %q is not a URL such as http://127.0.0.1:8086", c.URL)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	switch {
	case c.From != "":
		req.Header.Set("Authorization", "Token "+string(c.From))
	case c.Username != "":
		req.SetBasicAuth(c.Username, string(c.Password))
	}
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, errors.New("interrupted")
		}
		return nil, fmt.Errorf("no answer from InfluxDB at %s: %w", c.URL, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	err = readServerError(resp)
	var refused *serverError
	if errors.As(err, &refused) {
		err = fmt.Errorf("InfluxDB answered %d: %s", refused.Status, refused.Text)
	}
	return nil, err
}

// times are the instants to copy of a source.
func (c *importInfluxDBCmd) times(source string, done *copied) schema.TimeRange {
	times := schema.MaxTimeRange
	if !c.Start.IsZero() {
		times.Min = schema.Nanoseconds(c.Start.Time)
	}
	if !c.Stop.IsZero() {
		times.Max = schema.Nanoseconds(c.Stop.Time) - 1
	}
	if before, ok := done.Before[source]; ok {
		times.Min = max(times.Min, before)
	}
	return times
}

// copying reads the rows of a source.
type copying interface {
	Next(ctx context.Context) (*transfer.Chunk, error)
	Left() schema.TimeRange
	Close()
}

// copyRows copies the rows of a source into a database, and reports whether some were rejected.
func (c *importInfluxDBCmd) copyRows(ctx context.Context, env environment, name string, rows copying, database string, done *copied) (rejected bool, err error) {
	defer rows.Close()
	start, first := time.Now(), rows.Left().Min
	l := &loader{
		host: c.hostFlag, query: writeParams(database, "ns"), retryFor: time.Duration(c.RetryFor),
		unit: "row", maxListed: maxListedLines, offset: func() int64 { return seconds(rows.Left().Min - first) },
	}
	l.progress = env.progress(c.Quiet || rows.Left().IsEmpty(), name, seconds(rows.Left().Max-first)+1, byShare)
	defer l.progress.clear()
	at := first
	err = l.loadChunks(ctx, func() (chunk, error) {
		next, err := converted(func() (*transfer.Chunk, error) { return rows.Next(ctx) })()
		if left := rows.Left().Min; (err == nil || errors.Is(err, io.EOF)) && left != at { // a slice is stored
			at = left
			if failed := done.note(name, at); failed != nil {
				return chunk{}, failed
			}
		}
		return next, err
	})
	printRejected(env.stderr, name, l.sum)
	if err == nil && !c.Quiet {
		fmt.Fprintf(env.stderr, "%s: %s points accepted, %s rejected, in %s\n", name,
			formatCount(l.sum.accepted), formatCount(l.sum.rejected), time.Since(start).Round(time.Millisecond))
	}
	return l.sum.rejected > 0, err
}

// seconds makes a span of nanoseconds, which may exceed 64 bits, something to show.
func seconds(span int64) int64 { return int64(uint64(span) / 1e9) }
