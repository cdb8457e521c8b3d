package influxql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/schema"
)

// level is one SELECT, the statement's or a subquery's, for one measurement.
type level struct {
	c     *compiler
	stmt  *influxql.SelectStatement
	outer *level // nil for the statement itself
	leaf  leaf

	bounds    bounds
	interval  interval
	dims      []string // the tags that name series, ordered; those of the outer levels too
	fill      influxql.FillOption
	ascending bool
	cond      influxql.Expr
	fields    []*influxql.Field // with those that top and bottom add
	ties      int               // how many columns x0, x1, … order points of one time
	instants  bool              // t is a time as it is stored, not a number
}

// bounds is a range of time in nanoseconds, both ends included. influxql.MinTime and
// influxql.MaxTime mean that there is no bound.
type bounds struct{ low, high int64 }

func (b bounds) intersect(o bounds) bounds { return bounds{max(b.low, o.low), min(b.high, o.high)} }

// newLevel makes the level of a checked and typed statement.
func (c *compiler) newLevel(stmt *influxql.SelectStatement, outer *level, l leaf) *level {
	n := &level{c: c, stmt: stmt, outer: outer, leaf: l, fill: stmt.Fill, ascending: stmt.TimeAscending()}
	cond, at, _ := c.where(stmt)
	n.cond = cond
	n.bounds = bounds{at.MinTimeNano(), at.MaxTimeNano()}
	n.interval, _ = intervalOf(stmt, c.env.Now)
	if n.interval.width != 0 && n.bounds.high == influxql.MaxTime {
		n.bounds.high = schema.Nanoseconds(c.env.Now)
	}
	for _, d := range stmt.Dimensions {
		if ref, ok := d.Expr.(*influxql.VarRef); ok {
			n.dims = append(n.dims, ref.Val)
		}
	}
	n.fields = expandedFields(stmt)
	if outer != nil {
		n.inherit(outer)
	}
	slices.Sort(n.dims)
	n.dims = slices.Compact(n.dims)
	return n
}

// inherit takes from the outer level what a subquery does not say itself.
func (n *level) inherit(outer *level) {
	n.bounds = n.bounds.intersect(outer.bounds)
	if n.interval.width == 0 {
		zone := n.interval.zone
		n.interval = outer.interval
		if zone != nil {
			n.interval.zone = zone
		}
	}
	n.dims = append(n.dims, outer.dims...)
	if n.fill == influxql.NullFill && n.hasCalls() {
		n.fill = influxql.NoFill // the outer level ignores nulls
	}
	n.ascending = outer.ascending
}

// expandedFields lists the fields of a statement and behind each top and bottom the tags and fields
// in its arguments.
func expandedFields(stmt *influxql.SelectStatement) []*influxql.Field {
	var all []*influxql.Field
	for _, f := range stmt.Fields {
		all = append(all, f)
		if call, ok := f.Expr.(*influxql.Call); ok && (call.Name == "top" || call.Name == "bottom") {
			for _, arg := range call.Args[1 : len(call.Args)-1] {
				all = append(all, &influxql.Field{Expr: arg})
			}
		}
	}
	return all
}

// typeOf is the type of a field of the typed statement: that of what expression writes, as the
// library takes the quotient of integers for an integer.
func (n *level) typeOf(f *influxql.Field) influxql.DataType {
	v, err := expression(f.Expr, typesOnly{})
	if err != nil {
		return influxql.Unknown
	}
	return v.typ
}

// typesOnly resolves names and calls to their types.
type typesOnly struct{}

func (typesOnly) ref(ref *influxql.VarRef) value { return value{"NULL", ref.Type} }

func (typesOnly) dividesWhole() bool { return false }

func (typesOnly) call(call *influxql.Call) value {
	return value{"NULL", influxql.EvalType(call, nil, callTypes{})}
}

// calls lists the different calls in the fields but for those of math, as they stand outermost.
func (n *level) calls() []*influxql.Call {
	var all callSet
	for _, f := range n.fields {
		all.addOutermost(f.Expr)
	}
	return all.list
}

// callSet keeps calls in the order in which they first come.
type callSet struct {
	list []*influxql.Call
	seen map[string]bool // by text
}

func (s *callSet) addOutermost(e influxql.Expr) {
	switch e := e.(type) {
	case *influxql.ParenExpr:
		s.addOutermost(e.Expr)
	case *influxql.BinaryExpr:
		s.addOutermost(e.LHS)
		s.addOutermost(e.RHS)
	case *influxql.Call:
		if isMath(e) {
			for _, arg := range e.Args {
				s.addOutermost(arg)
			}
			return
		}
		if text := e.String(); !s.seen[text] {
			if s.seen == nil {
				s.seen = make(map[string]bool)
			}
			s.seen[text] = true
			s.list = append(s.list, e)
		}
	}
}

func (n *level) hasCalls() bool { return len(n.calls()) > 0 }

// refs lists the different names that stand outside of calls.
func (n *level) refs() *refSet {
	found := &refSet{}
	for _, f := range n.fields {
		found.addOutside(f.Expr)
	}
	return found
}

// refSet numbers the columns that a level reads of its sources: r0, r1, ….
type refSet struct{ list []*influxql.VarRef }

// add returns the number of a column.
func (s *refSet) add(ref *influxql.VarRef) int {
	i := slices.IndexFunc(s.list, func(r *influxql.VarRef) bool { return r.Val == ref.Val && r.Type == ref.Type })
	if i < 0 {
		s.list = append(s.list, ref)
		i = len(s.list) - 1
	}
	return i
}

