package influxql

import (
	"slices"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// typeOf is a column's type in the grammar's terms.
func typeOf(t schema.ColumnType) influxql.DataType {
	switch t {
	case schema.Tag:
		return influxql.Tag
	case schema.Float64:
		return influxql.Float
	case schema.Int64:
		return influxql.Integer
	case schema.Uint64:
		return influxql.Unsigned
	case schema.String:
		return influxql.String
	case schema.Bool:
		return influxql.Boolean
	}
	return influxql.Unknown
}

// columnTypeOf is the type of an answer's column. What has no type is a column of nulls.
func columnTypeOf(t influxql.DataType) schema.ColumnType {
	switch t {
	case influxql.Integer:
		return schema.Int64
	case influxql.Unsigned:
		return schema.Uint64
	case influxql.String:
		return schema.String
	case influxql.Tag:
		return schema.Tag
	case influxql.Boolean:
		return schema.Bool
	}
	return schema.Float64
}

// sqlTypeOf is a type in SQL.
func sqlTypeOf(t influxql.DataType) string { return sqltext.Type(columnTypeOf(t)) }

func isNumber(t influxql.DataType) bool {
	return t == influxql.Float || t == influxql.Integer || t == influxql.Unsigned
}

func isText(t influxql.DataType) bool { return t == influxql.String || t == influxql.Tag }

// mathFunctions are those that work on single values.
var mathFunctions = []string{
	"abs", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "exp", "log", "ln", "log2", "log10", "sqrt", "pow",
	"floor", "ceil", "round",
}

func isMath(call *influxql.Call) bool { return slices.Contains(mathFunctions, call.Name) }

// mathArguments is how many arguments a math function takes.
func mathArguments(name string) int {
	switch name {
	case "atan2", "pow", "log":
		return 2
	}
	return 1
}

// callTypes gives the types of calls; it is a part of typeMapper.
type callTypes struct{}

// MapType knows no columns.
func (callTypes) MapType(*influxql.Measurement, string) influxql.DataType { return influxql.Unknown }

// CallType is the type of what a call yields.
func (callTypes) CallType(name string, args []influxql.DataType) (influxql.DataType, error) {
	if slices.Contains(mathFunctions, name) {
		return mathType(name, args)
	}
	switch name {
	case "mean", "median", "integral", "stddev", "derivative", "non_negative_derivative", "moving_average":
		return influxql.Float, nil
	case "count", "elapsed":
		return influxql.Integer, nil
	}
	if len(args) == 0 {
		return influxql.Unknown, nil
	}
	return args[0], nil
}

func mathType(name string, args []influxql.DataType) (influxql.DataType, error) {
	places := [...]string{"first", "second"}
	for i, arg := range args {
		known := arg == influxql.Unknown || isNumber(arg)
		if !known && i < len(places) {
			return influxql.Unknown, refuse("invalid argument type for the %s argument in %s(): %s", places[i], name, arg)
		}
	}
	switch name {
	case "abs", "floor", "ceil", "round":
		return args[0], nil
	}
	return influxql.Float, nil
}

// typeMapper tells the grammar's library what the columns of measurements are.
type typeMapper struct {
	callTypes
	c *compiler
}

// FieldDimensions lists the fields and tags of a measurement.
func (m typeMapper) FieldDimensions(source *influxql.Measurement) (map[string]influxql.DataType, map[string]struct{}, error) {
	fields, tags := map[string]influxql.DataType{}, map[string]struct{}{}
	if t := m.c.table(source); t != nil {
		for _, c := range t.ShownColumns() {
			switch {
			case c.ID == 0:
			case c.Type == schema.Tag:
				tags[c.Name] = struct{}{}
			default:
				fields[c.Name] = typeOf(c.Type)
			}
		}
	}
	return fields, tags, nil
}

// MapType is the type of a column of a measurement.
func (m typeMapper) MapType(source *influxql.Measurement, name string) influxql.DataType {
	if name == schema.TimeColumn {
		return influxql.Time
	}
	t := m.c.table(source)
	if t == nil {
		return influxql.Unknown
	}
	c, ok := t.Column(name)
	if !ok {
		return influxql.Unknown
	}
	return typeOf(c.Type)
}

// checkTypes reports expressions whose operands do not go together.
func checkTypes(stmt *influxql.SelectStatement) error {
	eval := influxql.TypeValuerEval{TypeMapper: callTypes{}}
	for _, f := range stmt.Fields {
		if _, err := eval.EvalType(f.Expr); err != nil {
			return refuse("%s", err)
		}
	}
	for _, source := range stmt.Sources {
		if sub, ok := source.(*influxql.SubQuery); ok {
			if err := checkTypes(sub.Statement); err != nil {
				return err
			}
		}
	}
	return nil
}
