package httpapi

import (
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

const (
	lastCachePath     = "/api/v3/configure/last_cache"
	distinctCachePath = "/api/v3/configure/distinct_cache"
)

// cacheBody makes a cache, and says which one is to be deleted. It has the fields of both kinds.
type cacheBody struct {
	Database string `json:"db"`
	Table    string `json:"table"`
	Name     string `json:"name"`

	KeyColumns   []string `json:"key_columns,omitempty"`
	ValueColumns []string `json:"value_columns,omitempty"`
	Count        *uint64  `json:"count,omitempty"`
	TTL          *uint64  `json:"ttl,omitempty"` // seconds

	Columns        []string `json:"columns,omitempty"`
	MaxCardinality *uint64  `json:"max_cardinality,omitempty"`
	MaxAge         *uint64  `json:"max_age,omitempty"` // seconds
}

// createCache makes a cache of a kind. The answer says what it is.
func (s *Server) createCache(kind schema.CacheKind) handler {
	return func(b *backend, w http.ResponseWriter, r *http.Request) error {
		var body cacheBody
		if err := s.decodeJSON(w, r, &body); err != nil {
			return err
		}
		if err := requireFields("db", body.Database, "table", body.Table); err != nil {
			return err
		}
		spec, err := body.spec(kind)
		if err != nil {
			return err
		}
		def, cache, err := b.engine.CreateCache(spec)
		switch {
		case errors.Is(err, engine.ErrCache):
			return badRequest("%v", err)
		case err != nil:
			return configureError(err, body.Database+"."+body.Table)
		}
		writeJSON(w, http.StatusCreated, body.made(def, cache))
		return nil
	}
}

// spec is what the engine is to make of the body.
func (body *cacheBody) spec(kind schema.CacheKind) (engine.CacheSpec, error) {
	spec := engine.CacheSpec{Database: body.Database, Table: body.Table, Kind: kind, Name: body.Name, Columns: body.KeyColumns, Values: body.ValueColumns}
	rows, age, rowsName, ageName := body.Count, body.TTL, "count", "ttl"
	if kind == schema.DistinctCache {
		spec.Columns, spec.Values = body.Columns, nil
		rows, age, rowsName, ageName = body.MaxCardinality, body.MaxAge, "max_cardinality", "max_age"
		if len(body.Columns) == 0 {
			return spec, badRequest("serde json error: missing field `columns`")
		}
	}
	if rows != nil {
		if spec.Limit = *rows; spec.Limit == 0 {
			return spec, badRequest("`%s` must be 1 or more", rowsName)
		}
	}
	if age != nil {
		if *age == 0 || *age > uint64(math.MaxInt64/time.Second) {
			return spec, badRequest("`%s` must be from 1 second to 292 years, in seconds", ageName)
		}
		spec.MaxAge = time.Duration(*age) * time.Second
	}
	return spec, nil
}

// made describes a cache in the form in which it can be made again.
func (body *cacheBody) made(def *schema.Table, c *schema.Cache) cacheBody {
	made := cacheBody{Database: body.Database, Table: body.Table, Name: c.Name}
	seconds := uint64(c.MaxAge / time.Second)
	if c.Kind == schema.DistinctCache {
		made.Columns, made.MaxCardinality, made.MaxAge = columnNames(def, c.Columns), &c.Limit, &seconds
	} else {
		made.KeyColumns, made.ValueColumns, made.Count, made.TTL = columnNames(def, c.Columns), columnNames(def, c.Values), &c.Limit, &seconds
	}
	return made
}

// columnNames are those of columns of a table.
func columnNames(def *schema.Table, ids []schema.ColumnID) (names []string) {
	for _, id := range ids {
		column, _ := def.ColumnByID(id)
		names = append(names, column.Name)
	}
	return names
}

// deleteCache deletes a cache that the query string names, or else the body.
func (s *Server) deleteCache(kind schema.CacheKind) handler {
	return func(b *backend, w http.ResponseWriter, r *http.Request) error {
		var body cacheBody
		if r.URL.RawQuery != "" {
			names, err := requiredParams(r, "db", "table", "name")
			if err != nil {
				return err
			}
			body.Database, body.Table, body.Name = names[0], names[1], names[2]
		} else if err := s.decodeJSON(w, r, &body); err != nil {
			return err
		}
		if err := requireFields("db", body.Database, "table", body.Table, "name", body.Name); err != nil {
			return err
		}
		err := b.engine.DeleteCache(body.Database, body.Table, kind, body.Name)
		if errors.Is(err, engine.ErrCacheNotFound) {
			return &requestError{http.StatusNotFound, "the requested resource was not found: " + body.Name}
		}
		return answerEmpty(w, http.StatusOK, configureError(err, body.Database+"."+body.Table))
	}
}
