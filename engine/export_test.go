package engine

import (
	"context"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// PurgeDue is what the engine does once a minute.
func (e *Engine) PurgeDue() {
	e.removeDue()
}

// Heal does what the healer does when something ran out of space, now.
func (e *Engine) Heal() error { return e.heal() }

// Look reads how much of the disk is free, as each tick does.
func (e *Engine) Look() { e.look() }

// FS is the file system that the engine was given.
func (e *Engine) FS() vfs.FS { return e.opts.FS }

// RefreshWith is RefreshRollup with an Aggregator that the background does not have.
func (e *Engine) RefreshWith(ctx context.Context, database, name string, a Aggregator) error {
	e.rollups.mu.Lock()
	e.rollups.mu.aggregator = a
	e.rollups.mu.Unlock()
	return e.RefreshRollup(ctx, database, name, nil)
}
