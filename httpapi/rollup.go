package httpapi

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/internal/humantime"
	"github.com/siltstone-db/siltstone/schema"
)

const rollupPath = "/api/v3/configure/rollup"

// rollupBody is what makes a rollup.
type rollupBody struct {
	Database string `json:"db"`
	Name     string `json:"name"`
	Source   string `json:"source"`
	Interval string `json:"interval"`
	// Aggregates are such as mean(temp), max(temp) AS peak, or mean(*) for all fields that it can be made of.
	Aggregates []string `json:"aggregates"`
	// Tags are those of the source that are kept; null, or no field at all, is all.
	Tags []string `json:"tags"`
	// Retention is as a table's.
	Retention retention `json:"retention_period"`
}

// RollupLine is a line of the answer to a refresh: one of its fields is set. The summary is the last line; an
// answer without it was cut off.
type RollupLine struct {
	Progress *RollupProgress `json:"progress,omitempty"`
	Summary  *RollupProgress `json:"summary,omitempty"`
}

// RollupProgress says how far a refresh is.
type RollupProgress struct {
	Done   uint64 `json:"source_rows_done"`
	Total  uint64 `json:"source_rows_total"`
	Stored uint64 `json:"rows_stored"`
}

func (s *Server) createRollup(b *backend, w http.ResponseWriter, r *http.Request) error {
	var body rollupBody
	if err := s.decodeJSON(w, r, &body); err != nil {
		return err
	}
	err := requireFields("db", body.Database, "name", body.Name, "source", body.Source, "interval", body.Interval)
	if err != nil {
		return err
	}
	interval, err := parseDuration(body.Interval)
	if err != nil {
		return badRequest("invalid interval: %v", err)
	}
	spec := engine.RollupSpec{
		Database: body.Database, Name: body.Name, Source: body.Source, Interval: interval, Tags: body.Tags, Retention: time.Duration(body.Retention),
	}
	if spec.Aggregates, err = parseAggregates(body.Aggregates, tableNamed(b.engine, body.Database, body.Source)); err != nil {
		return err
	}
	_, err = b.engine.CreateRollup(spec)
	return answerEmpty(w, http.StatusOK, rollupError(err, spec))
}

// tableNamed finds a table, nil if there is none.
func tableNamed(e *engine.Engine, database, table string) *schema.Table {
	db, ok := e.Schema().Database(database)
	if !ok {
		return nil
	}
	t, _ := db.Table(table)
	return t
}

// createContinuous makes the rollup that a continuous query is. One that is there already is no error.
func createContinuous(e *engine.Engine, c *influxql.CreateRollup) error {
	spec := engine.RollupSpec{Database: c.Database, Name: c.Name, Source: c.Source, Interval: c.Interval, Tags: c.Tags}
	source := tableNamed(e, c.Database, c.Source)
	for _, a := range c.Aggregates {
		if a.Field != "" {
			spec.Aggregates = append(spec.Aggregates, schema.Aggregate{Func: a.Func, Field: a.Field, Name: a.Name})
			continue
		}
		if source == nil {
			return rollupError(&engine.TableNotFoundError{Table: c.Source}, spec)
		}
		for _, one := range aggregatesOf(a.Func, source) {
			one.Name = a.Func.String() + "_" + one.Field
			spec.Aggregates = append(spec.Aggregates, one)
		}
	}
	_, err := e.CreateRollup(spec)
	if t := tableNamed(e, c.Database, c.Name); errors.Is(err, engine.ErrExists) && source != nil && t != nil && isRollupOf(t, source, spec) {
		return nil
	}
	return rollupError(err, spec)
}

// isRollupOf reports whether a table is the rollup that a spec describes.
func isRollupOf(t, source *schema.Table, spec engine.RollupSpec) bool {
	have := t.Rollup
	if have == nil || have.Source != source.ID || have.Interval != spec.Interval || have.AllTags != (spec.Tags == nil) || !slices.Equal(have.Aggregates, spec.Aggregates) {
		return false
	}
	return have.AllTags || slices.Equal(slices.Sorted(slices.Values(t.TagNames())), slices.Sorted(slices.Values(spec.Tags)))
}

