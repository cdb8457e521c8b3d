package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/query"
	"github.com/siltstone-db/siltstone/schema"
)

// rowsPath is where rows of a table are deleted.
const rowsPath = "/api/v3/rows"

// Deletion is what a deletion of rows is about, as it is before it.
type Deletion struct {
	// Rows is how many rows there are to delete; nil for a sender who may not read them, or where nobody counted.
	Rows *int64 `json:"rows"`
	engine.DeletionScope
}

// deleteRows deletes rows of a table, or says with dry_run=true what it would delete. Unlike InfluxDB's
// routes it wants a table and tags that exist: a name that is misspelt would delete nothing, or with != all.
func (s *Server) deleteRows(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r)
	if err != nil {
		return err
	}
	names, err := p.require("db", "table")
	if err != nil {
		return err
	}
	if err := requireWrite(r, names[0]); err != nil {
		return err
	}
	spec := engine.DeleteSpec{Database: names[0], Tables: names[1:]}
	if spec.Time, err = timesOf(p); err != nil {
		return err
	}
	if err := wherePredicate(b.engine, p.Get("predicate"), &spec); err != nil {
		return err
	}
	dry := p.Get("dry_run")
	if dry != "" && dry != "true" && dry != "false" {
		return badRequest("invalid dry_run `%s`, expected true or false", dry)
	}
	d := Deletion{}
	if d.DeletionScope, err = b.engine.ScopeOfDeletion(spec); err != nil {
		return configureError(err, names[0]+"."+names[1])
	}
	if dry != "true" {
		err = b.engine.DeleteRows(r.Context(), spec)
	} else if identityOf(r).MayRead(spec.Database) {
		d.Rows, err = countRows(r.Context(), b, spec, originOf(r))
	}
	if err != nil {
		return configureError(err, names[0]+"."+names[1])
	}
	writeJSON(w, http.StatusOK, d)
	return nil
}

// timesOf reads the parameters start and stop, both of which are included and may be missing.
func timesOf(p params) (times schema.TimeRange, err error) {
	times = schema.MaxTimeRange
	for name, bound := range map[string]*int64{"start": &times.Min, "stop": &times.Max} {
		if text := p.Get(name); text != "" {
			if *bound, err = instantOf(name, text); err != nil {
				return times, err
			}
		}
	}
	if times.IsEmpty() {
		return times, badRequest("stop lies before start")
	}
	return times, nil
}

// wherePredicate reads a predicate for the one table of a deletion.
func wherePredicate(e *engine.Engine, text string, spec *engine.DeleteSpec) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	measurements, where, err := influxql.ParsePredicate(text)
	if err != nil {
		return badRequest("the predicate cannot be used: %v", err)
	}
	if measurements != nil && !slices.Equal(measurements, spec.Tables) {
		return badRequest("the predicate is about another measurement than the table %q", spec.Tables[0])
	}
	spec.Where = where
	db, ok := e.Schema().Database(spec.Database)
	if !ok {
		return nil // the engine says so
	}
	t, ok := db.Table(spec.Tables[0])
	if !ok {
		return nil
	}
	if err := takeTables(e, spec); err != nil {
		return err
	}
	for _, name := range where.Tags() {
		if _, ok := t.Column(name); !ok {
			return badRequest("table %q has no tag %q; it has: %s", t.Name, name, tagNames(t))
		}
	}
	return nil
}

// tagNames lists the tags of a table for people.
func tagNames(t *schema.Table) string { return cmp.Or(strings.Join(t.TagNames(), ", "), "no tags") }

// countRows asks how many rows there are to delete of the one table of a deletion.
func countRows(ctx context.Context, b *backend, spec engine.DeleteSpec, origin query.Origin) (*int64, error) {
	sql := "SELECT count(*) FROM " + sqltext.Name(spec.Tables[0]) + " WHERE " + sqltext.Predicate(spec.Where, sqltext.Name)
	for _, bound := range []struct {
		at, none int64
		op       string
	}{{spec.Time.Min, schema.MaxTimeRange.Min, ">="}, {spec.Time.Max, schema.MaxTimeRange.Max, "<="}} {
		if bound.at != bound.none {
			sql += " AND time " + bound.op + " " + sqltext.Literal(time.Unix(0, bound.at).UTC().Format(time.RFC3339Nano))
		}
	}
	res, err := b.querier.Query(ctx, query.Request{Database: spec.Database, SQL: sql, Origin: origin})
	if err != nil {
		return nil, err
	}
	defer res.Close()
	var rows int64
	for res.Next() {
		rows += res.Record().Column(0).(*array.Int64).Value(0)
	}
	return &rows, res.Err()
}
