package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// mixedCmd measures everything at once: bulk bodies, single lines, queries, flushes and compactions.
type mixedCmd struct {
	steadyFlags `embed:""`

	For   time.Duration `json:"for_ns" help:"How long it goes on." default:"1m"`
	Flush time.Duration `json:"flush_ns" help:"Time from the end of a flush to the next one." default:"4s"`
	Merge int           `json:"merge" help:"Flushes after which all files are merged." default:"2"`
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
	b.progress("everything at once for %s", c.For)
	begin, err := account(s.pid())
	if err != nil {
		return nil, err
	}
	work, err := c.beside(ctx, s, func() error { return load.run(ctx, c.For) })
	if err != nil {
		return nil, err
	}
	end, err := account(s.pid())
	if err != nil {
		return nil, err
	}
	result := caseResult{Name: "mixed"}
	load.report(&result, end.since(begin))
	if err := load.reportBeside(&result, work); err != nil {
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
	return []caseResult{result}, s.stop()
}

// background is what a server does besides, with the times at which it did it.
type background struct{ flushes, compactions []period }

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
				during(&work.compactions, s.compact)
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

// report adds what every steady load shows.
func (l *steady) report(result *caseResult, cost spent) {
	rows := float64(l.rows())
	result.add("rows/s", rows/cost.Wall)
	result.add("bodies refused", float64(l.bulk.refused))
	result.addLatencies("body", l.bulk.latencies)
	result.addLatencies("ack", sorted(l.acks))
	for i, kind := range steadyKinds {
		result.addLatencies("query of "+kind.name, sorted(l.queries[i]))
	}
	result.add("CPU s per M rows, all included", cost.Server*1e6/rows)
	result.add("client CPU s per M rows", cost.Client*1e6/rows)
	result.add("other CPU s", cost.Other)
}

// reportBeside adds how acknowledgements and queries fared in flushes, in compactions and in neither.
func (l *steady) reportBeside(result *caseResult, work background) error {
	both := slices.Concat(work.flushes, work.compactions)
	_, calm := split(l.acks, both)
	result.add("ack p50 ms in neither", percentile(calm, 0.5))
	result.add("ack p99 ms in neither", percentile(calm, 0.99))
	for i, kind := range steadyKinds {
		_, calm := split(l.queries[i], both)
		result.add("query of "+kind.name+", p50 ms in neither", percentile(calm, 0.5))
		result.add("query of "+kind.name+", p99 ms in neither", percentile(calm, 0.99))
	}
	for _, w := range []struct {
		name    string
		periods []period
	}{{"flush", work.flushes}, {"compaction", work.compactions}} {
		inside, _ := split(l.acks, w.periods)
		if len(inside) == 0 || len(calm) == 0 {
			return fmt.Errorf("no %s was measured; let the run take longer", w.name)
		}
		var took time.Duration
		for _, p := range w.periods {
			took += p.end.Sub(p.begin)
		}
		result.add(w.name+"s", float64(len(w.periods)))
		result.add("mean "+w.name+" s", took.Seconds()/float64(len(w.periods)))
		result.add("ack p50 ms during a "+w.name, percentile(inside, 0.5))
		result.add("ack p99 ms during a "+w.name, percentile(inside, 0.99))
		result.add("ack p99 during a "+w.name+" / in neither", percentile(inside, 0.99)/percentile(calm, 0.99))
		for i, kind := range steadyKinds {
			inside, _ := split(l.queries[i], w.periods)
			result.add("query of "+kind.name+", p50 ms during a "+w.name, percentile(inside, 0.5))
			result.add("query of "+kind.name+", p99 ms during a "+w.name, percentile(inside, 0.99))
		}
	}
	return nil
}
