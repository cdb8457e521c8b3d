package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type queryCmd struct {
	hostFlag
	databaseFlag
	Text     string `arg:"" optional:"" name:"query" help:"The query. Without it and --file it is read from standard input."`
	File     string `short:"f" help:"File that holds the query." placeholder:"FILE"`
	Language string `short:"l" help:"sql or influxql." enum:"sql,influxql" default:"sql"`
	Params   string `help:"Values for $NAME in the query, as a JSON object." placeholder:"JSON"`
	Format   string `help:"pretty, json, jsonl, csv, parquet or arrow. Default: what the name of --output ends in; else pretty on a terminal, csv elsewhere." enum:",pretty,json,jsonl,csv,parquet,arrow" default:"" env:"SILTSTONE_FORMAT,INFLUXDB3_FORMAT"`
	Output   string `short:"o" help:"File to write the rows to. It appears when all of them are there." placeholder:"FILE"`
}

// formatFlag chooses how rows are printed.
type formatFlag struct {
	Format string `help:"pretty, json, jsonl or csv. Default: pretty on a terminal, csv elsewhere." enum:",pretty,json,jsonl,csv" default:"" env:"SILTSTONE_FORMAT,INFLUXDB3_FORMAT"`
}

// choose returns the format to ask the server for.
func (f formatFlag) choose(env environment) string {
	switch {
	case f.Format != "":
		return f.Format
	case env.stdoutTTY:
		return prettyFormat
	}
	return "csv"
}

// prettyFormat draws a table for people.
const prettyFormat = "pretty"

// Help is the long text of --help.
func (*queryCmd) Help() string {
	return `The SQL is DuckDB's, with InfluxDB's date_bin. A result that the server cannot finish
is reported and the exit status is 1, even when some rows were printed before.

Examples:

  siltstone query -d home "SELECT * FROM room WHERE time > now() - INTERVAL '1 hour'"
  siltstone query -d home --format jsonl -f report.sql > report.jsonl
  siltstone query -d home -o room.parquet "SELECT * FROM room"
  siltstone query -d home -l influxql "SELECT mean(temp) FROM room GROUP BY time(1h)"
  siltstone query -d home --params '{"name":"hall"}' 'SELECT * FROM room WHERE name = $name'`
}

// binaryFormats are not for eyes.
var binaryFormats = []string{"parquet", "arrow"}

// formatByExtension is what the name of a file says about its format.
var formatByExtension = map[string]string{
	".parquet": "parquet", ".arrow": "arrow", ".arrows": "arrow", ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": prettyFormat,
}

// Run runs the query and prints or stores the result as it arrives.
func (c *queryCmd) Run(ctx context.Context, env environment) error {
	format, err := c.choose(env)
	if err != nil {
		return err
	}
	q := sqlQuery{Database: c.Database, Format: format, influxql: c.Language == "influxql"}
	if q.Params, err = parseParams(c.Params); err != nil {
		return err
	}
	if q.SQL, err = c.text(env.stdin); err != nil {
		return err
	}
	if c.Output != "" {
		return c.store(ctx, env, q)
	}
	start := time.Now()
	if slices.Contains(binaryFormats, format) {
		_, err := copyAnswer(ctx, env, c.hostFlag, q, env.stdout, "standard output")
		return err
	}
	rows, err := runQuery(ctx, c.hostFlag, env.stdout, q)
	if err != nil {
		return err
	}
	if env.stdoutTTY && env.stderrTTY {
		took := time.Since(start).Round(100 * time.Microsecond)
		if format == prettyFormat {
			fmt.Fprintf(env.stderr, "Rows: %s, time: %s\n", formatCount(rows), took)
		} else {
			fmt.Fprintf(env.stderr, "Time: %s\n", took)
		}
	}
	return nil
}

// choose returns the format to ask the server for.
func (c *queryCmd) choose(env environment) (string, error) {
	format := c.Format
	if format == "" && c.Output != "" {
		format = cmp.Or(formatByExtension[strings.ToLower(filepath.Ext(c.Output))], "csv")
	}
	if format == "" {
		format = formatFlag{}.choose(env)
	}
	if c.Output == "" && env.stdoutTTY && slices.Contains(binaryFormats, format) {
		return "", fmt.Errorf("%s is not for a terminal: give a file with --output, for example -o result.%[1]s", format)
	}
	return format, nil
}

// parseParams reads the values of a query's parameters.
func parseParams(text string) (map[string]json.RawMessage, error) {
	if text == "" {
		return nil, nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, fmt.Errorf(`--params is not a JSON object such as {"name":"hall","low":20.5}: %w`, err)
	}
	return values, nil
}

