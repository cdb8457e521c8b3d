package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/siltstone-db/siltstone/schema"
)

// ErrCheckRunning is returned by Engine.Check while another one runs.
var ErrCheckRunning = errors.New("a check is running already")

// checks lets one check at a time run, which ends with the engine.
type checks struct {
	ended sync.WaitGroup // of the one that runs
	mu    struct {
		sync.Mutex
		cancel context.CancelFunc // of the one that runs; nil if there is none
		closed bool
	}
}

// begin returns the context of a check, and what ends it.
func (cs *checks) begin(ctx context.Context) (context.Context, func(), error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	switch {
	case cs.mu.closed:
		return nil, nil, fmt.Errorf("%w: it is stopping", ErrUnavailable)
	case cs.mu.cancel != nil:
		return nil, nil, ErrCheckRunning
	}
	ctx, cs.mu.cancel = context.WithCancel(ctx)
	cs.ended.Add(1)
	return ctx, cs.end, nil
}

func (cs *checks) end() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.mu.cancel()
	cs.mu.cancel = nil
	cs.ended.Done()
}

// stop ends the check that runs, waits for it, and lets no other begin.
func (cs *checks) stop() {
	cs.mu.Lock()
	cs.mu.closed = true
	if cs.mu.cancel != nil {
		cs.mu.cancel()
	}
	cs.mu.Unlock()
	cs.ended.Wait()
}

// Check verifies the data directory while the engine works on it. It holds nothing that
// writers or queries wait for; files stay in place while they are read. What the log gains
// meanwhile is not looked at. The errors are ErrCheckRunning, ErrUnavailable, *NoSpaceError, the context's,
// and those of the function Check.
func (e *Engine) Check(ctx context.Context, opts CheckOptions) (CheckReport, error) {
	ctx, end, err := e.checks.begin(ctx)
	if err != nil {
		return CheckReport{}, err
	}
	defer end()
	opts.DataDir, opts.FS, opts.Logger = e.opts.DataDir, e.opts.FS, e.opts.Logger
	c := newChecker(ctx, opts)
	c.online, c.catalog = e, e.catalog
	report, err := c.run((*checker).checkOpen)
	return report, e.noSpace(err)
}

// checkOpen checks the directory of an engine.
func (c *checker) checkOpen() error {
	report, err := c.catalog.Check(c.ctx)
	if err != nil {
		return err
	}
	c.takeCatalog(report)
	if err := c.checkFiles(); err != nil {
		return err
	}
	log, err := c.online.log.Check(c.catalog.Position(), c.checkRecord)
	return c.takeLog(log, err)
}

// pinned calls read with the files that a table has now, which stay in place meanwhile.
// Its buffers are not held.
func (e *Engine) pinned(id schema.TableID, read func([]*schema.File) error) error {
	t := e.tables.find(id)
	if t == nil {
		return nil // it was purged
	}
	files, _, held := t.pinFiles()
	err := read(files)
	e.removeDoomed(t.unpin(held))
	return err
}
