package influxql

import (
	"strings"
	"time"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/schema"
)

// A continuous query is a rollup: a table whose rows are aggregates of another table's. InfluxDB 1 runs the
// query on a schedule and forgets what comes late; a rollup always says what its source says. Both have the
// same rows for a query of aggregates by time(), and of such queries only they are taken.

// CreateRollup makes a rollup, unless there is the same one.
type CreateRollup struct {
	Database, Name, Source string
	Interval               time.Duration
	// Tags are kept; nil is all.
	Tags       []string
	Aggregates []RollupAggregate
}

// RollupAggregate is a field of a rollup.
type RollupAggregate struct {
	Func schema.AggregateFunc
	// Field is empty for one of each field of the source that it can be made of; they are called
	// as in mean_temp then.
	Field, Name string
}

// DropRollup deletes a rollup, if there is one.
type DropRollup struct{ Database, Name string }

func (*CreateRollup) command() {}
func (*DropRollup) command()   {}

const createContinuous = "CREATE CONTINUOUS QUERY"

// createRollup reads CREATE CONTINUOUS QUERY.
func createRollup(s *influxql.CreateContinuousQueryStatement) Command {
	q := s.Source
	into := q.Target.Measurement
	switch {
	case s.ResampleEvery != 0 || s.ResampleFor != 0:
		return &Unsupported{createContinuous + " with RESAMPLE", "a rollup follows its source at once, whatever comes late; leave RESAMPLE out"}
	case into.Database != "" && into.Database != s.Database || !IsDefaultPolicy(into.RetentionPolicy):
		return &Unsupported{createContinuous + " INTO another database or retention policy", "a rollup is in the database of its source; give it a retention period of its own with siltstone rollup create"}
	case into.Name != s.Name:
		return &Unsupported{createContinuous + " with a name other than that of its measurement", "a rollup has one name; call the query " + influxql.QuoteIdent(into.Name) + " too"}
	case q.Condition != nil:
		return &Unsupported{createContinuous + " with WHERE", "a rollup is made of all rows; put the condition into the queries for it"}
	case q.Fill != influxql.NullFill && q.Fill != influxql.NoFill:
		return &Unsupported{createContinuous + " with fill()", "intervals without points have no row; use fill() in the queries for it"}
	case len(q.SortFields) > 0 || q.Limit+q.Offset+q.SLimit+q.SOffset > 0 || q.Location != nil:
		return &Unsupported{createContinuous + " with ORDER BY, LIMIT, OFFSET or tz()", "they belong into the queries for it"}
	}
	c := &CreateRollup{Database: s.Database, Name: s.Name}
	for _, read := range []func(*influxql.SelectStatement) *Unsupported{c.readSource, c.readDimensions, c.readFields} {
		if refused := read(q); refused != nil {
			return refused
		}
	}
	return c
}

// readSource reads FROM.
func (c *CreateRollup) readSource(q *influxql.SelectStatement) *Unsupported {
	refused := &Unsupported{createContinuous + " FROM anything but one measurement of its database", "make a rollup of each"}
	if len(q.Sources) != 1 {
		return refused
	}
	m, ok := q.Sources[0].(*influxql.Measurement)
	if !ok || m.Regex != nil || m.Database != "" && m.Database != c.Database || !IsDefaultPolicy(m.RetentionPolicy) {
		return refused
	}
	c.Source = m.Name
	return nil
}

// readDimensions reads GROUP BY.
func (c *CreateRollup) readDimensions(q *influxql.SelectStatement) *Unsupported {
	c.Tags = []string{}
	isAll := false
	for _, d := range q.Dimensions {
		switch e := d.Expr.(type) {
		case *influxql.Call:
			interval, ok := e.Args[0].(*influxql.DurationLiteral)
			if len(e.Args) != 1 || !ok {
				return &Unsupported{createContinuous + " with an offset in time()", "the intervals of a rollup begin at multiples of their length"}
			}
			c.Interval = interval.Val
		case *influxql.VarRef:
			c.Tags = append(c.Tags, e.Val)
		case *influxql.Wildcard:
			isAll = true
		default:
			return &Unsupported{createContinuous + " with " + d.String() + " in GROUP BY", "name tags, or take * for all"}
		}
	}
	if isAll {
		c.Tags = nil
	}
	return nil
}

// readFields reads the aggregates, which are called as InfluxDB 1 does.
func (c *CreateRollup) readFields(q *influxql.SelectStatement) *Unsupported {
	names := q.ColumnNames()[1:] // the first is time
	for i, f := range q.Fields {
		call, ok := f.Expr.(*influxql.Call)
		if !ok || len(call.Args) != 1 {
			return c.noAggregate(f)
		}
		a := RollupAggregate{Name: names[i]}
		if a.Func, ok = schema.ParseAggregateFunc(strings.ToLower(call.Name)); !ok {
			return c.noAggregate(f)
		}
		switch e := call.Args[0].(type) {
		case *influxql.VarRef:
			a.Field = e.Val
		case *influxql.Wildcard:
			a.Name = ""
		default:
			return c.noAggregate(f)
		}
		c.Aggregates = append(c.Aggregates, a)
	}
	return nil
}

func (c *CreateRollup) noAggregate(f *influxql.Field) *Unsupported {
	return &Unsupported{createContinuous + " with " + f.String(), "a rollup has count, sum, min, max, mean, first and last of fields"}
}

// showRollups lists the rollups of all databases as the continuous queries that they are.
func showRollups(env *Environment) *Plan {
	plan := &Plan{Columns: named(textColumns("name", "query")...), Empty: databaseNames(env)}
	for _, db := range env.readable() {
		var rows [][]string
		for _, t := range env.Schema.Rollups(0) {
			if source, ok := env.Schema.TableByID(t.Rollup.Source); ok && t.Database == db.ID {
				rows = append(rows, []string{t.Name, rollupText(db.Name, t, source)})
			}
		}
		if len(rows) > 0 {
			plan.Steps = append(plan.Steps, Step{Name: db.Name, Rows: transposed(2, rows)})
		}
	}
	return plan
}

// rollupText writes a rollup as a statement that makes it.
func rollupText(database string, t, source *schema.Table) string {
	var fields []string
	for _, a := range t.Rollup.Aggregates {
		fields = append(fields, a.Func.String()+"("+influxql.QuoteIdent(a.Field)+") AS "+influxql.QuoteIdent(a.Name))
	}
	groups := []string{"time(" + influxql.FormatDuration(t.Rollup.Interval) + ")"}
	if t.Rollup.AllTags {
		groups = append(groups, "*")
	} else {
		for _, tag := range t.Tags() {
			groups = append(groups, influxql.QuoteIdent(tag.Name))
		}
	}
	name := influxql.QuoteIdent(t.Name)
	return createContinuous + " " + name + " ON " + influxql.QuoteIdent(database) + " BEGIN SELECT " + strings.Join(fields, ", ") +
		" INTO " + name + " FROM " + influxql.QuoteIdent(source.Name) + " GROUP BY " + strings.Join(groups, ", ") + " END"
}
