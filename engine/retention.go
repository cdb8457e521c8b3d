package engine

import (
	"math"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// Retention
//
// A row is kept for the retention period of its table, or else of its database, counted from its
// time. Older ones are refused by writes, and no query sees them: a view says from when on rows are
// kept (TableView.Kept), by the machine's clock as far as that is believed when the view is made.

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
