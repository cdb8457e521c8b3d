package influxql

import (
	"slices"
	"strconv"
	"strings"

	"github.com/influxdata/influxql"
)

// stream is what one or some calls yield: t, g0, … and a column v for each of its calls.
type stream struct {
	sql   string
	calls []int // the numbers of the calls, whose columns are v0, v1, …
	ties  []string
	// repeats says that a series may have several points of one time.
	repeats bool
}

// computed writes a level with functions.
func (n *level) computed() (relation, error) {
	calls, refs := n.calls(), n.refs()
	absent := make([]bool, len(calls))
	in := columns{refs: refs, calls: make(map[string]int, len(calls)), missing: n.missing()}
	for i, call := range calls {
		var err error
		if absent[i], err = n.isAbsent(call); err != nil {
			return relation{}, err
		}
		if !absent[i] {
			in.calls[call.String()] = i
		}
	}
	if len(in.calls) == 0 {
		return relation{}, nil
	}
	s, err := n.joined(calls, refs, absent)
	if err != nil || s.sql == "" {
		return relation{}, err
	}
	outputs, err := n.outputs(in)
	if err != nil {
		return relation{}, err
	}
	items := list([]string{"t"}, n.series(), outputs, s.ties)
	return relation{sql: "SELECT " + items + " FROM (" + s.sql + ")", ties: s.ties}, nil
}

// joined writes all calls of the level as one stream, with the columns of refs.
func (n *level) joined(calls []*influxql.Call, refs *refSet, absent []bool) (stream, error) {
	if len(calls) == 1 {
		switch name := calls[0].Name; {
		case name == "top" || name == "bottom":
			return n.ranked(calls[0], refs)
		case name == "sample":
			return n.sampled(calls[0], refs)
		case influxql.IsSelector(calls[0]) && (n.interval.width == 0 || len(refs.list) > 0):
			return n.selected(calls[0], refs)
		}
	}
	var streams []stream
	var simple []int
	for i, call := range calls {
		if absent[i] {
			continue
		}
		if isAggregate(call) {
			simple = append(simple, i)
			continue
		}
		s, err := n.callStream(call, i, n.bounds)
		if err != nil {
			return stream{}, err
		}
		streams = append(streams, s)
	}
	if len(simple) > 0 {
		s, err := n.aggregated(calls, simple, n.bounds)
		if err != nil {
			return stream{}, err
		}
		streams = append(streams, s)
	}
	streams = slices.DeleteFunc(streams, func(s stream) bool { return s.sql == "" })
	switch len(streams) {
	case 0:
		return stream{}, nil
	case 1:
		return n.complete(streams[0], calls), nil
	}
	return n.merge(streams, calls), nil
}

// complete adds nulls for the calls that a stream lacks.
func (n *level) complete(s stream, calls []*influxql.Call) stream {
	if len(s.calls) < len(calls) {
		s.sql = "SELECT " + list([]string{"t"}, n.series(), n.values(s, calls), s.ties) + " FROM (" + s.sql + ")"
	}
	return s
}

// values lists the columns of all calls, null where a stream does not have them.
func (n *level) values(s stream, calls []*influxql.Call) []string {
	items := make([]string, len(calls))
	for i, call := range calls {
		items[i] = "v" + strconv.Itoa(i)
		if !slices.Contains(s.calls, i) {
			items[i] = "NULL::" + sqlTypeOf(influxql.EvalType(call, nil, callTypes{})) + " AS " + items[i]
		}
	}
	return items
}

// merge makes one row of the points of several streams that have the same series and time: a
// grouping of all, which takes whatever times each of them has.
func (n *level) merge(streams []stream, calls []*influxql.Call) stream {
	repeats := slices.ContainsFunc(streams, func(s stream) bool { return s.repeats })
	keys := append([]string{"t"}, n.series()...)
	var parts []string
	for _, s := range streams {
		items := append(slices.Clone(keys), n.values(s, calls)...)
		if repeats {
			items = append(items, "row_number() "+over(keys, s.ties)+" AS x0")
		}
		parts = append(parts, "SELECT "+list(items)+" FROM ("+s.sql+")")
	}
	merged := stream{repeats: repeats}
	if repeats {
		keys = append(keys, "x0")
		merged.ties = []string{"x0"}
	}
	items := slices.Clone(keys)
	for i := range calls {
		merged.calls = append(merged.calls, i)
		v := "v" + strconv.Itoa(i)
		items = append(items, "any_value("+v+") AS "+v)
	}
	merged.sql = "SELECT " + list(items) + " FROM (" + strings.Join(parts, " UNION ALL ") + ") GROUP BY " + list(keys)
	return n.fillMissing(merged, calls)
}

