package ingestapi

import (
	"errors"
	"fmt"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// The tables of a datasource's database.
const (
	contactsTable = "contacts"
	eventsTable   = "events"
)

var contactsSpec = engine.TableSpec{
	Name: contactsTable,
	Key:  schema.TableKey{Rule: schema.LatestByTag, Tag: userID},
	Columns: []engine.ColumnSpec{
		{Name: userID, Type: schema.Tag},
		{Name: dateUpdated, Type: schema.String},
		{Name: schema.DeletedColumn, Type: schema.Bool},
	},
}

var eventsSpec = engine.TableSpec{
	Name: eventsTable,
	Key:  schema.TableKey{Rule: schema.FirstByTag, Tag: eventID},
	Columns: []engine.ColumnSpec{
		{Name: userID, Type: schema.Tag},
		{Name: eventID, Type: schema.Tag},
		{Name: eventType, Type: schema.Tag},
		{Name: received, Type: schema.Int64},
	},
}

// findTable returns a table of the datasource; nil where it does not exist yet.
func (q *request) findTable(name string) *schema.Table {
	db, ok := q.Engine.Schema().Database(q.stream.Database)
	if !ok {
		return nil
	}
	t, _ := db.Table(name)
	return t
}

// table returns a table of the datasource, and makes it first where it is needed.
func (q *request) table(spec engine.TableSpec) (*schema.Table, error) {
	t := q.findTable(spec.Name)
	if t == nil && !q.dryRun {
		if err := q.Engine.CreateTable(q.stream.Database, spec); err != nil && !errors.Is(err, engine.ErrExists) {
			return nil, fmt.Errorf("create table %s of database %s: %w", spec.Name, q.stream.Database, err)
		}
		if t = q.findTable(spec.Name); t == nil {
			return nil, fmt.Errorf("table %s of database %s was deleted while it was made", spec.Name, q.stream.Database)
		}
	}
	if t != nil && t.Key != spec.Key {
		return nil, &StatusError{statusWrongTable, fmt.Sprintf(
			"Table %q of database %q was not made by the Ingest API, whose rows have another identity: delete it or move its rows", spec.Name, q.stream.Database)}
	}
	return t, nil
}

// write stores lines. What the engine refuses goes to the outcome of its item.
func (q *request) write(l *lines, outcomes []outcome) error {
	if q.dryRun || len(l.points) == 0 {
		return nil
	}
	result, err := q.Engine.Write(q.r.Context(), engine.WriteRequest{
		Database: q.stream.Database, Body: l.text, Precision: engine.Nanosecond, AcceptPartial: true,
		MustExist: true, NoNewTables: true, // who deletes a table meanwhile must not get another without its key
		RequestID: q.RequestID, Token: q.Identity.Name,
	})
	if err != nil {
		return fmt.Errorf("write to database %s: %w", q.stream.Database, err)
	}
	for _, e := range result.Errors {
		item, member := l.locate(e)
		if e.Expired {
			member = eventDate
		}
		outcomes[item].problems.add(member, problem(e.Message))
	}
	return nil
}
