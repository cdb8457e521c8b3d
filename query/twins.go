package query

import (
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// DuckDB does not tell names apart that differ in ASCII case only, so a scan shows the second of
// such columns under another name (schema.ShownNames). A reference that spells its name
// exactly means it nevertheless: of Host and host, which is shown as host_1, host becomes
// host_1, and HOST stays what DuckDB makes of it.
//
// Where the name may mean anything else, because an alias or another table has it too, it is
// left alone.

// spellTwins replaces exact names by the names that the scans show.
func (s *statement) spellTwins(definitions []*schema.Table) {
	twins := make(map[string]string) // shown names, by exact ones
	for i, t := range definitions {
		if t == nil || s.tables[i].system != nil {
			continue
		}
		columns := t.ShownColumns()
		for i, shown := range schema.ShownNames(columns) {
			if name := columns[i].Name; shown != name {
				twins[name] = shown
			}
		}
	}
	if len(twins) == 0 {
		return
	}
	s.dropAmbiguous(twins, definitions)
	for _, item := range nodes(s.query.list("select_list")) {
		if names := item.list("column_names"); len(names) > 0 && item.str("alias") == "" {
			if name, _ := names[len(names)-1].(string); twins[name] != "" {
				item["alias"] = name
			}
		}
	}
	walk(s.query, func(n node) {
		names := n.list("column_names")
		if n.str("class") != "COLUMN_REF" || len(names) == 0 {
			return
		}
		name, _ := names[len(names)-1].(string)
		if shown, ok := twins[name]; ok {
			names[len(names)-1] = shown
		}
	})
}

// dropAmbiguous removes the names that something else in the statement has.
func (s *statement) dropAmbiguous(twins map[string]string, definitions []*schema.Table) {
	walk(s.query, func(n node) {
		delete(twins, n.str("alias"))
		for _, key := range []string{"using_columns", "column_name_alias", "aliases"} {
			for _, v := range n.list(key) {
				name, _ := v.(string)
				delete(twins, name)
			}
		}
	})
	for i, t := range definitions {
		var columns []schema.Column
		switch {
		case s.tables[i].system != nil:
			columns = s.tables[i].system.columns
		case t != nil:
			columns = t.Columns
		}
		for name := range twins {
			same := func(c schema.Column) bool { return schema.FoldCase(c.Name) == schema.FoldCase(name) }
			exact := func(c schema.Column) bool { return c.Name == name }
			if slices.ContainsFunc(columns, same) && (!slices.ContainsFunc(columns, exact) || t != nil && !haveTwins(t.ShownColumns())) {
				delete(twins, name)
			}
		}
	}
}
