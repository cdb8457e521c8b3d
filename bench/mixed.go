package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/siltstone-db/siltstone/engine"
)

// mixedCmd measures everything at once: bulk bodies, single lines, queries, flushes and compactions.
type mixedCmd struct {
	steadyFlags `embed:""`

	// A percentile of queries needs many of them: in 90 s some 50 s are compactions, with over a hundred queries of each kind.
	Duration time.Duration `json:"duration_ns" help:"How long it goes on." default:"90s"`
	Flush    time.Duration `json:"flush_ns" help:"Time from the end of a flush, and of the compaction behind it, to the next one." default:"4s"`
	Merge    int           `json:"merge" help:"Flushes after which all files are merged." default:"1"`
}

// Run runs the scenario alone.
func (c *mixedCmd) Run(ctx context.Context, s *settings) error { return run(ctx, s, c.scenario()) }

func (c *mixedCmd) scenario() scenario {
	return scenario{name: "mixed", settings: c, run: c.measure}
}

// measure starts flushes and compactions itself, one after the other, so that it knows which acknowledgements
// fell into one.
func (c *mixedCmd) measure(ctx context.Context, b *bench) ([]caseResult, error) {
	if c.Merge < 1 {
		return nil, fmt.Errorf("--merge %d: a compaction needs a flush", c.Merge)
	}
	s, err := b.serveFresh(ctx, neverFlush)
	if err != nil {
		return nil, err
	}
	defer s.discard()
	load, err := newSteady(&c.steadyFlags, s)
	if err != nil {
		return nil, err
	}
	b.progress("everything at once for %s", c.Duration)
	begin, err := account(s.pid())
	if err != nil {
		return nil, err
	}
	work, err := c.beside(ctx, s, func() error { return load.run(ctx, c.Duration) })
	if err != nil {
		return nil, err
	}
	end, err := account(s.pid())
	if err != nil {
		return nil, err
	}
	result := caseResult{Name: "all of it"}
	load.report(&result, end.since(begin))
	beside, err := load.reportBeside(&work, c.Duration)
	if err != nil {
		return nil, err
	}
	memory, err := peakMemory(s.pid())
	if err != nil {
		return nil, err
	}
	result.add("peak memory MiB", float64(memory)/mib)
	if err := s.expectSteadyRows(load); err != nil {
		return nil, err
	}
	return append([]caseResult{result}, beside...), s.stop()
}

// background is what a server does besides, with the times at which it did it.
type background struct {
	flushes, compactions []period
	merges               engine.CompactReport // of all compactions
}

// beside flushes and merges again and again while do runs.
func (c *mixedCmd) beside(ctx context.Context, s *server, do func() error) (work background, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var workErr error
	during := func(periods *[]period, step func() error) {
		begin := time.Now()
		if workErr = step(); workErr == nil {
			*periods = append(*periods, period{begin, time.Now()})
		}
	}
	var worker sync.WaitGroup
	worker.Go(func() {
		for i := 1; workErr == nil && pause(ctx, c.Flush) == nil; i++ {
			during(&work.flushes, s.flush)
			if workErr == nil && i%c.Merge == 0 {
				during(&work.compactions, func() error {
					report, err := s.compact()
					work.merges.Merges += report.Merges
					work.merges.InputFiles += report.InputFiles
					work.merges.InputBytes += report.InputBytes
					return err
				})
			}
		}
	})
	err = do()
	cancel()
	worker.Wait()
	if err == nil {
		err = workErr
	}
	return work, err
}

// acksCounted says on how many acknowledgements percentiles rest, in every column.
const acksCounted = "acks counted"

// queriesCounted says it of the queries of a kind.
func queriesCounted(kind string) string { return "queries of " + kind + " counted" }

// report adds what every steady load shows.
func (l *steady) report(result *caseResult, cost spent) {
	rows := float64(l.rows())
	result.add("rows/s", rows/cost.Wall)
	result.add("bodies refused", float64(l.bulk.refused))
	result.addLatencies("body", l.bulk.latencies)
	result.add(acksCounted, float64(len(l.acks)))
	result.addLatencies("ack", sorted(l.acks))
	for i, kind := range steadyKinds {
		result.add(queriesCounted(kind.name), float64(len(l.queries[i])))
		result.addLatencies("query of "+kind.name, sorted(l.queries[i]))
	}
	result.add("CPU s per M rows, all included", cost.Server*1e6/rows)
	result.add("client CPU s per M rows", cost.Client*1e6/rows)
	result.add("other CPU s", cost.Other)
}

// during are the measures of one kind of time: of what overlaps it, or of what does not.
func (l *steady) during(name string, took time.Duration, acks []time.Duration, queries [len(steadyKinds)][]time.Duration) caseResult {
	result := caseResult{Name: name}
	result.add("seconds", took.Seconds())
	result.add(acksCounted, float64(len(acks)))
	result.add("ack p50 ms", percentile(acks, 0.5))
	result.add("ack p99 ms", percentile(acks, 0.99))
	for i, kind := range steadyKinds {
		result.add(queriesCounted(kind.name), float64(len(queries[i])))
		result.add("query of "+kind.name+" p50 ms", percentile(queries[i], 0.5))
		result.add("query of "+kind.name+" p99 ms", percentile(queries[i], 0.99))
	}
	return result
}

// reportBeside returns how acknowledgements and queries fared in neither flushes nor compactions, in flushes and in
// compactions, the latter also as ratios.
func (l *steady) reportBeside(work *background, whole time.Duration) ([]caseResult, error) {
	split := func(periods []period, inside bool) (acks []time.Duration, queries [len(steadyKinds)][]time.Duration) {
		pick := func(in, out []time.Duration) []time.Duration {
			if inside {
				return in
			}
			return out
		}
		acks = pick(split(l.acks, periods))
		for i := range steadyKinds {
			queries[i] = pick(split(l.queries[i], periods))
		}
		return acks, queries
	}
	both := slices.Concat(work.flushes, work.compactions)
	acks, queries := split(both, false)
	results := []caseResult{l.during("in neither", whole-length(both), acks, queries)}
	calm := results[0]
	for _, w := range []struct {
		name    string
		periods []period
	}{{"during flushes", work.flushes}, {"during compactions", work.compactions}} {
		acks, queries := split(w.periods, true)
		result := l.during(w.name, length(w.periods), acks, queries)
		if len(acks) == 0 || calm.valueOrGap(acksCounted) == 0 || len(queries[0]) == 0 || calm.valueOrGap(queriesCounted(steadyKinds[0].name)) == 0 {
			return nil, fmt.Errorf("%s, or in neither, nothing was measured; let the run take longer", w.name)
		}
		for _, measure := range []string{"ack p99", "query of " + steadyKinds[0].name + " p99", "query of " + steadyKinds[1].name + " p99"} {
			result.add(measure+" / in neither", result.valueOrGap(measure+" ms")/calm.valueOrGap(measure+" ms"))
		}
		result.add("how many", float64(len(w.periods)))
		results = append(results, result)
	}
	compactions := &results[len(results)-1]
	compactions.add("merges", float64(work.merges.Merges))
	compactions.add("files merged", float64(work.merges.InputFiles))
	compactions.add("MiB merged", float64(work.merges.InputBytes)/mib)
	return results, nil
}

func length(periods []period) (sum time.Duration) {
	for _, p := range periods {
		sum += p.end.Sub(p.begin)
	}
	return sum
}
