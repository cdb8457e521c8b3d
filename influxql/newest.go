package influxql

import (
	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/schema"
)

// Newest says that the newest point of each series of the measurement, which the engine keeps, is all
// that a step's answer depends on, if these have values: all of the fields Complete, and one at
// least of AnyOf where that is not empty.
type Newest struct{ Complete, AnyOf []string }

// newest returns whether the level needs newest points only, nil where it does not: it must ask for
// the last values of fields, or for the last point of its series, and its WHERE clause for tags and
// the beginning of time.
func (n *level) newest() *Newest {
	table := n.c.table(&influxql.Measurement{Database: n.leaf.database, Name: n.leaf.name})
	if table == nil || n.interval.width != 0 || n.bounds.high != influxql.MaxTime {
		return nil
	}
	for _, s := range n.stmt.Sources {
		if _, ok := s.(*influxql.Measurement); !ok {
			return nil
		}
	}
	typeOf := func(ref *influxql.VarRef) schema.ColumnType {
		c, _ := table.Column(ref.Val)
		return c.Type
	}
	isOfTags := true
	influxql.WalkFunc(n.cond, func(e influxql.Node) {
		switch e := e.(type) {
		case *influxql.VarRef:
			isOfTags = isOfTags && typeOf(e) == schema.Tag
		case *influxql.Call:
			isOfTags = false
		}
	})
	if !isOfTags {
		return nil
	}
	found, calls, others := &Newest{}, 0, 0
	for _, f := range n.stmt.Fields {
		influxql.WalkFunc(f.Expr, func(e influxql.Node) {
			switch e := e.(type) {
			case *influxql.VarRef:
				if t := typeOf(e); t != schema.Tag && t != 0 {
					found.AnyOf = append(found.AnyOf, e.Val)
				}
			case *influxql.Call:
				calls++
				if name, ok := lastOf(e); ok {
					found.Complete = append(found.Complete, name)
				} else {
					others++
				}
			case *influxql.Distinct:
				others++
			}
		})
	}
	if others > 0 || calls == 0 && (n.stmt.TimeAscending() || n.stmt.Limit != 1 || n.stmt.Offset != 0 || len(found.AnyOf) == 0) {
		return nil
	}
	if calls > 0 {
		found.AnyOf = nil
	}
	return found
}

// lastOf returns the field of a call last(field).
func lastOf(call *influxql.Call) (field string, ok bool) {
	if call.Name != "last" || len(call.Args) != 1 {
		return "", false
	}
	ref, ok := call.Args[0].(*influxql.VarRef)
	if !ok {
		return "", false
	}
	return ref.Val, true
}
