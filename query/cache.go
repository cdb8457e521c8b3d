package query

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// InfluxDB 3's last_cache('t') and distinct_cache('t') read caches that somebody has made. Here each
// table has both without being asked: the engine keeps the newest row of each series (last.go). So
// the functions stand for the queries that these rows answer, which become subqueries in
// their place once the table's tags are known. They are right after a restart, and for rows that are
// older than any cache keeps them. A cache that has a name is such a query with other columns, and with a
// bound on time.

// cacheRef is one place in the tree that calls such a function.
type cacheRef struct {
	node  node
	kind  schema.CacheKind
	table string
	name  string // "" if the call has none
}

// cacheKindOf returns the cache of which a call is.
func cacheKindOf(call node) (schema.CacheKind, bool) {
	name := strings.ToLower(call.str("function_name"))
	for _, kind := range []schema.CacheKind{schema.LastCache, schema.DistinctCache} {
		if name == kind.String() {
			return kind, true
		}
	}
	return 0, false
}

// cache notes a call of the function of a cache.
func (c *checker) cache(n, call node, kind schema.CacheKind) error {
	var words []string
	for _, e := range call.list("children") {
		word, ok := asNode(e).child("value")["value"].(string)
		if !ok {
			words = nil
			break
		}
		words = append(words, word)
	}
	if len(words) < 1 || len(words) > 2 || call.str("schema") != "" || call.str("catalog") != "" || len(n.list("column_name_alias")) > 0 {
		return refuse("%s takes the name of a table and that of a cache, such as %[1]s('cpu') or %[1]s('cpu', 'cpu_host_%[1]s')", kind)
	}
	ref := cacheRef{node: n, kind: kind, table: words[0]}
	if len(words) > 1 {
		ref.name = words[1]
	}
	delete(n, "function") // which is none, and would be refused
	c.caches = append(c.caches, ref)
	return nil
}

// expandCaches puts subqueries into the places of such calls.
func (q *Querier) expandCaches(ctx context.Context, database string, stmt *statement) error {
	for _, ref := range stmt.caches {
		table, err := q.cachedTable(database, ref.table)
		if err != nil {
			return err
		}
		inner, err := ref.sql(table)
		if err != nil {
			return err
		}
		alias := ref.node.str("alias")
		if alias == "" {
			alias = ref.kind.String()
		}
		made, err := q.gate.parse(ctx, "SELECT * FROM ("+inner+") AS "+sqltext.Name(alias))
		if err != nil {
			return err
		}
		clear(ref.node)
		maps.Copy(ref.node, made.query.child("from_table"))
		stmt.tables = append(stmt.tables, made.tables...)
	}
	return nil
}

// cachedTable finds the table that a call names.
func (q *Querier) cachedTable(database, name string) (*schema.Table, error) {
	if q.opts.Schema != nil {
		if d, ok := q.opts.Schema().Database(database); ok {
			if t, ok := d.Table(name); ok {
				return t, nil
			}
		}
	}
	return nil, &UserError{Message: "Error during planning: table 'public.iox." + name + "' not found"}
}

// named returns the cache that a call means; nil is the one that has no name. A table's only cache of a kind need not be named,
// as in InfluxDB 3.
func (c cacheRef) named(t *schema.Table) (*schema.Cache, error) {
	var names []string
	var only *schema.Cache
	for _, cache := range t.Caches {
		switch {
		case cache.Kind != c.kind:
		case cache.Name == c.name:
			return cache, nil
		default:
			names, only = append(names, "'"+cache.Name+"'"), cache
		}
	}
	has := "has none with a name"
	if len(names) > 0 {
		has = "has " + strings.Join(names, ", ")
	}
	switch {
	case c.name == "" && len(names) < 2:
		return only, nil
	case c.name == "":
		return nil, refuse("could not find %s for the given arguments: table '%s' %s; name one of them", c.kind, t.Name, has)
	}
	return nil, refuse("could not find %s '%s' for the given arguments: table '%s' %s; siltstone create %[1]s makes one", c.kind, c.name, t.Name, has)
}

// sql is the query for which a call stands.
func (c cacheRef) sql(t *schema.Table) (string, error) {
	cache, err := c.named(t)
	if err != nil {
		return "", err
	}
	if cache != nil {
		return cacheSQL(t, cache), nil
	}
	tags := t.Tags()
	list, table := quotedNames(tags), "iox."+sqltext.Name(t.Name)
	switch {
	case c.kind == schema.DistinctCache && len(tags) == 0:
		return "", refuse("table %q has no tags", t.Name)
	case c.kind == schema.DistinctCache:
		return "SELECT DISTINCT " + list + " FROM " + table, nil
	case len(tags) == 0:
		return "SELECT * FROM " + table + " ORDER BY time DESC LIMIT 1", nil
	}
	return "SELECT DISTINCT ON (" + list + ") * FROM " + table + " ORDER BY " + list + ", time DESC", nil
}

// cacheSQL is the query for which a cache stands that has a name.
func cacheSQL(t *schema.Table, cache *schema.Cache) string {
	keys, values := cacheColumns(t, cache)
	list := quotedNames(keys)
	from := fmt.Sprintf(" FROM iox.%s WHERE time >= now() - INTERVAL '%d seconds'", sqltext.Name(t.Name), int64(cache.MaxAge/time.Second))
	if cache.Kind == schema.DistinctCache {
		return "SELECT DISTINCT " + list + from
	}
	items := quotedNames(slices.Concat(keys, values, []schema.Column{{Name: schema.TimeColumn}}))
	switch {
	case len(keys) == 0:
		return fmt.Sprintf("SELECT %s%s ORDER BY time DESC LIMIT %d", items, from, cache.Limit)
	case cache.Limit == 1:
		return fmt.Sprintf("SELECT DISTINCT ON (%s) %s%s ORDER BY %[1]s, time DESC", list, items, from)
	}
	return fmt.Sprintf("SELECT %s%s QUALIFY row_number() OVER (PARTITION BY %s ORDER BY time DESC) <= %d", items, from, list, cache.Limit)
}

// cacheColumns are the columns of a cache's key, or of a distinct cache, and the others that it shows.
func cacheColumns(t *schema.Table, cache *schema.Cache) (keys, values []schema.Column) {
	of := func(ids []schema.ColumnID) (columns []schema.Column) {
		for _, id := range ids {
			column, _ := t.ColumnByID(id)
			columns = append(columns, column)
		}
		return columns
	}
	keys = of(cache.Columns)
	if !cache.AllValues {
		return keys, of(cache.Values)
	}
	return keys, slices.DeleteFunc(slices.Clone(t.Columns), func(c schema.Column) bool { return slices.Contains(cache.Columns, c.ID) })
}

func quotedNames(columns []schema.Column) string {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = column.Name
	}
	return sqltext.Names(names)
}
