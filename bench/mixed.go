package main

import (
	"context"
	"sync"
	"time"
)

// mixedCmd measures everything at once: bulk bodies, single lines, queries and flushes.
type mixedCmd struct {
	steadyFlags `embed:""`

	For   time.Duration `json:"for_ns" help:"How long it goes on." default:"30s"`
	Flush time.Duration `json:"flush_ns" help:"Time from the end of a flush to the next one." default:"4s"`
}

// Run runs the scenario alone.
func (c *mixedCmd) Run(ctx context.Context, s *settings) error { return run(ctx, s, c.scenario()) }

func (c *mixedCmd) scenario() scenario {
	return scenario{name: "mixed", settings: c, run: c.measure}
}

// measure starts the flushes itself, so that it knows which acknowledgements fell into one.
func (c *mixedCmd) measure(ctx context.Context, b *bench) ([]caseResult, error) {
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
	flushes, err := c.flushBeside(ctx, s, func() error { return load.run(ctx, c.For) })
	if err != nil {
		return nil, err
	}
	end, err := account(s.pid())
	if err != nil {
		return nil, err
	}
	result := caseResult{Name: "mixed"}
	load.report(&result, end.since(begin))
	if err := load.reportFlushes(&result, flushes); err != nil {
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

// flushBeside flushes again and again while do runs.
func (c *mixedCmd) flushBeside(ctx context.Context, s *server, do func() error) (flushes []period, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var flushErr error
	var flusher sync.WaitGroup
	flusher.Go(func() {
		for pause(ctx, c.Flush) == nil {
			begin := time.Now()
			if flushErr = s.flush(); flushErr != nil {
				return
			}
			flushes = append(flushes, period{begin, time.Now()})
		}
	})
	err = do()
	cancel()
	flusher.Wait()
	if err == nil {
		err = flushErr
	}
	return flushes, err
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

// reportFlushes adds how acknowledgements and queries fared in flushes and between them.
func (l *steady) reportFlushes(result *caseResult, flushes []period) error {
	inside, outside := split(l.acks, flushes)
	if len(flushes) == 0 || len(inside) == 0 || len(outside) == 0 {
		return errNoFlush
	}
	var took time.Duration
	for _, f := range flushes {
		took += f.end.Sub(f.begin)
	}
	result.add("flushes", float64(len(flushes)))
	result.add("mean flush s", took.Seconds()/float64(len(flushes)))
	result.add("ack p50 ms between flushes", percentile(outside, 0.5))
	result.add("ack p50 ms during a flush", percentile(inside, 0.5))
	result.add("ack p99 ms between flushes", percentile(outside, 0.99))
	result.add("ack p99 ms during a flush", percentile(inside, 0.99))
	result.add("ack p99 during / between", percentile(inside, 0.99)/percentile(outside, 0.99))
	for i, kind := range steadyKinds {
		inside, outside := split(l.queries[i], flushes)
		result.add("query of "+kind.name+", p50 ms between flushes", percentile(outside, 0.5))
		result.add("query of "+kind.name+", p50 ms during a flush", percentile(inside, 0.5))
	}
	return nil
}
