package main

import (
	"context"
	"errors"
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
	compacted   = "compacted files"
	queryStates = inFiles + "," + inBuffers + "," + overlapping + "," + compacted
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
		err := c.inState(ctx, b, data, state, results)
		if errors.Is(err, errNoCompaction) {
			b.notes = append(b.notes, fmt.Sprintf("%s are left out: %v.", state, err))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", state, err)
		}
	}
	return results, nil
}

// inState asks all queries of a server of its own.
func (c *queryCmd) inState(ctx context.Context, b *bench, data *dataset, state string, results []caseResult) error {
	s, err := b.serveFresh(ctx, neverFlush)
	if err != nil {
		return err
	}
	defer s.discard()
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
	case overlapping, compacted:
		var again []request
		for i := 0; i < len(requests); i += hours {
			again = append(again, requests[i])
		}
		if _, err := s.load(ctx, again, workers); err != nil {
			return err
		}
		if err := s.flush(); err != nil || state == overlapping {
			return err
		}
		_, err := s.compact()
		return err
	}
	return nil
}

// answer is what is known of the answer to a query.
type answer struct {
	latency     time.Duration
	rows, bytes int
}

// ask runs queries of one shape and adds what they cost in a state.
func (s *server) ask(ctx context.Context, client *conn, queries []tsbs.Query, state string, result *caseResult) error {
	a, err := askAll(ctx, s.pid(), client, ours, queries)
	if err != nil {
		return err
	}
	result.add(state+": median ms", percentile(a.latencies, 0.5))
	result.add(state+": max ms", percentile(a.latencies, 1))
	result.add(state+": CPU ms", a.cpu)
	if clean, ok := result.value(inFiles + ": median ms"); ok && (state == overlapping || state == compacted) {
		result.add(state+" / "+inFiles, percentile(a.latencies, 0.5)/clean)
	}
	if state == inFiles {
		result.add("rows", a.rows)
		result.add("answer KiB", a.bytes/1024)
	}
	result.add(state+": other CPU s", a.other)
	return nil
}

// asked is what queries of one shape cost; all but the latencies are means.
type asked struct {
	latencies   []time.Duration // sorted
	cpu         float64         // milliseconds of the server
	rows, bytes float64
	other       float64 // CPU seconds of other processes in all
}

// askAll runs queries of one shape, of which the first warms up.
func askAll(ctx context.Context, pid int, client *conn, d dialect, queries []tsbs.Query) (all asked, err error) {
	if _, err := d.query(client, queries[0]); err != nil {
		return all, err
	}
	begin, err := account(pid)
	if err != nil {
		return all, err
	}
	n := float64(len(queries))
	for _, q := range queries {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		a, err := d.query(client, q)
		if err != nil {
			return all, err
		}
		all.latencies = append(all.latencies, a.latency)
		all.rows += float64(a.rows) / n
		all.bytes += float64(a.bytes) / n
	}
	end, err := account(pid)
	if err != nil {
		return all, err
	}
	slices.Sort(all.latencies)
	cost := end.since(begin)
	all.cpu, all.other = cost.Server*1000/n, cost.Other
	return all, nil
}

// query asks Siltstone.
func (c *conn) query(q tsbs.Query) (answer, error) { return ours.query(c, q) }

// errNotAsked occurs when a database has no way to ask a question.
var errNotAsked = errors.New("there is no such query")

// timed runs a request; the text of the answer is valid until the next one.
func (c *conn) timed(r request) (answer, []byte, error) {
	begin := time.Now()
	text, err := c.expect(r, http.StatusOK)
	return answer{latency: time.Since(begin), bytes: len(text)}, text, err
}
