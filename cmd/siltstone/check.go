package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/httpapi"
)

type checkCmd struct {
	hostFlag
	DataDir string    `help:"Directory to check by itself, which no server may be using. Without it, the server at --host checks its own." placeholder:"DIR"`
	Rate    checkRate `help:"Bytes to read in a second, such as 200MB; 0 is no bound. Default: 50MB of a server's directory, no bound for --data-dir." default:"" env:"SILTSTONE_CHECK_RATE" placeholder:"SIZE"`
	Format  string    `help:"text, for people, or json: a line for each finding and one with the summary." enum:"text,json" default:"text"`
	Quiet   bool      `short:"q" help:"No progress bar and no notes; damage and warnings only."`
}

// Help is the long text of --help.
func (*checkCmd) Help() string {
	return `Reads everything: the log, the catalog, and every value of every Parquet file, and compares
them with their checksums and with each other. Nothing is changed. Each finding is one line:

  damage   rows are lost, or cannot be trusted; the line says which, and what to do
  warning  nothing is lost, but no sound run leaves this
  note     nothing is wrong; a crash leaves such things, and the next start tidies them

The exit status is 0 without damage, 1 with damage, and 2 when the directory could not be
checked: a server uses it, it cannot be read, or a newer version wrote it.

Examples:

  siltstone check --data-dir ./data
  siltstone check --host http://127.0.0.1:8181 --rate 200MB
  siltstone check --data-dir ./data --format json | jq .finding`
}

// checkRate is a rate that may be left out.
type checkRate struct {
	bytes int64
	isSet bool
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *checkRate) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	var size quotaSize
	err := size.UnmarshalText(text)
	*r = checkRate{int64(size), true}
	return err
}

// Run checks, prints and chooses the exit status.
func (c *checkCmd) Run(ctx context.Context, env environment) error {
	p := &checkPrinter{
		cmd: c, out: env.stdout, status: env.stderr, bar: env.progress(c.Quiet || c.Format != "text", "checking", -1, byBytes),
	}
	var err error
	if c.DataDir != "" {
		err = c.checkDirectory(ctx, p)
	} else {
		err = c.checkServer(ctx, p)
	}
	p.bar.clear()
	if err == nil {
		err = p.err
	}
	if err != nil {
		return &exitError{2, fmt.Errorf("the check could not be completed: %w", err)}
	}
	if p.summary == nil {
		return &exitError{2, errors.New("the check could not be completed: the answer has no summary; the server's log says why")}
	}
	if p.summary.Damage > 0 {
		return errReported
	}
	return nil
}

// checkDirectory checks in this process.
func (c *checkCmd) checkDirectory(ctx context.Context, p *checkPrinter) error {
	report, err := engine.Check(ctx, engine.CheckOptions{
		DataDir: c.DataDir, BytesPerSecond: c.Rate.bytes,
		Found:    func(f engine.Finding) { p.print(httpapi.CheckLine{Finding: &f}) },
		Progress: func(progress engine.CheckProgress) { p.print(httpapi.CheckLine{Progress: &progress}) },
	})
	if errors.Is(err, engine.ErrInUse) {
		return fmt.Errorf("%w%s", err, lockOwner(c.DataDir))
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	if err == nil {
		p.print(httpapi.CheckLine{Summary: &report})
	}
	return err
}

// checkServer lets the server check.
func (c *checkCmd) checkServer(ctx context.Context, p *checkPrinter) error {
	q := url.Values{}
	if c.Rate.isSet {
		q.Set("rate", strconv.FormatInt(c.Rate.bytes, 10))
	}
	resp, err := c.post(ctx, "/api/v3/check", q, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for lines := json.NewDecoder(resp.Body); ; {
		var line httpapi.CheckLine
		if err := lines.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if ctx.Err() != nil {
			return errors.New("interrupted")
		} else if err != nil {
			return fmt.Errorf("the server's answer ended early: %w; its log says why", err)
		}
		p.print(line)
	}
}

// checkPrinter prints what a check says.
type checkPrinter struct {
	cmd         *checkCmd
	out, status io.Writer
	bar         *progress
	summary     *engine.CheckReport
	err         error // the first of printing
}

func (p *checkPrinter) print(line httpapi.CheckLine) {
	if line.Summary != nil {
		p.summary = line.Summary
	}
	switch {
	case line.Progress != nil:
		p.bar.read(line.Progress.Bytes, line.Progress.Total, line.Progress.File)
	case p.cmd.Format == "json":
		text, err := json.Marshal(line)
		p.write(err, p.out, string(text))
	case line.Finding != nil:
		if line.Finding.Severity != engine.Note || !p.cmd.Quiet {
			p.bar.clear()
			p.write(nil, p.out, line.Finding.String())
		}
	case line.Summary != nil && !p.cmd.Quiet:
		p.bar.clear()
		p.write(nil, p.status, summaryText(line.Summary))
	}
}

func (p *checkPrinter) write(err error, w io.Writer, line string) {
	if err == nil {
		_, err = fmt.Fprintln(w, line)
	}
	if p.err == nil {
		p.err = err
	}
}

func summaryText(r *engine.CheckReport) string {
	verdict := "No damage"
	if r.Damage > 0 {
		verdict = fmt.Sprintf("%s findings of damage", formatCount(r.Damage))
	}
	if r.Warnings > 0 {
		verdict += fmt.Sprintf(", %s warnings", formatCount(r.Warnings))
	}
	return fmt.Sprintf("%s: %s files with %s rows, %s log records with %s rows, %s tables; read %s in %s",
		verdict, formatCount(r.Files), formatCount(int(r.Rows)), formatCount(r.Records), formatCount(r.LogRows), formatCount(r.Tables),
		formatBytes(r.Bytes), r.Took.Round(time.Millisecond))
}
