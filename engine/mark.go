package engine

import (
	"sync"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// marker marks the log when it is idle, and notes how far it is durable.
type marker struct {
	quit    chan struct{}
	stopped sync.WaitGroup
}

func (m *marker) start(e *Engine, every time.Duration) {
	m.quit = make(chan struct{})
	if every > 0 {
		m.stopped.Go(func() { m.run(e, every) })
	}
}

// stop may be called of a marker that was not started.
func (m *marker) stop() {
	if m.quit != nil {
		close(m.quit)
	}
	m.stopped.Wait()
}

func (m *marker) run(e *Engine, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	reached, last := reachedNote(e.opts.FS, e.path(reachedName), e.catalog.InstanceID()), schema.Seq(0)
	defer reached.Close()
	note := func() {
		if durable := e.log.Stats().DurableSeq; durable > last && reached.Set(uint64(durable)) == nil {
			last = durable
		}
	}
	defer note()
	for {
		select {
		case <-m.quit:
			return
		case <-tick.C:
			if err := e.log.Mark(); err != nil { // it takes no more commits
				_ = e.logFailed(err)
			}
			note()
		}
	}
}
