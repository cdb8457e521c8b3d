package main

import (
	"context"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
)

// longLoad is the other size that peers are compared at: a tenth of the series, for
// longer.
var longLoad = tsbs.Config{Hosts: 400, Duration: 24 * time.Hour}

// ingestCmd measures bulk loads.
type ingestCmd struct {
	bulkFlags `embed:""`

	Gzip bool `json:"gzip" help:"Also send the same bodies gzipped." default:"true" negatable:""`
	Long bool `json:"long" help:"Also load 400 hosts × 24h." default:"true" negatable:""`
	Mix  bool `json:"mix" help:"Also load nine different measurements of 100 hosts." default:"true" negatable:""`
}

// Run runs the scenario alone.
func (c *ingestCmd) Run(ctx context.Context, s *settings) error { return run(ctx, s, c.scenario()) }

func (c *ingestCmd) scenario() scenario { return scenario{"ingest", c, c.measure} }

func (c *ingestCmd) measure(ctx context.Context, b *bench) ([]caseResult, error) {
	data, err := c.generate(b, c.config())
	if err != nil {
		return nil, err
	}
	var results []caseResult
	add := func(data *dataset, requests []request) error {
		result, err := c.load(ctx, b, data, requests)
		results = append(results, result)
		return err
	}
	if err := add(data, data.requests()); err != nil {
		return nil, err
	}
	if c.Gzip {
		requests, err := data.gzipRequests()
		if err != nil {
			return nil, err
		}
		data.name += ", gzip"
		if err := add(data, requests); err != nil {
			return nil, err
		}
	}
	if c.Long {
		if data, err = c.generate(b, longLoad); err != nil {
			return nil, err
		}
		if err := add(data, data.requests()); err != nil {
			return nil, err
		}
	}
	if c.Mix {
		if data, err = c.mix(b); err != nil {
			return nil, err
		}
		if err := add(data, data.requests()); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// mixRounds makes about as many rows as the other loads.
const mixRounds = 40

// mix makes the devops data set.
func (c *ingestCmd) mix(b *bench) (*dataset, error) {
	d := &dataset{name: "devops mix", tables: tsbs.MixTables}
	b.progress("making the %s", d.name)
	var err error
	d.bodies, err = tsbs.Mix(mixRounds, c.Batch)
	for _, body := range d.bodies {
		d.rows += body.Rows
	}
	return d, err
}

// load measures one load on a server of its own, from the first body until everything
// is in Parquet.
func (c *ingestCmd) load(ctx context.Context, b *bench, data *dataset, requests []request) (caseResult, error) {
	result := caseResult{Name: data.name}
	dir, remove, err := b.fresh()
	if err != nil {
		return result, err
	}
	defer remove()
	s, err := b.serve(ctx, dir)
	if err != nil {
		return result, err
	}
	defer s.kill()
	b.progress("loading %s", data.name)
	begin, err := account(s.pid())
	if err != nil {
		return result, err
	}
	loaded, err := s.load(ctx, requests, c.Workers)
	if err != nil {
		return result, err
	}
	end, err := account(s.pid())
	if err != nil {
		return result, err
	}
	held, written, err := s.logBytes()
	if err != nil {
		return result, err
	}
	if err := s.flush(); err != nil {
		return result, err
	}
	flushed, err := account(s.pid())
	if err != nil {
		return result, err
	}
	rows := data.rows
	result.addLoad(rows, end.since(begin), flushed.since(begin))
	result.addLatencies("body", loaded.latencies)
	result.add("bodies refused", float64(loaded.refused))
	result.add("WAL bytes/row", held/float64(rows))
	result.add("WAL bytes/row, preparation included", written/float64(rows))
	if err := result.addSize(s, rows); err != nil {
		return result, err
	}
	if err := s.expectRows(rows, data.tables...); err != nil {
		return result, err
	}
	return result, s.stop()
}

// addLoad adds what a load took, without and with its flush.
func (c *caseResult) addLoad(rows int, load, all spent) {
	millions := float64(rows) / 1e6
	c.add("rows", float64(rows))
	c.add("rows/s", float64(rows)/load.Wall)
	c.add("rows/s incl. flush", float64(rows)/all.Wall)
	c.add("CPU s per M rows", load.Server/millions)
	c.add("CPU s per M rows incl. flush", all.Server/millions)
	c.add("client CPU s per M rows", load.Client/millions)
	c.add("other CPU s", all.Other)
}

// addSize adds what the server has taken of memory and disk.
func (c *caseResult) addSize(s *server, rows int) error {
	parquet, err := s.parquetBytes()
	if err != nil {
		return err
	}
	memory, err := peakMemory(s.pid())
	if err != nil {
		return err
	}
	c.add("Parquet bytes/row", float64(parquet)/float64(rows))
	c.add("peak memory MiB", float64(memory)/mib)
	return nil
}

// addLatencies adds percentiles of sorted latencies.
func (c *caseResult) addLatencies(what string, sorted []time.Duration) {
	c.add(what+" p50 ms", percentile(sorted, 0.5))
	c.add(what+" p99 ms", percentile(sorted, 0.99))
	c.add(what+" max ms", percentile(sorted, 1))
}
