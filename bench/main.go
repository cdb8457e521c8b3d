package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// cli is the command line. Each field's tags are its documentation.
type cli struct {
	settings

	Ingest   ingestCmd   `cmd:"" help:"Load TSBS data in large bodies: rows/s, CPU, memory, bytes."`
	Ack      ackCmd      `cmd:"" help:"Write single lines, each durable: latency and rate, against the bare disk."`
	Replay   replayCmd   `cmd:"" help:"Load, kill, start again: the time until the server is ready."`
	Start    startCmd    `cmd:"" help:"Start on thousands of files: the time until the server is ready."`
	Query    queryCmd    `cmd:"" help:"Run the TSBS queries: latency and CPU."`
	Engine   engineCmd   `cmd:"" help:"Load without HTTP, in this process, for profiles."`
	Mixed    mixedCmd    `cmd:"" help:"Bulk bodies, single lines, queries and flushes at once."`
	Compact  compactCmd  `cmd:"" help:"Merge files: time, CPU, memory and what is left."`
	Age      ageCmd      `cmd:"" help:"Days of flushes and compactions, with a clock that does not wait: files, memory, starts, queries."`
	Backfill backfillCmd `cmd:"" help:"A year of history in order, backwards, in any order and twice: files, bytes, queries."`
	Tuning   tuningCmd   `cmd:"" help:"What --gen1-duration and --exec-mem-pool-bytes do under a heavy load."`
	Docs     docsCmd     `cmd:"" help:"Render the records of bench/results into docs."`
	Peers    peersCmd    `cmd:"" help:"Give other databases the same work and print ratios."`
	All      allCmd      `cmd:"" help:"ingest, ack, replay, start, query and mixed with their defaults."`
}

// settings are the flags that all scenarios share.
type settings struct {
	Server string `help:"The siltstone binary; built from ./cmd/siltstone when not given." placeholder:"BIN"`
	Dir    string `help:"Where data directories are made; the temporary directory when not given. It should be on the disk to be measured." placeholder:"DIR"`
	JSON   string `name:"json" help:"Also write a record of the run." placeholder:"FILE"`
	Record bool   `help:"Write the records to bench/results and render them into docs; run it in the root of the repository."`
	Repeat int    `help:"Run everything that often and show median and range." default:"1"`

	Settle time.Duration `help:"Before each run wait, but no longer than this, until other processes leave the machine idle." default:"0s"`
}

// Validate refuses a run that would show nothing.
func (s *settings) Validate() error {
	if s.Repeat < 1 {
		return fmt.Errorf("--repeat %d leaves nothing to show", s.Repeat)
	}
	return nil
}

// clientGCPercent keeps the client's own garbage collection rare: most of its memory
// is bodies, which stay.
const clientGCPercent = 400

// clientMemory is where it becomes less rare, so that the bodies of one case make room for those
// of the next.
const clientMemory = 2 << 30

func main() {
	debug.SetGCPercent(clientGCPercent)
	debug.SetMemoryLimit(clientMemory)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal kills
	var c cli
	k := kong.Parse(&c, kong.Name("bench"), kong.Description("Measure Siltstone on this machine."),
		kong.Vars{"ingest_cases": ingestKeys(), "query_states": queryStates, "peers": peerKeys()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(&c.settings); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// scenario is something to run with settings that are already known.
type scenario struct {
	name     string
	settings any // for the record
	run      func(context.Context, *bench) ([]caseResult, error)
}

// run performs scenarios, prints their tables and writes the record.
func run(ctx context.Context, s *settings, scenarios ...scenario) error {
	b, err := newBench(ctx, s)
	if err != nil {
		return err
	}
	defer b.close()
	record := newRecord(b)
	for _, sc := range scenarios {
		results, err := repeat(ctx, b, sc)
		if err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
		fmt.Printf("\n## %s\n\n%s", sc.name, table(results))
		if base := bases[sc.name]; base != "" {
			fmt.Printf("\n%s", table(ratios(results, base)))
		}
		for _, note := range b.notes {
			fmt.Printf("\n%s\n", note)
		}
		record.Scenarios = append(record.Scenarios, scenarioRecord{sc.name, sc.settings, results, b.notes})
		b.notes = nil
	}
	record.Server = b.version // known only now when the server had to be built
	if err := record.write(s.JSON); err != nil || !s.Record {
		return err
	}
	if err := record.keep(resultsDir); err != nil {
		return err
	}
	return docsCmd{}.Run(ctx, s)
}

// repeat runs a scenario as often as asked and joins the figures of each case.
func repeat(ctx context.Context, b *bench, sc scenario) ([]caseResult, error) {
	var joined []caseResult
	for i := range b.settings.Repeat {
		if err := b.settle(ctx); err != nil {
			return nil, err
		}
		b.progress("%s: run %d of %d", sc.name, i+1, b.settings.Repeat)
		results, err := sc.run(ctx, b)
		if err != nil {
			return nil, err
		}
		joined = join(joined, results)
	}
	return joined, nil
}

// allCmd runs the scenarios that need a server.
type allCmd struct {
	Ingest ingestCmd `embed:"" prefix:"ingest-"`
	Ack    ackCmd    `embed:"" prefix:"ack-"`
	Replay replayCmd `embed:"" prefix:"replay-"`
	Start  startCmd  `embed:"" prefix:"start-"`
	Query  queryCmd  `embed:"" prefix:"query-"`
	Mixed  mixedCmd  `embed:"" prefix:"mixed-"`
}

// Run runs them in the order in which the documentation shows them.
func (c *allCmd) Run(ctx context.Context, s *settings) error {
	return run(ctx, s, c.Ingest.scenario(), c.Ack.scenario(), c.Replay.scenario(), c.Start.scenario(), c.Query.scenario(), c.Mixed.scenario())
}