// rollupError words an error of making a rollup.
func rollupError(err error, spec engine.RollupSpec) error {
	var table *engine.TableNotFoundError
	switch {
	case errors.Is(err, engine.ErrRollup):
		return badRequest("%v", err)
	case errors.Is(err, engine.ErrExists):
		return &requestError{http.StatusConflict, "there is a table `" + spec.Name + "` in database `" + spec.Database + "` already; choose another name for the rollup"}
	case errors.As(err, &table):
		return &requestError{http.StatusNotFound, "the source `" + table.Table + "` is not a table of database `" + spec.Database + "`"}
	}
	return configureError(err, spec.Database)
}

// listRollups lists those of a database, or of all.
func (s *Server) listRollups(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r)
	if err != nil {
		return err
	}
	all, err := b.engine.Rollups(p.Get("db"))
	if err != nil {
		return configureError(err, p.Get("db"))
	}
	list := newListing(
		textColumn("database"), textColumn("rollup"), textColumn("source"), textColumn("interval"), textColumn("tags"), textColumn("aggregates"),
		textColumn("retention_period"), countColumn("rows"), countColumn("bytes"), countColumn("stale_ranges"), textColumn("stale_from"),
		textColumn("stale_to"), textColumn("frozen_before"), textColumn("refreshed"), textColumn("error"),
	)
	for _, x := range all {
		definition := x.Table.Rollup
		from, to := staleSpan(x.Stale)
		list.add(
			textCell(x.Database), textCell(x.Table.Name), textCell(x.Source.Name), textCell(humantime.Format(definition.Interval)),
			textCell(strings.Join(x.Table.TagNames(), ", ")), textCell(definition.String()), periodCell(x.Table.Retention), countCell(x.Rows), countCell(x.Bytes),
			countCell(uint64(len(x.Stale))), from, to, boundCell(x.FrozenBefore), instantCell(x.Refreshed), wordsCell(x.Error),
		)
	}
	return list.answer(w, p.format())
}

// staleSpan is from where to where there are stale intervals.
func staleSpan(stale []schema.TimeRange) (from, to cell) {
	if len(stale) == 0 {
		return timeCell(0), timeCell(0)
	}
	end := stale[len(stale)-1].Max
	if end < math.MaxInt64 {
		end++
	}
	return boundCell(stale[0].Min), boundCell(end)
}

// boundCell is an instant, null for the ends of time.
func boundCell(ns int64) cell {
	if ns == math.MinInt64 || ns == math.MaxInt64 {
		return timeCell(0)
	}
	return textCell(formatTime(ns))
}

// wordsCell is a text, null for none.
func wordsCell(text string) cell {
	if text == "" {
		return timeCell(0)
	}
	return textCell(text)
}

func periodCell(d time.Duration) cell {
	if d == 0 {
		return timeCell(0)
	}
	return textCell(humantime.Format(d))
}

func (s *Server) deleteRollup(b *backend, w http.ResponseWriter, r *http.Request) error {
	names, err := requiredParams(r, "db", "name")
	if err != nil {
		return err
	}
	err = b.engine.DropRollup(names[0], names[1])
	return answerEmpty(w, http.StatusOK, noRollup(err, names[0], names[1]))
}

// noRollup words an error about a rollup that should be there.
func noRollup(err error, database, name string) error {
	var table *engine.TableNotFoundError
	if errors.As(err, &table) {
		return &requestError{http.StatusNotFound, "there is no rollup `" + name + "` in database `" + database + "`"}
	}
	return configureError(err, database)
}

// refreshRollup stores what is stale of a rollup, and answers while it does.
func (s *Server) refreshRollup(b *backend, w http.ResponseWriter, r *http.Request) error {
	names, err := requiredParams(r, "db", "name")
	if err != nil {
		return err
	}
	if _, err := b.engine.Rollup(names[0], names[1]); err != nil { // before the answer begins
		return noRollup(err, names[0], names[1])
	}
	return s.streamLines(w, r, func(ctx context.Context, send func(line any)) error {
		last := &RollupProgress{}
		err := b.engine.RefreshRollup(ctx, names[0], names[1], func(p engine.RollupProgress) {
			last = &RollupProgress{p.Done, p.Total, p.Rows}
			send(RollupLine{Progress: last})
		})
		if err == nil {
			send(RollupLine{Summary: last})
		}
		return err
	})
}
