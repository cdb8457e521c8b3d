package engine

import (
	"slices"
	"time"
)

// Compaction is a merge of files that has ended, or goes on.
type Compaction struct {
	Database    string        `json:"database"`
	Table       string        `json:"table"`
	Reason      string        `json:"reason"` // which rule chose the files
	Begin       time.Time     `json:"begin"`
	Took        time.Duration `json:"nanoseconds"`
	Inputs      int           `json:"input_files"`
	InputBytes  int64         `json:"input_bytes"`
	InputRows   uint64        `json:"input_rows"`
	Outputs     int           `json:"output_files"` // 0 if it failed or goes on
	OutputBytes int64         `json:"output_bytes"`
	OutputRows  uint64        `json:"output_rows"`
	Progress    float64       `json:"progress"` // the share of the input rows that were merged; 0 if it failed
	IsRunning   bool          `json:"running,omitempty"`
	Error       string        `json:"error,omitempty"`
}

// Compactions returns the last merges since the start, the oldest first, and then the one that goes on.
func (e *Engine) Compactions() []Compaction {
	e.compactor.mu.Lock()
	all, running := slices.Clone(e.compactor.mu.last), e.compactor.mu.running
	e.compactor.mu.Unlock()
	if running != nil {
		all = append(all, running.underWay())
	}
	return all
}

// show tells others of a merge that goes on; nil: it has ended.
func (c *compactor) show(m *merging) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.running = m
}

// advance counts rows that were merged, and says so.
func (m *merging) advance(rows uint64) {
	m.done.Add(rows)
	if m.told != nil {
		m.told(m.underWay())
	}
}

// underWay describes the merge while it goes on.
func (m *merging) underWay() Compaction {
	now := m.describe()
	if now.InputRows > 0 {
		now.Progress = min(float64(m.done.Load())/float64(now.InputRows), 1)
	}
	now.IsRunning = true
	return now
}

// describe says what is merged and since when.
func (m *merging) describe() Compaction {
	e := m.c.e
	c := Compaction{
		Database: e.catalog.Schema().DatabaseName(m.def.Database), Table: m.def.Name, Reason: string(m.chosen.reason),
		Begin: m.begin, Took: e.opts.Now().Sub(m.begin), Inputs: len(m.chosen.inputs), InputBytes: m.chosen.bytes(),
	}
	for _, f := range m.chosen.inputs {
		c.InputRows += f.Rows
	}
	return c
}

// summary describes the merge, which has ended.
func (m *merging) summary(err error) Compaction {
	done := m.describe()
	if err != nil {
		done.Error = err.Error()
		return done
	}
	done.Progress = 1
	for _, f := range m.files {
		done.Outputs, done.OutputBytes, done.OutputRows = done.Outputs+1, done.OutputBytes+int64(f.Bytes), done.OutputRows+f.Rows
	}
	return done
}
