package httpapi

import (
	"net/http"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// tableBody is what creates a table.
type tableBody struct {
	Database string      `json:"db"`
	Table    string      `json:"table"`
	Tags     []string    `json:"tags"`
	Fields   []fieldBody `json:"fields"`
	// Retention is the table's own period; null, or no field at all, is that of the database.
	Retention retention `json:"retention_period"`
}

type fieldBody struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// fieldTypes are InfluxDB 3's names of the field types.
var fieldTypes = map[string]schema.ColumnType{
	"utf8": schema.String, "int64": schema.Int64, "uint64": schema.Uint64, "float64": schema.Float64, "bool": schema.Bool,
}

func (s *Server) createTable(b *backend, w http.ResponseWriter, r *http.Request) error {
	var body tableBody
	if err := s.decodeJSON(w, r, &body); err != nil {
		return err
	}
	if err := requireFields("db", body.Database, "table", body.Table); err != nil {
		return err
	}
	spec, err := body.spec()
	if err != nil {
		return err
	}
	return answerEmpty(w, http.StatusOK, configureError(b.engine.CreateTable(body.Database, spec), body.Table))
}

// updateTable changes how long a table keeps points.
func (s *Server) updateTable(b *backend, w http.ResponseWriter, r *http.Request) error {
	var body tableBody
	if err := s.decodeJSON(w, r, &body); err != nil {
		return err
	}
	if err := requireFields("db", body.Database, "table", body.Table); err != nil {
		return err
	}
	err := b.engine.SetTableRetention(body.Database, body.Table, time.Duration(body.Retention))
	return answerEmpty(w, http.StatusOK, configureError(err, body.Database+"."+body.Table))
}

// spec lists the tags first, so that they come first where columns keep their order.
func (body *tableBody) spec() (engine.TableSpec, error) {
	spec := engine.TableSpec{Name: body.Table, Retention: time.Duration(body.Retention)}
	seen := make(map[string]bool)
	add := func(name string, kind schema.ColumnType) error {
		if seen[name] {
			return badRequest("column %q occurs twice", name)
		}
		seen[name] = true
		spec.Columns = append(spec.Columns, engine.ColumnSpec{Name: name, Type: kind})
		return nil
	}
	for _, tag := range body.Tags {
		if err := add(tag, schema.Tag); err != nil {
			return spec, err
		}
	}
	for _, f := range body.Fields {
		kind, ok := fieldTypes[f.Type]
		if !ok {
			return spec, badRequest("serde json error: unknown variant `%s`, expected one of `utf8`, `int64`, `uint64`, `float64`, `bool`", f.Type)
		}
		if err := add(f.Name, kind); err != nil {
			return spec, err
		}
	}
	return spec, nil
}

func (s *Server) deleteTable(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r)
	if err != nil {
		return err
	}
	names, err := p.require("db", "table")
	if err != nil {
		return err
	}
	at, err := purgeTime(p, s.opts.Now())
	if err != nil {
		return err
	}
	database, table := names[0], names[1]
	err = b.engine.DeleteTable(database, table, at)
	return answerEmpty(w, http.StatusOK, configureError(err, database+"."+table))
}
