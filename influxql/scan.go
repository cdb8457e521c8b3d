package influxql

import (
	"slices"
	"strconv"
	"strings"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// points writes the rows of the level's sources in a range of time that the condition accepts:
// t, g0, …, and the columns of refs as r0, …. With ties it adds what orders points of one time, and
// with some of refs given in present, rows of a measurement must have one of them.
func (n *level) points(refs *refSet, within bounds, present []int, ties bool) (string, error) {
	n.ties = 0
	if ties {
		n.ties = n.countTies()
	}
	var parts []string
	for _, source := range n.sources() {
		var sql string
		var err error
		switch source := source.(type) {
		case *influxql.Measurement:
			sql, err = n.scan(n.c.table(source), refs, within, present)
		case *influxql.SubQuery:
			sql, err = n.subquery(source.Statement, refs, within)
		}
		if err != nil {
			return "", err
		}
		if sql != "" {
			parts = append(parts, sql)
		}
	}
	return strings.Join(parts, " UNION ALL "), nil
}

// otherTags are the tags of a table that do not name the level's series.
func (n *level) otherTags(t *schema.Table) []schema.Column {
	tags := slices.DeleteFunc(t.Tags(), func(c schema.Column) bool { return slices.Contains(n.dims, c.Name) })
	slices.SortFunc(tags, func(a, b schema.Column) int { return strings.Compare(a.Name, b.Name) })
	return tags
}

// sources are those of the level's statement that have rows of its measurement.
func (n *level) sources() []influxql.Source {
	return slices.DeleteFunc(slices.Clone(n.stmt.Sources), func(s influxql.Source) bool { return !touches(s, n.leaf) })
}

// countTies is how many columns order points of one time, where the level reads one source: the
// other tags of a measurement or of the series of a subquery.
func (n *level) countTies() int {
	sources := n.sources()
	if len(sources) != 1 {
		return 0
	}
	switch source := sources[0].(type) {
	case *influxql.Measurement:
		return len(n.otherTags(n.c.table(source)))
	case *influxql.SubQuery:
		return len(n.otherDims(n.c.newLevel(source.Statement, n, n.leaf)))
	}
	return 0
}

// otherDims are the columns of a subquery's tags that do not name the level's series.
func (n *level) otherDims(sub *level) []string {
	var all []string
	for i, dim := range sub.dims {
		if !slices.Contains(n.dims, dim) {
			all = append(all, "g"+strconv.Itoa(i))
		}
	}
	return all
}

// shownColumns finds the columns of a table by name, with the names that SQL has for them.
func shownColumns(t *schema.Table) map[string]value {
	columns := t.ShownColumns()
	found := make(map[string]value, len(columns))
	for i, name := range schema.ShownNames(columns) {
		if c := columns[i]; c.ID != 0 {
			found[c.Name] = value{sqltext.Name(name), typeOf(c.Type)}
		}
	}
	return found
}

// scan writes the rows of a table. Its condition stands where package query looks for what
// to prune by.
func (n *level) scan(t *schema.Table, refs *refSet, within bounds, present []int) (string, error) {
	in := measurement{shownColumns(t)}
	items := []string{"epoch_ns(time) AS t"}
	if n.instants {
		items[0] = "time AS t"
	}
	for i, dim := range n.dims {
		column := "''"
		if c, ok := in.columns[dim]; ok && c.typ == influxql.Tag {
			column = "coalesce(" + c.sql + ", '')"
		}
		items = append(items, column+" AS g"+strconv.Itoa(i))
	}
	var some []string
	for i, ref := range refs.list {
		v := in.ref(ref)
		items = append(items, v.sql+" AS r"+strconv.Itoa(i))
		if slices.Contains(present, i) && v.typ != influxql.Unknown && v.typ != influxql.Tag {
			some = append(some, v.sql+" IS NOT NULL")
		}
	}
	if n.ties > 0 {
		for i, c := range n.otherTags(t) {
			items = append(items, "coalesce("+in.columns[c.Name].sql+", '') AS x"+strconv.Itoa(i))
		}
	}
	conditions := timeConditions(within)
	if len(present) > 0 {
		if len(some) == 0 {
			return "", nil
		}
		conditions = append(conditions, "("+anyOf(some)+")")
	}
	if n.cond != nil {
		sql, err := condition(n.cond, in)
		if err != nil {
			return "", err
		}
		conditions = append(conditions, sql)
	}
	sql := "SELECT " + list(items) + " FROM iox." + sqltext.Name(t.Name)
	if len(conditions) > 0 {
		sql += " WHERE " + strings.Join(conditions, " AND ")
	}
	return sql, nil
}

func timeConditions(within bounds) []string {
	var all []string
	if within.low > influxql.MinTime {
		all = append(all, "time >= "+instantText(within.low))
	}
	if within.high < influxql.MaxTime {
		all = append(all, "time <= "+instantText(within.high))
	}
	return all
}

// measurement resolves the names in a table.
type measurement struct{ columns map[string]value }

func (m measurement) ref(ref *influxql.VarRef) value {
	c, ok := m.columns[ref.Val]
	switch {
	case !ok || ref.Type == influxql.Unknown && c.typ == influxql.Unknown:
		return value{"NULL", influxql.Unknown}
	case ref.Type == influxql.Unknown || ref.Type == c.typ:
		return c
	case ref.Type == influxql.AnyField && c.typ != influxql.Tag:
		return c
	case isNumber(c.typ) && isNumber(ref.Type):
		return value{c.as(ref.Type), ref.Type}
	}
	if isNumber(ref.Type) || isText(ref.Type) || ref.Type == influxql.Boolean {
		return value{"NULL::" + sqlTypeOf(ref.Type), influxql.Unknown}
	}
	return value{"NULL", influxql.Unknown}
}

func (m measurement) call(*influxql.Call) value { return null }

func (m measurement) dividesWhole() bool { return true }

// tag answers for every name that is no field: a measurement has every tag, if only empty.
func (m measurement) tag(name string) (column string, known bool) {
	c, ok := m.columns[name]
	if !ok {
		return "NULL", true
	}
	return c.sql, c.typ == influxql.Tag
}

// subquery writes the rows of a subquery as points of this level.
func (n *level) subquery(stmt *influxql.SelectStatement, refs *refSet, within bounds) (string, error) {
	narrowed := *n
	narrowed.bounds = within
	sub := n.c.newLevel(stmt, &narrowed, n.leaf)
	r, err := sub.relation()
	if err != nil || r.sql == "" {
		return "", err
	}
	in := rows{sub}
	items := []string{"t"}
	for i, dim := range n.dims {
		items = append(items, "g"+strconv.Itoa(slices.Index(sub.dims, dim))+" AS g"+strconv.Itoa(i))
	}
	for i, ref := range refs.list {
		items = append(items, in.ref(ref).sql+" AS r"+strconv.Itoa(i))
	}
	if n.ties > 0 {
		for i, g := range n.otherDims(sub) {
			items = append(items, g+" AS x"+strconv.Itoa(i))
		}
	}
	sql := "SELECT " + list(items) + " FROM (" + r.sql + ")"
	if n.cond != nil {
		cond, err := condition(n.cond, in)
		if err != nil {
			return "", err
		}
		sql += " WHERE " + cond
	}
	return sql, nil
}

// rows resolves the names of what a subquery yields: its fields, and the tags in its GROUP BY,
// which are empty where they are absent.
type rows struct{ sub *level }

func (s rows) ref(ref *influxql.VarRef) value {
	for i, f := range s.sub.fields {
		if f.Name() != ref.Val {
			continue
		}
		v := value{"o" + strconv.Itoa(i), s.sub.typeOf(f)}
		if ref.Type == influxql.Unknown || ref.Type == influxql.AnyField || ref.Type == v.typ {
			return v
		}
		return value{v.as(ref.Type), ref.Type}
	}
	for _, d := range s.sub.stmt.Dimensions {
		if own, ok := d.Expr.(*influxql.VarRef); ok && own.Val == ref.Val {
			return value{"g" + strconv.Itoa(slices.Index(s.sub.dims, ref.Val)), influxql.Tag}
		}
	}
	return null
}

// tag answers for the tags that name the subquery's series, and for every name that it has not,
// which is an empty tag.
func (s rows) tag(name string) (column string, known bool) {
	if slices.ContainsFunc(s.sub.fields, func(f *influxql.Field) bool { return f.Name() == name }) {
		return "", false
	}
	if i := slices.Index(s.sub.dims, name); i >= 0 {
		return "nullif(g" + strconv.Itoa(i) + ", '')", true
	}
	return "NULL", true
}

func (s rows) call(*influxql.Call) value { return null }

func (s rows) dividesWhole() bool { return true }
