package engine_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// namedCache is what the catalog says of a cache.
type namedCache struct {
	table, name  string
	kind         schema.CacheKind
	key, values  string // names of columns
	hasAllValues bool
	limit        uint64
	maxAge       time.Duration
}

func describeCache(table *schema.Table, c *schema.Cache) namedCache {
	names := func(ids []schema.ColumnID) string {
		var all []string
		for _, id := range ids {
			column, _ := table.ColumnByID(id)
			all = append(all, column.Name)
		}
		return strings.Join(all, ",")
	}
	return namedCache{table.Name, c.Name, c.Kind, names(c.Columns), names(c.Values), c.AllValues, c.Limit, c.MaxAge}
}

// put notes a cache like a point of its table, with which it goes, but one so late and without tags that it goes with
// no rows.
func (c namedCache) put(all contents, database string) {
	all[c.entry(database)] = map[string]any{"cache": c}
}

func (c namedCache) entry(database string) string {
	return fmt.Sprintf("%s/%s,%s %s %d", database, c.table, c.kind, c.name, int64(math.MaxInt64))
}

// createCache gives one of the actor's own tables a cache, if there is such a table.
func (a *actor) createCache(e *engine.Engine) error {
	a.count++
	c := namedCache{
		table: fmt.Sprint("t", a.rng.IntN(2)), name: fmt.Sprint("c", a.count), key: []string{"k,w", "w"}[a.rng.IntN(2)],
		kind:  []schema.CacheKind{schema.LastCache, schema.DistinctCache}[a.rng.IntN(2)],
		limit: uint64(a.count), maxAge: time.Duration(a.count) * time.Hour,
	}
	c.hasAllValues = c.kind == schema.LastCache
	if db, ok := e.Schema().Database(a.database()); !ok {
		return nil
	} else if _, ok := db.Table(c.table); !ok {
		return nil
	}
	next := a.history.latest().clone()
	c.put(next, a.database())
	return a.define(e, next, func() error {
		_, _, err := e.CreateCache(engine.CacheSpec{
			Database: a.database(), Table: c.table, Kind: c.kind, Name: c.name, Columns: strings.Split(c.key, ","),
			Limit: c.limit, MaxAge: c.maxAge,
		})
		return err
	})
}

// deleteCache deletes one of the actor's caches, if it has any.
func (a *actor) deleteCache(e *engine.Engine) error {
	next := a.history.latest().clone()
	for _, key := range slices.Sorted(maps.Keys(next)) {
		if c, ok := next[key]["cache"].(namedCache); ok {
			delete(next, key)
			return a.define(e, next, func() error { return e.DeleteCache(a.database(), c.table, c.kind, c.name) })
		}
	}
	return nil
}
