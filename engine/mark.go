package engine

import (
	"sync"
	"time"
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
	var noted reachedNote
	defer noted.close()
	defer noted.note(e)
	for {
		select {
		case <-m.quit:
			return
		case <-tick.C:
			if err := e.log.Mark(); err != nil { // it takes no more commits
				_ = e.logFailed(err)
			}
			noted.note(e)
		}
	}
}
