package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

type exportCmd struct {
	hostFlag
	databaseFlag
	Table    []string   `short:"t" help:"Table to write; repeatable." placeholder:"NAME" xor:"tables" required:""`
	All      bool       `help:"Write all tables of the database." xor:"tables" required:""`
	Start    exportTime `help:"Write rows from this time on, such as 2026-11-20 or 2026-11-20T08:00:00Z." placeholder:"TIME"`
	Stop     exportTime `help:"Write rows before this time." placeholder:"TIME"`
	Format   string     `help:"lp, csv or parquet. Default: what the name of --to ends in; else lp." enum:",lp,csv,parquet" default:""`
	To       string     `help:"File, directory for a file of each table, or - for standard output. Default: ${default}." default:"-" placeholder:"PATH"`
	Compress string     `help:"none, gzip or zstd, for lp and csv. Default: what the name of --to ends in; else none." enum:",none,gzip,zstd" default:""`
	RetryFor duration   `help:"How long to go on asking a server that is busy. Default: ${default}." default:"1m" env:"SILTSTONE_RETRY_FOR" placeholder:"DURATION"`
	Quiet    bool       `short:"q" help:"No progress bar and no summary; errors only." env:"SILTSTONE_QUIET"`
}

// Help is the long text of --help.
func (*exportCmd) Help() string {
	return `A table is written as it is at one moment; writes and queries go on meanwhile. Files appear
when all their rows are there. siltstone import reads each format back to the same rows
and types: line protocol, CSV with InfluxDB 2's #datatype, Parquet with tags as dictionaries.

Examples:

  siltstone export -d home --all --to backup/ --format parquet
  siltstone export -d home -t room --start 2026-01-01 --stop 2026-02-01 --to january.lp.gz
  siltstone export -d home --all | ssh other siltstone import -d home -`
}

// exportTime is an instant on the command line.
type exportTime struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler; a time without a zone is one of UTC.
func (t *exportTime) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, "2006-01-02T15:04:05", time.DateTime} {
		parsed, err := time.Parse(layout, string(text))
		if err == nil {
			t.Time = parsed
			return nil
		}
	}
	return fmt.Errorf("%q is not a time such as 2026-11-20 or 2026-11-20T08:00:00Z", text)
}

// extensions are what names of files end in.
var (
	exportExtensions   = map[string]string{"lp": ".lp", "csv": ".csv", "parquet": ".parquet"}
	compressExtensions = map[string]string{"gzip": ".gz", "zstd": ".zst"}
)

// Run writes the tables.
func (c *exportCmd) Run(ctx context.Context, env environment) error {
	if err := c.complete(env); err != nil {
		return err
	}
	tables := c.Table
	if c.All {
		var err error
		if tables, err = c.tables(ctx); err != nil {
			return err
		}
	}
	into := c.intoOne
	if c.isDirectory() {
		into = c.intoDirectory
	} else if c.Format == "parquet" && len(tables) != 1 {
		return fmt.Errorf("a Parquet file holds one table, and there are %d: give a directory, such as --to export/", len(tables))
	}
	left, err := into(ctx, env, tables)
	if err == nil && left > 0 {
		err = errReported
	}
	return err
}

// complete fills in what the name of the output says.
func (c *exportCmd) complete(env environment) error {
	name := c.To
	for method, end := range compressExtensions {
		if strings.HasSuffix(name, end) && c.Compress == "" {
			c.Compress = method
		}
		name = strings.TrimSuffix(name, end)
	}
	if c.Format == "" {
		c.Format = importFormat(name)
	}
	c.Compress = cmp.Or(c.Compress, "none")
	switch {
	case c.Format == "parquet" && c.Compress != "none":
		return errors.New("--compress is not for Parquet, which is compressed by itself")
	case c.Format == "parquet" && c.To == "-" && env.stdoutTTY:
		return errors.New("parquet is not for a terminal: give a file with --to, for example --to room.parquet")
	}
	return nil
}

// isDirectory reports whether each table gets a file of its own.
func (c *exportCmd) isDirectory() bool {
	info, err := os.Stat(c.To)
	return strings.HasSuffix(c.To, string(filepath.Separator)) || (err == nil && info.IsDir())
}

// intoDirectory writes each table into a file of its name, which is written in a form that
// any file system takes.
func (c *exportCmd) intoDirectory(ctx context.Context, env environment, tables []string) (left int, err error) {
	if err := os.MkdirAll(c.To, 0o777); err != nil {
		return 0, err
	}
	for _, table := range tables {
		path := filepath.Join(c.To, fileOfTable(table)+exportExtensions[c.Format]+compressExtensions[c.Compress])
		n, err := c.intoFile(ctx, env, path, []string{table})
		if err != nil {
			return left, err
		}
		left += n
	}
	return left, nil
}

// fileOfTable is the name of a file from which tableOfFile finds the table.
func fileOfTable(table string) string {
	name := url.PathEscape(table)
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	return name
}

// intoOne writes all tables into one file, or to standard output.
func (c *exportCmd) intoOne(ctx context.Context, env environment, tables []string) (left int, err error) {
	if c.To != "-" {
		return c.intoFile(ctx, env, c.To, tables)
	}
	return c.intoWriter(ctx, env, env.stdout, tables)
}

func (c *exportCmd) intoFile(ctx context.Context, env environment, path string, tables []string) (left int, err error) {
	err = writeWhole("--to", path, func(f io.Writer) (err error) {
		left, err = c.intoWriter(ctx, env, f, tables)
		return err
	})
	return left, err
}

// intoWriter writes tables one after the other and returns how many rows were left out.
func (c *exportCmd) intoWriter(ctx context.Context, env environment, out io.Writer, tables []string) (left int, err error) {
	buffered := bufio.NewWriterSize(out, 1<<20)
	packed, err := c.compressor(buffered)
	if err != nil {
		return 0, err
	}
	for i, table := range tables {
		start := time.Now()
		e := tableExport{exportCmd: c, env: env, name: table, first: i == 0}
		if err := e.run(ctx, packed); err != nil {
			return left, fmt.Errorf("table %q: %w", table, err)
		}
		left += e.left
		e.report(start)
	}
	return left, errors.Join(packed.Close(), buffered.Flush())
}

// compressor wraps the output.
func (c *exportCmd) compressor(out io.Writer) (io.WriteCloser, error) {
	switch c.Compress {
	case "gzip":
		return gzip.NewWriter(out), nil
	case "zstd":
		return zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	}
	return nopCloser{out}, nil
}

// nopCloser closes nothing.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
