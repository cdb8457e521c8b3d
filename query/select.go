package query

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// SELECT of columns, WHERE and LIMIT: no work of DuckDB's is in such an answer but to decode all columns of
// all rows, to filter them, and to copy tags into strings, which are then written one by one. So
// they are read here. Of each row group the tags, the times and the
// fields that WHERE names come first, and of the others only the pages in which a row is left
// (persist.Selector). Tags stay codes until they are written, and a row group is written to text
// by the goroutine that has read it (select_run.go, select_text.go).
//
// Rows that must be merged are so by position (select_merged.go).
//
// What makes this safe is that nothing is taken that is not known to mean the same here: columns, and a
// WHERE clause of comparisons of columns with constants of types whose comparison is exact
// (select_where.go). Rows come in the order of files, which SQL leaves open without ORDER BY.
// Anything else is DuckDB's.

// selectQuery is a plain SELECT.
type selectQuery struct {
	plainItems

	where  conditions
	limit  int64 // rows; -1 is all
	offset int64
}

// maxSelectFiles bounds the files of a selection, each of which is prepared before the first row.
const maxSelectFiles = 256

// readSelect reads a query that is plain enough.
func readSelect(n node, tables []*schema.Table) (*selectQuery, bool) {
	if !isPlainSelect(n) || len(n.list("group_expressions"))+len(n.list("group_sets")) > 0 || n["having"] != nil {
		return nil, false
	}
	f := newestFinder{tables: tables}
	t, ok := f.relation(n.child("from_table"))
	if !ok || !t.hasPlainItems(n) {
		return nil, false
	}
	q := &selectQuery{limit: -1, where: conditions{table: t, time: schema.MaxTimeRange}}
	if !q.read(n, t, tables[t.scan]) {
		return nil, false
	}
	for _, m := range nodes(n.list("modifiers")) {
		if m.str("type") != "LIMIT_MODIFIER" || !q.bound(m) {
			return nil, false
		}
	}
	return q, q.where.read(n.child("where_clause"))
}

// isPlainSelect reports whether a query is one SELECT without what is rare.
func isPlainSelect(n node) bool {
	return n.str("type") == "SELECT_NODE" && n["sample"] == nil && n["qualify"] == nil && len(n.child("cte_map").list("map")) == 0 &&
		n.str("aggregate_handling") == "STANDARD_HANDLING"
}

// plainItems are the columns of a SELECT that answers nothing else, and the names that they get.
type plainItems struct {
	columns []schema.Column
	names   []string
}

// read notes the items of a SELECT; it returns false for any that is not a column, or all.
func (p *plainItems) read(n node, t *newestRelation, table *schema.Table) bool {
	for _, item := range nodes(n.list("select_list")) {
		columns := table.ShownColumns()
		if item.str("class") != "STAR" {
			c, ok := t.column(item)
			if !ok {
				return false
			}
			columns = []schema.Column{c}
		} else if len(item.list("exclude_list"))+len(item.list("qualified_exclude_list")) > 0 {
			return false
		}
		for _, c := range columns {
			p.columns = append(p.columns, c)
			p.names = append(p.names, cmp.Or(item.str("alias"), c.Name))
		}
	}
	return true
}

// bound reads LIMIT and OFFSET.
func (q *selectQuery) bound(m node) bool {
	for key, into := range map[string]*int64{"limit": &q.limit, "offset": &q.offset} {
		if m[key] == nil {
			continue
		}
		n, ok := integerConstant(m.child(key))
		if !ok || n < 0 {
			return false
		}
		*into = n
	}
	return true
}

// selects begins to read the rows of a plain SELECT without DuckDB, or returns nil. What was planned for
// its table is kept in any case.
func (r *running) selects(ctx context.Context, stmt *statement, used *columnNames) (*selected, error) {
	if len(stmt.tables) != 1 || stmt.tables[0].system != nil || r.tables[0] == nil || stmt.prefix != "" || stmt.describes != "" {
		return nil, nil
	}
	t := r.tables[0]
	definitions := []*schema.Table{t.Table}
	query, ok := readSelect(stmt.query, definitions)
	if !ok || r.querier.opts.noSelect || t.Table.Key.Rule == schema.LatestByTag || len(t.Files) > maxSelectFiles {
		return nil, nil
	}
	shownColumns := stmt.lineage(definitions)
	if len(shownColumns) != len(query.columns) {
		return nil, nil
	}
	c := &stmt.constraints(definitions)[0]
	if r.early == nil {
		var err error
		if r.early, err = planScan(ctx, t, c, used); err != nil {
			return nil, err
		}
	}
	plan := r.early
	if plan.computed != nil {
		return nil, nil
	}
	merged := slices.Concat(plan.screenedOutside(), plan.dirty)
	query.where.time = query.where.time.Intersect(t.Kept())
	if err := t.Verify(ctx, slices.Concat(plan.clean, merged), idsOf(plan.grouped())); err != nil { // the partial ones are dirty too
		return nil, err
	}
	s := newSelected(r, query, shownColumns)
	for _, f := range plan.clean {
		file, err := t.Select(ctx, f, query.selection())
		if ctx.Err() != nil || errors.As(err, new(*engine.FileError)) {
			return nil, err
		}
		if err != nil {
			return nil, nil // DuckDB reads what cannot be read here
		}
		s.addFile(file)
	}
	for i := range plan.rows.clean {
		s.addRun(&plan.rows.clean[i])
	}
	if len(merged)+len(plan.rows.dirty) > 0 {
		m, err := r.mergeSelected(ctx, query, plan, merged, t, c)
		if m == nil {
			return nil, err
		}
		s.addMerging(m)
	}
	r.reports = append(r.reports, plan.report(t.Table, c.time))
	return s, nil
}

// selection is what files are asked for.
func (q *selectQuery) selection() *engine.Selection {
	s := &engine.Selection{Time: q.where.time, Tags: q.where.tagTests(), Fields: q.where.fieldTests()}
	for _, c := range q.columns {
		if c.ID != 0 && !slices.Contains(s.Columns, c.ID) {
			s.Columns = append(s.Columns, c.ID)
		}
	}
	return s
}
