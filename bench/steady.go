package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
)

// steadyFlags say what goes on beside what is measured: bulk bodies at a fixed rate, single lines
// and queries.
//
// The rate is fixed so that two settings of a server are compared under the same load: one that
// answers faster would otherwise get more to do. The client makes the lines as it goes, which
// costs it a third of a microsecond of CPU a row, the same under all settings.
type steadyFlags struct {
	senderFlags `embed:""`

	Rate     int           `json:"rate" help:"Rows a second that the bulk writers send." default:"300000"`
	Hosts    int           `json:"hosts" help:"Number of series." default:"4000"`
	Interval time.Duration `json:"interval_ns" help:"Time between two points of a series, by their time stamps." default:"1s"`
	Acks     int           `json:"acks" help:"Single lines a second, at most, over one connection." default:"200"`
	Queries  int           `json:"queries" help:"Queries a second, at most, over one connection." default:"5"`
}

// steady is a load that goes on.
type steady struct {
	flags *steadyFlags
	s     *server

	mu struct {
		sync.Mutex
		generator *tsbs.Generator
		bodies    int // that were taken
	}
	start  time.Time
	data   tsbs.Config
	newest atomic.Int64 // bodies that were acknowledged

	bulk    loadResult
	acks    []probe
	queries [len(steadyKinds)][]probe
}

// probe is one request of those that are measured.
type probe struct {
	begin time.Time
	took  time.Duration
}

// steadyKinds are the queries: the last hour of one host, and of all.
var steadyKinds = [...]struct{ name, columns, where, group string }{
	{"one host", "max(usage_user)", "hostname = 'host_%d' AND ", "minute"},
	{"all hosts", "hostname, avg(usage_user)", "", "minute, hostname"},
}

func newSteady(flags *steadyFlags, s *server) (*steady, error) {
	if err := flags.check(); err != nil {
		return nil, err
	}
	if flags.Rate < 1 || flags.Acks < 1 || flags.Queries < 1 {
		return nil, fmt.Errorf("%d rows, %d lines and %d queries a second; each must be 1 at least", flags.Rate, flags.Acks, flags.Queries)
	}
	const forever = 100 * 365 * 24 * time.Hour
	l := &steady{flags: flags, s: s, data: tsbs.Config{Hosts: flags.Hosts, Interval: flags.Interval, Duration: forever}}
	l.data.EnsureDefaults()
	var err error
	l.mu.generator, err = tsbs.NewGenerator(l.data)
	return l, err
}

// run goes on for some time. What it found is in the fields afterwards.
func (l *steady) run(ctx context.Context, d time.Duration) error {
	l.start = time.Now()
	until := l.start.Add(d)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	parts := make([]loadResult, l.flags.Workers)
	spawn := func(do func() error) {
		all.Go(func() {
			if err := do(); err != nil {
				cancel(err)
			}
		})
	}
	for i := range parts {
		spawn(func() error { return l.write(ctx, until, &parts[i]) })
	}
	spawn(func() error { return l.writeLines(ctx, until) })
	spawn(func() error { return l.query(ctx, until) })
	all.Wait()
	latencies := make([][]time.Duration, len(parts))
	for i, p := range parts {
		latencies[i] = p.latencies
		l.bulk.refused += p.refused
	}
	l.bulk.latencies = merge(latencies)
	return context.Cause(ctx)
}

// next makes the next body and says when it is due.
func (l *steady) next(buffer []byte) (body []byte, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	body = buffer[:0]
	for range l.flags.Batch {
		body, _ = l.mu.generator.AppendLine(body)
	}
	due = l.start.Add(time.Duration(l.mu.bodies) * time.Second * time.Duration(l.flags.Batch) / time.Duration(l.flags.Rate))
	l.mu.bodies++
	return body, due
}

// write is one of the bulk writers.
func (l *steady) write(ctx context.Context, until time.Time, result *loadResult) error {
	c, err := l.s.dial()
	if err != nil {
		return err
	}
	defer c.close()
	var body []byte
	for time.Now().Before(until) {
		var due time.Time
		body, due = l.next(body)
		if err := pause(ctx, time.Until(due)); err != nil {
			return err
		}
		if err := result.send(ctx, c, newRequest("POST", writeTarget, "", body)); err != nil {
			return err
		}
		l.newest.Add(1)
	}
	return nil
}

