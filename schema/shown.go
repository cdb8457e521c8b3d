package schema

import (
	"slices"
	"strconv"
	"strings"
)

// ShownColumns returns the columns of a table that a query sees, time among them, in the
// order of their names and so of SELECT *. Time has the id 0 here.
func (t *Table) ShownColumns() []Column {
	all := append(slices.Clone(t.Columns), Column{Name: TimeColumn})
	all = slices.DeleteFunc(all, func(c Column) bool {
		return t.Key.Rule == LatestByTag && c.Name == DeletedColumn && c.Type == Bool
	})
	slices.SortFunc(all, func(a, b Column) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// ShownNames gives the names by which SQL knows columns, which must be in order of
// SELECT * and complete where some differ in case only.
func ShownNames(columns []Column) []string {
	taken := map[string]bool{TimeColumn: true}
	names := make([]string, len(columns))
	for i, c := range columns {
		name := c.Name
		for n := 1; c.ID != 0 && taken[FoldCase(name)]; n++ {
			name = c.Name + "_" + strconv.Itoa(n)
		}
		taken[FoldCase(name)] = true
		names[i] = name
	}
	return names
}

// FoldCase makes names equal that DuckDB does not tell apart: it folds ASCII only.
func FoldCase(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}
