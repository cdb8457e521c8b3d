package engine

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/schema"
)

// Retention
//
// A row is kept for the retention period of its table, or else of its database, counted from its
// time. Older ones are refused by writes, and no query sees them: a view says from when on rows are
// kept (TableView.Kept), by the machine's clock as far as that is believed when the view is made.
//
// Once a minute the files all of whose rows have expired are removed, of all tables in one commit of
// the catalog (removeExpired). Their bytes go when the last view that was made before has ended. Until then
// nothing is lost: a longer period shows what is still there.
//
// What was removed must not come back with a longer period, also not as an older value of the same
// point. So a file stays as long as one that was written before it, and that overlaps with it in time, has
// rows that stay (expiredFiles). Of files that have expired in part, compactions leave out what has (retention_trim.go).

// floorOf is the first instant that is kept for a period at a time; a period of 0 is for ever.
func floorOf(retention time.Duration, now int64) int64 {
	if retention <= 0 {
		return math.MinInt64
	}
	return minus(now, int64(retention))
}

// Kept is the time whose rows are within the retention period. No others are to be seen, in files as
// in buffers.
func (t *TableView) Kept() schema.TimeRange {
	if t.keptFrom == nil {
		return schema.MaxTimeRange
	}
	return schema.TimeRange{Min: *t.keptFrom, Max: schema.MaxTimeRange.Max}
}

// keep notes the retention period of a table, at a time.
func (t *TableView) keep(retention time.Duration, now int64) {
	if floor := floorOf(retention, now); floor > math.MinInt64 {
		t.keptFrom = &floor
	}
}

// expiredFiles returns those files of a table, given by Order, that may be removed: no row of them is
// from the floor on, and none of them hides an older value, or version, of what stays.
func (x *expiry) expiredFiles(files []*schema.File) (gone []*schema.File) {
	if x.versions {
		return x.expiredVersions(files)
	}
	var stay []schema.TimeRange // before the floor
	for _, f := range files {
		isHiding := slices.ContainsFunc(stay, f.Time.Overlaps)
		if f.Time.Max < x.floor && !isHiding {
			gone = append(gone, f)
		} else if f.Time.Min < x.floor {
			stay = append(stay, f.Time)
		}
	}
	return gone
}

// expiredVersions returns the files that lie before all that stays.
func (x *expiry) expiredVersions(files []*schema.File) (gone []*schema.File) {
	sorted := slices.SortedFunc(slices.Values(files), func(a, b *schema.File) int { return cmp.Compare(b.Time.Max, a.Time.Max) })
	from := min(x.floor, x.buffered)
	for _, f := range sorted {
		if f.Time.Max >= from {
			from = min(from, f.Time.Min)
		} else {
			gone = append(gone, f)
		}
	}
	return gone
}

// retained is a table that has a retention period.
type retained struct {
	database *schema.Database
	def      *schema.Table
	table    *table
	period   time.Duration
}

// retainedTables returns the tables that hold something and do not keep it for ever, by the period that
// periodOf gives each of them.
func (e *Engine) retainedTables(periodOf func(*schema.Database, *schema.Table) time.Duration) (all []retained) {
	for _, d := range e.catalog.Schema().Databases() {
		if d.Name == InternalDatabase {
			continue // it has limits of its own
		}
		for _, def := range d.Tables() {
			t, period := e.tables.find(def.ID), periodOf(d, def)
			if t != nil && period > 0 {
				all = append(all, retained{d, def, t, period})
			}
		}
	}
	return all
}

// expired is what is removed of a table.
type expired struct {
	retained
	files []*schema.File
	floor int64
}

func (e *Engine) expired(now int64) (all []expired) {
	for _, r := range e.retainedTables((*schema.Database).RetentionOf) {
		x := expiryOf(r.def, r.table, e.keepsRollups(r.table, floorOf(r.period, now)), now)
		if x == nil {
			continue // a rollup needs all of it
		}
		if files := x.expiredFiles(r.table.allFiles()); len(files) > 0 {
			all = append(all, expired{r, files, x.floor})
		}
	}
	return all
}

// removeExpired removes the files all of whose rows have expired at a time.
func (e *Engine) removeExpired(now int64) error {
	if e.catalog.Err() != nil || len(e.expired(now)) == 0 {
		return nil // without waiting for a flush
	}
	e.flusher.mu.Lock()
	defer e.flusher.mu.Unlock()
	all := e.expired(now)
	var edit catalog.Edit
	var rows, bytes uint64
	for _, x := range all {
		for _, f := range x.files {
			edit.Remove = append(edit.Remove, f.ID)
			rows, bytes = rows+f.Rows, bytes+f.Bytes
			e.freezeRollups(&edit, f.Table, f.Time.Max)
		}
	}
	if len(edit.Remove) == 0 {
		return nil
	}
	if err := e.catalog.Commit(edit); err != nil {
		return fmt.Errorf("removing %d expired files: %w", len(edit.Remove), err)
	}
	e.showRollups(edit.Rollups...)
	for _, x := range all {
		e.removeDoomed(x.table.expire(x.files, x.floor))
	}
	e.metrics.expiredFiles.Add(float64(len(edit.Remove)))
	e.metrics.expiredRows.Add(float64(rows))
	e.metrics.expiredBytes.Add(float64(bytes))
	e.opts.Logger.Info("removed files whose rows are older than the retention period", "files", len(edit.Remove), "rows", rows, "bytes", bytes)
	return nil
}

// removeExpiredSoon is removeExpired for the flusher, which tries again.
func (e *Engine) removeExpiredSoon(now int64) {
	if err := e.removeExpired(now); err != nil {
		e.opts.Logger.Error("removing expired files failed; it is tried again in a minute, and no query sees their rows", "error", err)
	}
}

// expire is doom for files of which a view with the floor sees no row.
func (t *table) expire(files []*schema.File, floor int64) (unread []*schema.File) {
	t.last.keepFrom(t, floor, func() { unread = t.doom(files) })
	return unread
}
