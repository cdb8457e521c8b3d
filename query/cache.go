package query

import (
	"context"
	"maps"
	"strings"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// InfluxDB 3's last_cache('t') and distinct_cache('t') read caches that somebody has made. Here each
// table has both without being asked: the engine keeps the newest row of each series (last.go). So
// the functions stand for the queries that these rows answer, which become subqueries in
// their place once the table's tags are known. They are right after a restart, and for rows that are
// older than any cache keeps them.

// cacheRef is one place in the tree that calls such a function.
type cacheRef struct {
	node     node
	function string // in lower case
	table    string
}

const (
	lastCache     = "last_cache"
	distinctCache = "distinct_cache"
)

// isCache reports whether a call is one of a cache.
func isCache(call node) bool {
	name := strings.ToLower(call.str("function_name"))
	return name == lastCache || name == distinctCache
}

// cache notes a call. Nobody names a cache here, so that a second argument means one that is not there.
func (c *checker) cache(n, call node) error {
	name := strings.ToLower(call.str("function_name"))
	arguments := call.list("children")
	if len(arguments) > 1 {
		return refuse("%s takes the name of a table only: each table has the cache of all its tags, and no other", name)
	}
	table, ok := "", false
	if len(arguments) == 1 {
		table, ok = asNode(arguments[0]).child("value")["value"].(string)
	}
	if !ok || call.str("schema") != "" || call.str("catalog") != "" || len(n.list("column_name_alias")) > 0 {
		return refuse("%s takes the name of a table, such as %[1]s('cpu')", name)
	}
	delete(n, "function") // which is none, and would be refused
	c.caches = append(c.caches, cacheRef{n, name, table})
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
			alias = ref.function
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

// sql is the query for which a call stands.
func (c cacheRef) sql(t *schema.Table) (string, error) {
	var tags []string
	for _, column := range t.Columns {
		if column.Type == schema.Tag {
			tags = append(tags, sqltext.Name(column.Name))
		}
	}
	list, table := strings.Join(tags, ", "), "iox."+sqltext.Name(t.Name)
	switch {
	case c.function == distinctCache && len(tags) == 0:
		return "", refuse("table %q has no tags", t.Name)
	case c.function == distinctCache:
		return "SELECT DISTINCT " + list + " FROM " + table, nil
	case len(tags) == 0:
		return "SELECT * FROM " + table + " ORDER BY time DESC LIMIT 1", nil
	}
	return "SELECT DISTINCT ON (" + list + ") * FROM " + table + " ORDER BY " + list + ", time DESC", nil
}
