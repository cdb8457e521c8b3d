package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/siltstone-db/siltstone/bench/tsbs"
)

// dataset is what a load sends, in bodies, made before the clock starts.
type dataset struct {
	name   string
	rows   int
	tables []string
	config tsbs.Config // zero for the bundled sets
	bodies []tsbs.Body
	// precision is the unit of the time stamps; empty is nanosecond.
	precision string
}

// senderFlags say how a load is sent.
type senderFlags struct {
	Batch   int `json:"batch" help:"Lines in a body." default:"10000"`
	Workers int `json:"workers" help:"Connections that send at the same time." default:"4"`
}

// bulkFlags are those of the scenarios that measure a load.
type bulkFlags struct {
	senderFlags `embed:""`

	Hosts    int           `json:"hosts" help:"Number of series." default:"4000"`
	Duration time.Duration `json:"duration_ns" help:"Time that the data span; a point every 10s." default:"2h"`
}

// config is the data set that the flags ask for.
func (f *bulkFlags) config() tsbs.Config { return tsbs.Config{Hosts: f.Hosts, Duration: f.Duration} }

// generate makes a data set in bodies as the flags want them.
func (f *senderFlags) generate(b *bench, config tsbs.Config) (*dataset, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	config.EnsureDefaults()
	g, err := tsbs.NewGenerator(config)
	if err != nil {
		return nil, err
	}
	d := &dataset{
		name: fmt.Sprintf("%d hosts × %s", config.Hosts, span(config.Duration)),
		rows: config.Rows(), tables: []string{tsbs.Table}, config: config,
	}
	b.progress("making %s", d.name)
	d.bodies = g.Bodies(f.Batch)
	return d, nil
}

// span writes a duration without the units that are zero.
func span(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	if d%time.Minute == 0 {
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

func (f *senderFlags) check() error {
	if f.Batch < 1 || f.Workers < 1 {
		return fmt.Errorf("%d workers cannot send bodies of %d lines", f.Workers, f.Batch)
	}
	return nil
}

// requests prepares the bodies as they are.
func (d *dataset) requests() []request { return d.requestsTo(d.target()) }

func (d *dataset) target() string {
	if d.precision == "" {
		return writeTarget
	}
	return strings.Replace(writeTarget, "nanosecond", d.precision, 1)
}

// requestsTo prepares them for another server.
func (d *dataset) requestsTo(target string) []request {
	requests := make([]request, len(d.bodies))
	for i, body := range d.bodies {
		requests[i] = newRequest("POST", target, "", body.Text)
	}
	return requests
}

// gzipRequests prepares the bodies compressed as clients do it: fast.
func (d *dataset) gzipRequests() ([]request, error) {
	requests := make([]request, len(d.bodies))
	err := share(runtime.NumCPU(), len(d.bodies), func(int) (job, error) {
		zw, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		return func(i int) error {
			var out bytes.Buffer
			zw.Reset(&out)
			if _, err := zw.Write(d.bodies[i].Text); err != nil {
				return err
			}
			if err := zw.Close(); err != nil {
				return err
			}
			requests[i] = newRequest("POST", d.target(), "gzip", out.Bytes())
			return nil
		}, err
	})
	return requests, err
}

// job does one piece of shared work.
type job func(i int) error

// share has n workers do the jobs 0 to jobs-1, in order, each by the next worker that
// is free. start makes what a worker needs. After an error no further job begins.
func share(n, jobs int, start func(worker int) (job, error)) error {
	var (
		next    atomic.Int64
		workers sync.WaitGroup
		errs    = make([]error, n)
	)
	for w := range n {
		workers.Go(func() {
			do, err := start(w)
			for err == nil {
				i := int(next.Add(1)) - 1
				if i >= jobs {
					return
				}
				err = do(i)
			}
			errs[w] = err
			next.Store(int64(jobs))
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}

// loadResult is how a load went.
type loadResult struct {
	latencies []time.Duration // of the acknowledged bodies, sorted
	refused   int             // answers 503, after each of which the body was sent again
}

// refusedPause is how long a worker waits when the server's memory is full.
const refusedPause = 50 * time.Millisecond

// load sends the requests over as many connections as there are workers.
func (e endpoint) load(ctx context.Context, requests []request, workers int) (loadResult, error) {
	results := make([]loadResult, workers)
	conns := make([]*conn, 0, workers)
	defer func() {
		for _, c := range conns {
			c.close()
		}
	}()
	for range workers {
		c, err := e.dial()
		if err != nil {
			return loadResult{}, err
		}
		conns = append(conns, c)
	}
	err := share(workers, len(requests), func(w int) (job, error) {
		return func(i int) error { return results[w].send(ctx, conns[w], requests[i]) }, nil
	})
	var all loadResult
	parts := make([][]time.Duration, workers)
	for i, r := range results {
		parts[i] = r.latencies
		all.refused += r.refused
	}
	all.latencies = merge(parts)
	return all, err
}

// send sends one body until it is acknowledged; its latency includes refusals.
func (r *loadResult) send(ctx context.Context, c *conn, req request) error {
	begin := time.Now()
	for {
		status, answer, err := c.do(req)
		switch {
		case err != nil:
			return err
		case status == http.StatusNoContent:
			r.latencies = append(r.latencies, time.Since(begin))
			return ctx.Err()
		case status != http.StatusServiceUnavailable:
			return statusError(req, status, answer)
		}
		r.refused++
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(refusedPause):
		}
	}
}
