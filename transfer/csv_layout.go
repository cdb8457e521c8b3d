package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// role is what a column of CSV is in a line.
type role uint8

const (
	ignored role = iota
	measurement
	tag
	field
	instant
	fieldName  // the value is the name of a field,
	fieldValue // and this is its value: what Flux calls _field and _value
)

// csvColumn is one column of CSV.
type csvColumn struct {
	role   role
	name   string
	prefix []byte            // of a tag or field
	typ    schema.ColumnType // of a field; 0 is found by the value
	layout string            // of an instant, as package time has it; empty is found by the value
	value  string            // of an empty field
	units  lineprotocol.Precision
}

// csvLayout is what the columns of a table in CSV are.
type csvLayout struct {
	columns []csvColumn // in the order of a line: tags in front of fields
	order   []int       // the index of each in a record
	width   int
	table   []byte // the measurement where no column has it
	header  []string
}

// csvAnnotations are the rows before a header that begin with #.
type csvAnnotations struct {
	types    []string
	group    []string
	defaults []string
}

// add takes a record that is an annotation. One that would change what values mean, and is
// not known, is an error.
func (a *csvAnnotations) add(cells []csvCell) error {
	name, first, _ := strings.Cut(string(cells[0].text), " ")
	values := make([]string, len(cells))
	for i, c := range cells {
		values[i] = strings.TrimSpace(string(c.text))
	}
	values[0] = strings.TrimSpace(first)
	switch name {
	case "#datatype":
		a.types = values
	case "#group":
		a.group = values
	case "#default":
		a.defaults = values
	case "#constant", "#timezone", "#concat":
		return fmt.Errorf("the annotation %s is not supported; #datatype, #group and #default are", name)
	}
	return nil // a comment
}

func at(values []string, i int) string {
	if i < len(values) {
		return values[i]
	}
	return ""
}

// layout makes sense of a header below the annotations.
func (a *csvAnnotations) layout(cells []csvCell, o Options) (*csvLayout, error) {
	l := &csvLayout{width: len(cells)}
	for _, c := range cells {
		l.header = append(l.header, string(c.text))
	}
	if err := l.checkHeader(); err != nil {
		return nil, err
	}
	flux := slices.Contains(l.header, "_measurement") || slices.Contains(l.header, "_field")
	for i, name := range l.header {
		c, err := a.column(i, name, flux, o)
		if err != nil {
			return nil, fmt.Errorf("column %d, %q: %w", i+1, name, err)
		}
		if c.role == tag || c.role == field {
			if err := checkName("the column's name", name); err != nil {
				return nil, fmt.Errorf("column %d: %w", i+1, err)
			}
			c.prefix = append(lineprotocol.AppendKey([]byte{','}, name), '=')
		}
		if c.role != ignored {
			l.columns, l.order = append(l.columns, c), append(l.order, i)
		}
	}
	if err := l.complete(a, o); err != nil {
		return nil, err
	}
	l.sort()
	return l, nil
}

// checkHeader finds what a failed query of Flux leaves in place of rows.
func (l *csvLayout) checkHeader() error {
	if slices.Contains(l.header, "error") && slices.Contains(l.header, "reference") {
		return errors.New("the file holds the error of a query, not its rows")
	}
	return nil
}

// column is what the column i is, by its annotations or by the options.
func (a *csvAnnotations) column(i int, name string, flux bool, o Options) (csvColumn, error) {
	c := csvColumn{name: name, value: at(a.defaults, i), units: o.Precision}
	if a.types == nil {
		a.plainColumn(&c, o)
		return c, nil
	}
	if flux && a.fluxColumn(&c, i) {
		return c, nil
	}
	kind, format, _ := strings.Cut(at(a.types, i), ":")
	switch kind {
	case "measurement":
		c.role = measurement
	case "tag":
		c.role = tag
	case "ignored", "ignore":
	case "dateTime", "time":
		c.role = instant
		return c, c.setFormat(format)
	case "field":
		c.role = field
	case "":
		if name != "" {
			c.role = field
		}
	default:
		t, err := ParseType(kind)
		if err != nil || format != "" {
			return c, fmt.Errorf("the type %q is not supported", at(a.types, i))
		}
		c.role, c.typ = field, t
	}
	if flux && at(a.group, i) == "true" {
		c.role = tag
	}
	return c, nil
}

