package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"github.com/siltstone-db/siltstone/engine"
)

// engineCmd measures bulk loads without HTTP, with the engine in this process: what
// the write path costs by itself, and where a profile says it goes.
type engineCmd struct {
	bulkFlags    `embed:""`
	profileFlags `embed:""`

	Flush  bool `json:"flush" help:"Persist everything at the end of each load." default:"true" negatable:""`
	Passes int  `json:"passes" help:"Loads one after the other into the same engine, each into a database of its own; later ones find memory and caches warm." default:"1"`
}

// profileFlags are those of the scenarios that run in this process.
type profileFlags struct {
	CPUProfile string `json:"-" name:"cpuprofile" help:"Write a CPU profile." placeholder:"FILE"`
}

// profile starts the CPU profile, if one is wanted, and returns what ends it.
func (p *profileFlags) profile() (stop func() error, err error) {
	if p.CPUProfile == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(p.CPUProfile)
	if err != nil {
		return nil, fmt.Errorf("--cpuprofile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("--cpuprofile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// Run runs the scenario alone.
func (c *engineCmd) Run(ctx context.Context, s *settings) error {
	// The engine is the process under test here and gets the default of a server.
	debug.SetGCPercent(100)
	return run(ctx, s, scenario{name: "engine", settings: c, run: c.measure})
}

// enginePool is what a server takes on a machine of 20 GiB by default.
const enginePool = 4 << 30

func (c *engineCmd) measure(ctx context.Context, b *bench) (results []caseResult, err error) {
	data, err := c.generate(b, c.config())
	if err != nil {
		return nil, err
	}
	dir, remove, err := b.fresh()
	if err != nil {
		return nil, err
	}
	defer remove()
	e, err := engine.Open(engine.Options{DataDir: dir, PoolBytes: enginePool, Gen1Duration: -1})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	stop, err := c.profile()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for pass := range c.Passes {
		name := fmt.Sprintf("%s, pass %d", data.name, pass+1)
		b.progress("loading %s", name)
		result, err := c.pass(ctx, e, name, fmt.Sprintf("bench_%d", pass), data)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

// pass measures one load.
func (c *engineCmd) pass(ctx context.Context, e *engine.Engine, name, db string, data *dataset) (caseResult, error) {
	result := caseResult{Name: name}
	begin, err := account(os.Getpid())
	if err != nil {
		return result, err
	}
	latencies := make([][]time.Duration, c.Workers)
	err = share(c.Workers, len(data.bodies), func(w int) (job, error) {
		return func(i int) error {
			start := time.Now()
			req := engine.WriteRequest{Database: db, Body: data.bodies[i].Text, Precision: engine.Nanosecond}
			written, err := e.Write(ctx, req)
			if err == nil && written.Accepted != data.bodies[i].Rows {
				err = fmt.Errorf("%d of %d rows were accepted", written.Accepted, data.bodies[i].Rows)
			}
			latencies[w] = append(latencies[w], time.Since(start))
			return err
		}, nil
	})
	if err != nil {
		return result, err
	}
	loaded, err := account(os.Getpid())
	if err != nil {
		return result, err
	}
	if c.Flush {
		if err := e.Flush(ctx); err != nil {
			return result, err
		}
	}
	flushed, err := account(os.Getpid())
	if err != nil {
		return result, err
	}
	result.addLoad(data.rows, loaded.since(begin), flushed.since(begin))
	result.addLatencies("body", merge(latencies))
	return result, expectStored(e, db, data.rows)
}

// expectStored counts the rows that a query of the engine would see (B3).
func expectStored(e *engine.Engine, db string, want int) error {
	v, err := e.View(context.Background(), db, nil)
	if err != nil {
		return err
	}
	defer v.Close()
	got := 0
	for _, t := range v.Tables {
		for _, f := range t.Files {
			got += int(f.Rows)
		}
		for _, s := range t.Buffers {
			got += s.Rows
		}
	}
	if got != want {
		return fmt.Errorf("%d rows were acknowledged and %d are stored", want, got)
	}
	return nil
}
