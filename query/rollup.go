package query

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// The rows of a rollup are aggregates of its source's rows, one for each interval and set of tags. Its files
// have them for all intervals but the stale ones: those in which the source was written to, or lost rows, since the
// files were made (engine.RollupView). A scan of a rollup is therefore one more union:
//
//	the rows of its files that are in no stale interval
//	the aggregates of the source's rows in the stale intervals
//
// Both are of one moment, so that an answer is always the one that the source would give. The second part is
// the scan of the source, with all that belongs to it: rows that overlap are merged, deleted ones left out. It has
// a range of time and wanted tags of its own, which follow from those of the rollup: rows of an
// interval have its tags, and times up to its end. The stored rows of stale intervals are
// left out as deleted ones are (hidden.go), by a tombstone behind all files, so that what
// cannot read files with deleted rows leaves them to DuckDB.
//
// A row is there if some aggregated field has a value in its interval. Sums of integers that
// need more than 64 bits are null.

// computedRows are the aggregates that a scan of a rollup computes.
type computedRows struct {
	rollup *schema.Table
	source *engine.TableView
	ranges []schema.TimeRange // whole intervals, disjoint and in order
	where  *constraint        // on rows of the source
	plan   *scanPlan          // of the source
}

// staleWithin returns the ranges of stale intervals that a constraint on the rows of a rollup allows.
func staleWithin(t *engine.TableView, c *constraint) (ranges []schema.TimeRange) {
	if t.Rollup == nil || t.Rollup.Source == nil || c.time.IsEmpty() {
		return nil
	}
	wanted := t.Table.Rollup.Covering(c.time)
	if kept := t.Kept().Min; wanted.Min < kept { // the row of the interval in which kept lies is not shown
		wanted.Min = wanted.Min + int64(t.Table.Rollup.Interval)
	}
	for _, r := range t.Rollup.Stale {
		if r = r.Intersect(wanted); !r.IsEmpty() {
			ranges = append(ranges, r)
		}
	}
	return joinNearest(ranges, maxWindows)
}

// hideStale adds the tombstones of stale ranges to those of a file of a rollup. Whether a file has no
// other rows is reported besides.
func hideStale(f engine.FileRef, stale []schema.TimeRange) (hidden []*schema.Tombstone, isAll bool) {
	hidden = slices.Clip(f.Hidden)
	for _, r := range stale {
		if r.Union(f.Time) == r {
			return nil, true
		}
		if r.Overlaps(f.Time) {
			hidden = append(hidden, &schema.Tombstone{Table: f.Table, Order: math.MaxUint64, Time: r})
		}
	}
	return hidden, false
}

// compute plans the aggregates of stale ranges of a rollup's source.
func (p *scanPlan) compute(ctx context.Context, t *engine.TableView, c *constraint, stale []schema.TimeRange) error {
	if len(stale) == 0 {
		return nil
	}
	source := t.Rollup.Source
	d := &computedRows{rollup: t.Table, source: source, ranges: stale}
	d.where = &constraint{time: schema.TimeRange{Min: stale[0].Min, Max: stale[len(stale)-1].Max}}
	for id, values := range c.tags {
		tag, _ := t.Table.ColumnByID(id)
		from, ok := source.Table.Column(tag.Name)
		if !ok { // null in all rows
			return nil
		}
		if d.where.tags == nil {
			d.where.tags = make(map[schema.ColumnID][]string)
		}
		d.where.tags[from.ID] = values
	}
	used := columnNames{names: map[string]bool{schema.TimeColumn: true}}
	for _, c := range t.Table.Tags() {
		used.names[strings.ToLower(c.Name)] = true
	}
	for _, a := range t.Table.Rollup.Aggregates {
		used.names[strings.ToLower(a.Field)] = true
	}
	plan, err := planScan(ctx, source, d.where, &used)
	if err != nil {
		return err
	}
	d.plan, p.computed = plan, d
	return nil
}

