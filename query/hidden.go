package query

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// Rows of a file may be deleted and still be in it (engine.FileRef.Hidden). They are left out
// where the file is read, before its rows are merged with others: a row that was deleted must
// not lend its fields to one that was written later.
//
// A tombstone hides rows of all files with a lower Order, and files are listed by Order, so that
// one condition on DuckDB's file_index says which files it is about, however many they are.

// hides narrows a file's tombstones to those that hide rows which the constraint allows.
func (c *constraint) hides(t *schema.Table, all []*schema.Tombstone) (some []*schema.Tombstone) {
	wanted := func(tag string) []string {
		column, _ := t.Column(tag)
		return c.tags[column.ID]
	}
	for _, d := range all {
		if c.allowsTime(d.Time) && d.Where.MayHoldFor(wanted) {
			some = append(some, d)
		}
	}
	return some
}

// selectRows writes a SELECT of the rows of files, which are by Order, that are not hidden.
func (p *scanPlan) selectRows(items string, files []engine.FileRef, columns []schema.Column, conditions ...string) string {
	hidden := p.hidden(files)
	if hidden != "" {
		columns = p.withHiding(files, columns)
	}
	return "SELECT " + items + " FROM " + readParquet(files, columns) + where(append(conditions, hidden)...)
}

// withHiding adds the columns that tell which rows of files are hidden.
func (p *scanPlan) withHiding(files []engine.FileRef, columns []schema.Column) []schema.Column {
	all := slices.Clone(columns)
	add := func(c schema.Column) {
		if !slices.ContainsFunc(all, func(have schema.Column) bool { return have.ID == c.ID }) {
			all = append(all, c)
		}
	}
	add(schema.Column{Name: schema.TimeColumn})
	for _, d := range tombstonesOf(files) {
		for _, name := range d.Where.Tags() {
			if c, ok := p.tag(name); ok {
				add(c)
			}
		}
	}
	return all
}

// tag finds a tag of the table.
func (p *scanPlan) tag(name string) (schema.Column, bool) {
	i := slices.IndexFunc(p.tags, func(c schema.Column) bool { return c.Name == name })
	if i < 0 {
		return schema.Column{}, false
	}
	return p.tags[i], true
}

// tagColumn is a tag's column within the scan.
func (p *scanPlan) tagColumn(name string) string {
	if c, ok := p.tag(name); ok {
		return columnName(c)
	}
	return ""
}

// tombstonesOf returns what hides rows of some of the files, each once.
func tombstonesOf(files []engine.FileRef) []*schema.Tombstone {
	var all []*schema.Tombstone
	for _, f := range files {
		for _, d := range f.Hidden {
			if !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *schema.Tombstone) int { return cmp.Compare(a.Order, b.Order) })
	return all
}

// hidden is the condition on rows of files that are seen, empty for all. It is never null.
func (p *scanPlan) hidden(files []engine.FileRef) string {
	var parts []string
	for _, d := range tombstonesOf(files) {
		var is []string
		// A later file has no rows that it deletes, or is not concerned: those of an
		// earlier one that are in none of the files' lists were left out of it.
		if n := slices.IndexFunc(files, func(f engine.FileRef) bool { return f.Order >= d.Order }); n >= 0 {
			is = append(is, fmt.Sprintf("file_index < %d", n))
		}
		if d.Time != schema.MaxTimeRange {
			is = append(is, timeCondition(representable([]schema.TimeRange{d.Time})))
		}
		if d.Where != nil {
			is = append(is, sqltext.Predicate(d.Where, p.tagColumn))
		}
		if len(is) == 0 {
			is = append(is, "true")
		}
		parts = append(parts, "NOT ("+strings.Join(is, " AND ")+")")
	}
	return strings.Join(parts, " AND ")
}
