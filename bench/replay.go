package main

import (
	"context"
	"fmt"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
)

// replayCmd measures recovery.
type replayCmd struct {
	bulkFlags `embed:""`
}

// Run runs the scenario alone.
func (c *replayCmd) Run(ctx context.Context, s *settings) error { return run(ctx, s, c.scenario()) }

func (c *replayCmd) scenario() scenario { return scenario{name: "replay", settings: c, run: c.measure} }

// neverFlush keeps the server from writing Parquet while it is loaded.
const neverFlush = "--gen1-duration=1000h"

// measure loads without a flush, kills the server and starts it again on the same
// directory, twice: what a recovery leaves behind must be recoverable too. The log is
// in the page cache then, as it is after a crash of the process alone.
func (c *replayCmd) measure(ctx context.Context, b *bench) ([]caseResult, error) {
	data, err := c.generate(b, c.config())
	if err != nil {
		return nil, err
	}
	s, err := b.serveFresh(ctx, neverFlush)
	if err != nil {
		return nil, err
	}
	defer func() { s.discard() }() // whichever runs then
	b.progress("loading %s, then kill -9", data.name)
	if _, err := s.load(ctx, data.requests(), c.Workers); err != nil {
		return nil, err
	}
	held, _, err := s.logBytes()
	if err != nil {
		return nil, err
	}
	var results []caseResult
	for _, name := range []string{"after kill -9", "after a second one"} {
		s.kill()
		begin := time.Now()
		next, err := b.serve(ctx, s.dir, neverFlush)
		if err != nil {
			return nil, err
		}
		s = next
		result, err := s.recovered(name, data.rows, time.Since(begin))
		if err != nil {
			return nil, err
		}
		result.add("WAL bytes/row", held/float64(data.rows))
		results = append(results, result)
	}
	return results, s.stop()
}

// recovered reports a recovery that has just ended.
func (s *server) recovered(name string, rows int, ready time.Duration) (caseResult, error) {
	result := caseResult{Name: name}
	cpu, err := processCPU(fmt.Sprint(s.pid()))
	if err != nil {
		return result, err
	}
	memory, err := peakMemory(s.pid())
	if err != nil {
		return result, err
	}
	replayed, took, err := s.replayed()
	if err != nil {
		return result, err
	}
	if replayed != rows {
		return result, fmt.Errorf("the server replayed %d rows of %d; was its memory too small to keep them?", replayed, rows)
	}
	result.add("rows", float64(rows))
	result.add("start to ready s", ready.Seconds())
	result.add("of it recovery s", took.Seconds())
	result.add("rows/s of recovery", float64(rows)/took.Seconds())
	result.add("CPU s", cpu)
	result.add("rows per CPU s", float64(rows)/cpu)
	result.add("peak memory MiB", float64(memory)/mib)
	return result, s.expectRows(rows, tsbs.Table)
}
