package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
	"github.com/siltstone-db/siltstone/internal/datasets"
)

// ingestCmd measures bulk loads.
type ingestCmd struct {
	bulkFlags `embed:""`

	Cases []string `json:"cases" help:"Which loads to measure, of: ${ingest_cases}." enum:"${ingest_cases}" default:"${ingest_cases}"`
}

// Run runs the scenario alone.
func (c *ingestCmd) Run(ctx context.Context, s *settings) error { return run(ctx, s, c.scenario()) }

func (c *ingestCmd) scenario() scenario { return scenario{name: "ingest", settings: c, run: c.measure} }

// ingestCase is a load. make returns its data, which the flags size.
type ingestCase struct {
	key   string
	name  string // what is added to the data set's
	make  func(*ingestCmd, *bench) (*dataset, error)
	batch int // lines in a body; 0 is as the flags say
	gzip  bool
	flags []string // of the server
}

// smallPool is the pool whose peak memory the goals name.
const smallPool = "--exec-mem-pool-bytes=256MB"

// ingestCases are all loads, in the order in which they run.
var ingestCases = []ingestCase{
	{key: "standard", make: (*ingestCmd).standard},
	{key: "gzip", name: ", gzip", make: (*ingestCmd).standard, gzip: true},
	{key: "small-bodies", name: ", 1,000-line bodies", make: (*ingestCmd).standard, batch: 1000},
	{key: "small-pool", name: ", pool of 256 MB", make: (*ingestCmd).standard, flags: []string{smallPool}},
	{key: "few-series", make: (*ingestCmd).fewSeries},
	{key: "many-series", make: (*ingestCmd).manySeries},
	{key: "new-series", name: ", each line a new series", make: (*ingestCmd).newSeries},
	{key: "devops", name: "devops mix", make: repeated(datasets.DevOps, 1, tsbs.DefaultInterval)},
	{key: "weather", name: "weather, a point a minute", make: repeated(datasets.Weather, 24*60, time.Minute)},
	{key: "wind", name: "wind, a point a minute", make: repeated(datasets.Wind, 60, time.Minute)},
	{key: "bitcoin", name: "bitcoin, a point a minute", make: repeated(datasets.Bitcoin, 29, time.Minute)},
}

// ingestKeys lists the cases for the help.
func ingestKeys() string {
	keys := make([]string, len(ingestCases))
	for i, c := range ingestCases {
		keys[i] = c.key
	}
	return strings.Join(keys, ",")
}

func (c *ingestCmd) measure(ctx context.Context, b *bench) ([]caseResult, error) {
	var results []caseResult
	for _, one := range ingestCases {
		if !slices.Contains(c.Cases, one.key) {
			continue
		}
		result, err := c.one(ctx, b, one)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.key, err)
		}
		results = append(results, result)
		debug.FreeOSMemory() // the bodies, of which those of the next case need as much
	}
	return results, nil
}

// one measures one case.
func (c *ingestCmd) one(ctx context.Context, b *bench, one ingestCase) (caseResult, error) {
	sized := *c
	if one.batch > 0 {
		sized.Batch = one.batch
	}
	data, err := one.make(&sized, b)
	if err != nil {
		return caseResult{}, err
	}
	data.name += one.name
	requests := data.requests()
	if one.gzip {
		if requests, err = data.gzipRequests(); err != nil {
			return caseResult{}, err
		}
	}
	return c.load(ctx, b, data, requests, one.flags...)
}

// The data of the cases have the same number of rows, but for the bundled sets.

func (c *ingestCmd) standard(b *bench) (*dataset, error) { return c.generate(b, c.config()) }

func (c *ingestCmd) fewSeries(b *bench) (*dataset, error) {
	return c.generate(b, tsbs.Config{Hosts: max(c.Hosts/10, 1), Duration: 10 * c.Duration})
}

func (c *ingestCmd) manySeries(b *bench) (*dataset, error) {
	return c.generate(b, tsbs.Config{Hosts: 10 * c.Hosts, Duration: max(c.Duration/10, tsbs.DefaultInterval)})
}

// mostNewSeries keeps the tables of series of the largest load in memory.
const mostNewSeries = 1_000_000

func (c *ingestCmd) newSeries(b *bench) (*dataset, error) {
	config := c.config()
	config.EnsureDefaults()
	return c.generate(b, tsbs.Config{Hosts: min(config.Rows(), mostNewSeries), Duration: tsbs.DefaultInterval})
}

// repeated makes a bundled set as often as it takes for a million rows, or for the rows of the
// standard case if those are fewer.
func repeated(set datasets.Set, divisor int64, step time.Duration) func(*ingestCmd, *bench) (*dataset, error) {
	return func(c *ingestCmd, b *bench) (*dataset, error) {
		config := c.config()
		config.EnsureDefaults()
		rounds := max(min(config.Rows(), 1_000_000)/set.Points, 1)
		b.progress("making %s %d times", set.Name, rounds)
		bodies, err := tsbs.Again(set, divisor, step, rounds, c.Batch)
		return &dataset{rows: rounds * set.Points, tables: set.Tables, bodies: bodies, precision: set.Precision}, err
	}
}

// load measures one load on a server of its own, from the first body until everything
// is in Parquet.
func (c *ingestCmd) load(ctx context.Context, b *bench, data *dataset, requests []request, flags ...string) (caseResult, error) {
	result := caseResult{Name: data.name}
	s, err := b.serveFresh(ctx, flags...)
	if err != nil {
		return result, err
	}
	defer s.discard()
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
	parquet, err := parquetBytes(s.dataDir())
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
