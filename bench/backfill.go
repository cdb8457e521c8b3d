package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
)

// backfillCmd writes the same history in order, backwards, in any order and twice.
type backfillCmd struct {
	Hosts    int           `json:"hosts" help:"Number of series." default:"40"`
	Days     int           `json:"days" help:"Days of history." default:"365"`
	Interval time.Duration `json:"interval_ns" help:"Time between two points of a series." default:"5m"`
	Bodies   int           `json:"bodies" help:"Days that are written between two flushes." default:"3"`
}

// Run runs the scenario alone.
func (c *backfillCmd) Run(ctx context.Context, s *settings) error {
	return run(ctx, s, scenario{name: "backfill", settings: c, run: c.measure})
}

// backfillWays are the orders in which days are written.
var backfillWays = []struct {
	name  string
	order func(days []int) []int
}{
	{"in order", func(days []int) []int { return days }},
	{"backwards", func(days []int) []int { slices.Reverse(days); return days }},
	{"in any order", shuffled},
	{"in any order, twice", func(days []int) []int { return shuffled(append(days, days...)) }},
}

// backfillSeed makes each run take the same order.
const backfillSeed = 1

func shuffled(days []int) []int {
	rng := rand.New(rand.NewPCG(backfillSeed, backfillSeed))
	rng.Shuffle(len(days), func(i, j int) { days[i], days[j] = days[j], days[i] })
	return days
}

func (c *backfillCmd) measure(ctx context.Context, b *bench) ([]caseResult, error) {
	if c.Days < 2 || c.Bodies < 1 || c.Interval <= 0 || day%c.Interval != 0 {
		return nil, fmt.Errorf("%d days of points each %s, flushed after %d; points must divide a day", c.Days, c.Interval, c.Bodies)
	}
	config := tsbs.Config{Hosts: c.Hosts, Duration: time.Duration(c.Days) * day, Interval: c.Interval}
	config.EnsureDefaults()
	g, err := tsbs.NewGenerator(config)
	if err != nil {
		return nil, err
	}
	b.progress("making %d days of %d hosts", c.Days, c.Hosts)
	history := g.Bodies(c.Hosts * int(day/c.Interval))
	var results []caseResult
	for _, way := range backfillWays {
		days := make([]int, c.Days)
		for i := range days {
			days[i] = i
		}
		result := caseResult{Name: way.name}
		b.progress("writing %s", way.name)
		if err := c.way(ctx, b, &config, history, way.order(days), &result); err != nil {
			return nil, fmt.Errorf("%s: %w", way.name, err)
		}
		results = append(results, result)
	}
	return results, nil
}

// way writes history in one order, a flush each ten minutes.
func (c *backfillCmd) way(ctx context.Context, b *bench, config *tsbs.Config, history []tsbs.Body, days []int, result *caseResult) (err error) {
	dir, remove, err := b.fresh()
	if err != nil {
		return err
	}
	defer remove()
	s := &simulation{dir: dir, start: config.End()}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(); err != nil {
		return err
	}
	begin, err := account(os.Getpid())
	if err != nil {
		return err
	}
	if err := resetPeakMemory(); err != nil {
		return err
	}
	for part := range slices.Chunk(days, c.Bodies) {
		for _, d := range part {
			if err := s.write(ctx, history[d].Text, history[d].Rows); err != nil {
				return err
			}
		}
		s.advance(10 * time.Minute)
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	s.advance(day) // nothing is added
	s.e.CompactDue()
	end, err := account(os.Getpid())
	if err != nil {
		return err
	}
	memory, err := peakMemory(os.Getpid())
	if err != nil {
		return err
	}
	result.add("M rows written", float64(s.rows)/1e6)
	result.add("CPU s per M rows", end.since(begin).Server*1e6/float64(s.rows))
	result.add("peak memory MiB, history included", float64(memory)/mib)
	return c.report(ctx, s, config, result)
}

// report adds what is left.
func (c *backfillCmd) report(ctx context.Context, s *simulation, config *tsbs.Config, result *caseResult) error {
	whole := timeSpan{config.Start, time.Duration(c.Days) * day}
	host := func() string { return fmt.Sprintf("hostname = 'host_%d' AND", rand.IntN(c.Hosts)) }
	return errors.Join(
		s.reportFiles(result, config.Rows()),
		expectStored(s.e, database, config.Rows()),
		s.ask(ctx, result, "any day of one host", func() string {
			return whole.anywhere(day).question("max(usage_user)", "hour", host(), "")
		}),
		s.ask(ctx, result, "all days of one host", func() string { return whole.question("max(usage_user)", "day", host(), "") }),
		s.ask(ctx, result, "any day of all hosts", func() string {
			return whole.anywhere(day).question("hostname, avg(usage_user)", "hour", "", ", hostname")
		}),
		s.ask(ctx, result, "all days of all hosts", func() string { return whole.question("hostname, avg(usage_user)", "day", "", ", hostname") }),
	)
}
