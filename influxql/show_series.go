package influxql

import (
	"strings"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// escapes are line protocol's, of tags and of measurements.
var (
	tagEscapes         = strings.NewReplacer(",", `\,`, "=", `\=`, " ", `\ `)
	measurementEscapes = strings.NewReplacer(",", `\,`, " ", `\ `)
)

// showSeries lists series as line protocol begins: cpu,host=a,region=eu.
func showSeries(s *influxql.ShowSeriesStatement, env *Environment) (*Plan, error) {
	if err := unsorted(s.SortFields); err != nil {
		return nil, err
	}
	scope, err := env.scope(s.Database, "", s.Sources, s.Condition)
	if err != nil {
		return nil, err
	}
	var selects []string
	for _, t := range scope.tables {
		from, err := scope.series(t)
		if err != nil {
			return nil, err
		}
		selects = append(selects, "SELECT "+sqltext.Literal(t.Name)+" AS measurement, "+seriesKey(t)+" AS key FROM "+from)
	}
	plan := &Plan{Columns: textColumns("key")}
	for _, sql := range unions(selects, "measurement, key", page{s.Limit, s.Offset}) {
		plan.query(scope, "", "SELECT key FROM ("+sql+") ORDER BY measurement, key")
	}
	return plan, nil
}

// series is a subquery of the tags of each series of a table, once.
func (s *showScope) series(t *schema.Table) (string, error) {
	where, err := s.where(t)
	if err != nil {
		return "", err
	}
	tags := sortedTags(t)
	if len(tags) == 0 { // one series, if there is a row
		return "(SELECT 1 FROM " + sqltext.Name(t.Name) + where + " LIMIT 1)", nil
	}
	names := make([]string, len(tags))
	for i, tag := range tags {
		names[i] = tag.sql
	}
	return "(SELECT DISTINCT " + strings.Join(names, ", ") + " FROM " + sqltext.Name(t.Name) + where + ")", nil
}

// seriesKey is SQL that writes a series; a tag that is absent is left out.
func seriesKey(t *schema.Table) string {
	parts := []string{sqltext.Literal(measurementEscapes.Replace(t.Name))}
	for _, tag := range sortedTags(t) {
		value := tag.sql
		for _, c := range []string{",", "=", " "} {
			value = "replace(" + value + ", '" + c + "', '\\" + c + "')"
		}
		parts = append(parts, "coalesce("+sqltext.Literal(","+tagEscapes.Replace(tag.name)+"=")+" || "+value+", '')")
	}
	return strings.Join(parts, " || ")
}

// presentTags selects the keys of those tags that some row of a table has.
func (s *showScope) presentTags(t *schema.Table, tags []tagColumn) ([]string, error) {
	var selects []string
	for _, tag := range tags {
		where, err := s.where(t, tag.sql+" IS NOT NULL")
		if err != nil {
			return nil, err
		}
		selects = append(selects, "SELECT "+sqltext.Literal(tag.name)+` AS "tagKey" FROM (SELECT 1 FROM `+sqltext.Name(t.Name)+where+" LIMIT 1)")
	}
	return selects, nil
}
