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
	States    []string      `json:"states" help:"Where the rows are: all in files; the newest hour in buffers; files, one of them of rewrites that overlap the whole day; the same compacted. Of: ${query_states}." enum:"${query_states}" default:"${query_states}"`
}

// Run runs the scenario alone.
func (c *queryCmd) Run(ctx context.Context, s *settings) error { return run(ctx, s, c.scenario()) }

func (c *queryCmd) scenario() scenario {
	return scenario{name: "query", settings: c, run: c.measure}
}

// The states that queries meet.
const (
	inFiles     = "files"
	inBuffers   = "newest hour in buffers"
	overlapping = "overlapping files"
	queryStates = inFiles + "," + inBuffers + "," + overlapping
)

// measure gives each shape a case, to which each state adds its measures.
func (c *queryCmd) measure(ctx context.Context, b *bench) ([]caseResult, error) {
	data, err := c.generate(b, tsbs.Config{Hosts: c.Hosts, Duration: c.Duration})
	if err != nil {
		return nil, err
	}
	results := make([]caseResult, len(tsbs.Shapes))
	for i, shape := range tsbs.Shapes {
		results[i].Name = shape.Name
	}
	for _, state := range c.States {
		if err := c.inState(ctx, b, data, state, results); err != nil {
			return nil, fmt.Errorf("%s: %w", state, err)
		}
	}
	return results, nil
}

// inState asks all queries of a server of its own.
func (c *queryCmd) inState(ctx context.Context, b *bench, data *dataset, state string, results []caseResult) error {
	dir, remove, err := b.fresh()
	if err != nil {
		return err
	}
	defer remove()
	s, err := b.serve(ctx, dir, neverFlush)
	if err != nil {
		return err
	}
	defer s.kill()
	b.progress("loading %s: %s", data.name, state)
	if err := s.fill(ctx, data.requests(), c.Workers, state); err != nil {
		return err
	}
	if err := s.expectRows(data.rows, data.tables...); err != nil {
		return err
	}
	client, err := s.dial()
	if err != nil {
		return err
	}
	defer client.close()
	for i, shape := range tsbs.Shapes {
		queries, err := shape.Instances(data.config, c.Instances)
		if err != nil {
			return err
		}
		if err := s.ask(ctx, client, queries, state, &results[i]); err != nil {
			return fmt.Errorf("%s: %w", shape.Name, err)
		}
	}
	client.close() // an orderly stop waits for connections
	return s.stop()
}

// fill loads a data set into a state. The bodies come in the order of their times.
func (s *server) fill(ctx context.Context, requests []request, workers int, state string) error {
	const hours = 24 // of which the newest may stay in memory, and as much is written again
	stored := requests
	if state == inBuffers {
		stored = requests[:len(requests)-len(requests)/hours]
	}
	if _, err := s.load(ctx, stored, workers); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	switch state {
	case inBuffers:
		_, err := s.load(ctx, requests[len(stored):], workers)
		return err
	case overlapping:
		var again []request
		for i := 0; i < len(requests); i += hours {
			again = append(again, requests[i])
		}
		if _, err := s.load(ctx, again, workers); err != nil {
			return err
		}
		return s.flush()
	}
	return nil
}

// answer is what is known of the answer to a query.
type answer struct {
	latency     time.Duration
	rows, bytes int
}

// ask runs queries of one shape, of which the first warms up.
func (s *server) ask(ctx context.Context, client *conn, queries []tsbs.Query, state string, result *caseResult) error {
	if _, err := client.query(queries[0]); err != nil {
		return err
	}
	begin, err := account(s.pid())
	if err != nil {
		return err
	}
	var sum answer
	var latencies []time.Duration
	for _, q := range queries {
		if err := ctx.Err(); err != nil {
			return err
		}
		a, err := client.query(q)
		if err != nil {
			return err
		}
		latencies = append(latencies, a.latency)
		sum.rows += a.rows
		sum.bytes += a.bytes
	}
	end, err := account(s.pid())
	if err != nil {
		return err
	}
	slices.Sort(latencies)
	cost, n := end.since(begin), float64(len(queries))
	cpu := cost.Server*1000/n
	result.add(state+": median ms", percentile(latencies, 0.5))
	result.add(state+": max ms", percentile(latencies, 1))
	result.add(state+": CPU ms", cpu)
	if clean, ok := result.value(inFiles + ": CPU ms"); ok && state == overlapping {
		result.add("CPU of overlapping / files", cpu/clean)
	}
	if state == inFiles {
		result.add("rows", float64(sum.rows)/n)
		result.add("answer KiB", float64(sum.bytes)/n/1024)
	}
	result.add(state+": other CPU s", cost.Other)
	return nil
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
