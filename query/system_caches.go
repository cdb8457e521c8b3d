package query

import (
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// lastCachesTable has the last caches that have a name, with InfluxDB 3's columns and that of the database.
var lastCachesTable = &systemTable{
	schema: "system", name: "last_caches",
	rows: func(r *running) ([][]string, error) { return r.cacheRows(schema.LastCache), nil },
	columns: []schema.Column{
		{Name: "table", Type: schema.String},
		{Name: "name", Type: schema.String},
		{Name: "key_column_ids", Type: schema.String},
		{Name: "key_column_names", Type: schema.String},
		{Name: "value_column_ids", Type: schema.String},
		{Name: "value_column_names", Type: schema.String},
		{Name: "count", Type: schema.Uint64},
		{Name: "ttl", Type: schema.Uint64}, // seconds
		{Name: databaseTag, Type: schema.String},
	},
}

// distinctCachesTable has the distinct caches, in the same way.
var distinctCachesTable = &systemTable{
	schema: "system", name: "distinct_caches",
	rows: func(r *running) ([][]string, error) { return r.cacheRows(schema.DistinctCache), nil },
	columns: []schema.Column{
		{Name: "table", Type: schema.String},
		{Name: "name", Type: schema.String},
		{Name: "column_ids", Type: schema.String},
		{Name: "column_names", Type: schema.String},
		{Name: "max_cardinality", Type: schema.Uint64},
		{Name: "max_age_seconds", Type: schema.Uint64},
		{Name: databaseTag, Type: schema.String},
	},
}

// cacheRows lists the caches of a kind.
func (r *running) cacheRows(kind schema.CacheKind) (rows [][]string) {
	for _, d := range r.databases() {
		for _, t := range d.Tables() {
			for _, c := range t.Caches {
				if c.Kind == kind {
					rows = append(rows, cacheRow(d, t, c))
				}
			}
		}
	}
	return rows
}

func cacheRow(d *schema.Database, t *schema.Table, c *schema.Cache) []string {
	keys, values := cacheColumns(t, c)
	row := []string{textValue(t.Name), textValue(c.Name)}
	lists := [][]schema.Column{keys}
	if c.Kind == schema.LastCache {
		lists = append(lists, values)
	}
	for _, columns := range lists {
		var ids, names []string
		for _, column := range columns {
			ids, names = append(ids, strconv.Itoa(int(column.ID))), append(names, column.Name)
		}
		row = append(row, textValue("["+strings.Join(ids, ", ")+"]"), textValue("["+strings.Join(names, ", ")+"]"))
	}
	return append(row, uintValue(c.Limit), uintValue(uint64(c.MaxAge/time.Second)), textValue(d.Name))
}
