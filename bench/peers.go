package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
	"github.com/siltstone-db/siltstone/internal/thirdparty"
)

// peersCmd gives other databases the same work in the same run. What cannot be had on this machine
// is left out and named.
type peersCmd struct {
	senderFlags `embed:""`

	Hosts         int           `json:"hosts" help:"Number of series of the load." default:"4000"`
	Duration      time.Duration `json:"duration_ns" help:"Time that the load spans." default:"1h"`
	AckDuration   time.Duration `json:"ack_duration_ns" help:"How long single lines are written, with each number of clients." default:"3s"`
	QueryHosts    int           `json:"query_hosts" help:"Number of series that are queried." default:"400"`
	QueryDuration time.Duration `json:"query_duration_ns" help:"Time that they span, more than 12h." default:"24h"`
	Instances     int           `json:"instances" help:"Different queries of each shape." default:"5"`
	Peers         []string      `json:"peers" help:"Whom to compare with, of: ${peers}." enum:"${peers}" default:"${peers}"`
	Write         bool          `json:"write" help:"Compare loads and acknowledgements." default:"true" negatable:""`
	Query         bool          `json:"query" help:"Compare queries." default:"true" negatable:""`
}

// peers are those that answer HTTP. Ours comes first.
var peers = []peer{
	siltstonePeer,
	questDB("questdb-sync", "sync", "yes"),
	influx1Peer,
	questDB("questdb", "nosync", "no"),
}

// peerKeys lists what --peers can name.
func peerKeys() string {
	var keys []string
	for _, p := range peers[1:] {
		keys = append(keys, p.key)
	}
	for _, r := range readers {
		keys = append(keys, r.key)
	}
	return strings.Join(keys, ",")
}

// Run runs the scenarios.
func (c *peersCmd) Run(ctx context.Context, s *settings) error {
	var all []scenario
	if c.Write {
		all = append(all, scenario{name: "peers-write", settings: c, run: c.writes})
	}
	if c.Query {
		all = append(all, scenario{name: "peers-query", settings: c, run: c.queries})
	}
	return run(ctx, s, all...)
}

