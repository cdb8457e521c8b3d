package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// tuningCmd shows what --gen1-duration and --exec-mem-pool-bytes do under a heavy load.
//
// An hour is too long to wait for. Time is compressed: with a factor of 60 the server is given a
// second for each minute, and the load is 60 times as heavy as the one it stands for, by the
// clock and by the time stamps. As many rows meet in a buffer as would.
type tuningCmd struct {
	steadyFlags `embed:""`

	Gen1   []time.Duration `json:"gen1_ns" help:"Values of --gen1-duration." default:"1m,5m,10m,1h"`
	Pool   []int           `json:"pool_percent" help:"Values of --exec-mem-pool-bytes, in per cent of --memory." default:"10,20,30,40"`
	Memory int64           `json:"memory_mib" help:"MiB of the machine that the shares are taken of." default:"4096"`
	Factor int             `json:"factor" help:"How much faster time passes." default:"60"`
	For    time.Duration   `json:"for_ns" help:"How long each case goes on; those of a longer --gen1-duration until one flush has begun." default:"20s"`
	Full   bool            `json:"full" help:"Measure all combinations, not only those with one of the two at its default."`
}

// Run runs the scenario alone.
func (c *tuningCmd) Run(ctx context.Context, s *settings) error { return run(ctx, s, c.scenario()) }

func (c *tuningCmd) scenario() scenario {
	return scenario{name: "tuning", settings: c, run: c.measure}
}

// The defaults of a server.
const (
	defaultGen1 = 10 * time.Minute
	defaultPool = 20
)

func (c *tuningCmd) measure(ctx context.Context, b *bench) (results []caseResult, err error) {
	if c.Factor < 1 || c.Memory < 1 {
		return nil, fmt.Errorf("a factor of %d and %d MiB; both must be 1 at least", c.Factor, c.Memory)
	}
	for _, gen1 := range c.Gen1 {
		for _, pool := range c.Pool {
			if !c.Full && gen1 != defaultGen1 && pool != defaultPool {
				continue
			}
			result, err := c.one(ctx, b, gen1, pool)
			if err != nil {
				return nil, fmt.Errorf("%s with %d %%: %w", span(gen1), pool, err)
			}
			results = append(results, result)
		}
	}
	return results, nil
}

// Measures that the plots use.
const (
	gen1Measure   = "gen1 minutes"
	poolMeasure   = "pool % of memory"
	memoryMeasure = "peak memory MiB"
	flushMeasure  = "mean flush s"
	ackMeasure    = "ack p99 ms"
	filesMeasure  = "files an hour of load"
	sizeMeasure   = "mean file MiB"
	hostMeasure   = "afterwards, query of one host p50 ms"
	allMeasure    = "afterwards, query of all hosts p50 ms"
)

// one measures one setting.
func (c *tuningCmd) one(ctx context.Context, b *bench, gen1 time.Duration, pool int) (caseResult, error) {
	result := caseResult{Name: fmt.Sprintf("%s, %d %%", span(gen1), pool)}
	compressed := gen1 / time.Duration(c.Factor)
	s, err := b.serveFresh(ctx, "--gen1-duration="+compressed.String(), fmt.Sprintf("--exec-mem-pool-bytes=%d", c.Memory<<20/100*int64(pool)))
	if err != nil {
		return result, err
	}
	defer s.discard()
	load, err := newSteady(&c.steadyFlags, s)
	if err != nil {
		return result, err
	}
	const untilItIsWritten = 6 * time.Second
	d := max(c.For, compressed+untilItIsWritten)
	b.progress("%s for %s", result.Name, d)
	begin, err := account(s.pid())
	if err != nil {
		return result, err
	}
	if err := load.run(ctx, d); err != nil {
		return result, err
	}
	end, err := account(s.pid())
	if err != nil {
		return result, err
	}
	result.add(gen1Measure, gen1.Minutes())
	result.add(poolMeasure, float64(pool))
	load.report(&result, end.since(begin))
	if err := s.reportFiles(&result, d*time.Duration(c.Factor)); err != nil {
		return result, err
	}
	if err := load.queryAfterwards(&result); err != nil {
		return result, err
	}
	if err := s.expectSteadyRows(load); err != nil {
		return result, err
	}
	return result, s.stop()
}

// reportFiles adds memory, flushes and files of a load that stands for some time.
func (s *server) reportFiles(result *caseResult, stood time.Duration) error {
	memory, err := peakMemory(s.pid())
	if err != nil {
		return err
	}
	flushes, err := s.metric("siltstone_flush_seconds_count")
	if err != nil {
		return err
	}
	seconds, err := s.metric("siltstone_flush_seconds_sum")
	if err != nil {
		return err
	}
	n, total, err := s.storedFiles() // without those of the single lines
	if err != nil {
		return err
	}
	result.add(memoryMeasure, float64(memory)/mib)
	result.add("flushes", flushes)
	if flushes > 0 {
		result.add(flushMeasure, seconds/flushes)
	}
	result.add("files", n)
	result.add(filesMeasure, n/stood.Hours())
	result.add(sizeMeasure, total/mib/max(n, 1))
	return nil
}

// queryAfterwards asks on, when nothing else is done any more.
func (l *steady) queryAfterwards(result *caseResult) error {
	const times = 15
	c, err := l.s.dial()
	if err != nil {
		return err
	}
	defer c.close()
	for kind, name := range []string{hostMeasure, allMeasure} {
		var took []time.Duration
		for range times {
			a, _, err := c.timed(queryRequest(l.question(kind)))
			if err != nil {
				return err
			}
			took = append(took, a.latency)
		}
		slices.Sort(took)
		result.add(name, percentile(took, 0.5))
	}
	c.close()
	return nil
}
