package transfer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// Lines writes rows of Arrow records as line protocol.
type Lines struct {
	measurement []byte
	columns     []lineColumn // tags in front
	timeIndex   int
	precision   lineprotocol.Precision

	time     instants
	timeless arrow.Array // the column of the time, which may be null
}

// lineColumn is a tag or field on its way to text.
type lineColumn struct {
	Column
	index  int // in the records
	prefix []byte
	cells
	last, written string // a tag's value and what was written for it: neighbours are alike
}

// errNoTime is for tables without a column for it.
var errNoTime = errors.New("no column holds the time")

// NewLines prepares to write a table, whose columns are those of the records. Times that are
// integers are in units of precision. The error is for names that line protocol cannot say.
func NewLines(table Table, precision lineprotocol.Precision) (*Lines, error) {
	if err := checkTable(table.Name); err != nil {
		return nil, err
	}
	l := &Lines{measurement: lineprotocol.AppendMeasurement(nil, table.Name), timeIndex: -1, precision: precision}
	for i, c := range table.Columns {
		if c.Type == 0 {
			l.timeIndex = i
			continue
		}
		if err := checkName("the column's name", c.Name); err != nil {
			return nil, err
		}
		prefix := append(lineprotocol.AppendKey([]byte{','}, c.Name), '=')
		l.columns = append(l.columns, lineColumn{Column: c, index: i, prefix: prefix})
	}
	if l.timeIndex < 0 {
		return nil, errNoTime
	}
	slices.SortStableFunc(l.columns, func(a, b lineColumn) int { return rank(a.Type) - rank(b.Type) })
	return l, nil
}

// rank puts tags in front of fields.
func rank(t schema.ColumnType) int {
	if t == schema.Tag {
		return 0
	}
	return 1
}

// Read turns to the next record. The error is for a column whose type does not fit.
func (l *Lines) Read(batch arrow.RecordBatch) (err error) {
	l.timeless = batch.Column(l.timeIndex)
	if l.time, err = readInstants(l.timeless, l.precision); err != nil {
		return fmt.Errorf("column %q: %w", batch.ColumnName(l.timeIndex), err)
	}
	for i := range l.columns {
		c := &l.columns[i]
		if c.cells, err = readCells(batch.Column(c.index), c.Type); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	return nil
}

// Append writes a row of the record. On an error, which is for this row, what it has written
// is of no use.
func (l *Lines) Append(dst []byte, row int) ([]byte, error) {
	dst = append(dst, l.measurement...)
	fields := false
	var err error
	for i := range l.columns {
		c := &l.columns[i]
		if c.column.IsNull(row) {
			continue
		}
		if c.Type == schema.Tag {
			if dst, err = c.appendTag(dst, row); err != nil {
				return dst, err
			}
			continue
		}
		begin := len(dst)
		if dst, err = c.appendValue(append(dst, c.prefix...), row); err != nil {
			return dst, fmt.Errorf("column %q: %w", c.Name, err)
		}
		if !fields {
			dst[begin], fields = ' ', true // instead of the comma
		}
	}
	if !fields {
		return dst, errNoField
	}
	return l.appendTime(dst, row)
}

// errNoField is for rows that line protocol cannot say.
var errNoField = errors.New("no field has a value in this row, and line protocol needs one")

func (l *Lines) appendTime(dst []byte, row int) ([]byte, error) {
	if l.timeless.IsNull(row) {
		return dst, errors.New("the row has no time")
	}
	ns, err := l.time(row)
	return append(strconv.AppendInt(append(dst, ' '), ns, 10), '\n'), err
}

func (c *lineColumn) appendTag(dst []byte, row int) ([]byte, error) {
	value := c.text(row)
	if value == "" { // as InfluxDB has it, that is no tag
		return dst, nil
	}
	if value == c.last {
		return append(dst, c.written...), nil
	}
	if err := checkName(fmt.Sprintf("the value of tag %q", c.Name), value); err != nil {
		return dst, err
	}
	begin := len(dst)
	dst = lineprotocol.AppendKey(append(dst, c.prefix...), value)
	c.last, c.written = strings.Clone(value), string(dst[begin:])
	return dst, nil
}
