package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// InfluxCopy reads the rows of a source, a slice of time after the other.
type InfluxCopy struct {
	timeSlices

	from    Influx
	source  InfluxSource
	limits  Limits
	columns []lineColumn
	chunk   Chunk

	answer *influxAnswer // of the current slice, nil between two
	place  int           // rows read
	series []influxSeries
	value  int    // the next of series[0]
	prefix []byte // of the lines of series[0],
	unfit  error  // or why it has none
}

// Copy prepares to read the rows of a source that are in a range of time, and cuts the range
// to where there are rows.
func (f Influx) Copy(ctx context.Context, s InfluxSource, times schema.TimeRange, limits Limits) (*InfluxCopy, error) {
	if err := checkTable(s.Measurement); err != nil {
		return nil, err
	}
	c := &InfluxCopy{timeSlices: newTimeSlices(times), from: f, source: s, limits: limits}
	for _, field := range s.Fields {
		if err := checkName("the field's name", field.Name); err != nil {
			return nil, err
		}
		c.columns = append(c.columns, lineColumn{Column: field, prefix: append(lineprotocol.AppendKey([]byte{','}, field.Name), '=')})
	}
	if c.times.IsEmpty() {
		return c, nil
	}
	for _, order := range []string{"ASC", "DESC"} {
		ns, found, err := c.edge(ctx, order)
		switch {
		case err != nil:
			return nil, err
		case !found:
			c.times = schema.EmptyTimeRange
			return c, nil
		case order == "ASC":
			c.times.Min = ns
		default:
			c.times.Max = ns
		}
	}
	return c, nil
}

// where bounds a statement. InfluxQL takes instants as numbers.
func where(min, max int64) string {
	return " WHERE time >= " + strconv.FormatInt(min, 10) + " AND time <= " + strconv.FormatInt(max, 10)
}

// edge returns the time of the first or last row that is left.
func (c *InfluxCopy) edge(ctx context.Context, order string) (ns int64, found bool, err error) {
	rows, err := c.from.list(ctx, "SELECT *::field FROM "+c.source.from()+where(c.times.Min, c.times.Max)+" ORDER BY time "+order+" LIMIT 1")
	if err != nil || len(rows) == 0 {
		return 0, false, err
	}
	ns, err = strconv.ParseInt(rows[0][1], 10, 64)
	return ns, true, err
}

// Next returns the next chunk, or io.EOF. A chunk ends with its slice at the latest. Places
// are numbers of rows, in the order in which InfluxDB gives them.
func (c *InfluxCopy) Next(ctx context.Context) (*Chunk, error) {
	c.chunk.reset()
	for !c.limits.full(&c.chunk) {
		switch {
		case len(c.series) > 0:
			c.row()
			continue
		case c.answer != nil:
			if err := c.read(); err != nil {
				return nil, err
			}
			continue
		case c.chunk.Rows > 0:
			return &c.chunk, nil
		case c.end != 0: // the chunks of the slice have been taken
			err := c.done(func() (int64, bool, error) { return c.edge(ctx, "ASC") })
			if err != nil {
				return nil, err
			}
		}
		if c.times.IsEmpty() {
			return nil, io.EOF
		}
		if err := c.begin(ctx); err != nil {
			return nil, err
		}
	}
	return &c.chunk, nil
}

// Close ends a copy that is not at its end.
func (c *InfluxCopy) Close() {
	if c.answer != nil {
		_ = c.answer.body.Close() // what it would say is not asked for
	}
}

// begin asks for the next slice.
func (c *InfluxCopy) begin(ctx context.Context) error {
	slice := c.next()
	var fields []string
	for _, t := range c.columns {
		fields = append(fields, quoteInflux(t.Name)+"::"+influxTypeName(t.Type))
	}
	statement := "SELECT " + strings.Join(fields, ", ") + " FROM " + c.source.from() + where(slice.Min, slice.Max) + " GROUP BY *"
	body, err := c.from.Ask(ctx, statement, influxRows)
	if err != nil {
		return err
	}
	c.answer = newInfluxAnswer(body)
	return nil
}

// read takes the next document of the slice.
func (c *InfluxCopy) read() error {
	all, err := c.answer.next()
	if errors.Is(err, io.EOF) {
		err = c.answer.body.Close()
		c.answer = nil
		return err
	}
	if err != nil {
		return err
	}
	c.series = slices.DeleteFunc(all, func(s influxSeries) bool { return len(s.Values) == 0 })
	c.value = 0
	return nil
}

// row adds the next row of the series.
func (c *InfluxCopy) row() {
	s := &c.series[0]
	begin := len(c.chunk.Body)
	c.rows++
	c.place++
	if c.value == 0 {
		c.unfit = c.startSeries(s)
	}
	err := c.unfit
	if err == nil {
		c.chunk.Body, err = c.appendRow(append(c.chunk.Body, c.prefix...), s.Values[c.value])
	}
	c.chunk.add(begin, c.place, err, nil)
	if c.value++; c.value == len(s.Values) {
		c.series, c.value = c.series[1:], 0
	}
}

// startSeries writes what the lines of a series have in common.
func (c *InfluxCopy) startSeries(s *influxSeries) error {
	c.prefix = lineprotocol.AppendMeasurement(c.prefix[:0], c.source.Measurement)
	keys := make([]string, 0, len(s.Tags))
	for key, value := range s.Tags {
		if value != "" { // the series has no such tag
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if err := errors.Join(checkName("the tag's name", key), checkName(fmt.Sprintf("the value of tag %q", key), s.Tags[key])); err != nil {
			return err
		}
		c.prefix = lineprotocol.AppendKey(append(c.prefix, ','), key)
		c.prefix = lineprotocol.AppendKey(append(c.prefix, '='), s.Tags[key])
	}
	return nil
}

// appendRow writes the fields and the time of a row. Numbers are taken as they are written.
func (c *InfluxCopy) appendRow(dst []byte, values []json.RawMessage) ([]byte, error) {
	if len(values) != len(c.columns)+1 {
		return dst, fmt.Errorf("the row has %d values, and %d were asked for", len(values), len(c.columns)+1)
	}
	first := true
	for i := range c.columns {
		v := values[i+1]
		if string(v) == "null" {
			continue
		}
		begin := len(dst)
		dst = append(dst, c.columns[i].prefix...)
		if first {
			dst[begin], first = ' ', false // instead of the comma
		}
		switch c.columns[i].Type {
		case schema.String:
			text, err := influxText(v)
			if err != nil {
				return dst, err
			}
			dst = lineprotocol.AppendString(dst, text)
		case schema.Int64:
			dst = append(append(dst, v...), 'i')
		case schema.Uint64:
			dst = append(append(dst, v...), 'u')
		default:
			dst = append(dst, v...)
		}
	}
	if first {
		return dst, errNoField
	}
	return append(append(append(dst, ' '), values[0]...), '\n'), nil
}
