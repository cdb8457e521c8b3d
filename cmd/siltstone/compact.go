package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/httpapi"
)

type compactCmd struct {
	hostFlag
	Database string `short:"d" name:"db" aliases:"database" help:"Compact this database only." env:"SILTSTONE_COMPACT_DATABASE" placeholder:"NAME"`
	Table    string `short:"t" help:"Compact this table of --db only." placeholder:"NAME"`
	Wait     bool   `short:"w" help:"Wait until it is done, and tell of each merge."`
}

// Help is the long text of --help.
func (*compactCmd) Help() string {
	return `Merges Parquet files of a table into fewer that do not overlap in time. A server does so by itself,
except with --compaction off: similar files soon, and all of a day an hour after the last file
was added to it. This command does not wait for that hour. Queries and writes go on.
Rows that are in memory stay there; siltstone flush before it takes them along.

Examples:

  siltstone compact --wait
  siltstone compact --db home --table room --wait
  siltstone query -d home 'SELECT * FROM system.compactions'`
}

// Validate makes sure of the database of a table.
func (c *compactCmd) Validate() error {
	if c.Table != "" && c.Database == "" {
		return errors.New("--table needs --db")
	}
	return nil
}

// Run asks for the compaction, and waits for it if told to.
func (c *compactCmd) Run(ctx context.Context, env environment) error {
	q := url.Values{}
	for name, value := range map[string]string{"db": c.Database, "table": c.Table} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if c.Wait {
		q.Set("wait", "true")
	}
	resp, err := c.post(ctx, "/api/v3/compact", q, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if !c.Wait {
		_, err := fmt.Fprintln(env.stderr, "The server compacts in the background; system.compactions shows what it has done.")
		return err
	}
	summary, err := showCompactions(ctx, resp.Body, env.stderr)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stderr, "%s files (%s) became %s (%s) in %s merges; %s files are there now (%s).\n",
		formatCount(summary.InputFiles), formatBytes(summary.InputBytes), formatCount(summary.OutputFiles), formatBytes(summary.OutputBytes),
		formatCount(summary.Merges), formatCount(summary.Files), summary.Took.Round(time.Millisecond))
	return err
}

// showCompactions prints a line for each merge, and one a second while it goes on, and returns the summary.
func showCompactions(ctx context.Context, answer io.Reader, out io.Writer) (*engine.CompactReport, error) {
	for lines := json.NewDecoder(answer); ; {
		var line httpapi.CompactLine
		if err := lines.Decode(&line); ctx.Err() != nil {
			return nil, errors.New("interrupted")
		} else if err != nil {
			return nil, fmt.Errorf("the server's answer ended early: %w; its log says why", err)
		}
		if line.Summary != nil {
			return line.Summary, nil
		}
		if m := line.Running; m != nil {
			if _, err := fmt.Fprintf(out, "%s.%s: %s: %d files (%s), %.0f%% merged\n", m.Database, m.Table, m.Reason,
				m.Inputs, formatBytes(m.InputBytes), 100*m.Progress); err != nil {
				return nil, err
			}
		}
		if m := line.Merged; m != nil {
			if _, err := fmt.Fprintf(out, "%s.%s: %s: %d files (%s) became %d (%s) in %s\n", m.Database, m.Table, m.Reason,
				m.Inputs, formatBytes(m.InputBytes), m.Outputs, formatBytes(m.OutputBytes), m.Took.Round(time.Millisecond)); err != nil {
				return nil, err
			}
		}
	}
}
