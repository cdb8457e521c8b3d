package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// CSV reads CSV: with the annotations of InfluxDB 2, as its queries answer and as
// influx write takes it, or plain, as the options say.
type CSV struct {
	scan    *csvScanner
	o       Options
	notes   csvAnnotations
	layout  *csvLayout // nil until there was a header
	chunk   Chunk
	stopped error
}

// NewCSV reads nothing yet.
func NewCSV(src io.Reader, o Options) *CSV {
	return &CSV{scan: newCSVScanner(src, o.Delimiter), o: o}
}

// Next returns the next chunk, or io.EOF. Places are lines.
func (r *CSV) Next() (*Chunk, error) {
	c := &r.chunk
	c.reset()
	for r.stopped == nil && !r.o.Limits.full(c) {
		r.stopped = r.record(c)
	}
	if c.Rows > 0 {
		return c, nil
	}
	return nil, r.stopped
}

// record reads one record and adds its line, if it is one. The error ends the file.
func (r *CSV) record(c *Chunk) error {
	cells, line, err := r.scan.next()
	begin := len(c.Body)
	switch {
	case errors.Is(err, errQuote):
		c.add(begin, line, err, r.scan.raw)
		return nil
	case err != nil:
		return err
	case len(cells) == 1 && cells[0].isNull(): // an empty line
		return nil
	case isAnnotation(cells):
		if r.layout != nil { // a new table begins
			r.layout, r.notes = nil, csvAnnotations{}
		}
		err = r.notes.add(cells)
	case r.layout == nil:
		r.layout, err = r.notes.layout(cells, r.o)
	case !r.layout.isHeader(cells):
		c.Body, err = r.layout.appendLine(c.Body, cells)
		c.add(begin, line, err, r.scan.raw)
		return nil
	}
	if err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	return nil
}

// appendLine writes a record as a line. The error is for this record.
func (l *csvLayout) appendLine(dst []byte, cells []csvCell) ([]byte, error) {
	if len(cells) != l.width {
		return dst, fmt.Errorf("the row has %d fields, the header %d", len(cells), l.width)
	}
	dst = append(dst, l.table...)
	var err error
	var name []byte
	fields := false
	for i := range l.columns {
		c, cell := &l.columns[i], cells[l.order[i]]
		if cell.isNull() && c.value != "" {
			cell.text = []byte(c.value)
		}
		switch begin := len(dst); {
		case c.role == measurement:
			if err = checkTable(string(cell.text)); err == nil {
				dst = lineprotocol.AppendMeasurement(dst, string(cell.text))
			}
		case c.role == tag:
			dst, err = c.appendTag(dst, cell)
		case c.role == fieldName:
			name = cell.text
			err = checkName("the field's name", string(name))
		case cell.isNull() && c.role != instant:
		case c.role == instant:
			dst, err = c.appendTime(dst, cell, fields)
		default:
			if dst = append(dst, c.prefix...); c.role == fieldValue {
				dst = append(lineprotocol.AppendKey(append(dst, ','), string(name)), '=')
			}
			dst, err = c.appendValue(dst, cell)
			if !fields {
				dst[begin], fields = ' ', true // instead of the comma
			}
		}
		if err != nil {
			return dst, fmt.Errorf("column %q: %w", l.header[l.order[i]], err)
		}
	}
	return dst, nil
}

func (c *csvColumn) appendTag(dst []byte, cell csvCell) ([]byte, error) {
	if len(cell.text) == 0 { // as InfluxDB has it, that is no tag
		return dst, nil
	}
	if err := checkName("the value of the tag", string(cell.text)); err != nil {
		return dst, err
	}
	return lineprotocol.AppendKey(append(dst, c.prefix...), string(cell.text)), nil
}

func (c *csvColumn) appendTime(dst []byte, cell csvCell, fields bool) ([]byte, error) {
	if !fields {
		return dst, errNoField
	}
	ns, err := c.instant(string(cell.text))
	return append(strconv.AppendInt(append(dst, ' '), ns, 10), '\n'), err
}

// layouts are those that times without a format have.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", time.DateOnly}

// instant understands a time; without a zone it is one of UTC.
func (c *csvColumn) instant(text string) (int64, error) {
	if text == "" {
		return 0, errors.New("the row has no time")
	}
	if c.layout != "" {
		t, err := time.Parse(c.layout, text)
		if err != nil {
			return 0, fmt.Errorf("%q is no time as in %q", text, c.layout)
		}
		return inRange(t)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return nanoseconds(n, c.units)
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return inRange(t)
		}
	}
	return 0, fmt.Errorf("%q is no time such as 2026-11-20T08:00:00Z, and no number", text)
}

func inRange(t time.Time) (int64, error) {
	ns := schema.Nanoseconds(t)
	if ns < lineprotocol.MinTime || ns > lineprotocol.MaxTime {
		return 0, fmt.Errorf("the time %s is before 1677-09-22 or after 2262-04-11, which nanoseconds cannot express", t.Format(time.RFC3339))
	}
	return ns, nil
}

// appendValue writes the value of a field. Each is checked: what is no number must not
// become a part of a line.
func (c *csvColumn) appendValue(dst []byte, cell csvCell) ([]byte, error) {
	text := string(cell.text)
	typ := c.typ
	if typ == 0 {
		typ = guessType(cell)
	}
	switch typ {
	case schema.Float64:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return dst, c.unlike(text, "a number")
		}
		return appendFloat(dst, v)
	case schema.Int64:
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return dst, c.unlike(text, "an integer of 64 bits")
		}
		return append(strconv.AppendInt(dst, v, 10), 'i'), nil
	case schema.Uint64:
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return dst, c.unlike(text, "an unsigned integer of 64 bits")
		}
		return append(strconv.AppendUint(dst, v, 10), 'u'), nil
	case schema.Bool:
		v, ok := parseBool(text)
		if !ok {
			return dst, c.unlike(text, "true or false")
		}
		return strconv.AppendBool(dst, v), nil
	}
	if !utf8.Valid(cell.text) || bytes.IndexByte(cell.text, 0) >= 0 {
		return dst, fmt.Errorf("%q is not text in UTF-8 without NUL", text)
	}
	return lineprotocol.AppendString(dst, text), nil
}

func (c *csvColumn) unlike(text, want string) error {
	if c.typ == 0 {
		return fmt.Errorf("%q is not %s", text, want)
	}
	return fmt.Errorf("%q is not %s, which the column's type says", text, want)
}

// guessType is the type of a field that nobody has named: a number is a float.
func guessType(cell csvCell) schema.ColumnType {
	text := string(cell.text)
	if cell.quoted {
		return schema.String
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return schema.Float64
	}
	if text == "true" || text == "false" {
		return schema.Bool
	}
	return schema.String
}

// parseBool knows what people and programs write.
func parseBool(text string) (value, ok bool) {
	switch text {
	case "true", "t", "T", "True", "TRUE", "1", "y", "yes":
		return true, true
	case "false", "f", "F", "False", "FALSE", "0", "n", "no":
		return false, true
	}
	return false, false
}
