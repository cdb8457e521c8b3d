package engine

import (
	"math"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// Rollups
//
// A rollup is a table whose files have aggregates of another table's rows, one row for each interval and set of tags. What makes it exact
// at every moment is that it is known which intervals are stale: not stored as they should be. A query takes what is stored
// of all others, and computes the stale ones from the source.
//
// An interval is stale when rows of it are in buffers of the source: a view finds that from their times. When they become files, the
// commit that names the files marks the intervals in the catalog. So does a deletion of rows, which says besides that what is computed
// may lack what is stored. A refresh (rollup_refresh.go) computes stale intervals from a view, writes them to a file, and commits
// file and state of the rollup at once; what was marked since the view was made stays marked.
//
// For views to see one instant, the source and the rollup are pinned with both tables' mutexes held, and the state, which the rollup's
// table has, changes in front of the source's files where it grows, and together with the rollup's where it shrinks.
//
// A rollup outlives the rows of its source. Files of the source that have expired are removed only when nothing of them is stale
// (keepsRollups), and in whole intervals; the commit that removes them freezes these intervals: they are never computed again,
// whatever is written or deleted. So a rollup has every row that was ever accepted and not deleted in time.
//
// Refused: to compute the aggregates of buffers as they are flushed and to add them up. It spares reading the source
// again, but rows that overwrite others, that come twice or are deleted have no part that could be added.

// markStale adds to an edit that rows of a table in some ranges of time are not as they were. Rollups that were deleted are
// marked too: the catalog of a backup that is being made may still have them. The caller holds flusher.mu.
func (e *Engine) markStale(edit *catalog.Edit, source schema.TableID, shrunk bool, changed ...schema.TimeRange) {
	if len(changed) == 0 {
		return
	}
	for _, def := range e.catalog.Schema().UnpurgedRollups(source) {
		marks := make([]schema.StaleRange, 0, len(changed))
		for _, r := range changed {
			marks = append(marks, schema.StaleRange{Time: def.Rollup.Covering(r), Shrunk: shrunk})
		}
		e.rollups.mark(def.ID, marks)
		e.setRollup(edit, e.rollupState(edit, def.ID).Mark(marks...))
	}
}

// rollupState returns the state of a rollup as it is after an edit.
func (e *Engine) rollupState(edit *catalog.Edit, id schema.TableID) *schema.RollupState {
	for _, s := range edit.Rollups {
		if s.Table == id {
			return s
		}
	}
	return e.catalog.RollupState(id)
}

func (e *Engine) setRollup(edit *catalog.Edit, state *schema.RollupState) {
	edit.Rollups = slices.DeleteFunc(edit.Rollups, func(s *schema.RollupState) bool { return s.Table == state.Table })
	edit.Rollups = append(edit.Rollups, state)
}

// markFlushed is markStale for rows that become files.
func (e *Engine) markFlushed(edit *catalog.Edit, source schema.TableID, snapshots []*partition.Snapshot) {
	var changed []schema.TimeRange
	for _, s := range snapshots {
		if s.Rows > 0 {
			changed = append(changed, s.Time)
		}
	}
	e.markStale(edit, source, false, changed...)
}

// markDeleted is markStale for rows that a tombstone deletes, of files as they are in front of it.
func (e *Engine) markDeleted(edit *catalog.Edit, def *schema.Table, d *schema.Tombstone, files []*schema.File) {
	var changed []schema.TimeRange
	for _, f := range files {
		if d.HidesAll(f) || d.MayHide(def, f) {
			changed = append(changed, f.Time.Intersect(d.Time))
		}
	}
	e.markStale(edit, def.ID, true, schema.JoinRanges(changed)...)
}

// showRollups shows the states of rollups to views: those that have grown, before the source's files change.
func (e *Engine) showRollups(states ...*schema.RollupState) {
	for _, s := range states {
		def, ok := e.catalog.Schema().TableByID(s.Table)
		if !ok {
			continue
		}
		t := e.tables.findOrCreate(def.Database, def.ID)
		t.mu.Lock()
		t.mu.rollup = s
		t.mu.Unlock()
	}
}

// isSameState reports whether two states say the same.
func isSameState(a, b *schema.RollupState) bool {
	return a != nil && a.FrozenBefore == b.FrozenBefore && slices.Equal(a.Stale, b.Stale)
}

// showAllRollups shows what the catalog says.
func (e *Engine) showAllRollups() {
	for _, def := range e.catalog.Schema().Rollups(0) {
		e.showRollups(e.catalog.RollupState(def.ID))
	}
}

// rollupView is tableView for a rollup: it pins the rollup and its source at one instant.
func (e *Engine) rollupView(def *schema.Table) (*TableView, func()) {
	of := schema.Table{ID: def.Rollup.Source, Database: def.Database}
	source := e.tables.findOrCreate(of.Database, of.ID)
	target := e.tables.findOrCreate(def.Database, def.ID)
	source.mu.Lock()
	target.mu.Lock()
	rows, stored := source.pinLocked(), target.pinLocked()
	state := target.mu.rollup
	target.mu.Unlock()
	source.mu.Unlock()
	if state == nil { // it has just been made
		state = e.catalog.RollupState(def.ID)
	}
	tv, from := e.show(def, stored), e.show(&of, rows)
	tv.Rollup = &RollupView{Source: from, Stale: staleRanges(def.Rollup, state, from.Buffers), FrozenBefore: math.MinInt64}
	if state != nil {
		tv.Rollup.FrozenBefore = state.FrozenBefore
	}
	return tv, func() {
		e.removeDoomed(target.unpin(stored.held))
		e.removeDoomed(source.unpin(rows.held))
	}
}

// staleRanges are the intervals that are not stored as they should be, those of buffered rows among them.
func staleRanges(r *schema.Rollup, state *schema.RollupState, buffers []*partition.Snapshot) []schema.TimeRange {
	if state == nil { // it was purged
		return []schema.TimeRange{schema.MaxTimeRange}
	}
	ranges := state.Ranges()
	for _, s := range buffers {
		if s.Rows == 0 {
			continue
		}
		stale := r.Covering(s.Time)
		if stale.Min = max(stale.Min, state.FrozenBefore); !stale.IsEmpty() {
			ranges = append(ranges, stale)
		}
	}
	return schema.JoinRanges(ranges)
}

// keepsRollups returns the instant up to which expired rows of a table may be removed: floor, or an earlier one, so that
// whole intervals go, of which nothing is stale. A rollup that cannot be computed is not waited for any longer than
// rollupPatience.
func (e *Engine) keepsRollups(t *table, floor int64) int64 {
	if floor == math.MinInt64 {
		return floor
	}
	for _, def := range e.catalog.Schema().Rollups(t.id) {
		floor = min(floor, def.Rollup.Start(floor))
		if e.rollups.isHopeless(def.ID) {
			continue
		}
		if stale := staleRanges(def.Rollup, e.catalog.RollupState(def.ID), t.snapshots()); len(stale) > 0 {
			floor = min(floor, stale[0].Min)
		}
	}
	return floor
}

// freezeRollups adds to an edit that rows of a table up to an instant are removed, because they have expired. If the table is a rollup
// itself its intervals are frozen: a longer period does not bring them back. The caller holds flusher.mu, and keepsRollups allows it.
func (e *Engine) freezeRollups(edit *catalog.Edit, id schema.TableID, last int64) {
	frozen := e.catalog.Schema().Rollups(id)
	if def, ok := e.catalog.Schema().TableByID(id); ok && def.Rollup != nil {
		frozen = append(frozen, def)
	}
	for _, def := range frozen {
		state := e.rollupState(edit, def.ID)
		next := state.Freeze(def.Rollup.Covering(schema.TimeRange{Min: last, Max: last}).Max + 1)
		if len(state.Stale) > 0 && def.ID != id && state.Stale[0].Time.Min < next.FrozenBefore {
			e.opts.Logger.Error("expired points are removed before a rollup has them, because its refreshes have failed for long",
				"rollup", def.Name, "from", time.Unix(0, state.Stale[0].Time.Min).UTC(), "to", time.Unix(0, next.FrozenBefore).UTC())
		}
		e.setRollup(edit, next)
	}
}
