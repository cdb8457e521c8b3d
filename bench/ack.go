package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
)

// ackCmd measures how fast single lines become durable.
type ackCmd struct {
	Clients  []int         `json:"clients" help:"Numbers of connections, each with one line under way." default:"1,64"`
	Duration time.Duration `json:"duration_ns" help:"How long each of them writes." default:"5s"`
}

// Run runs the scenario alone.
func (c *ackCmd) Run(ctx context.Context, s *settings) error { return run(ctx, s, c.scenario()) }

func (c *ackCmd) scenario() scenario { return scenario{name: "ack", settings: c, run: c.measure} }

const (
	ackHosts  = 4000 // series that the lines belong to
	ackWarmUp = 500 * time.Millisecond
)

// measure compares each number of clients with the disk alone, which is measured
// right before with as many bytes as the log takes for a line: on a shared disk a
// latency means little without it.
func (c *ackCmd) measure(ctx context.Context, b *bench) ([]caseResult, error) {
	var results []caseResult
	for _, clients := range c.Clients {
		if clients < 1 || clients > ackHosts {
			return nil, fmt.Errorf("%d clients; between 1 and %d are possible", clients, ackHosts)
		}
		result, err := c.measureClients(ctx, b, clients)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

func (c *ackCmd) measureClients(ctx context.Context, b *bench, clients int) (caseResult, error) {
	result := caseResult{Name: fmt.Sprintf("%d clients", clients)}
	if clients == 1 {
		result.Name = "1 client"
	}
	s, err := b.serveFresh(ctx, neverFlush)
	if err != nil {
		return result, err
	}
	defer s.discard()
	writers, err := s.writers(clients, writeTarget, time.Unix(0, firstDay))
	if err != nil {
		return result, err
	}
	defer writers.close()
	if err := writers.run(ctx, ackWarmUp); err != nil {
		return result, err
	}
	size, err := s.logBytesPerAck(writers)
	if err != nil {
		return result, err
	}
	b.progress("the disk alone: %d bytes a sync", size)
	disk, err := measureDisk(s.dir, size, c.Duration/2)
	if err != nil {
		return result, err
	}
	b.progress("%s for %s", result.Name, c.Duration)
	if err := writers.measure(ctx, s, c.Duration, &result); err != nil {
		return result, err
	}
	result.addDisk(disk)
	if err := s.expectRows(writers.acks(), tsbs.Table); err != nil {
		return result, err
	}
	writers.close() // an orderly stop waits for connections
	return result, s.stop()
}

// logBytesPerAck is what the log has grown for each line so far.
func (s *server) logBytesPerAck(w writers) (int, error) {
	held, _, err := s.logBytes()
	if err != nil {
		return 0, err
	}
	if w.acks() == 0 {
		return 0, errors.New("nothing was acknowledged while warming up")
	}
	return max(int(held)/w.acks(), 1), nil
}

// logSyncs is how often the log was synced and how long that took in all.
type logSyncs struct{ count, seconds float64 }

func (s *server) logSyncs() (logSyncs, error) {
	count, err := s.metric("siltstone_wal_sync_seconds_count")
	if err != nil {
		return logSyncs{}, err
	}
	seconds, err := s.metric("siltstone_wal_sync_seconds_sum")
	return logSyncs{count, seconds}, err
}

// writers are the clients of a case.
type writers []*writer

// writer sends single lines over one connection, one after the other.
type writer struct {
	conn      *conn
	lines     []line
	next      int
	time      int64 // of the next line
	acks      int
	latencies []time.Duration // since the last start
}

// line is a request of one line, head and body in one piece so that it leaves in one
// packet. It ends with the time stamp, which is set before each use.
type line []byte

const timeDigits = 19 // of nanoseconds since 1970, from 2001 to 2286

func (l line) setTime(ns int64) { strconv.AppendInt(l[len(l)-timeDigits:len(l)-timeDigits], ns, 10) }

// writers makes n writers that share out the hosts, from some time on. Whenever a writer has been
// through its lines, it begins again at a later time, so that no two rows are one
// point (B3).
func (e endpoint) writers(n int, target string, begin time.Time) (writers, error) {
	config := tsbs.Config{Hosts: ackHosts, Duration: tsbs.DefaultInterval}
	config.EnsureDefaults()
	g, err := tsbs.NewGenerator(config)
	if err != nil {
		return nil, err
	}
	all := make(writers, n)
	for i := range all {
		all[i] = &writer{time: begin.UnixNano()}
	}
	for i, body := range g.Bodies(1) {
		text := body.Text[:len(body.Text)-1] // without the newline
		r := newRequest("POST", target, "", text)
		w := all[i%n]
		w.lines = append(w.lines, append(r.head, r.body...))
	}
	for _, w := range all {
		if w.conn, err = e.dial(); err != nil {
			all.close()
			return nil, err
		}
	}
	return all, nil
}

// close closes the connections; it may be called more than once.
func (ws writers) close() {
	for _, w := range ws {
		if w.conn != nil {
			w.conn.close()
		}
	}
}

func (ws writers) acks() int {
	sum := 0
	for _, w := range ws {
		sum += w.acks
	}
	return sum
}

// span is the time that the rows written so far may span.
func (ws writers) span() time.Duration {
	most := 0
	for _, w := range ws {
		most = max(most, w.acks/len(w.lines)+1)
	}
	return time.Duration(most) * tsbs.DefaultInterval
}

// run has all writers write for some time.
func (ws writers) run(ctx context.Context, d time.Duration) error {
	errs := make([]error, len(ws))
	until := time.Now().Add(d)
	var running sync.WaitGroup
	for i, w := range ws {
		running.Go(func() { errs[i] = w.run(ctx, until) })
	}
	running.Wait()
	return errors.Join(errs...)
}

func (w *writer) run(ctx context.Context, until time.Time) error {
	w.latencies = w.latencies[:0]
	for begin := time.Now(); begin.Before(until); {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.one(); err != nil {
			return err
		}
		end := time.Now()
		w.latencies = append(w.latencies, end.Sub(begin))
		begin = end
	}
	return nil
}

// one writes one line.
func (w *writer) one() error {
	l := w.lines[w.next]
	l.setTime(w.time)
	if err := w.conn.acknowledge(l); err != nil {
		return err
	}
	w.acks++
	w.next++
	if w.next == len(w.lines) {
		w.next = 0
		w.time += int64(tsbs.DefaultInterval)
	}
	return nil
}

// measure runs the writers and adds what came out.
func (ws writers) measure(ctx context.Context, s *server, d time.Duration, result *caseResult) error {
	before, err := s.logSyncs()
	if err != nil {
		return err
	}
	latencies, cost, err := ws.timed(ctx, s.pid(), d)
	if err != nil {
		return err
	}
	after, err := s.logSyncs()
	if err != nil {
		return err
	}
	acks, count := float64(len(latencies)), after.count-before.count
	result.add("acks/s", acks/cost.Wall)
	result.addLatencies("ack", latencies)
	result.add("acks per sync", acks/count)
	result.add("mean sync ms", (after.seconds-before.seconds)*1000/count)
	result.add("server CPU µs per ack", cost.Server*1e6/acks)
	result.add("client CPU µs per ack", cost.Client*1e6/acks)
	result.add("other CPU s", cost.Other)
	return nil
}

// timed runs the writers and returns their latencies, sorted, and what was spent.
func (ws writers) timed(ctx context.Context, pid int, d time.Duration) (latencies []time.Duration, cost spent, err error) {
	begin, err := account(pid)
	if err != nil {
		return nil, cost, err
	}
	if err := ws.run(ctx, d); err != nil {
		return nil, cost, err
	}
	end, err := account(pid)
	if err != nil {
		return nil, cost, err
	}
	parts := make([][]time.Duration, len(ws))
	for i, w := range ws {
		parts[i] = w.latencies
	}
	return merge(parts), end.since(begin), nil
}
