package engine

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/schema"
)

// settleAfter is how long nothing more was deleted of a table before its files are written again
// without the rows: who deletes one series after the other should not have all files written each time.
const settleAfter = 5 * time.Minute

// sweepRule decides whether rows that tombstones name are removed from files now.
type sweepRule func(tombstones []*schema.Tombstone) bool

// rightNow is the rule of compactions that somebody asked for.
func rightNow([]*schema.Tombstone) bool { return true }

// isSettled is the rule of the background: nothing was deleted for some time, or much was. A clock
// that was set back delays nothing.
func (c *compactor) isSettled(tombstones []*schema.Tombstone) bool {
	if len(tombstones) == 0 || len(tombstones) >= maxTombstones/2 {
		return true
	}
	since := time.Duration(c.e.opts.Now().UnixNano() - tombstones[len(tombstones)-1].Created)
	return since >= settleAfter || since < 0
}

// needless returns the tombstones that no file needs once the merge has taken the place of its inputs.
func (m *merging) needless(files []*schema.File) []*schema.Tombstone {
	left := slices.DeleteFunc(slices.Clone(files), func(f *schema.File) bool { return slices.Contains(m.chosen.inputs, f) })
	return m.c.e.needless(m.def.ID, append(left, m.files...), m.table.allTombstones())
}

// needless returns those that no file of a table needs. The table is looked up now: one that was looked up before the files may lack a
// tag of theirs by which rows were deleted.
func (e *Engine) needless(id schema.TableID, files []*schema.File, tombstones []*schema.Tombstone) []*schema.Tombstone {
	def, ok := e.catalog.Schema().TableByID(id)
	if !ok {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(tombstones), func(d *schema.Tombstone) bool {
		return slices.ContainsFunc(files, func(f *schema.File) bool { return d.MayHide(def, f) })
	})
}

// exhume removes the tombstones of a table that no file needs any more, since what they are about was
// removed in another way.
func (c *compactor) exhume(t *table) error {
	if len(c.e.needless(t.id, t.allFiles(), t.allTombstones())) == 0 {
		return nil
	}
	c.e.flusher.mu.Lock()
	defer c.e.flusher.mu.Unlock()
	gone := c.e.needless(t.id, t.allFiles(), t.allTombstones())
	if len(gone) == 0 {
		return nil
	}
	if err := c.e.catalog.Commit(catalog.Edit{Exhume: gone}); err != nil {
		return fmt.Errorf("removing %d deletions of which nothing is left: %w", len(gone), err)
	}
	c.e.removeDoomed(t.replaceFiles(nil, nil, gone, math.MinInt64))
	return nil
}