func (s *refSet) addOutside(e influxql.Expr) {
	switch e := e.(type) {
	case *influxql.ParenExpr:
		s.addOutside(e.Expr)
	case *influxql.BinaryExpr:
		s.addOutside(e.LHS)
		s.addOutside(e.RHS)
	case *influxql.VarRef:
		s.add(e)
	case *influxql.Call:
		if isMath(e) {
			for _, arg := range e.Args {
				s.addOutside(arg)
			}
		}
	}
}

// series are the columns that name a series.
func (n *level) series() []string { return numbered("g", len(n.dims)) }

// order are the items of ORDER BY for rows of a series, by time and then by what else tells
// points apart.
func (n *level) order() []string { return append([]string{n.by("t")}, numbered("x", n.ties)...) }

// by is a column in the order of the statement.
func (n *level) by(column string) string {
	if n.ascending {
		return column
	}
	return column + " DESC"
}

// relation is the SELECT of a level; "" if it can have no rows.
type relation struct {
	sql  string
	ties []string // columns that order rows of one series and time
}

// relation writes the level with its limits.
func (n *level) relation() (relation, error) {
	var r relation
	var err error
	if n.hasCalls() {
		r, err = n.computed()
	} else {
		r, err = n.raw()
	}
	if err != nil || r.sql == "" {
		return relation{}, err
	}
	if r, err = n.limitRows(r), nil; n.stmt.SLimit > 0 || n.stmt.SOffset > 0 {
		r = n.limitSeries(r)
	}
	return r, err
}

// limitRows applies LIMIT and OFFSET, which are for each series.
func (n *level) limitRows(r relation) relation {
	limit, offset := n.stmt.Limit, n.stmt.Offset
	if limit == 0 && offset == 0 {
		return r
	}
	order := append([]string{n.by("t")}, r.ties...)
	if len(n.dims) == 0 {
		r.sql += " ORDER BY " + list(order) + " LIMIT "
		if limit == 0 {
			limit = 1<<63 - 1
		}
		r.sql += strconv.Itoa(limit) + " OFFSET " + strconv.Itoa(offset)
		return r
	}
	within := fmt.Sprintf("n > %d", offset)
	if limit > 0 {
		within += fmt.Sprintf(" AND n <= %d", offset+limit)
	}
	all := n.columns(r)
	r.sql = fmt.Sprintf("SELECT %s FROM (SELECT %s, row_number() %s AS n FROM (%s)) WHERE %s",
		all, all, over(n.series(), order), r.sql, within)
	return r
}

// limitSeries applies SLIMIT and SOFFSET to the series that have rows.
func (n *level) limitSeries(r relation) relation {
	if len(n.dims) == 0 {
		if n.stmt.SOffset > 0 {
			r.sql = "SELECT " + n.columns(r) + " FROM (" + r.sql + ") WHERE false"
		}
		return r
	}
	within := fmt.Sprintf("n > %d", n.stmt.SOffset)
	if n.stmt.SLimit > 0 {
		within += fmt.Sprintf(" AND n <= %d", n.stmt.SOffset+n.stmt.SLimit)
	}
	all := n.columns(r)
	r.sql = fmt.Sprintf("SELECT %s FROM (SELECT %s, dense_rank() %s AS n FROM (%s)) WHERE %s",
		all, all, over(nil, n.series()), r.sql, within)
	return r
}

// columns lists all columns of the level's relation. No star stands in any SQL that is written
// here: the scans would read every column of a table.
func (n *level) columns(r relation) string {
	return list([]string{"t"}, n.series(), numbered("o", len(n.fields)), r.ties)
}

// step writes the whole statement: the level in the columns, types and order of the plan.
func (n *level) step() (string, error) {
	r, err := n.relation()
	if err != nil || r.sql == "" {
		return "", err
	}
	at := "make_timestamp_ns(t)"
	if n.instants {
		at = "t"
	}
	items := []string{at + " AS time"}
	items = append(items, n.series()...)
	for i, f := range n.fields {
		column, t := "o"+strconv.Itoa(i), n.typeOf(f)
		if columnTypeOf(t) == schema.Float64 {
			column = fmt.Sprintf("CASE WHEN isnan(%s) THEN NULL ELSE %s END AS %s", column, column, column)
		}
		items = append(items, column)
	}
	order := make([]string, 0, len(n.dims)+2)
	for _, g := range n.series() {
		order = append(order, n.by(g))
	}
	order = append(append(order, n.by("t")), r.ties...)
	return "SELECT " + strings.Join(items, ", ") + " FROM (" + r.sql + ") ORDER BY " + list(order), nil
}

// outputs writes the fields of the level as o0, o1, …, in the types of the plan.
func (n *level) outputs(in resolver) ([]string, error) {
	items := make([]string, len(n.fields))
	for i, f := range n.fields {
		v, err := expression(f.Expr, in)
		if err != nil {
			return nil, err
		}
		t := n.typeOf(f)
		sql := v.sql
		switch {
		case v.typ == influxql.Unknown:
			sql = "NULL"
		case t != influxql.Unknown:
			sql = v.as(t)
		}
		items[i] = "(" + sql + ")::" + sqlTypeOf(t) + " AS o" + strconv.Itoa(i)
	}
	return items, nil
}