// fillMissing gives a call the value of fill() in rows that only other calls have.
func (n *level) fillMissing(s stream, calls []*influxql.Call) stream {
	items := append([]string{"t"}, n.series()...)
	changed := false
	for i, call := range calls {
		v := "v" + strconv.Itoa(i)
		switch n.fill {
		case influxql.NumberFill:
			if number, ok := n.fillNumber(influxql.EvalType(call, nil, callTypes{})); ok {
				v, changed = "coalesce("+v+", "+number+") AS "+v, true
			}
		case influxql.PreviousFill:
			order := append([]string{n.by("t")}, s.ties...)
			v, changed = lastKnown(v, n.series(), order)+" AS "+v, true
		}
		items = append(items, v)
	}
	if changed {
		s.sql = "SELECT " + list(items, s.ties) + " FROM (" + s.sql + ")"
	}
	return s
}

// field is the name whose points a call works on, however deeply calls are nested.
func field(call *influxql.Call) *influxql.VarRef {
	for {
		switch arg := call.Args[0].(type) {
		case *influxql.VarRef:
			return arg
		case *influxql.Call:
			call = arg
		default:
			return nil
		}
	}
}

// isAbsent reports whether a call has no points whatever the rows are, because its field does not
// exist or is a tag of a measurement.
func (n *level) isAbsent(call *influxql.Call) (bool, error) {
	ref := field(call)
	if ref == nil {
		return false, refuse("expected field argument in %s()", call.Name)
	}
	if ref.Type == influxql.Unknown || ref.Type == influxql.AnyField {
		return true, nil
	}
	if ref.Type == influxql.Tag && !n.readsSubquery() {
		return true, nil
	}
	return false, checkArgument(call, ref.Type)
}

func (n *level) readsSubquery() bool {
	return slices.ContainsFunc(n.stmt.Sources, func(s influxql.Source) bool {
		_, ok := s.(*influxql.SubQuery)
		return ok && touches(s, n.leaf)
	})
}

// checkArgument refuses fields of a type that a function does not take.
func checkArgument(call *influxql.Call, t influxql.DataType) error {
	if inner, ok := call.Args[0].(*influxql.Call); ok {
		if err := checkArgument(inner, t); err != nil {
			return err
		}
		t = influxql.EvalType(inner, nil, callTypes{})
	}
	switch call.Name {
	case "count", "first", "last", "distinct", "sample", "elapsed", "mode":
		return nil
	case "min", "max":
		if t == influxql.Boolean {
			return nil
		}
	}
	if isNumber(t) || t == influxql.Unknown {
		return nil
	}
	kind := "string"
	if t == influxql.Boolean {
		kind = "boolean"
	}
	function, iterator := functionOf(call), "Interrupt"
	if (call.Name == "top" || call.Name == "bottom") && len(call.Args) > 2 {
		// The greatest or least of each tag is taken first, which booleans have.
		if t == influxql.Boolean {
			iterator = "ReduceBoolean"
		} else {
			function = map[string]string{"top": "max", "bottom": "min"}[call.Name]
		}
	}
	return refuse("unsupported %s iterator type: *query.%s%sIterator", function, kind, iterator)
}

// functionOf is what InfluxDB calls a function in errors.
func functionOf(call *influxql.Call) string {
	switch call.Name {
	case "non_negative_derivative":
		return "derivative"
	case "non_negative_difference":
		return "difference"
	case "moving_average":
		return "moving average"
	case "cumulative_sum":
		return "cumulative sum"
	}
	return call.Name
}

// callStream writes one call as stream of the column v<number>.
func (n *level) callStream(call *influxql.Call, number int, within bounds) (stream, error) {
	switch {
	case slices.Contains(transformations, call.Name):
		return n.transformed(call, number, within)
	case call.Name == "distinct":
		return n.distinct(call, number, within)
	case call.Name == "mode":
		return n.mode(call, number, within)
	case call.Name == "integral":
		return n.integral(call, number, within)
	case call.Name == "sample":
		return n.samples(call, number, &refSet{}, within)
	case call.Name == "top" || call.Name == "bottom":
		return stream{}, refuse("the function %s() inside of another function is not supported", call.Name)
	}
	calls := make([]*influxql.Call, number+1)
	calls[number] = call
	return n.aggregated(calls, []int{number}, within)
}