// each calls do for ours and each peer that was asked for and can be had.
func (c *peersCmd) each(ctx context.Context, b *bench, do func(peer, programs) error) error {
	home, err := thirdparty.NewCache("siltstone-bench")
	if err != nil {
		return err
	}
	for i, p := range peers {
		if i > 0 && !slices.Contains(c.Peers, p.key) {
			continue
		}
		programs, err := p.get(ctx, home)
		if b.skips(p.name, err) {
			continue
		}
		if err == nil {
			err = do(p, programs)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// skips notes that a peer cannot be had, if that is what an error says.
func (b *bench) skips(name string, err error) bool {
	var missing *thirdparty.UnavailableError
	if !errors.As(err, &missing) {
		return false
	}
	b.notes = append(b.notes, fmt.Sprintf("%s is left out: %s.", name, missing.Reason))
	return true
}

// writes gives each peer a case.
func (c *peersCmd) writes(ctx context.Context, b *bench) ([]caseResult, error) {
	data, err := c.generate(b, tsbs.Config{Hosts: c.Hosts, Duration: c.Duration})
	if err != nil {
		return nil, err
	}
	var results []caseResult
	err = c.each(ctx, b, func(p peer, programs programs) error {
		dir, remove, err := b.fresh()
		if err != nil {
			return err
		}
		defer remove()
		result := caseResult{Name: p.name, Labels: map[string]string{"durable at the answer": p.durable}}
		b.progress("loading %s into %s", data.name, p.name)
		if err := c.load(ctx, b, p, programs, dir, data, &result); err != nil {
			return err
		}
		b.progress("single lines to %s", p.name)
		if err := c.acks(ctx, b, p, programs, dir, data, &result); err != nil {
			return err
		}
		results = append(results, result)
		return nil
	})
	return results, err
}

// load measures a load, from its first body until all rows are where they stay and are counted.
func (c *peersCmd) load(ctx context.Context, b *bench, p peer, programs programs, dir string, data *dataset, result *caseResult) error {
	r, err := p.launch(ctx, b, programs, dir)
	if err != nil {
		return err
	}
	defer r.kill()
	requests := data.requestsTo(r.writeTarget)
	begin, err := account(r.pid())
	if err != nil {
		return err
	}
	loaded, err := r.load(ctx, requests, c.Workers)
	if err != nil {
		return err
	}
	end, err := account(r.pid())
	if err != nil {
		return err
	}
	if err := r.awaitRows(ctx, data.rows); err != nil {
		return err
	}
	settled, err := account(r.pid())
	if err != nil {
		return err
	}
	memory, err := peakMemory(r.pid())
	if err != nil {
		return err
	}
	cost, all := end.since(begin), settled.since(begin)
	millions := float64(data.rows) / 1e6
	result.add("rows", float64(data.rows))
	result.add("rows/s", float64(data.rows)/cost.Wall)
	result.add("rows/s until at rest", float64(data.rows)/all.Wall)
	result.add("CPU s per M rows, all included", all.Server/millions)
	result.addLatencies("body", loaded.latencies)
	result.add("peak memory MiB", float64(memory)/mib)
	result.add("other CPU s", all.Other)
	if err := r.stop(); err != nil {
		return err
	}
	bytes, err := diskBytes(r.dataDir)
	result.add("bytes/row on disk after a stop", float64(bytes)/float64(data.rows))
	return err
}

const (
	// rowsTimeout bounds how long a server may take to show rows that it has acknowledged.
	rowsTimeout = 2 * time.Minute
	settlePoll  = 20 * time.Millisecond
)

// awaitRows waits until a server has all rows where they stay, and shows as many as were sent (B3).
func (r *running) awaitRows(ctx context.Context, want int) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	for until := time.Now().Add(rowsTimeout); ; {
		got, err := r.count()
		if err != nil {
			return fmt.Errorf("counting the rows: %w", err)
		}
		if got == want {
			return nil
		}
		if got > want || time.Now().After(until) {
			return fmt.Errorf("%d rows were acknowledged, and the server counts %d", want, got)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settlePoll):
		}
	}
}

// acks starts the server again on what was loaded and writes single lines.
func (c *peersCmd) acks(ctx context.Context, b *bench, p peer, programs programs, dir string, data *dataset, result *caseResult) error {
	r, err := p.launch(ctx, b, programs, dir)
	if err != nil {
		return err
	}
	defer r.kill()
	rows := data.rows
	at := data.config.End()
	for _, clients := range []int{1, 64} {
		ws, err := r.writers(clients, r.writeTarget, at)
		if err != nil {
			return err
		}
		defer ws.close()
		if err := ws.run(ctx, ackWarmUp); err != nil {
			return err
		}
		latencies, cost, err := ws.timed(ctx, r.pid(), c.AckDuration)
		if err != nil {
			return err
		}
		what := "1 client"
		if clients > 1 {
			what = fmt.Sprintf("%d clients", clients)
		}
		result.add(what+": acks/s", float64(len(latencies))/cost.Wall)
		result.add(what+": ack p50 ms", percentile(latencies, 0.5))
		result.add(what+": ack p99 ms", percentile(latencies, 0.99))
		result.add(what+": server CPU µs per ack", cost.Server*1e6/float64(len(latencies)))
		rows += ws.acks()
		at = at.Add(ws.span())
		ws.close()
	}
	if err := r.awaitRows(ctx, rows); err != nil {
		return err
	}
	return r.stop()
}

// queries gives each shape a case, to which each peer adds its measures.
func (c *peersCmd) queries(ctx context.Context, b *bench) ([]caseResult, error) {
	data, err := c.generate(b, tsbs.Config{Hosts: c.QueryHosts, Duration: c.QueryDuration})
	if err != nil {
		return nil, err
	}
	results := make([]caseResult, len(tsbs.Shapes))
	shapes := make([][]tsbs.Query, len(tsbs.Shapes))
	for i, shape := range tsbs.Shapes {
		results[i].Name = shape.Name
		if shapes[i], err = shape.Instances(data.config, c.Instances); err != nil {
			return nil, err
		}
	}
	err = c.each(ctx, b, func(p peer, programs programs) error {
		dir, remove, err := b.fresh()
		if err != nil {
			return err
		}
		defer remove()
		r, err := p.launch(ctx, b, programs, dir)
		if err != nil {
			return err
		}
		defer r.kill()
		b.progress("loading %s into %s", data.name, p.name)
		if _, err := r.load(ctx, data.requestsTo(r.writeTarget), c.Workers); err != nil {
			return err
		}
		if err := r.awaitRows(ctx, data.rows); err != nil {
			return err
		}
		b.progress("queries to %s", p.name)
		if err := r.askShapes(ctx, p.name, shapes, results); err != nil {
			return err
		}
		if p.key == siltstonePeer.key {
			return c.readers(ctx, b, r.dataDir, shapes, results)
		}
		return nil
	})
	return results, err
}

// askShapes asks all queries of a server.
func (r *running) askShapes(ctx context.Context, name string, shapes [][]tsbs.Query, results []caseResult) error {
	client, err := r.dial()
	if err != nil {
		return err
	}
	defer client.close()
	for i, queries := range shapes {
		if _, ok := r.request(queries[0]); !ok {
			continue
		}
		a, err := askAll(ctx, r.pid(), client, r.dialect, queries)
		if err != nil {
			return fmt.Errorf("%s: %w", results[i].Name, err)
		}
		results[i].addPeer(name, percentile(a.latencies, 0.5), a.cpu)
	}
	return nil
}

// readers has libraries read the files that Siltstone has just written.
func (c *peersCmd) readers(ctx context.Context, b *bench, dir string, shapes [][]tsbs.Query, results []caseResult) error {
	home, err := thirdparty.NewCache("siltstone-bench")
	if err != nil {
		return err
	}
	files, err := parquetFiles(dir)
	if err != nil {
		return err
	}
	for _, r := range readers {
		if !slices.Contains(c.Peers, r.key) {
			continue
		}
		python, err := getPython(ctx, home)
		if b.skips(r.name, err) {
			continue
		}
		if err != nil {
			return err
		}
		b.progress("queries to %s", r.name)
		all, err := r.run(ctx, python, files, shapes)
		if err != nil {
			return err
		}
		for i, reads := range all {
			median, cpu, _ := summary(reads)
			results[i].addPeer(r.name, milliseconds(median), cpu)
		}
	}
	return nil
}

// addPeer adds a peer's figures, and how the median relates to ours, which comes first.
func (c *caseResult) addPeer(name string, median, cpu float64) {
	c.add(name+" ms", median)
	c.add(name+" CPU ms", cpu)
	if our, ok := c.value(ourName + " ms"); ok && name != ourName {
		c.add(name+" / "+ourName, median/our)
	}
}
