package influxql

import (
	"fmt"
	"strconv"

	"github.com/influxdata/influxql"
)

// raw writes a level without functions: the points that have at least one of the fields. Under a
// LIMIT it takes their times as they are stored, so that DuckDB leaves out what the LIMIT cannot
// reach; to sort all rows by numbers is quicker.
func (n *level) raw() (relation, error) {
	refs := n.refs()
	typed := false
	var present []int
	for i, ref := range refs.list {
		typed = typed || ref.Type != influxql.Unknown
		present = append(present, i)
	}
	if !typed {
		return relation{}, nil
	}
	n.instants = n.stmt.Limit > 0 && n.outer == nil && !n.readsSubquery()
	sql, err := n.points(refs, n.bounds, present, true)
	if err != nil || sql == "" {
		return relation{}, err
	}
	if m := n.candidates(refs); m > 0 {
		sql = fmt.Sprintf("SELECT t, %s FROM (%s) WHERE t IN (SELECT t FROM (%s) ORDER BY %s LIMIT %d)",
			list(numbered("r", len(refs.list)), numbered("x", n.ties)), sql, sql, n.by("t"), m)
	}
	ties := numbered("x", n.ties)
	in := columns{refs: refs, filled: n.rawFill(refs), missing: n.missing()}
	outputs, err := n.outputs(in)
	if err != nil {
		return relation{}, err
	}
	items := list([]string{"t"}, n.series(), outputs, ties)
	return relation{sql: "SELECT " + items + " FROM (" + sql + ")", ties: ties}, nil
}

// Bounds of what is read twice: rows that a LIMIT keeps, and columns.
const (
	maxCandidates       = 1 << 12
	maxCandidateColumns = 2
)

// candidates is how many rows from an end of time tell the times that a LIMIT keeps, or 0 where
// to know them does not help. DuckDB leaves out what a LIMIT cannot reach only where
// the order is by time alone. So these times are found first, and only points of them are
// ordered by their tags too.
func (n *level) candidates(refs *refSet) int {
	limit, offset := n.stmt.Limit, n.stmt.Offset
	if !n.instants || n.ties == 0 || len(n.dims) > 0 || n.fill == influxql.PreviousFill || len(refs.list) > maxCandidateColumns {
		return 0
	}
	if limit <= 0 || limit > maxCandidates || offset > maxCandidates {
		return 0
	}
	return limit + offset
}

// rawFill says what fill() makes of the columns of points, which InfluxDB heeds for them too.
func (n *level) rawFill(refs *refSet) func(i int) string {
	switch n.fill {
	case influxql.NumberFill:
		return func(i int) string {
			column := "r" + strconv.Itoa(i)
			if number, ok := n.fillNumber(refs.list[i].Type); ok {
				return "coalesce(" + column + ", " + number + ")"
			}
			return column
		}
	case influxql.PreviousFill:
		return func(i int) string {
			return lastKnown("r"+strconv.Itoa(i), n.series(), n.order())
		}
	}
	return func(i int) string { return "r" + strconv.Itoa(i) }
}

// fillNumber writes the number of fill() in a type; ok is false for a type that has none.
func (n *level) fillNumber(t influxql.DataType) (sql string, ok bool) {
	var number float64
	switch v := n.stmt.FillValue.(type) {
	case int:
		number = float64(v)
		if t == influxql.Integer {
			return intText(int64(v)), true
		}
	case int64:
		number = float64(v)
		if t == influxql.Integer {
			return intText(v), true
		}
	case float64:
		number = v
	}
	switch t {
	case influxql.Float:
		return floatText(number), true
	case influxql.Integer:
		return intText(int64(number)), true
	case influxql.Unsigned:
		return strconv.FormatUint(uint64(max(number, 0)), 10) + "::UBIGINT", true
	}
	return "", false
}

// columns resolves names and calls to the columns that earlier stages made of them.
type columns struct {
	refs   *refSet
	filled func(i int) string // the column of a name; nil for r0, …
	calls  map[string]int     // the numbers of v0, … by the text of the call, of those that have points
	// missing is the value of what does not exist.
	missing value
}

// missing is what fill() makes of a name or a call that has no points beside others that have.
func (n *level) missing() value {
	if number, ok := n.fillNumber(influxql.Float); ok && n.fill == influxql.NumberFill {
		return value{number, influxql.Float}
	}
	return null
}

func (c columns) ref(ref *influxql.VarRef) value {
	i := c.refs.add(ref)
	sql := "r" + strconv.Itoa(i)
	if c.filled != nil {
		sql = c.filled(i)
	}
	if ref.Type == influxql.Unknown || ref.Type == influxql.AnyField {
		return c.missing
	}
	return value{sql, ref.Type}
}

func (c columns) call(call *influxql.Call) value {
	i, ok := c.calls[call.String()]
	t := influxql.EvalType(call, nil, callTypes{})
	switch {
	case ok:
		return value{"v" + strconv.Itoa(i), t}
	case t == influxql.Unknown:
		return null // as first() of what does not exist is, whatever fill() says
	}
	return c.missing
}

func (c columns) dividesWhole() bool { return false }
