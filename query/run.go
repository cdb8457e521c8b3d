package query

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// running is what a text of a job holds: views and their buffered rows, and a stream.
type running struct {
	querier  *Querier
	job      *job
	ctx      context.Context // of the query, for the views that it pins
	view     *engine.View
	tables   []*engine.TableView     // of the scans, as pin gives them
	internal map[string]*engine.View // of the internal database's tables that system tables show
	handles  []string
	sources  []*bufferSource
	stream   *stream
	reports  []*scanReport
	columns  []shown // of the answer, if they can be told

	compiled     *influxql.Newest // what is known of a compiled statement
	ignoreNewest bool             // tables are read, whether their newest rows are kept or not
	mayAnswer    bool             // plan may find the answer itself
	answer       *directAnswer    // that it has found
	noFold       bool             // rows are not folded
	folded       []keptNode       // what folding has changed of the statement
	early        *scanPlan        // of the only scan, if it was made before
	selected     *selected        // the answer, if rows are selected without DuckDB

	hadCompany atomic.Bool // another attempt was made at the same time
}

// close releases everything in reverse order. DuckDB must be done with the rows before they
// are unpinned.
func (r *running) close() {
	if r.stream != nil {
		r.stream.close()
	}
	if r.selected != nil {
		r.selected.stop()
	}
	r.unpin()
	r.querier.attempts.remove(r)
}

// unpin gives back what plan has taken.
func (r *running) unpin() {
	for _, h := range r.handles {
		r.querier.buffers.release(h)
	}
	for _, v := range r.internal {
		v.Close()
	}
	if r.view != nil {
		r.view.Close()
	}
	r.handles, r.sources, r.reports, r.internal, r.view, r.early = nil, nil, nil, nil, nil, nil
}

// fault returns what went wrong in a buffer scan.
func (r *running) fault() error {
	for _, s := range r.sources {
		if err := s.fault(); err != nil {
			return err
		}
	}
	return nil
}

// plan pins what a statement reads and returns the text that DuckDB runs, unless it finds the answer.
func (r *running) plan(ctx context.Context, database string, stmt *statement, used *columnNames) (string, error) {
	r.ctx, r.ignoreNewest = ctx, r.querier.opts.ignoreNewest
	for views := 1; ; views++ {
		var err error
		if r.tables, err = r.pin(database, stmt); err != nil {
			return "", err
		}
		if r.mayAnswer {
			r.answer, err = r.direct(ctx, stmt)
		}
		if r.mayAnswer && r.answer == nil && err == nil {
			r.answer, err = r.directFold(ctx, stmt, used)
		}
		if r.mayAnswer && r.answer == nil && err == nil {
			r.selected, err = r.selects(ctx, stmt, used)
		}
		if err == nil && (r.answer != nil || r.selected != nil) {
			return "", nil
		}
		var scans []string
		if err == nil {
			scans, err = r.scans(stmt, r.tables, used)
		}
		if err == nil {
			return stmt.text(ctx, r.querier.gate, scans)
		}
		if !errors.Is(err, engine.ErrViewPassed) {
			return "", err
		}
		r.ignoreNewest = r.ignoreNewest || views == maxViews
		r.unfold()
		r.unpin()
	}
}

func (r *running) start(ctx context.Context, database string, stmt *statement, used *columnNames) (*Result, error) {
	r.mayAnswer = true
	text, err := r.plan(ctx, database, stmt, used)
	if err != nil {
		return nil, err
	}
	r.job.planned(r.reports)
	if a := r.answer; a != nil {
		return &Result{run: r, schema: a.schema, direct: a, converters: make([]converter, a.schema.NumFields()), first: a.next()}, nil
	}
	if r.selected != nil {
		return r.selected.result(), nil
	}
	if stmt.prefix != "" {
		if text, err = r.explain(ctx, stmt.prefix, text); err != nil {
			return nil, err
		}
	}
	if r.stream, err = openStream(ctx, r.querier, text); err != nil {
		if fault := r.fault(); fault != nil {
			return nil, fault
		}
		return nil, r.withCandidates(ctx, stmt, used, err)
	}
	r.stream.casts = stmt.isCast()
	return newResult(r)
}

