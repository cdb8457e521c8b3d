package influxql

import (
	"regexp"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/schema"
)

// DeleteRows deletes rows of the database and retention policy that the request names. It changes
// nothing where there are none.
type DeleteRows struct {
	// Measurements and Matching say of which measurements; of all if both are empty.
	Measurements []string
	Matching     []*regexp.Regexp
	Time         schema.TimeRange
	Where        *schema.Predicate // nil: whatever the tags
}

func (*DeleteRows) command() {}

// HasMeasurement reports whether the rows of a measurement may be among them.
func (d *DeleteRows) HasMeasurement(name string) bool {
	for _, m := range d.Measurements {
		if m == name {
			return true
		}
	}
	for _, re := range d.Matching {
		if re.MatchString(name) {
			return true
		}
	}
	return len(d.Measurements)+len(d.Matching) == 0
}

// ErrFieldsInDeletion is what InfluxDB 1 says to a condition on a field.
var ErrFieldsInDeletion = refuse("fields not supported in WHERE clause during deletion")

// Invalid is a statement that cannot be done, and why.
type Invalid struct{ Err error }

func (*Invalid) command() {}

// deleteRows reads DELETE and DROP SERIES. The latter takes no time.
func deleteRows(sources influxql.Sources, where influxql.Expr, takesTime bool, now influxql.Valuer) Command {
	d := &DeleteRows{Time: schema.MaxTimeRange}
	for _, source := range sources {
		m, ok := source.(*influxql.Measurement)
		switch {
		case !ok:
			return &Invalid{refuse("rows are deleted of measurements, not of queries")}
		case m.Database != "" || m.RetentionPolicy != "":
			return &Invalid{refuse("a deletion names no database and no retention policy: the request does")}
		case m.Regex != nil:
			d.Matching = append(d.Matching, m.Regex.Val)
		default:
			d.Measurements = append(d.Measurements, m.Name)
		}
	}
	if where == nil {
		return d
	}
	if !takesTime && influxql.HasTimeExpr(where) {
		return &Invalid{refuse("DROP SERIES doesn't support time in WHERE clause")}
	}
	condition, times, err := influxql.ConditionExpr(where, now)
	if err != nil {
		return &Invalid{refuse("%s", err)}
	}
	if !times.IsZero() {
		d.Time = timesOf(times)
	}
	if condition == nil {
		return d
	}
	if d.Where, err = tagPredicate(condition, false); err == nil {
		err = d.Where.Validate()
	}
	if err != nil {
		return &Invalid{refuse("%s", err)}
	}
	return d
}

// timesOf turns bounds, of which each may be missing, into a range.
func timesOf(times influxql.TimeRange) schema.TimeRange {
	r := schema.MaxTimeRange
	if !times.Min.IsZero() {
		r.Min = schema.Nanoseconds(times.Min)
	}
	if !times.Max.IsZero() {
		r.Max = schema.Nanoseconds(times.Max)
	}
	return r
}

// tagPredicate turns a condition on tags into a predicate. With bareTexts a name on the right side is
// a text: InfluxDB 2 writes those in double quotes.
func tagPredicate(e influxql.Expr, bareTexts bool) (*schema.Predicate, error) {
	switch e := bare(e).(type) {
	case *influxql.BooleanLiteral:
		if e.Val {
			return &schema.Predicate{Op: schema.And}, nil
		}
		return &schema.Predicate{Op: schema.Or}, nil
	case *influxql.BinaryExpr:
		if e.Op == influxql.AND || e.Op == influxql.OR {
			return tagPredicates(e, bareTexts)
		}
		return comparedTag(e, bareTexts)
	default:
		return nil, refuse("%s is no comparison of a tag with a text", e)
	}
}

func tagPredicates(e *influxql.BinaryExpr, bareTexts bool) (*schema.Predicate, error) {
	p := &schema.Predicate{Op: schema.And}
	if e.Op == influxql.OR {
		p.Op = schema.Or
	}
	for _, operand := range chain(e, e.Op, nil) {
		a, err := tagPredicate(operand, bareTexts)
		if err != nil {
			return nil, err
		}
		p.Args = append(p.Args, a)
	}
	return p, nil
}

// predicateOps are the comparisons of tags.
var predicateOps = map[influxql.Token]schema.PredicateOp{
	influxql.EQ: schema.Equal, influxql.NEQ: schema.NotEqual, influxql.EQREGEX: schema.Match, influxql.NEQREGEX: schema.NoMatch,
}

func comparedTag(e *influxql.BinaryExpr, bareTexts bool) (*schema.Predicate, error) {
	left, right := bare(e.LHS), bare(e.RHS)
	if _, ok := left.(*influxql.VarRef); !ok && !bareTexts {
		left, right = right, left
	}
	tag, isTag := left.(*influxql.VarRef)
	op, isOp := predicateOps[e.Op]
	if !isTag || !isOp {
		return nil, refuse("%s is no comparison of a tag by =, !=, =~ or !~", e)
	}
	isRegex := op == schema.Match || op == schema.NoMatch
	switch v := right.(type) {
	case *influxql.StringLiteral:
		if !isRegex {
			return schema.Compare(tag.Val, op, v.Val)
		}
	case *influxql.VarRef:
		if bareTexts && !isRegex {
			return schema.Compare(tag.Val, op, v.Val)
		}
	case *influxql.RegexLiteral:
		if isRegex {
			return schema.Compare(tag.Val, op, v.Val.String())
		}
	}
	return nil, refuse("in %s a tag is compared with something that is no text", e)
}

// MeasurementTag is what InfluxDB 2 calls the measurement in a predicate.
const MeasurementTag = "_measurement"

// ParsePredicate reads the predicate of a deletion as InfluxDB 2 has it: comparisons of tags with
// texts in double quotes, joined by AND; besides OR, brackets and what InfluxQL has. Measurements are
// those that a comparison _measurement="m" names, nil for all. The errors are *StatementError.
func ParsePredicate(text string) (measurements []string, where *schema.Predicate, err error) {
	if err := checkText(text, nil); err != nil {
		return nil, nil, err
	}
	e, err := influxql.ParseExpr(text)
	if err != nil {
		return nil, nil, refuse("%s", err)
	}
	p, err := tagPredicate(e, true)
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		return nil, nil, refuse("%s", err)
	}
	return takeMeasurement(p)
}

// takeMeasurement takes the comparison with the measurement out of a predicate.
func takeMeasurement(p *schema.Predicate) (measurements []string, where *schema.Predicate, err error) {
	terms := []*schema.Predicate{p}
	if p.Op == schema.And {
		terms = p.Args
	}
	where = &schema.Predicate{Op: schema.And}
	for _, t := range terms {
		if t.Op == schema.Equal && t.Tag == MeasurementTag {
			if measurements != nil && measurements[0] != t.Text {
				return []string{}, where, nil // nothing is of two measurements
			}
			measurements = []string{t.Text}
			continue
		}
		for _, tag := range t.Tags() {
			if tag == MeasurementTag || tag == "_field" || isTime(tag) {
				return nil, nil, refuse("%s can only be compared with = and joined by AND, _field and time not at all", MeasurementTag)
			}
		}
		where.Args = append(where.Args, t)
	}
	if len(where.Args) == 0 {
		where = nil
	}
	return measurements, where, nil
}
