package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
)

// queryCmd measures the TSBS queries, one client, one after the other.
type queryCmd struct {
	senderFlags `embed:""`

	Hosts     int           `json:"hosts" help:"Number of series." default:"400"`
	Duration  time.Duration `json:"duration_ns" help:"Time that the data span, more than 12h." default:"24h"`
	Instances int           `json:"instances" help:"Different queries of each shape." default:"20"`
	Flush     bool          `json:"flush" help:"Query Parquet files; otherwise all rows are still in memory." default:"true" negatable:""`
}

// Run runs the scenario alone.
func (c *queryCmd) Run(ctx context.Context, s *settings) error { return run(ctx, s, c.scenario()) }

func (c *queryCmd) scenario() scenario { return scenario{"query", c, c.measure} }

func (c *queryCmd) measure(ctx context.Context, b *bench) ([]caseResult, error) {
	s, config, remove, err := c.prepare(ctx, b)
	if err != nil {
		return nil, err
	}
	defer remove()
	defer s.kill()
	client, err := s.dial()
	if err != nil {
		return nil, err
	}
	defer client.close()
	var results []caseResult
	for _, shape := range tsbs.Shapes {
		b.progress("%s", shape.Name)
		queries, err := shape.Instances(config, c.Instances)
		if err != nil {
			return nil, err
		}
		result, err := s.ask(ctx, client, shape.Name, queries)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", shape.Name, err)
		}
		results = append(results, result)
	}
	client.close() // an orderly stop waits for connections
	return results, s.stop()
}

// prepare starts a server and loads the data set.
func (c *queryCmd) prepare(ctx context.Context, b *bench) (s *server, config tsbs.Config, remove func(), err error) {
	data, err := c.generate(b, tsbs.Config{Hosts: c.Hosts, Duration: c.Duration})
	if err != nil {
		return nil, config, nil, err
	}
	dir, remove, err := b.fresh()
	if err != nil {
		return nil, config, nil, err
	}
	s, err = b.serve(ctx, dir, neverFlush)
	if err != nil {
		remove()
		return nil, config, nil, err
	}
	b.progress("loading %s", data.name)
	_, err = s.load(ctx, data.requests(), c.Workers)
	if err == nil && c.Flush {
		err = s.flush()
	}
	if err == nil {
		err = s.expectRows(data.rows, data.tables...)
	}
	if err != nil {
		s.kill()
		remove()
	}
	return s, data.config, remove, err
}

// answer is what is known of the answer to a query.
type answer struct {
	latency     time.Duration
	rows, bytes int
}

// ask runs queries of one shape, of which the first warms up.
func (s *server) ask(ctx context.Context, client *conn, name string, queries []tsbs.Query) (caseResult, error) {
	result := caseResult{Name: name}
	if _, err := client.query(queries[0]); err != nil {
		return result, err
	}
	begin, err := account(s.pid())
	if err != nil {
		return result, err
	}
	var sum answer
	var latencies []time.Duration
	for _, q := range queries {
		if err := ctx.Err(); err != nil {
			return result, err
		}
		a, err := client.query(q)
		if err != nil {
			return result, err
		}
		latencies = append(latencies, a.latency)
		sum.rows += a.rows
		sum.bytes += a.bytes
	}
	end, err := account(s.pid())
	if err != nil {
		return result, err
	}
	slices.Sort(latencies)
	cost, n := end.since(begin), float64(len(queries))
	result.add("median ms", percentile(latencies, 0.5))
	result.add("max ms", percentile(latencies, 1))
	result.add("CPU ms", cost.Server*1000/n)
	result.add("rows", float64(sum.rows)/n)
	result.add("answer KiB", float64(sum.bytes)/n/1024)
	result.add("other CPU s", cost.Other)
	return result, nil
}

// query runs one query and checks how many rows come back (B3).
func (c *conn) query(q tsbs.Query) (answer, error) {
	r := queryRequest(q.SQL)
	begin := time.Now()
	text, err := c.expect(r, http.StatusOK)
	a := answer{latency: time.Since(begin), bytes: len(text)}
	if err != nil {
		return a, fmt.Errorf("%s: %w", q.SQL, err)
	}
	a.rows = bytes.Count(text, []byte("{")) // rows are flat, and no tag holds a brace
	if a.rows < q.MinRows || a.rows > q.MaxRows {
		return a, fmt.Errorf("%s: %d rows, expected %d to %d", q.SQL, a.rows, q.MinRows, q.MaxRows)
	}
	return a, nil
}
