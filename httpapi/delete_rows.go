package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/schema"
)

// deleteBody is what InfluxDB 2 is sent to delete points: those from start to stop, both included.
type deleteBody struct {
	Start     string `json:"start"`
	Stop      string `json:"stop"`
	Predicate string `json:"predicate"`
}

// deletePoints deletes points as InfluxDB 2 does. What does not exist is no error. Of all measurements
// it leaves out those in which a tag of the predicate is a field: none of their points has such a tag.
func (s *Server) deletePoints(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r)
	if err != nil {
		return err
	}
	database := p.Get("bucket")
	if database == "" {
		return badRequest("the parameter bucket is missing: it names the database")
	}
	if err := requireWrite(r, database); err != nil {
		return err
	}
	var body deleteBody
	if err := s.decodeAnyJSON(w, r, &body); err != nil { // as InfluxDB 2, whatever type it is said to have
		return err
	}
	spec := engine.DeleteSpec{Database: database}
	if spec.Time.Min, err = instantOf("start", body.Start); err != nil {
		return err
	}
	if spec.Time.Max, err = instantOf("stop", body.Stop); err != nil {
		return err
	}
	if body.Predicate != "" {
		if spec.Tables, spec.Where, err = influxql.ParsePredicate(body.Predicate); err != nil {
			return badRequest("the predicate cannot be used: %v", err)
		}
	}
	if err := takeTables(b.engine, &spec); err != nil {
		return err
	}
	var missing *engine.TableNotFoundError
	if err := b.engine.DeleteRows(r.Context(), spec); err != nil && !errors.As(err, &missing) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// takeTables lists the tables of a deletion in which no tag of its predicate is a field, and no rollup that is not
// named. The error is that one which was named is not among them.
func takeTables(e *engine.Engine, spec *engine.DeleteSpec) error {
	db, ok := e.Schema().Database(spec.Database)
	if !ok || spec.Where == nil {
		return nil // the engine says what is missing
	}
	if spec.Tables == nil {
		spec.Tables = []string{}
		for _, t := range db.Tables() {
			if t.Rollup == nil && fieldIn(t, spec.Where) == "" {
				spec.Tables = append(spec.Tables, t.Name)
			}
		}
		return nil
	}
	for _, name := range spec.Tables {
		if t, ok := db.Table(name); ok {
			if field := fieldIn(t, spec.Where); field != "" {
				return badRequest("%q is a field of %q: rows are deleted by their tags and times", field, name)
			}
		}
	}
	return nil
}

// fieldIn returns a name in the predicate which is that of a field, or of the time, in a table; empty if none is.
func fieldIn(t *schema.Table, where *schema.Predicate) string {
	for _, name := range where.Tags() {
		if c, ok := t.Column(name); ok && c.Type != schema.Tag || name == schema.TimeColumn {
			return name
		}
	}
	return ""
}

// instantOf reads a field that says when.
func instantOf(field, text string) (int64, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, badRequest("invalid RFC3339Nano for field %s, please format your time with RFC3339Nano format, example: 2009-01-02T23:00:00Z", field)
	}
	return schema.Nanoseconds(at), nil
}

// refuseDeletion words an error for clients of InfluxDB 2.
func refuseDeletion(w http.ResponseWriter, _ *http.Request, status int, text string, _ error) {
	code := "internal error"
	switch {
	case status == http.StatusNotFound:
		code = "not found"
	case status == http.StatusUnauthorized:
		code = "unauthorized"
	case status == http.StatusServiceUnavailable:
		code = "unavailable"
	case status < http.StatusInternalServerError:
		code = "invalid"
	}
	writeJSON(w, status, fluxBody{Code: code, Message: text})
}

// deleteRows does what DELETE and DROP SERIES ask for: who may write may do it.
func (x *v1Execution) deleteRows(c *influxql.DeleteRows) error {
	if x.query.database == "" {
		return badRequest("database name required")
	}
	name := influxql.PolicyDatabase(x.query.database, x.query.policy)
	if !x.sender.MayWrite(name) {
		return denied(http.StatusForbidden, x.sender, "write", name)
	}
	e := x.backend.engine
	db, ok := e.Schema().Database(name)
	if !ok {
		return databaseNotFound(name)
	}
	tables := []string{} // nil would be all
	for _, t := range db.Tables() {
		if !c.HasMeasurement(t.Name) || t.Rollup != nil && !slices.Contains(c.Measurements, t.Name) {
			continue // rows of rollups go with those of their sources
		}
		if fieldIn(t, c.Where) != "" {
			return badRequest("%v", influxql.ErrFieldsInDeletion)
		}
		tables = append(tables, t.Name)
	}
	if len(tables) == 0 {
		return nil
	}
	return ifThere(e.DeleteRows(x.request.Context(), engine.DeleteSpec{Database: name, Tables: tables, Time: c.Time, Where: c.Where}))
}
