package influxql

import (
	"time"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/schema"
)

// compiler turns one SELECT into SQL, in these steps:
//
//  1. source.go finds the tables that FROM means.
//  2. validate.go checks what can be checked without types.
//  3. The library's RewriteFields expands wildcards, and types.go gives every name its type.
//  4. For each measurement, level.go makes a level of the statement and of each of its
//     subqueries, and writes it as one SELECT: the rows of its sources (scan.go), and then
//     either fields of points (raw.go) or what functions make of them (calls.go).
//
// A level's SELECT has the columns t, a time in nanoseconds, g0, g1, … for the tags that name
// its series, and o0, o1, … for its fields.
type compiler struct {
	env *Environment
}

// planSelect compiles SELECT.
func planSelect(ast *influxql.SelectStatement, env *Environment) (*Plan, error) {
	if ast.Target != nil {
		return nil, refuse("SELECT INTO is not supported")
	}
	c := &compiler{env: env}
	stmt := ast.Clone()
	var err error
	if stmt.Sources, err = c.resolve(stmt.Sources); err != nil {
		return nil, err
	}
	if err := c.check(stmt, nil); err != nil {
		return nil, err
	}
	typed, err := stmt.RewriteFields(typeMapper{c: c})
	if err != nil {
		return nil, refuse("%s", err)
	}
	if err := checkWidth(typed); err != nil {
		return nil, err
	}
	if err := checkTypes(typed); err != nil {
		return nil, err
	}
	return c.plan(typed)
}

// check validates a statement and its subqueries, and puts constants where now() is.
func (c *compiler) check(stmt, outer *influxql.SelectStatement) error {
	if len(stmt.SortFields) > 0 && outer != nil && stmt.TimeAscending() != outer.TimeAscending() {
		return refuse("subqueries must be ordered in the same direction as the query itself")
	}
	cond, _, err := c.where(stmt)
	if err != nil {
		return err
	}
	if err := validateCondition(cond); err != nil {
		return err
	}
	for _, f := range stmt.Fields {
		f.Expr = influxql.Reduce(f.Expr, nil)
	}
	v := validator{}
	own, err := intervalOf(stmt, c.env.Now)
	if err != nil {
		return err
	}
	v.interval = time.Duration(own.width)
	if own.width == 0 && outer != nil {
		inherited, err := intervalOf(outer, c.env.Now)
		if err != nil {
			return err
		}
		v.interval, v.inherited = time.Duration(inherited.width), inherited.width != 0
	}
	if err := v.validate(stmt); err != nil {
		return err
	}
	stmt.RewriteDistinct()
	stmt.RewriteRegexConditions()
	for _, source := range stmt.Sources {
		if sub, ok := source.(*influxql.SubQuery); ok {
			if err := c.check(sub.Statement, stmt); err != nil {
				return err
			}
		}
	}
	return nil
}

// where divides a WHERE clause into bounds on time and all else.
func (c *compiler) where(stmt *influxql.SelectStatement) (influxql.Expr, influxql.TimeRange, error) {
	now := &influxql.NowValuer{Now: c.env.Now, Location: stmt.Location}
	cond, bounds, err := influxql.ConditionExpr(stmt.Condition, now)
	if err != nil {
		return nil, bounds, refuse("%s", err)
	}
	return cond, bounds, nil
}

// plan writes a step for each measurement.
func (c *compiler) plan(stmt *influxql.SelectStatement) (*Plan, error) {
	removeTime(stmt)
	plan := &Plan{Location: stmt.Location}
	plan.Columns = append(plan.Columns, Column{Name: "iox::measurement", Role: MeasurementColumn, Type: schema.Tag})
	names := stmt.ColumnNames()
	plan.Columns = append(plan.Columns, Column{Name: names[0], Role: TimeColumn})
	top := c.newLevel(stmt, nil, leaf{})
	for _, tag := range top.dims {
		plan.Columns = append(plan.Columns, Column{Name: tag, Role: GroupColumn, Type: schema.Tag})
	}
	for i, f := range top.fields {
		plan.Columns = append(plan.Columns, Column{Name: names[i+1], Role: ValueColumn, Type: columnTypeOf(top.typeOf(f))})
	}
	measurements := leaves(stmt.Sources)
	for i := range measurements {
		l := measurements[i]
		if !stmt.TimeAscending() {
			l = measurements[len(measurements)-1-i]
		}
		if c.env.Stop != nil {
			if err := c.env.Stop(); err != nil {
				return nil, err
			}
		}
		level := c.newLevel(stmt, nil, l)
		newest := level.newest()
		sql, err := level.step()
		if err != nil {
			return nil, err
		}
		if sql != "" {
			plan.Steps = append(plan.Steps, Step{Name: l.name, Database: l.database, SQL: sql, Newest: newest})
		}
	}
	return plan, nil
}

// removeTime takes the time column out of the fields of a statement, which has it anyway.
func removeTime(stmt *influxql.SelectStatement) {
	kept := stmt.Fields[:0]
	for _, f := range stmt.Fields {
		if ref, ok := f.Expr.(*influxql.VarRef); ok && ref.Val == schema.TimeColumn {
			if f.Alias != "" {
				stmt.TimeAlias = f.Alias
			}
			continue
		}
		kept = append(kept, f)
	}
	stmt.Fields = kept
	for _, source := range stmt.Sources {
		if sub, ok := source.(*influxql.SubQuery); ok {
			removeTime(sub.Statement)
		}
	}
}
