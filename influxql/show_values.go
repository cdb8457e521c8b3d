package influxql

import (
	"slices"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// showTagValues lists the values of tags, one scan for each of them, so that no other
// column is read.
func showTagValues(s *influxql.ShowTagValuesStatement, env *Environment) (*Plan, error) {
	if err := unsorted(s.SortFields); err != nil {
		return nil, err
	}
	scope, err := env.scope(s.Database, "", s.Sources, s.Condition)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Columns: named(textColumns("key", "value")...)}
	for _, t := range scope.tables {
		values, err := scope.tagValues(t, s.Op, s.TagKeyExpr)
		if err != nil {
			return nil, err
		}
		plan.query(scope, t.Name, union(values, "key, value", page{s.Limit, s.Offset}))
	}
	return plan, nil
}

// tagValues selects key and value of the tags that WITH KEY chooses.
func (s *showScope) tagValues(t *schema.Table, op influxql.Token, keys influxql.Expr) ([]string, error) {
	tags, err := chosenTags(t, op, keys)
	if err != nil {
		return nil, err
	}
	var selects []string
	for _, tag := range tags {
		where, err := s.where(t)
		if err != nil {
			return nil, err
		}
		// Only the column itself is made distinct, which is quickest, with the null that it may hold.
		values := "SELECT DISTINCT " + tag.sql + " AS value FROM " + sqltext.Name(t.Name) + where
		selects = append(selects, "SELECT "+sqltext.Literal(tag.name)+" AS key, value FROM ("+values+") WHERE value IS NOT NULL")
	}
	return selects, nil
}

// chosenTags returns the tags that WITH KEY names; without it keys is nil and all are.
func chosenTags(t *schema.Table, op influxql.Token, keys influxql.Expr) ([]tagColumn, error) {
	var named func(tag string) bool
	switch k := keys.(type) {
	case nil:
		return sortedTags(t), nil
	case *influxql.StringLiteral:
		named = func(tag string) bool { return tag == k.Val }
	case *influxql.ListLiteral:
		named = func(tag string) bool { return slices.Contains(k.Vals, tag) }
	case *influxql.RegexLiteral:
		named = k.Val.MatchString
	default:
		return nil, refuse("WITH KEY %s %s is not supported", op, keys)
	}
	negated := op == influxql.NEQ || op == influxql.NEQREGEX
	return slices.DeleteFunc(sortedTags(t), func(tag tagColumn) bool { return named(tag.name) == negated }), nil
}