// fluxColumn knows the columns that the answers of Flux have.
func (a *csvAnnotations) fluxColumn(c *csvColumn, i int) bool {
	switch c.name {
	case "_measurement":
		c.role = measurement
	case "_field":
		c.role = fieldName
	case "_value":
		c.role = fieldValue
		c.typ = typeNames[at(a.types, i)]
	case "_time":
		c.role = instant
	case "", "result", "table", "_start", "_stop":
	default:
		if at(a.types, i) != "string" || (a.group != nil && at(a.group, i) != "true") {
			return false
		}
		c.role = tag
	}
	return true
}

// plainColumn goes by the options: there are no annotations.
func (a *csvAnnotations) plainColumn(c *csvColumn, o Options) {
	switch {
	case c.name == o.timeColumn():
		c.role = instant
	case slices.Contains(o.TagColumns, c.name) || o.Types[c.name] == schema.Tag:
		c.role = tag
	default:
		c.role, c.typ = field, o.Types[c.name]
	}
}

// setFormat understands what is behind dateTime: in a type.
func (c *csvColumn) setFormat(format string) error {
	switch format {
	case "":
	case "number":
		c.units = lineprotocol.Nanosecond
	case "RFC3339":
		c.layout = time.RFC3339
	case "RFC3339Nano":
		c.layout = time.RFC3339Nano
	default:
		if !strings.Contains(format, "2006") {
			return fmt.Errorf("the format of time %q is not supported", format)
		}
		c.layout = format
	}
	return nil
}

// complete finds what is missing for a line.
func (l *csvLayout) complete(a *csvAnnotations, o Options) error {
	has := func(r role) int {
		n := 0
		for _, c := range l.columns {
			if c.role == r {
				n++
			}
		}
		return n
	}
	switch {
	case has(instant) != 1:
		return fmt.Errorf("one column must hold the time, and %d do; say with --time-column which: %s", has(instant), strings.Join(l.header, ", "))
	case has(field) == 0 && (has(fieldName) != 1 || has(fieldValue) != 1):
		return errors.New("no column is a field")
	case a.types == nil && o.TagColumns == nil && !o.NoTags:
		return fmt.Errorf("the file does not say which columns are tags; name them with --tag-columns, or say --no-tags: %s", strings.Join(l.header, ", "))
	}
	for _, name := range o.TagColumns {
		if a.types == nil && !slices.Contains(l.header, name) {
			return fmt.Errorf("there is no column %q; the columns are %s", name, strings.Join(l.header, ", "))
		}
	}
	if o.Table != "" {
		for i := range l.columns {
			if l.columns[i].role == measurement {
				l.columns[i].role = ignored
			}
		}
	} else if has(measurement) == 1 {
		return nil
	}
	if err := checkTable(o.Table); err != nil {
		return fmt.Errorf("%w; name the table with --table", err)
	}
	l.table = lineprotocol.AppendMeasurement(nil, o.Table)
	return nil
}

// sort brings the columns into the order in which a line has them.
func (l *csvLayout) sort() {
	place := map[role]int{measurement: 0, tag: 1, fieldName: 2, fieldValue: 3, field: 3, instant: 4}
	type both struct {
		column csvColumn
		index  int
	}
	var all []both
	for i, c := range l.columns {
		if c.role != ignored {
			all = append(all, both{c, l.order[i]})
		}
	}
	slices.SortStableFunc(all, func(a, b both) int { return place[a.column.role] - place[b.column.role] })
	l.columns, l.order = l.columns[:0], l.order[:0]
	for _, b := range all {
		l.columns, l.order = append(l.columns, b.column), append(l.order, b.index)
	}
}

// isHeader reports whether a record is the header once more: tables of Flux that follow each
// other have each their own.
func (l *csvLayout) isHeader(cells []csvCell) bool {
	return slices.EqualFunc(l.header, cells, func(name string, c csvCell) bool { return name == string(c.text) })
}

// isAnnotation reports whether a record is one.
func isAnnotation(cells []csvCell) bool {
	return !cells[0].quoted && bytes.HasPrefix(cells[0].text, []byte{'#'})
}
