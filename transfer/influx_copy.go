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
	"time"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// InfluxCopy reads the rows of a source, a slice of time after the other. The length of the
// slices follows the number of rows, so that neither a dense second nor a sparse decade
// makes a statement too large or statements too many.
type InfluxCopy struct {
	// Times are what is left to read; its Min moves on with each slice that is done. Rows
	// before it have been returned, and their chunk was asked for the next.
	Times schema.TimeRange

	from    Influx
	source  InfluxSource
	limits  Limits
	columns []lineColumn
	chunk   Chunk

	span   time.Duration // of the next slice
	answer *influxAnswer // of the current slice, nil between two
	end    int64         // behind the current slice
	rows   int           // of the current slice
	place  int           // rows read
	series []influxSeries
	value  int    // the next of series[0]
	prefix []byte // of the lines of series[0],
	unfit  error  // or why it has none
}

// The number of rows that slices are made for, and the length of the first.
const (
	fewRows   = 20_000
	manyRows  = 200_000
	firstSpan = 24 * time.Hour
	leastSpan = time.Second
	mostSpan  = 10 * 365 * 24 * time.Hour
)

// Copy prepares to read the rows of a source that are in a range of time, and cuts the range
// to where there are rows.
func (f Influx) Copy(ctx context.Context, s InfluxSource, times schema.TimeRange, limits Limits) (*InfluxCopy, error) {
	if err := checkTable(s.Measurement); err != nil {
		return nil, err
	}
	times = times.Intersect(schema.TimeRange{Min: lineprotocol.MinTime, Max: lineprotocol.MaxTime})
	c := &InfluxCopy{Times: times, from: f, source: s, limits: limits, span: firstSpan}
	for _, field := range s.Fields {
		if err := checkName("the field's name", field.Name); err != nil {
			return nil, err
		}
		c.columns = append(c.columns, lineColumn{Column: field, prefix: append(lineprotocol.AppendKey([]byte{','}, field.Name), '=')})
	}
	if times.IsEmpty() {
		return c, nil
	}
	for _, order := range []string{"ASC", "DESC"} {
		ns, found, err := c.edge(ctx, order)
		switch {
		case err != nil:
			return nil, err
		case !found:
			c.Times = schema.EmptyTimeRange
			return c, nil
		case order == "ASC":
			c.Times.Min = ns
		default:
			c.Times.Max = ns
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
	rows, err := c.from.list(ctx, "SELECT *::field FROM "+c.source.from()+where(c.Times.Min, c.Times.Max)+" ORDER BY time "+order+" LIMIT 1")
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
			if err := c.done(ctx); err != nil {
				return nil, err
			}
		}
		if c.Times.IsEmpty() {
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
	last := c.Times.Max
	if span := int64(c.span); last-c.Times.Min >= span || last-c.Times.Min < 0 { // the latter overflowed
		last = c.Times.Min + span - 1
	}
	var fields []string
	for _, t := range c.columns {
		fields = append(fields, quoteInflux(t.Name)+"::"+influxTypeName(t.Type))
	}
	statement := "SELECT " + strings.Join(fields, ", ") + " FROM " + c.source.from() + where(c.Times.Min, last) + " GROUP BY *"
	body, err := c.from.Ask(ctx, statement, influxRows)
	if err != nil {
		return err
	}
	c.answer, c.end, c.rows = newInfluxAnswer(body), last+1, 0
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

// done moves on to the next slice, and over a gap to the next row.
func (c *InfluxCopy) done(ctx context.Context) error {
	c.Times.Min = c.end
	c.end = 0
	switch {
	case c.rows < fewRows:
		c.span = min(2*c.span, mostSpan)
	case c.rows > manyRows:
		c.span = max(c.span/2, leastSpan)
	}
	if c.rows > 0 || c.Times.IsEmpty() {
		return nil
	}
	ns, found, err := c.edge(ctx, "ASC")
	if found {
		c.Times.Min = ns
	} else {
		c.Times.Max = c.Times.Min - 1
	}
	return err
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