// store writes the rows to the output file: half an answer must not pass for a whole one.
func (c *queryCmd) store(ctx context.Context, env environment, q sqlQuery) error {
	start, n := time.Now(), int64(0)
	err := writeWhole("--output", c.Output, func(f io.Writer) (err error) {
		n, err = copyAnswer(ctx, env, c.hostFlag, q, f, c.Output)
		return err
	})
	if err != nil {
		return err
	}
	if env.stderrTTY {
		fmt.Fprintf(env.stderr, "%s: %s bytes in %s\n", c.Output, formatCount(int(n)), time.Since(start).Round(time.Millisecond))
	}
	return nil
}

// writeWhole makes the file of a flag. It has its name when all of it is there, not before.
func writeWhole(flag, path string, write func(io.Writer) error) error {
	name, isPart := path, false
	if info, err := os.Stat(name); err != nil || info.Mode().IsRegular() {
		name, isPart = name+".part", true
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	err = errors.Join(write(f), f.Close())
	switch {
	case !isPart:
	case err == nil:
		err = os.Rename(name, path)
	default:
		_ = os.Remove(name) // the error that matters is there already
	}
	return err
}

// copyAnswer passes an answer on byte by byte, and shows how far it is.
func copyAnswer(ctx context.Context, env environment, host hostFlag, q sqlQuery, out io.Writer, name string) (n int64, err error) {
	resp, err := askSQL(ctx, host, q)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body := &countingReader{Reader: resp.Body}
	p := env.progress(false, name, resp.ContentLength, byBytes)
	defer p.clear()
	out = io.MultiWriter(out, p)
	if _, err := io.Copy(out, body); err != nil {
		return body.n, cutOff(ctx, err)
	}
	return body.n, nil
}

// text finds the query: the argument, the file or standard input.
func (c *queryCmd) text(stdin io.Reader) (string, error) {
	switch {
	case c.Text != "" && c.File != "":
		return "", errors.New("give the query as an argument or as --file, not both")
	case c.Text != "":
		return c.Text, nil
	case c.File != "" && c.File != "-":
		text, err := os.ReadFile(c.File)
		return string(text), err
	}
	text, err := io.ReadAll(stdin)
	if err == nil && strings.TrimSpace(string(text)) == "" {
		err = errors.New("the query is empty; give it as an argument, with --file or on standard input")
	}
	return string(text), err
}

// sqlQuery is the body of a request for a query.
type sqlQuery struct {
	Database string                     `json:"db"`
	SQL      string                     `json:"q"`
	Params   map[string]json.RawMessage `json:"params,omitempty"` // the values of $name
	Format   string                     `json:"format"`
	influxql bool                       // SQL is not SQL
}

// path is where the server takes the query.
func (q sqlQuery) path() string {
	if q.influxql {
		return "/api/v3/query_influxql"
	}
	return "/api/v3/query_sql"
}

// sendSQL sends a query and returns the answer, whose body the caller closes.
func sendSQL(ctx context.Context, host hostFlag, q sqlQuery) (*http.Response, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return host.post(ctx, q.path(), nil, bytes.NewReader(body), header)
}

// askSQL is sendSQL with errors that are made for people.
func askSQL(ctx context.Context, host hostFlag, q sqlQuery) (*http.Response, error) {
	resp, err := sendSQL(ctx, host, q)
	var refused *serverError
	if errors.As(err, &refused) {
		return nil, errors.New(refused.advised())
	}
	return resp, err
}

// runQuery prints the result of a query and returns the number of its rows, which is
// counted in the pretty format only.
func runQuery(ctx context.Context, host hostFlag, out io.Writer, q sqlQuery) (rows int, err error) {
	resp, err := askSQL(ctx, host, q)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return printRows(ctx, out, resp.Body)
}

// printRows passes rows that a server sends on, and sees to it that they end a line.
func printRows(ctx context.Context, out io.Writer, body io.Reader) (rows int, err error) {
	counter := tableCounter{out: out, lineStart: true}
	if _, err := io.Copy(&counter, body); err != nil {
		return 0, cutOff(ctx, err)
	}
	if !counter.lineStart { // a table ends without a line end
		if _, err := io.WriteString(out, "\n"); err != nil {
			return 0, err
		}
	}
	return counter.rows(), nil
}

// cutOff explains why an answer has no end.
func cutOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	var path *os.PathError
	if errors.As(err, &path) {
		return err // of the output
	}
	return fmt.Errorf("the result is incomplete: the server stopped sending it (its log says why): %w", err)
}

// tableCounter passes a result on and, if it is a table, counts its rows for people. A
// value with a line end in it counts twice.
type tableCounter struct {
	out       io.Writer
	bars      int // lines that begin with |
	lineStart bool
}

func (c *tableCounter) Write(p []byte) (int, error) {
	for _, b := range p {
		if c.lineStart && b == '|' {
			c.bars++
		}
		c.lineStart = b == '\n'
	}
	return c.out.Write(p)
}

// rows leaves out the header.
func (c *tableCounter) rows() int { return max(c.bars-1, 0) }
