package influxql

import (
	"slices"

	"github.com/influxdata/influxql"

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
func (s *showScope) tagValues(t *schema.Table, op influxql.Token, keys influxql.Literal) ([]string, error) {
	var selects []string
	for _, tag := range sortedTags(t) {
		chosen, err := choosesKey(op, keys, tag.Name)
		if err != nil {
			return nil, err
		}
		if !chosen {
			continue
		}
		where, err := s.where(t, identifier(tag.Name)+" IS NOT NULL")
		if err != nil {
			return nil, err
		}
		selects = append(selects, "SELECT DISTINCT "+literal(tag.Name)+" AS key, "+identifier(tag.Name)+" AS value FROM "+identifier(t.Name)+where)
	}
	return selects, nil
}

// choosesKey reports whether WITH KEY names a tag.
func choosesKey(op influxql.Token, keys influxql.Literal, tag string) (bool, error) {
	negated := op == influxql.NEQ || op == influxql.NEQREGEX
	switch k := keys.(type) {
	case *influxql.StringLiteral:
		return (k.Val == tag) != negated, nil
	case *influxql.ListLiteral:
		return slices.Contains(k.Vals, tag) != negated, nil
	case *influxql.RegexLiteral:
		return k.Val.MatchString(tag) != negated, nil
	}
	return false, refuse("WITH KEY %s %s is not supported", op, keys)
}
