package engine

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/schema"
)

// CacheSpec describes a cache that CreateCache makes.
type CacheSpec struct {
	Database, Table string
	Kind            schema.CacheKind
	// Name is "" for one that is made of the names of table and columns, as InfluxDB 3's is.
	Name string
	// Columns are those of the cache's key; nil is all tags of the table, for a last cache.
	Columns []string
	// Values are the other columns that a last cache shows; nil is all, also those that come later.
	Values []string
	// Limit and MaxAge are as in schema.Cache; 0 is InfluxDB 3's.
	Limit  uint64
	MaxAge time.Duration
}

// What InfluxDB 3 takes where nothing is said.
const (
	defaultLastCacheRows     = 1
	defaultLastCacheAge      = 4 * time.Hour
	defaultDistinctCacheRows = 100_000
	defaultDistinctCacheAge  = 24 * time.Hour
)

var (
	// ErrCache is matched by an error that says what is wrong with a CacheSpec.
	ErrCache = errors.New("invalid cache")
	// ErrCacheNotFound is returned by DeleteCache for a name that no cache of the table has.
	ErrCacheNotFound = errors.New("cache not found")
)

// CreateCache gives a table a cache, and returns both. Nothing is read or kept for it: it is a name for a question. The errors match ErrCache,
// ErrExists, ErrDatabaseNotFound, *TableNotFoundError and ErrUnavailable.
func (e *Engine) CreateCache(spec CacheSpec) (*schema.Table, *schema.Cache, error) {
	if err := checkUserDatabase(spec.Database); err != nil {
		return nil, nil, err
	}
	def, err := e.findTable(spec.Database, spec.Table)
	if err != nil {
		return nil, nil, err
	}
	cache, err := spec.cache(def)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrCache, err)
	}
	made, err := e.catalog.CreateCache(spec.Database, spec.Table, cache)
	if errors.Is(err, catalog.ErrInvalidChange) {
		return nil, nil, fmt.Errorf("%w: %w", ErrCache, err)
	}
	return def, made, e.noTable(err, spec.Database, spec.Table)
}

// DeleteCache takes a cache away from its table, whose rows stay. The errors match ErrCacheNotFound, ErrDatabaseNotFound,
// *TableNotFoundError and ErrUnavailable.
func (e *Engine) DeleteCache(database, table string, kind schema.CacheKind, name string) error {
	if err := checkUserDatabase(database); err != nil {
		return err
	}
	err := e.catalog.DeleteCache(database, table, kind, name)
	if missing := new(catalog.NotFoundError); errors.As(err, &missing) && missing.Kind == catalog.ObjectCache {
		return e.notFound(err, ErrCacheNotFound)
	}
	return e.noTable(err, database, table)
}

// findTable finds a table by its name. The errors are ErrDatabaseNotFound and *TableNotFoundError.
func (e *Engine) findTable(database, table string) (*schema.Table, error) {
	db, ok := e.catalog.Schema().Database(database)
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrDatabaseNotFound, database)
	}
	def, ok := db.Table(table)
	if !ok {
		return nil, &TableNotFoundError{table}
	}
	return def, nil
}

// cache finds the columns of a spec, and fills in what it does not say.
func (s *CacheSpec) cache(def *schema.Table) (c schema.Cache, err error) {
	c = schema.Cache{Kind: s.Kind, Name: s.Name, AllValues: s.Kind == schema.LastCache && s.Values == nil, Limit: s.Limit, MaxAge: s.MaxAge}
	names := s.Columns
	if s.Columns == nil && s.Kind == schema.LastCache {
		names = def.TagNames()
	}
	if c.Columns, err = columnIDs(def, names); err != nil {
		return c, err
	}
	values := make([]string, 0, len(s.Values))
	for _, name := range s.Values {
		if name != schema.TimeColumn { // which is always there
			values = append(values, name)
		}
	}
	if c.Values, err = columnIDs(def, values); err != nil {
		return c, err
	}
	rows, age := uint64(defaultLastCacheRows), defaultLastCacheAge
	if s.Kind == schema.DistinctCache {
		rows, age = defaultDistinctCacheRows, defaultDistinctCacheAge
	}
	c.Limit, c.MaxAge = cmp.Or(c.Limit, rows), cmp.Or(c.MaxAge, age)
	c.Name = cmp.Or(c.Name, def.Name+"_"+strings.Join(names, "_")+"_"+s.Kind.String())
	return c, c.Validate(def.Columns)
}

// columnIDs finds tags and fields by their names.
func columnIDs(def *schema.Table, names []string) (ids []schema.ColumnID, err error) {
	for _, name := range names {
		column, ok := def.Column(name)
		switch {
		case name == schema.TimeColumn:
			return nil, fmt.Errorf("column %q cannot be in the key", name)
		case !ok:
			return nil, fmt.Errorf("table %q has no column %q", def.Name, name)
		}
		ids = append(ids, column.ID)
	}
	return ids, nil
}
