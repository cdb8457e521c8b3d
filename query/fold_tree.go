package query

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// The columns of folded rows have ids of their own, above all that are given, and names that begin as
// those of the scans do. Slot 0 is the number of rows, then four for each field.

type foldPart int

const (
	countPart foldPart = iota
	sumPart
	lowestPart
	highestPart
	foldParts
)

const foldedIDs = 1 << 30

func foldedColumn(f *fold, field int, part foldPart) schema.Column {
	if field < 0 {
		return schema.Column{ID: foldedIDs, Name: scanPrefix + "rows", Type: schema.Int64}
	}
	slot := 1 + field*int(foldParts) + int(part)
	c := schema.Column{ID: schema.ColumnID(foldedIDs + slot), Name: scanPrefix + strconv.Itoa(slot), Type: schema.Int64}
	if part != countPart {
		c.Type = f.fields[field].column.Type
	}
	return c
}

// columns are those of the folded rows, without time and tags.
func (f *fold) columns() []schema.Column {
	all := []schema.Column{foldedColumn(f, -1, 0)}
	for i := range f.fields {
		for _, part := range f.fields[i].parts() {
			all = append(all, foldedColumn(f, i, part))
		}
	}
	return all
}

func (f *foldField) parts() []foldPart {
	all := []foldPart{countPart}
	if f.sum {
		all = append(all, sumPart)
	}
	if f.lowest {
		all = append(all, lowestPart)
	}
	if f.highest {
		all = append(all, highestPart)
	}
	return all
}

// apply makes the aggregates in the tree those of folded rows. It calls keep before it changes
// a node.
func (f *fold) apply(s *statement, r *rewriter, keep func(node)) error {
	isItem := make(map[uintptr]bool)
	walk(s.query, func(n node) {
		for _, item := range nodes(n.list("select_list")) {
			isItem[reflect.ValueOf(item).Pointer()] = true
		}
	})
	names := make([]string, len(f.calls))
	for i, c := range f.calls { // before the first changes: one may stand in the text of another
		if c.n.str("alias") == "" && isItem[reflect.ValueOf(c.n).Pointer()] {
			text, err := r.gate.printExpression(r.ctx, clone(c.n))
			if err != nil {
				return err
			}
			names[i] = text
		}
	}
	if err := f.nameItems(s, r, isItem, keep); err != nil {
		return err
	}
	for i, c := range f.calls {
		replacement, err := r.expand(c.template(), f.references(c)...)
		if err != nil {
			return err
		}
		alias := c.n.str("alias")
		if names[i] != "" {
			alias = names[i]
		}
		keep(c.n)
		clear(c.n)
		for key, v := range replacement {
			c.n[key] = v
		}
		c.n["alias"] = alias
	}
	return nil
}

// nameItems gives the items of a SELECT with an aggregate inside the name that they have without
// folding.
func (f *fold) nameItems(s *statement, r *rewriter, isItem map[uintptr]bool, keep func(node)) error {
	inside := make(map[uintptr]bool)
	for _, c := range f.calls {
		inside[reflect.ValueOf(c.n).Pointer()] = true
	}
	var items []node
	walk(s.query, func(n node) {
		p := reflect.ValueOf(n).Pointer()
		if !isItem[p] || inside[p] || n.str("alias") != "" || !named[n.str("class")] {
			return
		}
		has := false
		walk(n, func(part node) { has = has || inside[reflect.ValueOf(part).Pointer()] })
		if has {
			items = append(items, n)
		}
	})
	for _, n := range items {
		text, err := r.gate.printExpression(r.ctx, clone(n))
		if err != nil {
			return err
		}
		keep(n)
		n["alias"] = text
	}
	return nil
}

// keptNode is a node as it was before folding changed it.
type keptNode struct{ n, was node }

// unfold makes the tree what it was before its aggregates became those of folded rows, for a
// plan without them.
func (r *running) unfold() {
	for _, k := range slices.Backward(r.folded) {
		clear(k.n)
		maps.Copy(k.n, k.was)
	}
	r.folded = nil
}

// template is the aggregate of folded rows: $1 is the count, and $2 what else is needed.
func (c *foldCall) template() string {
	switch c.function {
	case "count":
		return "coalesce(sum($1), 0)::BIGINT"
	case "sum":
		return "sum($2)"
	case "min":
		return "min($2)"
	case "max":
		return "max($2)"
	}
	return "sum($2)::DOUBLE / sum($1)::DOUBLE"
}

func (f *fold) references(c foldCall) []node {
	count := columnNode(foldedColumn(f, c.field, countPart).Name)
	switch c.function {
	case "count":
		return []node{count}
	case "min":
		return []node{count, columnNode(foldedColumn(f, c.field, lowestPart).Name)}
	case "max":
		return []node{count, columnNode(foldedColumn(f, c.field, highestPart).Name)}
	}
	return []node{count, columnNode(foldedColumn(f, c.field, sumPart).Name)}
}

func columnNode(name string) node {
	return node{"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": 0, "column_names": []any{name}}
}

// sql writes the scan of folded rows, and of those that were merged.
func (f *fold) sql(folded, merged string) string {
	var shown, inner, unfolded []string
	add := func(c schema.Column, name, value string) {
		shown = append(shown, columnName(c)+" AS "+sqltext.Name(name))
		inner = append(inner, columnName(c))
		unfolded = append(unfolded, value+" AS "+columnName(c))
	}
	add(schema.Column{}, schema.TimeColumn, "t")
	for _, c := range f.tags {
		add(c, c.Name, columnName(c))
	}
	rows := foldedColumn(f, -1, 0)
	add(rows, rows.Name, "1::BIGINT")
	for i := range f.fields {
		field := columnName(f.fields[i].column)
		for _, part := range f.fields[i].parts() {
			c := foldedColumn(f, i, part)
			value := field
			if part == countPart {
				value = "(" + field + " IS NOT NULL)::BIGINT"
			}
			add(c, c.Name, value)
		}
	}
	parts := "SELECT " + strings.Join(inner, ", ") + " FROM " + readBuffer(folded)
	if merged != "" {
		parts += " UNION ALL SELECT " + strings.Join(unfolded, ", ") + " FROM (" + merged + ")"
	}
	return "SELECT " + strings.Join(shown, ", ") + " FROM (" + parts + ")"
}
