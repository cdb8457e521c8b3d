package main

import (
	"context"
	"fmt"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
)

// compactCmd measures what merging files costs, and what it leaves.
type compactCmd struct {
	senderFlags `embed:""`

	Hosts    int           `json:"hosts" help:"Number of series." default:"400"`
	Duration time.Duration `json:"duration_ns" help:"Time that the data span." default:"24h"`
	Flushes  int           `json:"flushes" help:"Flushes that write the data, one after the other." default:"24"`
}

// Run runs the scenario alone.
func (c *compactCmd) Run(ctx context.Context, s *settings) error { return run(ctx, s, c.scenario()) }

func (c *compactCmd) scenario() scenario {
	return scenario{name: "compact", settings: c, run: c.measure}
}

// measure compares the files of many flushes, without and with rewritten rows among them, with
// what a compaction makes of them.
func (c *compactCmd) measure(ctx context.Context, b *bench) ([]caseResult, error) {
	if c.Flushes < 1 {
		return nil, fmt.Errorf("%d flushes write nothing", c.Flushes)
	}
	data, err := c.generate(b, tsbs.Config{Hosts: c.Hosts, Duration: c.Duration})
	if err != nil {
		return nil, err
	}
	var results []caseResult
	for _, way := range []struct {
		name  string
		again int // each of so many bodies is written once more
	}{{"in order", 0}, {"a tenth rewritten", 10}} {
		result := caseResult{Name: way.name}
		if err := c.one(ctx, b, data, way.again, &result); err != nil {
			return nil, fmt.Errorf("%s: %w", way.name, err)
		}
		results = append(results, result)
	}
	return results, nil
}

// one measures one compaction on a server of its own.
func (c *compactCmd) one(ctx context.Context, b *bench, data *dataset, again int, result *caseResult) error {
	s, err := b.serveFresh(ctx, neverFlush)
	if err != nil {
		return err
	}
	defer s.discard()
	b.progress("loading %s, %s", data.name, result.Name)
	if err := c.fill(ctx, s, data.requests(), again); err != nil {
		return err
	}
	if err := result.addFiles(s, "before", data.rows); err != nil {
		return err
	}
	b.progress("merging")
	begin, err := account(s.pid())
	if err != nil {
		return err
	}
	if _, err := s.compact(); err != nil {
		return err
	}
	end, err := account(s.pid())
	if err != nil {
		return err
	}
	if err := result.addFiles(s, "after", data.rows); err != nil {
		return err
	}
	cost, millions := end.since(begin), float64(data.rows)/1e6
	result.add("seconds", cost.Wall)
	result.add("CPU s per M rows", cost.Server/millions)
	result.add("other CPU s", cost.Other)
	memory, err := peakMemory(s.pid())
	if err != nil {
		return err
	}
	result.add("peak memory MiB, load included", float64(memory)/mib)
	if err := s.expectRows(data.rows, data.tables...); err != nil {
		return err
	}
	return s.stop()
}

// fill writes the bodies with a flush after each part of them.
func (c *compactCmd) fill(ctx context.Context, s *server, requests []request, again int) error {
	for i := range c.Flushes {
		part := requests[len(requests)*i/c.Flushes : len(requests)*(i+1)/c.Flushes]
		if _, err := s.load(ctx, part, c.Workers); err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
	if again == 0 {
		return nil
	}
	var twice []request
	for i := 0; i < len(requests); i += again {
		twice = append(twice, requests[i])
	}
	if _, err := s.load(ctx, twice, c.Workers); err != nil {
		return err
	}
	return s.flush()
}

// addFiles adds how many files there are, as the catalog says, and how large they are.
func (c *caseResult) addFiles(s *server, when string, rows int) error {
	files, bytes, err := s.storedFiles()
	if err != nil {
		return err
	}
	c.add("files "+when, files)
	c.add("Parquet bytes/row "+when, bytes/float64(rows))
	return nil
}
