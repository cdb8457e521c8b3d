package influxql

import (
	"strconv"
	"strings"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// cardinality is what the statements that count have in common. Counting is exact, also
// where the statement leaves that open.
type cardinality struct {
	what          string
	database      string
	sources       influxql.Sources
	condition     influxql.Expr
	dimensions    influxql.Dimensions
	limit, offset int
	isEstimate    bool // asked for in the form that InfluxDB 1 answers with an estimate
}

// countColumn is how InfluxDB 1 calls a count, and an estimate of a whole database.
func (c *cardinality) countColumn() Column {
	name := "count"
	if c.isEstimate && len(c.sources) == 0 && c.condition == nil {
		name = "cardinality estimation"
	}
	return Column{Name: name, Role: ValueColumn, Type: schema.Int64}
}

// planCardinality compiles SHOW … CARDINALITY; nil means that the statement is none.
func planCardinality(ast influxql.Statement, env *Environment) (*Plan, error) {
	switch s := ast.(type) {
	case *influxql.ShowSeriesCardinalityStatement:
		return countSeries(&cardinality{"SERIES", s.Database, s.Sources, s.Condition, s.Dimensions, s.Limit, s.Offset, !s.Exact}, env)
	case *influxql.ShowMeasurementCardinalityStatement:
		return countMeasurements(&cardinality{"MEASUREMENT", s.Database, s.Sources, s.Condition, s.Dimensions, s.Limit, s.Offset, !s.Exact}, env)
	case *influxql.ShowTagKeyCardinalityStatement:
		c := &cardinality{"TAG KEY", s.Database, s.Sources, s.Condition, s.Dimensions, s.Limit, s.Offset, false}
		return countEach(c, env, func(scope *showScope, t *schema.Table) ([]string, error) {
			return scope.presentTags(t, sortedTags(t))
		}, func(t *schema.Table) int { return len(sortedTags(t)) })
	case *influxql.ShowFieldKeyCardinalityStatement:
		c := &cardinality{"FIELD KEY", s.Database, s.Sources, s.Condition, s.Dimensions, s.Limit, s.Offset, false}
		return countEach(c, env, (*showScope).fieldKeys, func(t *schema.Table) int { return len(sortedFields(t)) })
	case *influxql.ShowTagValuesCardinalityStatement:
		c := &cardinality{"TAG VALUES", s.Database, s.Sources, s.Condition, s.Dimensions, s.Limit, s.Offset, false}
		return countEach(c, env, func(scope *showScope, t *schema.Table) ([]string, error) {
			return scope.tagValues(t, s.Op, s.TagKeyExpr)
		}, nil)
	}
	return nil, nil
}

func (c *cardinality) scope(env *Environment, groups bool) (*showScope, error) {
	switch {
	case c.offset > 0 || c.limit > 0:
		return nil, refuse("LIMIT and OFFSET are not supported in SHOW %s CARDINALITY", c.what)
	case len(c.dimensions) > 0 && !groups:
		return nil, refuse("GROUP BY is not supported in SHOW %s CARDINALITY", c.what)
	}
	return env.scope(c.database, "", c.sources, c.condition)
}

// countSeries counts series: all of a database together where an estimate would do, else
// by measurement and by tags of GROUP BY.
func countSeries(c *cardinality, env *Environment) (*Plan, error) {
	scope, err := c.scope(env, true)
	if err != nil {
		return nil, err
	}
	groups, err := groupTags(c.dimensions)
	if err != nil {
		return nil, err
	}
	count := c.countColumn()
	if count.Name != "count" && len(groups) == 0 {
		return sumSeries(scope, count)
	}
	plan := &Plan{Columns: named()}
	for _, g := range groups {
		plan.Columns = append(plan.Columns, Column{Name: g, Role: GroupColumn, Type: schema.Tag})
	}
	plan.Columns = append(plan.Columns, Column{Name: "count", Role: ValueColumn, Type: schema.Int64})
	for _, t := range scope.tables {
		from, err := scope.series(t)
		if err != nil {
			return nil, err
		}
		plan.query(scope, t.Name, groupedCount(t, groups, from))
	}
	return plan, nil
}

// groupedCount counts the rows of a subquery; a group without any is left out.
func groupedCount(t *schema.Table, groups []string, from string) string {
	if len(groups) == 0 {
		return "SELECT * FROM (SELECT count(*) AS count FROM " + from + ") WHERE count > 0"
	}
	var items, order []string
	for i, g := range groups {
		value := "''"
		if tag, ok := findTag(t, g); ok {
			value = "coalesce(" + tag.sql + ", '')"
		}
		items = append(items, value+" AS g"+strconv.Itoa(i))
		order = append(order, "g"+strconv.Itoa(i))
	}
	by := strings.Join(order, ", ")
	return "SELECT " + by + ", count(*) AS count FROM (SELECT " + strings.Join(items, ", ") + " FROM " + from + ") GROUP BY " + by + " ORDER BY " + by
}

func groupTags(dimensions influxql.Dimensions) ([]string, error) {
	var tags []string
	for _, d := range dimensions {
		ref, ok := d.Expr.(*influxql.VarRef)
		if !ok {
			return nil, refuse("GROUP BY %s is not supported in a SHOW statement: name tags", d)
		}
		tags = append(tags, ref.Val)
	}
	return tags, nil
}

func sumSeries(scope *showScope, count Column) (*Plan, error) {
	var counts []string
	for _, t := range scope.tables {
		from, err := scope.series(t)
		if err != nil {
			return nil, err
		}
		counts = append(counts, "SELECT count(*) AS n FROM "+from)
	}
	if len(counts) == 0 {
		return listed([]Column{count}, "", [][]string{{"0"}}), nil
	}
	return scope.plan([]Column{count}, "", "SELECT CAST(sum(n) AS BIGINT) AS n FROM ("+strings.Join(counts, " UNION ALL ")+")"), nil
}

// countMeasurements counts measurements, with WHERE those that have a row which it accepts.
func countMeasurements(c *cardinality, env *Environment) (*Plan, error) {
	scope, err := c.scope(env, false)
	if err != nil {
		return nil, err
	}
	columns := []Column{c.countColumn()}
	var selects []string
	for _, t := range scope.tables {
		where, err := scope.where(t)
		if err != nil {
			return nil, err
		}
		selects = append(selects, "SELECT 1 FROM (SELECT 1 FROM "+sqltext.Name(t.Name)+where+" LIMIT 1)")
	}
	if c.condition == nil || len(selects) == 0 {
		return listed(columns, "", [][]string{{strconv.Itoa(len(scope.tables))}}), nil
	}
	return scope.plan(columns, "", "SELECT count(*) AS count FROM ("+strings.Join(selects, " UNION ALL ")+")"), nil
}

// countEach counts for each measurement what selects yield, or what the schema knows where
// there is no WHERE; known is nil where rows are needed all the same.
func countEach(c *cardinality, env *Environment, selects func(*showScope, *schema.Table) ([]string, error), known func(*schema.Table) int) (*Plan, error) {
	scope, err := c.scope(env, false)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Columns: named(Column{Name: "count", Role: ValueColumn, Type: schema.Int64})}
	for _, t := range scope.tables {
		if c.condition == nil && known != nil {
			if n := known(t); n > 0 {
				plan.list(t.Name, []string{strconv.Itoa(n)})
			}
			continue
		}
		all, err := selects(scope, t)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 {
			plan.query(scope, t.Name, groupedCount(t, nil, "("+strings.Join(all, " UNION ALL ")+")"))
		}
	}
	return plan, nil
}

// fieldKeys selects the keys of all fields of a table that has a row which WHERE accepts,
// as InfluxDB 1 does.
func (s *showScope) fieldKeys(t *schema.Table) ([]string, error) {
	where, err := s.where(t)
	if err != nil {
		return nil, err
	}
	var selects []string
	for _, f := range sortedFields(t) {
		selects = append(selects, "SELECT "+sqltext.Literal(f.Name)+" AS key FROM (SELECT 1 FROM "+sqltext.Name(t.Name)+where+" LIMIT 1)")
	}
	return selects, nil
}
