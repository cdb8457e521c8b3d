package httpapi

import (
	"strings"

	"github.com/siltstone-db/siltstone/schema"
)

// parseAggregates reads aggregates such as mean(temp), max("a field") AS peak, and last(*), which is one of each field of
// the source that it can be made of. A field without AS is called as in temp_mean. source may be nil.
func parseAggregates(texts []string, source *schema.Table) (all []schema.Aggregate, err error) {
	for _, text := range texts {
		a, err := parseAggregate(text)
		if err != nil {
			return nil, err
		}
		if a.Field != "*" || source == nil {
			if a.Name == "" {
				a.Name = a.Field + "_" + a.Func.String()
			}
			all = append(all, a)
			continue
		}
		if a.Name != "" {
			return nil, badRequest("%s makes several fields, which cannot all be called %q; leave out AS", text, a.Name)
		}
		many := aggregatesOf(a.Func, source)
		if len(many) == 0 {
			return nil, badRequest("table %q has no field that there is a %s of", source.Name, a.Func)
		}
		all = append(all, many...)
	}
	return all, nil
}

// aggregatesOf returns one of each field of a table that the function can be made of.
func aggregatesOf(function schema.AggregateFunc, source *schema.Table) (all []schema.Aggregate) {
	for _, c := range source.Columns {
		if _, ok := function.Result(c.Type); ok {
			all = append(all, schema.Aggregate{Func: function, Field: c.Name, Name: c.Name + "_" + function.String()})
		}
	}
	return all
}

// parseAggregate reads one; its name is empty where the text has none.
func parseAggregate(text string) (a schema.Aggregate, err error) {
	call, rest, ok := cutLast(strings.TrimSpace(text), ')')
	function, field, isCall := strings.Cut(call, "(")
	if !ok || !isCall {
		return a, badRequest("%q is not an aggregate such as mean(temp), max(temp) AS peak or last(*)", text)
	}
	if rest = strings.TrimSpace(rest); rest != "" {
		word, name, ok := strings.Cut(rest, " ")
		if a.Name = unquote(name); !ok || !strings.EqualFold(word, "as") || a.Name == "" {
			return a, badRequest("behind %s) in %q there can only be AS and a name", call, text)
		}
	}
	function = strings.ToLower(strings.TrimSpace(function))
	if function == "avg" {
		function = "mean"
	}
	if a.Func, ok = schema.ParseAggregateFunc(function); !ok {
		return a, badRequest("there is no aggregate %q in a rollup; there are %s", function, functionNames())
	}
	if a.Field = unquote(field); a.Field == "" {
		return a, badRequest("%q names no field", text)
	}
	return a, nil
}

// cutLast cuts a text around the last of a byte.
func cutLast(text string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

// unquote takes the double quotes off a name.
func unquote(name string) string {
	name = strings.TrimSpace(name)
	if len(name) >= 2 && name[0] == '"' && name[len(name)-1] == '"' {
		return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	}
	return name
}

func functionNames() string {
	names := make([]string, len(schema.AggregateFuncs))
	for i, f := range schema.AggregateFuncs {
		names[i] = f.String()
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
