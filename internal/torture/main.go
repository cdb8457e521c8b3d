package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// cli is the command line. Each field's tags are its documentation.
type cli struct {
	Minutes int      `help:"How long to go on. Default: ${default}." default:"30"`
	Seed    uint64   `help:"What the seeds of the trials are drawn from; 0 takes a new one."`
	Only    []string `help:"Run only these trials." placeholder:"NAME"`
	Record  string   `help:"Also write the table to this file." placeholder:"FILE"`
	List    bool     `help:"Say which trials there are, and run none."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal kills
	var c cli
	kong.Parse(&c, kong.Name("torture"), kong.Description("Try to break what Siltstone promises, for a given time."))
	if err := c.run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "torture: %v\n", err)
		os.Exit(1)
	}
}

var errFailed = errors.New("at least one trial failed; the commands above repeat it")

func (c *cli) run(ctx context.Context) error {
	chosen, err := choose(trials, c.Only)
	if err != nil {
		return err
	}
	if c.List {
		for _, t := range chosen {
			fmt.Printf("%-14s %s\n", t.name, t.shows)
		}
		return nil
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1_000_000_000) + 1
	}
	fmt.Printf("torture: %d minutes, seed %d\n", c.Minutes, c.Seed)
	r, err := newRunner(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	results := r.rounds(chosen, c.Seed, time.Duration(c.Minutes)*time.Minute)
	report := results.table()
	fmt.Print("\n", report)
	if c.Record != "" {
		if err := os.WriteFile(c.Record, []byte(report), 0o644); err != nil {
			return fmt.Errorf("the table: %w", err)
		}
	}
	if results.failures() > 0 {
		return errFailed
	}
	return ctx.Err()
}
