package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/klauspost/compress/s2"
	"golang.org/x/sys/unix"

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
	history, err := newHistory(g, c.Hosts*int(day/c.Interval))
	if err != nil {
		return nil, err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(serverGCPercent)) // the engine is in this process, and its memory is measured
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

// serverGCPercent is that of a server.
const serverGCPercent = 100

// history is a body for each day, compressed: what is measured is the memory of the engine.
type history struct {
	rows int // of a day
	days [][]byte
}

func newHistory(g *tsbs.Generator, rows int) (*history, error) {
	h := &history{rows: rows}
	var body []byte
	for {
		body = body[:0]
		for range rows {
			var more bool
			if body, more = g.AppendLine(body); !more {
				if len(body) > 0 {
					return nil, errors.New("the last day of the history is not whole")
				}
				return h, nil
			}
		}
		h.days = append(h.days, s2.EncodeBetter(nil, body))
	}
}

// day returns the body of a day, in memory that is used again.
func (h *history) day(buffer []byte, n int) ([]byte, error) {
	return s2.Decode(buffer[:cap(buffer)], h.days[n])
}

// way writes history in one order, a flush each ten minutes.
func (c *backfillCmd) way(ctx context.Context, b *bench, config *tsbs.Config, history *history, days []int, result *caseResult) (err error) {
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
	var body []byte
	for part := range slices.Chunk(days, c.Bodies) {
		for _, d := range part {
			if body, err = history.day(body, d); err != nil {
				return err
			}
			if err := s.write(ctx, body, history.rows); err != nil {
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
	result.add("peak memory MiB", float64(memory)/mib)
	return c.report(ctx, s, config, result)
}

// report adds what is left.
func (c *backfillCmd) report(ctx context.Context, s *simulation, config *tsbs.Config, result *caseResult) error {
	whole := timeSpan{config.Start, time.Duration(c.Days) * day}
	host := func() string { return fmt.Sprintf("hostname = 'host_%d' AND", rand.IntN(c.Hosts)) }
	return errors.Join(
		s.reportFiles(result, config.Rows()),
		s.reportMerged(result),
		expectStored(s.e, database, config.Rows()),
		s.askWithCPU(ctx, result, "any day of one host", func() string {
			return whole.anywhere(day).question("max(usage_user)", "hour", host(), "")
		}),
		s.askWithCPU(ctx, result, "all days of one host", func() string { return whole.question("max(usage_user)", "day", host(), "") }),
		s.askWithCPU(ctx, result, "any day of all hosts", func() string {
			return whole.anywhere(day).question("hostname, avg(usage_user)", "hour", "", ", hostname")
		}),
		s.askWithCPU(ctx, result, "all days of all hosts", func() string { return whole.question("hostname, avg(usage_user)", "day", "", ", hostname") }),
	)
}

// askWithCPU is ask, with the CPU time that a query took on the average.
func (s *simulation) askWithCPU(ctx context.Context, result *caseResult, name string, question func() string) error {
	begin, err := ownCPU()
	if err != nil {
		return err
	}
	if err := s.ask(ctx, result, name, question); err != nil {
		return err
	}
	end, err := ownCPU()
	result.add(name+", CPU ms", milliseconds(end-begin)/simulationQuestions)
	return err
}

// ownCPU is the CPU time of this process, in the kernel's finest unit.
func ownCPU() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