// start writes the start of the interval that holds the instant t.
func (d *computedRows) start() string {
	interval := int64(d.rollup.Rollup.Interval)
	start := fmt.Sprintf("make_timestamp_ns(epoch_ns(t) - (epoch_ns(t) %% %[1]d + %[1]d) %% %[1]d)", interval)
	if first := math.MinInt64 / interval * interval; d.ranges[0].Min < first { // the interval before began before time did
		start = fmt.Sprintf("CASE WHEN epoch_ns(t) < %d THEN make_timestamp_ns(%d - 1) ELSE %s END", first, math.MinInt64+1, start)
	}
	return start
}

// sql writes the aggregates with the given columns of the rollup, under their names within its scan. Columns of the source
// have an s before theirs.
func (d *computedRows) sql(columns []schema.Column, register registerFunc) string {
	inner := []string{d.start() + " AS start", "t AS st"}
	for _, c := range d.plan.read {
		if c.ID != 0 {
			inner = append(inner, columnName(c)+" AS s"+columnName(c))
		}
	}
	groups := []string{"start"}
	for _, tag := range d.rollup.Tags() {
		if c, ok := d.source.Table.Column(tag.Name); ok {
			groups = append(groups, "s"+columnName(c))
		}
	}
	items := make([]string, len(columns))
	for i, c := range columns {
		items[i] = d.item(c) + " AS " + columnName(c)
	}
	return fmt.Sprintf("SELECT %s FROM (SELECT %s FROM (%s)%s) GROUP BY %s HAVING %s",
		strings.Join(items, ", "), strings.Join(inner, ", "), d.plan.points(register), where(timeCondition(representable(slices.Clone(d.ranges)))), strings.Join(groups, ", "), d.isThere())
}

// item is a column of the rollup as an expression on a group.
func (d *computedRows) item(c schema.Column) string {
	if c.ID == 0 {
		return "start"
	}
	if c.Type == schema.Tag {
		if from, ok := d.source.Table.Column(c.Name); ok {
			return "s" + columnName(from)
		}
		return "NULL::VARCHAR"
	}
	aggregates := d.rollup.Rollup.Aggregates
	if i := slices.IndexFunc(aggregates, func(a schema.Aggregate) bool { return a.Name == c.Name }); i >= 0 {
		if from, ok := d.source.Table.Column(aggregates[i].Field); ok {
			return d.aggregate(aggregates[i].Func, from, c.Type)
		}
	}
	return "NULL::" + sqltext.Type(c.Type)
}

// aggregate writes an aggregate of a column of the source.
func (d *computedRows) aggregate(function schema.AggregateFunc, from schema.Column, result schema.ColumnType) string {
	of, typ := "s"+columnName(from), sqltext.Type(result)
	switch function {
	case schema.Count:
		return "count(" + of + ")"
	case schema.Sum:
		return "TRY_CAST(sum(" + of + ") AS " + typ + ")"
	case schema.Mean:
		return "avg(" + of + ")::DOUBLE"
	case schema.First:
		return "arg_min(" + of + ", " + d.instant(of) + ")"
	case schema.Last:
		return "arg_max(" + of + ", " + d.instant(of) + ")"
	}
	return function.String() + "(" + of + ")"
}

// instant is what decides which value is the first. Where tags of the source are not kept, several rows of
// a group may have one time: their values decide.
func (d *computedRows) instant(of string) string {
	kept := 0
	for _, tag := range d.source.Table.Tags() {
		if c, ok := d.rollup.Column(tag.Name); ok && c.Type == schema.Tag {
			kept++
		}
	}
	if kept == len(d.source.Table.Tags()) {
		return "st"
	}
	return "row(st, " + of + ")"
}

// isThere is the condition on a group: some aggregated field has a value.
func (d *computedRows) isThere() string {
	var any []string
	for _, a := range d.rollup.Rollup.Aggregates {
		if from, ok := d.source.Table.Column(a.Field); ok {
			if is := "count(s" + columnName(from) + ") > 0"; !slices.Contains(any, is) {
				any = append(any, is)
			}
		}
	}
	if len(any) == 0 {
		return "false"
	}
	return "(" + strings.Join(any, " OR ") + ")"
}
