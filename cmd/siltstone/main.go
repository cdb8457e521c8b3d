package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/query"
)

// version is set by the linker.
var version = "dev"

// cli is the command line. Each field's tags are its documentation.
type cli struct {
	Serve serveCmd `cmd:"" group:"Server:" help:"Run the database."`
	Demo  demoCmd  `cmd:"" group:"Server:" help:"Start a server, load real data and show what it can do."`

	Write    writeCmd    `cmd:"" group:"Data:" help:"Write line protocol from files or standard input."`
	Query    queryCmd    `cmd:"" group:"Data:" help:"Run a query in SQL or InfluxQL."`
	Export   exportCmd   `cmd:"" group:"Data:" help:"Write tables as line protocol, CSV or Parquet."`
	Rejected rejectedCmd `cmd:"" group:"Data:" help:"List, show and retry points that were rejected."`
	Import   importCmd   `cmd:"" group:"Data:" help:"Load files of line protocol, CSV or Parquet, or copy from InfluxDB."`
	Flush    flushCmd    `cmd:"" group:"Data:" help:"Have the server persist all buffered rows as Parquet now."`

	Create createCmd `cmd:"" group:"Administration:" help:"Make a database, table, token or datasource."`
	Show   showCmd   `cmd:"" group:"Administration:" help:"List databases, tokens, datasources, retention periods or queries."`
	Update updateCmd `cmd:"" group:"Administration:" help:"Change how long a database keeps points."`
	Delete deleteCmd `cmd:"" group:"Administration:" help:"Delete a database, table or token."`
	Kill   killCmd   `cmd:"" group:"Administration:" help:"End a query that runs or waits."`

	Rollup  rollupCmd  `cmd:"" group:"Administration:" help:"Keep aggregates of a table as a table: make, list, refresh and drop rollups."`
	Compact compactCmd `cmd:"" group:"Administration:" help:"Merge Parquet files into fewer now."`
	Backup  backupCmd  `cmd:"" group:"Administration:" help:"Make, list, verify and restore backups, in a directory or an S3-compatible store."`
	Check   checkCmd   `cmd:"" group:"Administration:" help:"Verify a data directory, or that of a running server."`
	Recover recoverCmd `cmd:"" group:"Administration:" help:"Recover a data directory without a server, or salvage a damaged one."`

	Version versionCmd `cmd:"" group:"More:" help:"Print the version."`
}

const description = `Siltstone is a durable time-series database: it takes InfluxDB line protocol,
answers once the data are safe on disk, keeps them as open Parquet files and
answers SQL.

Examples:

  siltstone serve --data-dir ./data
  echo 'room,name=hall temp=21.5' | siltstone write -d home
  siltstone query -d home 'SELECT * FROM room'
  siltstone demo`

// environment is what a command may touch outside its flags.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	stdinTTY       bool // standard input is a terminal
	stdoutTTY      bool // standard output is a terminal
	stderrTTY      bool // standard error is a terminal
}

func main() {
	ctx := untilSignal(context.Background())
	env := environment{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		stdinTTY: isTerminal(os.Stdin), stdoutTTY: isTerminal(os.Stdout), stderrTTY: isTerminal(os.Stderr),
	}
	os.Exit(run(ctx, env, os.Args[1:]))
}

// untilSignal returns a context that the first signal ends. By then the next one kills
// the process: whoever learns that it is stopping can rely on that.
func untilSignal(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, stopSignals()...)
	go func() {
		<-signals
		signal.Stop(signals)
		cancel()
	}()
	return ctx
}

// stopSignals ask for an orderly end: the terminal's when it closes, too, unless nohup has
// the process outlive it.
func stopSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// run parses the arguments, runs the command and returns the exit status: 1 when the
// command failed, 2 when the arguments are wrong.
func run(ctx context.Context, env environment, args []string) int {
	var c cli
	exited := -1
	parser, err := newParser(&c, env, func(code int) { exited = code })
	if err != nil {
		fmt.Fprintf(env.stderr, "siltstone: %v\n", err)
		return 2
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parser.Parse(args)
	if exited >= 0 { // --help was printed
		return exited
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "siltstone: %v\nRun siltstone --help, or siltstone <command> --help.\n", err)
		return 2
	}
	kctx.BindTo(ctx, (*context.Context)(nil))
	if err := kctx.Run(env); err != nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintf(env.stderr, "siltstone: %v\n", err)
		}
		if other := new(exitError); errors.As(err, &other) {
			return other.status
		}
		return 1
	}
	return 0
}

// exitError ends a command with a status of its own.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// errReported ends a command that has already told the user what is wrong.
var errReported = errors.New("reported")

func newParser(c *cli, env environment, exit func(int)) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("siltstone"),
		kong.Description(description),
		kong.Writers(env.stdout, env.stderr),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.Vars{
			"max_databases":   strconv.Itoa(catalog.DefaultMaxDatabases),
			"max_connections": strconv.Itoa(mostConnections),
			"max_queued":      strconv.Itoa(query.DefaultMaxQueued),
			"max_tables":      strconv.Itoa(catalog.DefaultMaxTables),
			"max_columns":     strconv.Itoa(catalog.DefaultMaxColumns),
		},
	)
}

type versionCmd struct{}

// Run prints the version and what the binary was built from.
func (*versionCmd) Run(env environment) error {
	_, err := fmt.Fprintf(env.stdout, "siltstone %s (%s)\n", version, revision())
	return err
}

// revision is the commit that the Go tool recorded, if it did.
func revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 10 {
				return s.Value[:10]
			}
		}
	}
	return "unknown"
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
