package query

import (
	"context"
	"errors"
	"fmt"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// SELECT DISTINCT of tags, which SHOW TAG VALUES is made of, is about the sets of values that occur, not about rows. The
// engine lists them (engine.TableView.TagSets), and the query gets a row for each in the place of the table, with a
// time that its WHERE lets through; DuckDB does the rest. Where the engine keeps the newest row of each series anyway, that is
// quicker still. The statement is one that last_find.go knows: its WHERE is about tags and the ends of time.

// tagSetScan writes the scan of a table of which only the sets of tag values matter; it is "" where the rows have to be read.
func (r *running) tagSetScan(ctx context.Context, t *engine.TableView, rule *newestRule, c *constraint, used *columnNames) (string, error) {
	if rule == nil || !rule.tagsOnly || r.ignoreNewest || c.time.IsEmpty() || len(staleWithin(t, c)) > 0 {
		return "", nil
	}
	plan, err := planScan(ctx, &engine.TableView{Table: t.Table}, c, used)
	if err != nil {
		return "", err
	}
	query := engine.TagSetQuery{Wanted: c.time, Sure: schema.TimeRange{Min: rule.from, Max: rule.until}.Intersect(c.time)}
	for _, column := range plan.columns {
		if column.Type == schema.Tag {
			query.Tags = append(query.Tags, column.ID)
		}
	}
	sets, err := t.TagSets(ctx, query)
	switch {
	case errors.Is(err, engine.ErrNoTagSets):
		return "", nil
	case err != nil:
		return "", err
	}
	for _, b := range newBuffers(sets, c, 0) {
		b.split(nil, &plan.rows) // no row of one source has anything to do with those of another
	}
	report := plan.report(t.Table, c.time)
	report.tagSets = true
	r.reports = append(r.reports, report)
	return plan.sql(r.register), nil
}

// tagSetsText describes such a scan.
func (s *scanReport) tagSetsText() string {
	return fmt.Sprintf("%s: the sets of tag values, from what is known of files and buffers: %s", s.table.Name, countText(s.bufferedRows(), "row"))
}
