package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

type recoverCmd struct {
	DataDir string   `help:"Directory to recover; no server may be using it." required:"" placeholder:"DIR"`
	Salvage bool     `help:"Keep all that verifies of a damaged directory, and set the rest aside."`
	DryRun  bool     `help:"Say what would be done, and change nothing. What would be written is held in memory."`
	Yes     bool     `short:"y" help:"Do not ask before a salvage."`
	Pool    poolSize `name:"exec-mem-pool-bytes" help:"Memory for rows and for writing Parquet: a size, or a share of the memory there is. Default: ${default}." default:"20%" env:"SILTSTONE_EXEC_MEM_POOL_BYTES" placeholder:"SIZE"`
	Format  string   `help:"text, for people, or json." enum:"text,json" default:"text"`
}

// Help is the long text of --help.
func (*recoverCmd) Help() string {
	return `Without --salvage it recovers the directory as a start of the server does, says what it found,
and persists what was in the log only. A damaged directory is left as it is, and the damage
is explained.

With --salvage every log record, row group and catalog record that verifies is kept. All that
is not used is moved to salvaged-<time> below the directory, with a report of what was lost; no
byte of it is deleted. A salvage that is interrupted is to be repeated, and goes on.

The exit status is 0 when the directory can be served afterwards, and 1 otherwise.

Examples:

  siltstone recover --data-dir ./data
  siltstone recover --data-dir ./data --salvage --dry-run
  siltstone recover --data-dir ./data --salvage --yes --format json > report.json`
}

// Run recovers or salvages.
func (c *recoverCmd) Run(ctx context.Context, env environment) error {
	total := availableMemory(os.DirFS("/"))
	opts := engine.Options{
		DataDir: c.DataDir, FS: vfs.Default, PoolBytes: min(c.Pool.of(total), total), Gen1Duration: -1,
		Logger: slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if info, err := os.Stat(c.DataDir); err != nil || !info.IsDir() {
		return errors.Join(fmt.Errorf("%s is no data directory", c.DataDir), err)
	}
	if c.DryRun {
		overlay, err := engine.Overlay(opts.FS, opts.DataDir)
		if err != nil {
			return err
		}
		opts.FS = overlay
	}
	err := c.run(ctx, env, opts)
	if errors.Is(err, engine.ErrInUse) {
		return fmt.Errorf("%w%s", err, lockOwner(c.DataDir))
	}
	return err
}

func (c *recoverCmd) run(ctx context.Context, env environment, opts engine.Options) error {
	if !c.Salvage {
		return c.recover(env, opts)
	}
	if !c.Yes && !c.DryRun {
		if err := c.confirm(ctx, env, opts); err != nil {
			return err
		}
	}
	report, err := engine.Salvage(ctx, opts)
	if err != nil {
		return err
	}
	return c.print(env, &report)
}

// recoveredSummary is what a recovery without a salvage says in JSON.
type recoveredSummary struct {
	Files        int `json:"files"`
	ReplayedRows int `json:"replayed_rows"`
}

// recover does what a start does.
func (c *recoverCmd) recover(env environment, opts engine.Options) error {
	e, err := engine.Open(opts)
	if err != nil {
		return err
	}
	s := e.Stats()
	if err := e.Close(); err != nil {
		return err
	}
	summary := recoveredSummary{Files: s.Files, ReplayedRows: s.BufferedRows}
	if c.Format == "json" {
		return json.NewEncoder(env.stdout).Encode(summary)
	}
	would := ""
	if c.DryRun {
		would = " (dry run: nothing was changed)"
	}
	_, err = fmt.Fprintf(env.stdout, "%s is sound as far as a start looks: %d files, and %d rows that were in the log only%s.\n"+
		"siltstone check --data-dir %s reads everything.\n", c.DataDir, summary.Files, summary.ReplayedRows, would, c.DataDir)
	return err
}

// confirm shows what a salvage would do, and asks.
func (c *recoverCmd) confirm(ctx context.Context, env environment, opts engine.Options) error {
	if !env.stdinTTY {
		return errors.New("--salvage changes the directory: add --yes, or see first what it would do with --dry-run")
	}
	overlay, err := engine.Overlay(opts.FS, opts.DataDir)
	if err != nil {
		return err
	}
	opts.FS = overlay
	report, err := engine.Salvage(ctx, opts)
	if err != nil {
		return err
	}
	if report.Nothing {
		return nil // and the salvage says so
	}
	if err := report.WriteText(env.stderr); err != nil {
		return err
	}
	fmt.Fprintf(env.stderr, "\nThis is what a salvage of %s would do. Go on? [yes/no] ", c.DataDir)
	answer, err := bufio.NewReader(env.stdin).ReadString('\n')
	if strings.TrimSpace(answer) != "yes" {
		return errors.Join(errors.New("nothing was changed"), err)
	}
	return nil
}

func (c *recoverCmd) print(env environment, report *engine.SalvageReport) error {
	if c.Format == "json" {
		out := json.NewEncoder(env.stdout)
		out.SetIndent("", "  ")
		return out.Encode(report)
	}
	if c.DryRun {
		fmt.Fprintln(env.stdout, "Dry run: this is what would be done; nothing was changed.")
	}
	return report.WriteText(env.stdout)
}
