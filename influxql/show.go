package influxql

import (
	"slices"
	"strconv"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// SHOW statements that the schema can answer are listed here; those that need rows are
// compiled to SQL over the tags in show_series.go, show_values.go and show_cardinality.go.

// planShow compiles a statement that lists what exists; nil means that it is none.
func planShow(ast influxql.Statement, env *Environment) (*Plan, error) {
	switch s := ast.(type) {
	case *influxql.ShowDatabasesStatement:
		return showDatabases(env), nil
	case *influxql.ShowRetentionPoliciesStatement:
		return showPolicies(s, env)
	case *influxql.ShowMeasurementsStatement:
		return showMeasurements(s, env)
	case *influxql.ShowSeriesStatement:
		return showSeries(s, env)
	case *influxql.ShowTagKeysStatement:
		return showTagKeys(s, env)
	case *influxql.ShowTagValuesStatement:
		return showTagValues(s, env)
	case *influxql.ShowFieldKeysStatement:
		return showFieldKeys(s, env)
	}
	plan, err := planCardinality(ast, env)
	if plan != nil || err != nil {
		return plan, err
	}
	return planServer(ast, env)
}

// seriesName is the column in which the names of series are.
var seriesName = Column{Name: "iox::measurement", Role: MeasurementColumn, Type: schema.Tag}

// textColumns describes columns of text.
func textColumns(names ...string) []Column {
	columns := make([]Column, len(names))
	for i, name := range names {
		columns[i] = Column{Name: name, Role: ValueColumn, Type: schema.String}
	}
	return columns
}

// named puts the name of a series before columns.
func named(columns ...Column) []Column { return append([]Column{seriesName}, columns...) }

// listed is an answer of one series.
func listed(columns []Column, series string, rows [][]string) *Plan {
	return &Plan{Columns: columns, Steps: []Step{{Name: series, Rows: rows}}}
}

// transposed makes columns of rows.
func transposed(width int, rows [][]string) [][]string {
	columns := make([][]string, width)
	for _, row := range rows {
		for i, text := range row {
			columns[i] = append(columns[i], text)
		}
	}
	return columns
}

// showDatabases lists what the sender may read: for InfluxDB 1, in which the databases of
// retention policies are no databases of their own, once for all of them.
func showDatabases(env *Environment) *Plan {
	var names []string
	for _, db := range env.readable() {
		name := db.Name
		if env.V1 {
			name, _ = PolicyOf(name)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if env.V1 {
		plan := listed(named(textColumns("name")...), "databases", [][]string{names})
		plan.Empty = []string{"databases"}
		return plan
	}
	columns := append(textColumns("iox::database"), Column{Name: "deleted", Role: ValueColumn, Type: schema.Bool})
	return listed(columns, "", [][]string{names, slices.Repeat([]string{"false"}, len(names))})
}

// showPolicies lists a database's retention policies: autogen, which is the database, and
// those that have databases of their own.
func showPolicies(s *influxql.ShowRetentionPoliciesStatement, env *Environment) (*Plan, error) {
	database := env.databaseOr(s.Database)
	if database == "" && env.V1 {
		return nil, errNoDatabase
	}
	var rows [][]string
	for _, db := range env.readable() {
		of, policy := PolicyOf(db.Name)
		if database != "" && of != database {
			continue
		}
		duration := db.Retention.String()
		if env.V1 {
			rows = append(rows, []string{policy, duration, shardDuration, "1", strconv.FormatBool(db.Name == database)})
		} else {
			rows = append(rows, []string{of, policy, duration})
		}
	}
	if len(rows) == 0 && database != "" {
		return nil, env.missing(database)
	}
	columns := textColumns("iox::database", "name", "duration")
	if env.V1 {
		columns = append(textColumns("name", "duration", "shardGroupDuration"),
			Column{Name: "replicaN", Role: ValueColumn, Type: schema.Int64},
			Column{Name: "default", Role: ValueColumn, Type: schema.Bool})
	}
	return listed(columns, "", transposed(len(columns), rows)), nil
}

// shardDuration is how InfluxDB 1 would say that rows are kept by day.
const shardDuration = "24h0m0s"

func showMeasurements(s *influxql.ShowMeasurementsStatement, env *Environment) (*Plan, error) {
	if s.WildcardDatabase || s.WildcardRetentionPolicy {
		return nil, refuse("SHOW MEASUREMENTS ON * is not supported: name the database")
	}
	if err := unsorted(s.SortFields); err != nil {
		return nil, err
	}
	var sources influxql.Sources
	if s.Source != nil {
		sources = influxql.Sources{s.Source}
	}
	scope, err := env.scope(s.Database, s.RetentionPolicy, sources, s.Condition)
	if err != nil {
		return nil, err
	}
	columns := named(textColumns("name")...)
	part := page{s.Limit, s.Offset}
	if s.Condition == nil {
		names := cut(scope.names(), part)
		return listed(columns, "measurements", [][]string{names}), nil
	}
	var selects []string
	for _, t := range scope.tables {
		where, err := scope.where(t)
		if err != nil {
			return nil, err
		}
		selects = append(selects, "SELECT "+sqltext.Literal(t.Name)+" AS name FROM (SELECT 1 FROM "+sqltext.Name(t.Name)+where+" LIMIT 1)")
	}
	plan := &Plan{Columns: columns}
	for _, sql := range unions(selects, "name", part) {
		plan.query(scope, "measurements", sql)
	}
	return plan, nil
}

func showTagKeys(s *influxql.ShowTagKeysStatement, env *Environment) (*Plan, error) {
	if err := unsorted(s.SortFields); err != nil {
		return nil, err
	}
	scope, err := env.scope(s.Database, "", s.Sources, s.Condition)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Columns: named(textColumns("tagKey")...)}
	part := page{s.Limit, s.Offset}
	for _, t := range scope.tables {
		tags, err := chosenTags(t, s.TagKeyOp, s.TagKeyExpr)
		if err != nil {
			return nil, err
		}
		if s.Condition == nil {
			plan.list(t.Name, cut(tagNames(tags), part))
			continue
		}
		keys, err := scope.presentTags(t, tags)
		if err != nil {
			return nil, err
		}
		plan.query(scope, t.Name, union(keys, `"tagKey"`, part))
	}
	if s.SLimit > 0 || s.SOffset > 0 {
		if s.Condition != nil {
			return nil, refuse("SLIMIT and SOFFSET are not supported in SHOW TAG KEYS with WHERE")
		}
		plan.Steps = cut(plan.Steps, page{s.SLimit, s.SOffset})
	}
	return plan, nil
}

func showFieldKeys(s *influxql.ShowFieldKeysStatement, env *Environment) (*Plan, error) {
	if err := unsorted(s.SortFields); err != nil {
		return nil, err
	}
	scope, err := env.scope(s.Database, "", s.Sources, nil)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Columns: named(textColumns("fieldKey", "fieldType")...)}
	for _, t := range scope.tables {
		fields := cut(sortedFields(t), page{s.Limit, s.Offset})
		var names, types []string
		for _, f := range fields {
			names, types = append(names, f.Name), append(types, fieldType(f.Type))
		}
		plan.list(t.Name, names, types)
	}
	return plan, nil
}

// list adds a step of what the schema knows, if it is not empty.
func (p *Plan) list(series string, columns ...[]string) {
	if len(columns[0]) > 0 {
		p.Steps = append(p.Steps, Step{Name: series, Rows: columns})
	}
}

// query adds a step of SQL, if there is some.
func (p *Plan) query(s *showScope, series, sql string) {
	if sql != "" {
		p.Steps = append(p.Steps, Step{Name: series, Database: s.database, SQL: sql})
	}
}

// fieldType is InfluxDB 1's name of a field's type.
func fieldType(t schema.ColumnType) string {
	switch t {
	case schema.Float64:
		return "float"
	case schema.Int64:
		return "integer"
	case schema.Uint64:
		return "unsigned"
	case schema.Bool:
		return "boolean"
	}
	return "string"
}

// tagColumn is a tag and what SQL calls it.
type tagColumn struct{ name, sql string }

// sortedTags returns the tags of a table in order of their names. What SQL calls a column
// that differs from another in case only is not its name.
func sortedTags(t *schema.Table) []tagColumn {
	var tags []tagColumn
	columns := t.ShownColumns()
	for i, name := range schema.ShownNames(columns) {
		if columns[i].Type == schema.Tag {
			tags = append(tags, tagColumn{columns[i].Name, sqltext.Name(name)})
		}
	}
	return tags
}

func tagNames(tags []tagColumn) []string {
	names := make([]string, len(tags))
	for i, tag := range tags {
		names[i] = tag.name
	}
	return names
}

// sortedFields returns the fields of a table in order of their names.
func sortedFields(t *schema.Table) []schema.Column {
	return slices.DeleteFunc(t.ShownColumns(), func(c schema.Column) bool { return c.Type == schema.Tag || c.ID == 0 })
}

// unsorted refuses ORDER BY.
func unsorted(fields influxql.SortFields) error {
	if len(fields) > 0 {
		return refuse("ORDER BY is not supported in SHOW statements: what they list is in order of names")
	}
	return nil
}

// page is LIMIT and OFFSET; a limit of 0 is none.
type page struct{ limit, offset int }

func cut[T any](all []T, p page) []T {
	all = all[min(p.offset, len(all)):]
	if p.limit > 0 {
		all = all[:min(p.limit, len(all))]
	}
	return all
}

func (p page) sql() string {
	var text string
	if p.limit > 0 {
		text += " LIMIT " + strconv.Itoa(p.limit)
	}
	if p.offset > 0 {
		text += " OFFSET " + strconv.Itoa(p.offset)
	}
	return text
}
