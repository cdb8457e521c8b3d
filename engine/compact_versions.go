package engine

import (
	"math"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// The rows of a LatestByTag table are versions of records, and queries see the newest of each. Compactions leave
// out a version as soon as they meet a newer one of the same tags, whatever else there is: nothing shows it again. A version that
// ends its record hides older ones, so that it stays until there are none in other files or in buffers, and none
// can be expected to come late.

// endsStay is how long a version that ends a record stays for the sake of older ones that come late.
const endsStay = 72 * time.Hour

// latestOf returns which versions a merge of inputs leaves out, nil if the rows of the table are none.
func (e *Engine) latestOf(def *schema.Table, t *table, inputs []*schema.File) *persist.MergeLatest {
	if def.Key.Rule != schema.LatestByTag {
		return nil
	}
	latest := &persist.MergeLatest{DeletedBefore: math.MinInt64}
	mark, ok := def.Column(schema.DeletedColumn)
	isTag := func(c schema.Column) bool { return c.Type == schema.Tag && c.Name != def.Key.Tag }
	if !ok || mark.Type != schema.Bool || slices.ContainsFunc(def.Columns, isTag) { // of other tags other versions may be in the merge
		return latest
	}
	latest.Deleted = mark.ID
	latest.DeletedBefore = min(minus(e.clock.within(e.clock.now()), int64(endsStay)), t.firstBuffered())
	for _, f := range t.allFiles() {
		if !slices.Contains(inputs, f) {
			latest.DeletedBefore = min(latest.DeletedBefore, f.Time.Min)
		}
	}
	return latest
}

// firstBuffered returns the first time of a row that is in no file, the last instant if there is none.
func (t *table) firstBuffered() int64 {
	first := int64(math.MaxInt64)
	for _, s := range t.snapshots() {
		if s.Rows > 0 {
			first = min(first, s.Time.Min)
		}
	}
	return first
}