// pin opens the views and returns the tables of the statement's scans, nil for those that
// are generated or do not exist yet.
func (r *running) pin(database string, stmt *statement) ([]*engine.TableView, error) {
	names := make([]string, 0, len(stmt.tables)+1)
	if stmt.describes != "" {
		names = append(names, stmt.describes)
	}
	for _, t := range stmt.tables {
		if t.system == nil {
			names = append(names, t.name)
		}
	}
	actual, err := r.openView(database, names)
	if errors.Is(err, engine.ErrDatabaseNotFound) && len(names) == 0 && stmt.readsStoredSystemTable() {
		// All lines of a first write may have been rejected: they are there to be seen,
		// the database is not.
		r.view, err = &engine.View{Database: &schema.Database{Name: database}}, nil
	}
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*engine.TableView)
	for _, t := range r.view.Tables {
		byName[t.Table.Name] = t
	}
	tables := make([]*engine.TableView, len(stmt.tables))
	for i, t := range stmt.tables {
		if t.system == nil {
			tables[i] = byName[actual[t.name]]
			continue
		}
		if tables[i], err = r.pinSystem(t.system); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

// openView pins the named tables and returns what each of the names turned out to mean. As in
// InfluxDB 3 a name that is not quoted may be written in any case when the table's is
// lower case; the tree does not tell what was quoted, so an exact match comes first.
func (r *running) openView(database string, names []string) (actual map[string]string, err error) {
	actual = make(map[string]string, len(names))
	for _, name := range names {
		actual[name] = name
	}
	for {
		wanted := make([]string, 0, len(actual)) // not nil: nil would mean every table
		for _, name := range actual {
			if !slices.Contains(wanted, name) {
				wanted = append(wanted, name)
			}
		}
		r.view, err = r.querier.opts.View(r.ctx, database, wanted)
		var missing *engine.TableNotFoundError
		if !errors.As(err, &missing) {
			return actual, err
		}
		if lower := strings.ToLower(missing.Table); lower != missing.Table && actual[missing.Table] == missing.Table {
			actual[missing.Table] = lower
			continue
		}
		return nil, notFound(actual, missing)
	}
}

// notFound names the table as the query does.
func notFound(actual map[string]string, missing *engine.TableNotFoundError) error {
	written := missing.Table
	if _, ok := actual[written]; !ok {
		for name, lower := range actual {
			if lower == missing.Table {
				written = name
			}
		}
	}
	return &UserError{Message: fmt.Sprintf("Error during planning: table 'public.iox.%s' not found", written), Err: missing}
}

// scans writes a common table expression for each table of the statement.
func (r *running) scans(stmt *statement, tables []*engine.TableView, used *columnNames) ([]string, error) {
	definitions := make([]*schema.Table, len(tables))
	for i, t := range tables {
		if t != nil {
			definitions[i] = t.Table
		}
	}
	stmt.spellTwins(definitions)
	r.columns = stmt.lineage(definitions)
	constraints := stmt.constraints(definitions)
	newest := stmt.newestRules(definitions)
	if r.compiled != nil {
		newest = compiledRules(r.compiled, definitions)
	}
	var scans []string
	for i, t := range tables {
		sql, err := r.scan(stmt, i, t, &constraints[i], used, newest[i])
		if err != nil {
			return nil, err
		}
		scans = append(scans, fmt.Sprintf("%s AS NOT MATERIALIZED (%s)", scanName(i), sql))
	}
	return scans, nil
}

// scan writes the scan of one table, pinned where it has rows.
func (r *running) scan(stmt *statement, i int, t *engine.TableView, c *constraint, used *columnNames, newest *newestRule) (string, error) {
	if system := stmt.tables[i].system; system != nil {
		return r.systemScan(system, t, c)
	}
	c = c.within(t.Kept())
	if newest != nil && newest.tagsOnly && (r.querier.opts.noNewest || !t.HasNewest()) {
		if sql, err := r.tagSetScan(r.ctx, t, newest, c, used); sql != "" || err != nil {
			return sql, err
		}
	}
	rows, err := r.newest(r.ctx, t, newest, c)
	if err != nil {
		return "", err
	}
	if rows != nil {
		return r.newestScan(t, rows, c, used)
	}
	var f *fold
	if r.folds(stmt, i) {
		f = stmt.foldOf(r.ctx, r.querier.gate, i, t)
	}
	return r.tableScan(stmt, f, t, c, used)
}

// newestScan writes the scan of a table of which the newest row of each series is enough.
func (r *running) newestScan(t *engine.TableView, rows *partition.Snapshot, c *constraint, used *columnNames) (string, error) {
	plan, err := planScan(r.ctx, &engine.TableView{Table: t.Table, Buffers: []*partition.Snapshot{rows}}, c, used)
	if err != nil {
		return "", err
	}
	report := plan.report(t.Table, c.time)
	report.newest = true
	r.reports = append(r.reports, report)
	return plan.sql(r.register), nil
}

// tableScan writes the scan of a table, whose rows are folded where f is not nil and allows it.
func (r *running) tableScan(stmt *statement, f *fold, t *engine.TableView, c *constraint, used *columnNames) (string, error) {
	plan := r.early
	if plan == nil {
		var err error
		if plan, err = planScan(r.ctx, t, c, used); err != nil {
			return "", err
		}
	}
	if err := plan.verify(r.ctx, t); err != nil {
		return "", err
	}
	r.reports = append(r.reports, plan.report(t.Table, c.time))
	if d := plan.computed; d != nil {
		r.reports = append(r.reports, d.plan.report(d.source.Table, d.where.time))
		r.mergeHere(d.plan, d.source, d.where)
	}
	if f != nil {
		if sql, err := r.foldedScan(stmt, f, plan, t); !errors.Is(err, errNoFold) {
			return sql, err
		}
	}
	r.mergeHere(plan, t, c)
	return plan.sql(r.register), nil
}

// mergeHere takes the rows of a scan that overlap from DuckDB, if they can be merged here.
func (r *running) mergeHere(plan *scanPlan, t *engine.TableView, c *constraint) {
	if rows, err := r.openMergedRows(plan, t, c); err == nil {
		if told := r.querier.opts.onMerge; told != nil {
			told(rows)
		}
		handle, source := r.querier.buffers.registerMerged(rows, plan.read)
		r.handles, r.sources, plan.mergedHere = append(r.handles, handle), append(r.sources, source), handle
	}
}

// foldedScan writes the scan of folded rows and makes the statement ask for them. With
// errNoFold, nothing has changed.
func (r *running) foldedScan(stmt *statement, f *fold, plan *scanPlan, t *engine.TableView) (string, error) {
	rows, withMerged, err := r.foldRows(f, plan, t)
	if err != nil {
		return "", err
	}
	merged := ""
	if !withMerged && (len(plan.dirty) > 0 || len(plan.rows.dirty) > 0) {
		merged = plan.merged(r.register)
	}
	keep := func(n node) { r.folded = append(r.folded, keptNode{n, maps.Clone(n)}) }
	if err := f.apply(stmt, &rewriter{ctx: r.ctx, gate: r.querier.gate}, keep); err != nil {
		return "", err
	}
	columns := append([]schema.Column{{Name: schema.TimeColumn}}, f.tags...)
	return f.sql(r.register(rows, append(columns, f.columns()...), false), merged), nil
}

func (r *running) register(rows []rowRun, columns []schema.Column, withOrder bool) string {
	handle, source := r.querier.buffers.register(rows, columns, withOrder)
	r.handles = append(r.handles, handle)
	r.sources = append(r.sources, source)
	return handle
}