// rows is what the bulk writers have sent.
func (l *steady) rows() int { return int(l.newest.Load()) * l.flags.Batch }

// probeDatabase takes the single lines, so that the bulk writers' points are no rewrites of theirs.
const probeDatabase = "probe"

// writeLines writes single lines, one after the other.
func (l *steady) writeLines(ctx context.Context, until time.Time) error {
	target := strings.Replace(writeTarget, "db="+database, "db="+probeDatabase, 1)
	ws, err := l.s.writers(1, target, l.data.Start)
	if err != nil {
		return err
	}
	defer ws.close()
	l.acks, err = repeatedly(ctx, until, l.flags.Acks, func(int) error { return ws[0].one() })
	return err
}

// query asks about the newest hour of what has been acknowledged.
func (l *steady) query(ctx context.Context, until time.Time) error {
	c, err := l.s.dial()
	if err != nil {
		return err
	}
	defer c.close()
	for l.newest.Load() == 0 { // there is no table yet
		if err := pause(ctx, settlePoll); err != nil || time.Now().After(until) {
			return err
		}
	}
	all, err := repeatedly(ctx, until, l.flags.Queries, func(i int) error {
		_, err := c.expect(queryRequest(l.question(i%len(steadyKinds))), http.StatusOK)
		return err
	})
	for i, p := range all {
		kind := i % len(steadyKinds)
		l.queries[kind] = append(l.queries[kind], p)
	}
	return err
}

// question words a query of a kind.
func (l *steady) question(kind int) string {
	k := steadyKinds[kind]
	where := k.where
	if where != "" {
		where = fmt.Sprintf(where, rand.IntN(l.flags.Hosts))
	}
	newest := l.data.Start.Add(time.Duration(l.rows()/l.flags.Hosts) * l.flags.Interval).UTC()
	return fmt.Sprintf("SELECT date_trunc('minute', time) AS minute, %s FROM cpu WHERE %stime >= TIMESTAMP '%s' AND time < TIMESTAMP '%s' GROUP BY %s",
		k.columns, where, newest.Add(-time.Hour).Format(time.DateTime), newest.Format(time.DateTime), k.group)
}

// repeatedly does something at most so many times a second, one after the other.
func repeatedly(ctx context.Context, until time.Time, perSecond int, do func(i int) error) (all []probe, err error) {
	start := time.Now()
	for i := 0; time.Now().Before(until); i++ {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		if err := pause(ctx, time.Until(due)); err != nil {
			return all, err
		}
		begin := time.Now()
		if err := do(i); err != nil {
			return all, err
		}
		all = append(all, probe{begin, time.Since(begin)})
		if late := time.Since(due); late > time.Second { // after a stall, do not catch up in a burst
			start = start.Add(late)
		}
	}
	return all, nil
}

// pause waits, or not at all for a time that has passed.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// period is a time in which something went on.
type period struct{ begin, end time.Time }

// split returns the sorted latencies of the probes that overlap one of the periods, and of the others.
func split(all []probe, periods []period) (inside, outside []time.Duration) {
	for _, p := range all {
		end := p.begin.Add(p.took)
		if slices.ContainsFunc(periods, func(q period) bool { return p.begin.Before(q.end) && end.After(q.begin) }) {
			inside = append(inside, p.took)
		} else {
			outside = append(outside, p.took)
		}
	}
	slices.Sort(inside)
	slices.Sort(outside)
	return inside, outside
}

// sorted are the latencies of probes.
func sorted(all []probe) []time.Duration {
	_, latencies := split(all, nil)
	return latencies
}

// expectSteadyRows checks that nothing of the load is missing (B3).
func (s *server) expectSteadyRows(l *steady) error {
	if err := s.expectRows(l.rows(), tsbs.Table); err != nil {
		return err
	}
	q := url.Values{"db": {probeDatabase}, "q": {"SELECT count(*) AS n FROM " + tsbs.Table}, "format": {"json"}}
	var counted []struct{ N int }
	if err := s.askOne("/api/v3/query_sql?"+q.Encode(), &counted); err != nil {
		return err
	}
	if len(counted) != 1 || counted[0].N != len(l.acks) {
		return fmt.Errorf("%d single lines were acknowledged, and the server counts %v", len(l.acks), counted)
	}
	return nil
}
