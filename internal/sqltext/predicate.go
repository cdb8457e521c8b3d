package sqltext

import (
	"strings"

	"github.com/siltstone-db/siltstone/schema"
)

// Predicate writes a condition on tags, which is never null. The names of their columns are given;
// empty is that of a tag which every row lacks.
func Predicate(p *schema.Predicate, column func(tag string) string) string {
	if p == nil {
		return "true"
	}
	switch p.Op {
	case schema.And:
		return operands(p.Args, " AND ", "true", column)
	case schema.Or:
		return operands(p.Args, " OR ", "false", column)
	}
	tag, text := "''", Literal(p.Text)
	if name := column(p.Tag); name != "" {
		tag = "coalesce(" + name + ", '')"
	}
	switch p.Op {
	case schema.NotEqual:
		return tag + " <> " + text
	case schema.Match:
		return "regexp_matches(" + tag + ", " + text + ")"
	case schema.NoMatch:
		return "NOT regexp_matches(" + tag + ", " + text + ")"
	}
	return tag + " = " + text
}

func operands(args []*schema.Predicate, word, none string, column func(tag string) string) string {
	if len(args) == 0 {
		return none
	}
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = Predicate(a, column)
	}
	return "(" + strings.Join(parts, word) + ")"
}
