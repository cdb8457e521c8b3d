package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/transfer"
)

type importInfluxDBCmd struct {
	hostFlag
	URL       string     `name:"url" required:"" help:"URL of the InfluxDB to copy from." placeholder:"URL"`
	Databases []string   `name:"v1-database" help:"Databases to copy, with commas between them. Default: all." placeholder:"NAME"`
	Database  string     `short:"d" aliases:"db" help:"Database to copy into. Default: that of the same name." placeholder:"NAME"`
	Username  string     `help:"User of the InfluxDB." env:"SILTSTONE_INFLUXDB_USERNAME" placeholder:"NAME"`
	Password  secret     `help:"The user's password. Others on this machine can see a command line, so the variable is the better place." env:"SILTSTONE_INFLUXDB_PASSWORD" placeholder:"PASSWORD"`
	Start     exportTime `help:"Copy rows from this time on." placeholder:"TIME"`
	Stop      exportTime `help:"Copy rows before this time." placeholder:"TIME"`
	Resume    string     `help:"File in which the copy notes how far it is; when it is there the copy goes on from where it was." placeholder:"FILE"`
	RetryFor  duration   `help:"How long to go on offering lines to a server that is busy. Default: ${default}." default:"10m" env:"SILTSTONE_RETRY_FOR" placeholder:"DURATION"`
	Quiet     bool       `short:"q" help:"No progress bar and no summary; errors only." env:"SILTSTONE_QUIET"`
}

// Help is the long text of --help.
func (*importInfluxDBCmd) Help() string {
	return `Every retention policy is copied: autogen into the database itself, another one, such as week,
into DATABASE/week, which /query?db=DATABASE&rp=week reads. Measurements are read in slices of
time, whose length follows the number of their rows. A copy can be repeated: a point that is
written again is one point.

A field that has several types in InfluxDB, which its shards may have, is named: integers
become floats with the floats, text and booleans beside numbers are left out.`
}

// Run copies each measurement of each database.
func (c *importInfluxDBCmd) Run(ctx context.Context, env environment) error {
	from := transfer.Influx{Ask: c.ask}
	databases := c.Databases
	if len(databases) == 0 {
		var err error
		if databases, err = from.Databases(ctx); err != nil {
			return err
		}
	}
	if c.Database != "" && len(databases) != 1 {
		return fmt.Errorf("-d names one database, and there are %d to copy: name one with --v1-database", len(databases))
	}
	done, err := readCopied(c.Resume)
	if err != nil {
		return err
	}
	bad := false
	for _, database := range databases {
		sources, err := from.Sources(ctx, database)
		if err != nil {
			return fmt.Errorf("database %q of InfluxDB: %w", database, err)
		}
		for _, s := range sources {
			rejected, err := c.copySource(ctx, env, from, s, done)
			if err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
			bad = bad || rejected
		}
	}
	if bad {
		return errReported
	}
	return nil
}

// ask sends a statement to InfluxDB.
func (c *importInfluxDBCmd) ask(ctx context.Context, statement string, rows int) (io.ReadCloser, error) {
	target, err := hostFlag{Host: c.URL}.url("query", url.Values{"epoch": {"ns"}, "chunked": {"true"}, "chunk_size": {strconv.Itoa(rows)}})
	if err != nil {
		return nil, fmt.Errorf("--url %q is not a URL such as http://127.0.0.1:8086", c.URL)
	}
	form := url.Values{"q": {statement}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.Username != "" {
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

// times are the instants to copy.
func (c *importInfluxDBCmd) times() schema.TimeRange {
	times := schema.MaxTimeRange
	if !c.Start.IsZero() {
		times.Min = schema.Nanoseconds(c.Start.Time)
	}
	if !c.Stop.IsZero() {
		times.Max = schema.Nanoseconds(c.Stop.Time) - 1
	}
	return times
}

// copySource copies a measurement of a retention policy, and reports whether rows of it were
// rejected.
func (c *importInfluxDBCmd) copySource(ctx context.Context, env environment, from transfer.Influx, s transfer.InfluxSource, done *copied) (rejected bool, err error) {
	for _, note := range s.Notes {
		fmt.Fprintf(env.stderr, "%s: %s\n", s, note)
	}
	start, times := time.Now(), c.times()
	if before, ok := done.Before[s.String()]; ok {
		times.Min = max(times.Min, before)
	}
	rows, err := from.Copy(ctx, s, times, importLimits)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	database := s.Database
	if c.Database != "" {
		database = c.Database
	}
	first := rows.Times.Min
	l := &loader{
		host: c.hostFlag, query: writeParams(transfer.TargetDatabase(database, s.Policy), "ns"), retryFor: time.Duration(c.RetryFor),
		unit: "row", maxListed: maxListedLines, offset: func() int64 { return seconds(rows.Times.Min - first) },
	}
	l.progress = env.progress(c.Quiet || rows.Times.IsEmpty(), s.String(), seconds(rows.Times.Max-first)+1, byShare)
	defer l.progress.clear()
	at := rows.Times.Min
	err = l.loadChunks(ctx, func() (chunk, error) {
		next, err := converted(func() (*transfer.Chunk, error) { return rows.Next(ctx) })()
		if (err == nil || errors.Is(err, io.EOF)) && rows.Times.Min != at { // a slice is stored
			at = rows.Times.Min
			if failed := done.note(s.String(), at); failed != nil {
				return chunk{}, failed
			}
		}
		return next, err
	})
	printRejected(env.stderr, s.String(), l.sum)
	if err == nil && !c.Quiet {
		fmt.Fprintf(env.stderr, "%s: %s points accepted, %s rejected, in %s\n", s,
			formatCount(l.sum.accepted), formatCount(l.sum.rejected), time.Since(start).Round(time.Millisecond))
	}
	return l.sum.rejected > 0, err
}

// seconds makes a span of nanoseconds, which may exceed 64 bits, something to show.
func seconds(span int64) int64 { return int64(uint64(span) / 1e9) }

// copied is what a file of --resume holds: of each measurement the time before which all of
// its rows are stored.
type copied struct {
	Before map[string]int64 `json:"stored_before"`
	path   string
}

// readCopied reads the file, if it is there.
func readCopied(path string) (*copied, error) {
	c := &copied{Before: map[string]int64{}, path: path}
	if path == "" {
		return c, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(text, c)
	}
	if err != nil || c.Before == nil {
		return nil, fmt.Errorf("--resume %s is not what a copy has noted; remove it to copy everything: %w", path, err)
	}
	return c, nil
}

// note says that the rows of a measurement before a time are stored.
func (c *copied) note(source string, before int64) error {
	c.Before[source] = before
	if c.path == "" {
		return nil
	}
	return writeWhole("--resume", c.path, func(w io.Writer) error {
		to := json.NewEncoder(w)
		to.SetIndent("", "  ")
		return to.Encode(c)
	})
}
