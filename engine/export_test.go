package engine

import (
	"context"
	"errors"
	"math"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// CutFiles cuts each file of several days alone, as the compactor does with those that overlap with too much, and
// returns how many it has cut.
func (e *Engine) CutFiles(ctx context.Context) (n int, err error) {
	for _, t := range e.tables.all() {
		def, ok := e.catalog.Schema().TableByID(t.id)
		if !ok || def.Deleted != nil {
			continue
		}
		files, tombstones, held := t.pinFiles()
		for _, f := range files {
			var borders []int64
			for day := f.DayMin + 1; day <= f.DayMax && f.Seq.Max <= e.catalog.Position(); day++ {
				borders = append(borders, startOf(day))
			}
			if len(borders) == 0 {
				continue
			}
			m := &merging{
				c: e.compactor, table: t, def: def, tombstones: tombstones, begin: e.opts.Now(),
				chosen: &compaction{inputs: []*schema.File{f}, pieces: rangesBetween(borders), reason: reasonSplit, before: math.MinInt64},
			}
			err = errors.Join(err, m.run(ctx))
			n++
		}
		e.removeDoomed(t.unpin(held))
	}
	return n, err
}

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
