package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

type queryCmd struct {
	hostFlag
	databaseFlag
	formatFlag
	SQL  string `arg:"" optional:"" help:"The query. Without it and --file it is read from standard input."`
	File string `short:"f" help:"File that holds the query." placeholder:"FILE"`
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
  siltstone query -d home --format jsonl -f report.sql > report.jsonl`
}

// Run runs the query and prints the result as it arrives.
func (c *queryCmd) Run(ctx context.Context, env environment) error {
	sql, err := c.text(env.stdin)
	if err != nil {
		return err
	}
	format := c.choose(env)
	start := time.Now()
	rows, err := runQuery(ctx, c.hostFlag, env.stdout, sqlQuery{Database: c.Database, SQL: sql, Format: format})
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

// text finds the query: the argument, the file or standard input.
func (c *queryCmd) text(stdin io.Reader) (string, error) {
	switch {
	case c.SQL != "" && c.File != "":
		return "", errors.New("give the query as an argument or as --file, not both")
	case c.SQL != "":
		return c.SQL, nil
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
	Database string            `json:"db"`
	SQL      string            `json:"q"`
	Params   map[string]string `json:"params,omitempty"` // the values of $name
	Format   string            `json:"format"`
}

// askSQL sends a query and returns the answer, whose body the caller closes.
func askSQL(ctx context.Context, host hostFlag, q sqlQuery) (*http.Response, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/json"}}
	resp, err := host.post(ctx, "/api/v3/query_sql", nil, bytes.NewReader(body), header)
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
		if ctx.Err() != nil {
			return 0, errors.New("interrupted")
		}
		return 0, fmt.Errorf("the result is incomplete: the server stopped sending it: %w", err)
	}
	if !counter.lineStart { // a table ends without a line end
		if _, err := io.WriteString(out, "\n"); err != nil {
			return 0, err
		}
	}
	return counter.rows(), nil
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
