package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/schema"
)

// TableSpec describes a table that CreateTable makes.
type TableSpec struct {
	Name    string
	Key     schema.TableKey
	Columns []ColumnSpec
	// Retention is how long its points are kept; 0 is as long as the database keeps points.
	Retention time.Duration
}

// ColumnSpec is a column of a TableSpec.
type ColumnSpec struct {
	Name string
	Type schema.ColumnType
}

// CreateDatabase makes a database that keeps points for the given time, for ever if it
// is 0. The errors are ErrExists, ErrInvalidDatabaseName, *LimitError and ErrUnavailable.
func (e *Engine) CreateDatabase(name string, retention time.Duration) error {
	if err := ValidateDatabaseName(name); err != nil {
		return err
	}
	return e.catalogError(e.catalog.CreateDatabase(name, retention))
}

// SetRetention changes how long a database keeps points; 0 is for ever. The errors are
// ErrDatabaseNotFound and ErrUnavailable.
func (e *Engine) SetRetention(name string, d time.Duration) error {
	if err := checkUserDatabase(name); err != nil {
		return err
	}
	return e.notFound(e.catalog.SetRetention(name, d), ErrDatabaseNotFound)
}

// SetTableRetention changes how long a table keeps points, be it longer than its database or
// shorter; 0 is as long as the database. The errors are ErrDatabaseNotFound, *TableNotFoundError and
// ErrUnavailable.
func (e *Engine) SetTableRetention(database, table string, d time.Duration) error {
	if err := checkUserDatabase(database); err != nil {
		return err
	}
	return e.noTable(e.catalog.SetTableRetention(database, table, d), database, table)
}

// DeleteDatabase takes a database out of sight, and purges it at the given time; the
// zero time is never. The errors are ErrDatabaseNotFound and ErrUnavailable.
func (e *Engine) DeleteDatabase(name string, purgeAt time.Time) error {
	if err := checkUserDatabase(name); err != nil {
		return err
	}
	if err := e.catalog.DeleteDatabase(name, purgeTime(purgeAt)); err != nil {
		return e.notFound(err, ErrDatabaseNotFound)
	}
	e.purgeNow()
	return nil
}

// checkUserDatabase keeps InternalDatabase out of users' hands.
func checkUserDatabase(name string) error {
	if err := ValidateDatabaseName(name); err != nil {
		return fmt.Errorf("%w: %s", ErrDatabaseNotFound, name)
	}
	return nil
}

// CreateTable makes a table, and its database if that does not exist. The errors are
// ErrExists, ErrInvalidDatabaseName, *LimitError, ErrInvalidTable and ErrUnavailable.
func (e *Engine) CreateTable(database string, spec TableSpec) error {
	if err := ValidateDatabaseName(database); err != nil {
		return err
	}
	change := catalog.TableChange{Name: spec.Name, Key: spec.Key, Retention: spec.Retention, MustBeNew: true}
	for _, c := range spec.Columns {
		change.Columns = append(change.Columns, catalog.NewColumn{Name: c.Name, Type: c.Type})
	}
	_, err := e.catalog.Define(catalog.Change{Database: database, Tables: []catalog.TableChange{change}})
	if errors.Is(err, catalog.ErrInvalidChange) {
		return fmt.Errorf("%w: %w", ErrInvalidTable, err)
	}
	return e.catalogError(err)
}

// DeleteTable takes a table out of sight, and purges it at the given time; the zero
// time is never. The errors are ErrDatabaseNotFound, *TableNotFoundError and
// ErrUnavailable.
func (e *Engine) DeleteTable(database, table string, purgeAt time.Time) error {
	if err := checkUserDatabase(database); err != nil {
		return err
	}
	if err := e.noTable(e.catalog.DeleteTable(database, table, purgeTime(purgeAt)), database, table); err != nil {
		return err
	}
	e.purgeNow()
	return nil
}

// Tokens returns all tokens; the slice is shared and must not be changed.
func (e *Engine) Tokens() []*schema.Token { return e.catalog.Tokens() }

// CreateToken stores a token and returns it with its id; one with an id replaces the
// token of that id. The errors are ErrExists for a name that is taken, and ErrUnavailable.
func (e *Engine) CreateToken(t schema.Token) (schema.Token, error) {
	stored, err := e.catalog.PutToken(t)
	return stored, e.catalogError(err)
}

// DeleteToken removes a token. The errors are ErrTokenNotFound and ErrUnavailable.
func (e *Engine) DeleteToken(name string) error {
	return e.notFound(e.catalog.DeleteToken(name), ErrTokenNotFound)
}

// CreateDatasource makes a datasource of the Ingest API and its database, which is
// called project/datasource. The errors are ErrExists, ErrInvalidDatabaseName,
// *LimitError and ErrUnavailable.
func (e *Engine) CreateDatasource(project, name string) (schema.Datasource, error) {
	e.datasources.Lock()
	defer e.datasources.Unlock()
	if _, ok := e.Datasource(project, name); ok {
		return schema.Datasource{}, fmt.Errorf("datasource %s of project %s: %w", name, project, ErrExists)
	}
	ds := schema.Datasource{Project: project, Name: name, Database: project + "/" + name, Created: e.clock.now()}
	if err := checkDatasource(ds); err != nil {
		return ds, err
	}
	if err := e.CreateDatabase(ds.Database, 0); err != nil && !errors.Is(err, ErrExists) {
		return ds, err
	}
	err := e.catalog.CreateDatasource(ds)
	if errors.Is(err, ErrExists) { // its database had been deleted
		err = nil
	}
	return ds, e.catalogError(err)
}

func checkDatasource(ds schema.Datasource) error {
	if err := ValidateDatabaseName(ds.Project); err != nil {
		return err
	}
	if err := ValidateDatabaseName(ds.Name); err != nil {
		return err
	}
	return ValidateDatabaseName(ds.Database)
}

// Datasource finds a datasource whose database exists.
func (e *Engine) Datasource(project, name string) (schema.Datasource, bool) {
	all := e.catalog.Datasources()
	i := slices.IndexFunc(all, func(d *schema.Datasource) bool { return d.Project == project && d.Name == name })
	if i < 0 {
		return schema.Datasource{}, false
	}
	_, ok := e.catalog.Schema().Database(all[i].Database)
	return *all[i], ok
}

// isOfDatasource reports whether a database has the tables of a datasource, which line
// protocol must not make anew without their keys.
func (e *Engine) isOfDatasource(database string) bool {
	return slices.ContainsFunc(e.catalog.Datasources(), func(d *schema.Datasource) bool { return d.Database == database })
}

// Datasources returns all datasources; the slice is shared and must not be changed.
func (e *Engine) Datasources() []*schema.Datasource { return e.catalog.Datasources() }
